//! Votes: S2 to S5.

use std::collections::BTreeMap;

use quorate::raft::{Action, Input, RoleName, Status};
use quorate::recording::Step;
use quorate::types::{Body, Incarnation, Membership, Message, MessageClass, NodeId, Term};

use crate::check::{Decision, Electorate, S2, S3, S4, S5, Slot};
use crate::recordings::checks::known::{Known, KnownNode};
use crate::recordings::checks::ledger::Ledger;
use crate::recordings::event::{CoreState, Event};

/// Every vote that a recording shows.
#[derive(Clone, Debug, Default)]
pub(super) struct Votes {
    votes: BTreeMap<(NodeId, Term), Vote>,
}

#[derive(Clone, Copy, Debug)]
struct Vote {
    candidate: NodeId,
    /// The disk that has the vote, if it is known.
    incarnation: Option<Incarnation>,
    /// Whether the voter's own recording has the vote as durable.
    is_durable: bool,
}

impl Votes {
    /// Notes a vote that a node has made durable.
    pub(super) fn durable(
        &mut self,
        ledger: &mut Ledger,
        node: &KnownNode,
        term: Term,
        candidate: NodeId,
    ) {
        let vote = Vote { candidate, incarnation: node.incarnation, is_durable: true };
        self.add(ledger, node.id, term, vote, node.was_uncertain);
    }

    /// Notes the vote on the disk from which a node starts.
    pub(super) fn begins(&mut self, ledger: &mut Ledger, node: &KnownNode, state: CoreState<'_>) {
        let (found, known) = (state.status.hard_state(), node.hard_state);
        if let Some(vote) = found.vote.filter(|_| known == Some(found)) {
            self.durable(ledger, node, found.term, vote);
        }
    }

    pub(super) fn input(&mut self, ledger: &mut Ledger, known: &Known, step: &Step) {
        if let Input::Message(message) = &step.input {
            let was_uncertain = known.get(message.from).is_some_and(|node| node.was_uncertain);
            self.granted(ledger, message, was_uncertain);
        }
    }

    pub(super) fn action(&mut self, ledger: &mut Ledger, node: &KnownNode, action: &Action) {
        let Action::Send(message) = action else { return };
        self.granted(ledger, message, node.was_uncertain);
        let (to, term) = (message.to, message.term);
        match message.body {
            Body::RequestVoteReply { granted: true, .. } => {
                check_durable_vote(ledger, node, message, to);
            }
            Body::RequestVote { .. } => check_durable_vote(ledger, node, message, node.id),
            _ => {}
        }
        if let MessageClass::LeaderReply | MessageClass::Reply = message.body.class() {
            let (id, name) = (node.id, message.body.name());
            match node.hard_state.map(|hard_state| hard_state.term) {
                None if term <= node.since_term => ledger.undecided(&S5, BEFORE),
                durable => {
                    let durable = durable.unwrap_or(node.since_term);
                    let text = || {
                        format!(
                            "{id} sends {to} its {name} in term {term}, but the term on {id}'s \
                             disk is {durable}"
                        )
                    };
                    ledger.decide(&S5, (term > durable).then(text));
                }
            }
        }
    }

    /// Notes the vote in a message.
    fn granted(&mut self, ledger: &mut Ledger, message: &Message, was_uncertain: bool) {
        if let Body::RequestVoteReply { granted: true, .. } = message.body {
            let incarnation = Some(message.incarnation);
            let vote = Vote { candidate: message.to, incarnation, is_durable: false };
            self.add(ledger, message.from, message.term, vote, was_uncertain);
        }
    }

    fn add(
        &mut self,
        ledger: &mut Ledger,
        voter: NodeId,
        term: Term,
        vote: Vote,
        was_uncertain: bool,
    ) {
        let Some(earlier) = self.votes.get_mut(&(voter, term)) else {
            self.votes.insert((voter, term), vote);
            ledger.holds(&S3);
            return;
        };
        let (one, other) = (earlier.candidate, vote.candidate);
        if one == other {
            earlier.is_durable |= vote.is_durable;
            earlier.incarnation = earlier.incarnation.or(vote.incarnation);
        } else if was_uncertain || earlier.incarnation != vote.incarnation {
            ledger.undecided(&S3, "the voter's disk was replaced or rolled back");
        } else {
            ledger
                .violated(&S3, format!("{voter} votes for both {one} and {other} in term {term}"));
        }
    }

    /// Checks the election of a node that has become the leader of its term.
    pub(super) fn stepped(
        &self,
        ledger: &mut Ledger,
        known: &Known,
        event: &Event<'_>,
        before: &Status,
        state: CoreState<'_>,
    ) {
        let term = state.status.term;
        let led = before.role == RoleName::Leader && before.term == term;
        if state.status.role != RoleName::Leader || led {
            return;
        }
        if state.config.survivor.is_some() {
            return ledger.undecided(&S2, "a last survivor needs no quorum");
        }
        let id = event.node;
        let membership = state.membership;
        let voters: Vec<NodeId> = membership.voters().collect();
        let has_voted = |voter: &NodeId| self.vote_of(known, *voter, term);
        let with = |counts: &dyn Fn(Option<NodeId>, bool) -> bool| {
            quorum_of(membership, &voters, |voter| {
                let (vote, is_known) = has_voted(voter);
                counts(vote, is_known)
            })
        };
        if with(&|vote, is_known| is_known && vote == Some(id)) {
            ledger.holds(&S2);
        } else if with(&|vote, is_known| !is_known || vote == Some(id)) {
            ledger.undecided(&S2, "the votes of some voters are not recorded");
        } else {
            let known: Vec<String> = voters
                .iter()
                .filter(|voter| has_voted(voter) == (Some(id), true))
                .map(ToString::to_string)
                .collect();
            let names = if known.is_empty() { "no node".to_owned() } else { known.join(", ") };
            ledger.violated(
                &S2,
                format!(
                    "{id} becomes leader of term {term} with durable votes of {names}, which is \
                     not a quorum of {membership}"
                ),
            );
        }
    }

    /// The durable vote of a voter, and whether it is known. The vote of a node is known once the
    /// node is recorded without a break from an earlier term on.
    fn vote_of(&self, known: &Known, voter: NodeId, term: Term) -> (Option<NodeId>, bool) {
        let vote = self.votes.get(&(voter, term)).filter(|vote| vote.is_durable);
        let is_known = vote.is_some()
            || known.get(voter).is_some_and(|node| {
                node.is_recorded && node.since_term < term && !node.was_uncertain
            });
        (vote.map(|vote| vote.candidate), is_known)
    }
}

/// Why the hard state of a node is not known.
const BEFORE: &str = "the last write of the term is from before the recording";

/// Checks that the vote for `candidate` is durable on the node that sends the message.
fn check_durable_vote(ledger: &mut Ledger, node: &KnownNode, message: &Message, candidate: NodeId) {
    let (id, term, name) = (node.id, message.term, message.body.name());
    let Some(hard_state) = node.hard_state else {
        return ledger.undecided(&S4, BEFORE);
    };
    let is_durable = hard_state.term == term && hard_state.vote == Some(candidate);
    let text = || {
        format!("{id} sends its {name} in term {term} before its vote for {candidate} is durable")
    };
    ledger.decide(&S4, (!is_durable).then(text));
}

/// Whether the voters for which `counts` is true are a quorum.
pub(super) fn quorum_of(
    membership: &Membership,
    voters: &[NodeId],
    counts: impl Fn(&NodeId) -> bool,
) -> bool {
    let electorate = Electorate::new(voters, membership);
    let set = voters.iter().enumerate().filter(|(_, voter)| counts(voter));
    electorate.decision(set.map(|(place, _)| Slot(place)).collect()) == Decision::Quorum
}
