//! The replies that nodes count (S60): a leader's knowledge of a peer rises only by a reply of its
//! term that it took, and so do the votes and pre-votes of a candidate.

use quorate::raft::{RoleName, Status};
use quorate::types::{Body, Index, Message, NodeId, Term};

use crate::check::electorate::Decision;
use crate::check::finding::{CheckResult, S60};
use crate::check::known::Known;
use crate::check::nodes::{Nodes, Slot};
use crate::check::rule::Rule;

/// The replies that nodes took and may count.
#[derive(Clone, Debug)]
pub(super) struct CountedReplies {
    /// For each leader and peer, the index up to which the leader last counted the peer's log as
    /// matched, with the leader's term and the number of its start.
    matched: Vec<(Term, u64, Index)>,
    /// For each node, the votes of its last candidacy, and the pre-votes of its last campaign.
    votes: Vec<Grants>,
    pre_votes: Vec<Grants>,
}

/// The nodes whose grants a node took, and the term of the election.
#[derive(Clone, Copy, Debug, Default)]
struct Grants {
    term: Term,
    granted: Nodes,
}

impl Rule for CountedReplies {
    fn new(known: &Known) -> CountedReplies {
        let nodes = known.model.nodes.len();
        let none = vec![Grants::default(); nodes];
        let matched = vec![(Term::ZERO, 0, Index::ZERO); nodes * nodes];
        CountedReplies { matched, votes: none.clone(), pre_votes: none }
    }

    fn started(&mut self, known: &Known, status: &Status) -> CheckResult {
        let slot = known.model.slot(status.id);
        self.votes[slot.0] = Grants::default();
        self.pre_votes[slot.0] = Grants::default();
        Ok(())
    }

    /// Notes a vote or a pre-vote that the node may count: it campaigns in that term.
    fn delivered(&mut self, known: &Known, node: NodeId, message: &Message) -> CheckResult {
        let [slot, from] = [node, message.from].map(|id| known.model.slot(id));
        let Some(status) = known.model.node(slot).status else { return Ok(()) };
        let (role, term) = (status.role, status.term);
        let (grants, election) = match message.body {
            Body::RequestVoteReply { granted: true, .. }
                if role == RoleName::Candidate && message.term == term =>
            {
                (&mut self.votes[slot.0], term)
            }
            Body::PreVoteReply { granted: true, next_term, .. }
                if role == RoleName::PreCandidate && next_term == term.next() =>
            {
                (&mut self.pre_votes[slot.0], next_term)
            }
            _ => return Ok(()),
        };
        if message.to == node {
            grants.add(election, from);
        }
        Ok(())
    }

    fn status_changed(&mut self, known: &Known, status: &Status) -> CheckResult {
        let slot = known.model.slot(status.id);
        let Some(before) = known.before else { return Ok(()) };
        match (before.role, status.role) {
            (RoleName::PreCandidate, RoleName::Candidate) if status.term == before.term.next() => {
                self.pre_votes[slot.0].check(known, slot, status, "becomes candidate", "pre-votes")
            }
            (RoleName::Candidate, RoleName::Leader) => {
                self.votes[slot.0].check(known, slot, status, "becomes leader", "votes")
            }
            // A new campaign counts no earlier pre-vote.
            (RoleName::Follower | RoleName::Candidate, RoleName::PreCandidate) => {
                self.pre_votes[slot.0] = Grants::default();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Checks that a leader raises the matched index of a peer at most to the index that the reply
    /// it takes in this step acknowledges.
    fn peer_matched(&mut self, known: &Known, id: NodeId, peer: NodeId, to: Index) -> CheckResult {
        let model = &known.model;
        let [slot, other] = [id, peer].map(|id| model.slot(id));
        let (Some(status), starts) = (model.node(slot).status, model.node(slot).starts) else {
            return Ok(());
        };
        let before = &mut self.matched[slot.0 * model.nodes.len() + other.0];
        let is_same = (before.0, before.1) == (status.term, starts);
        let known_before = if is_same { before.2 } else { Index::ZERO };
        *before = (status.term, starts, to);
        let Some(reply) = known.message.filter(|reply| reply.from == peer) else { return Ok(()) };
        let counts = reply.term == status.term && reply.to == id;
        let acknowledged = if counts { reply.acknowledged } else { Index::ZERO };
        if to <= known_before.max(acknowledged) {
            return Ok(());
        }
        let (term, kind, of) = (status.term, reply.kind.name(), reply.term);
        S60.violated(format!(
            "{id} leads term {term} and counts {peer}'s log as matched up to index {to} after a \
             {kind} of term {of}, which acknowledges index {}; before it counted index \
             {known_before}",
            reply.acknowledged
        ))
    }
}

impl Grants {
    fn add(&mut self, term: Term, from: Slot) {
        if self.term != term {
            *self = Grants { term, granted: Nodes::default() };
        }
        self.granted.insert(from);
    }

    /// Checks that the grants, with that of the node itself, are a quorum. A last survivor does not
    /// need the votes of dead voters.
    fn check(
        &self,
        known: &Known,
        slot: Slot,
        status: &Status,
        becomes: &str,
        what: &str,
    ) -> CheckResult {
        let Status { id, term, .. } = *status;
        let electorate = known.model.electorate(slot);
        let mut granted = if self.term == term { self.granted } else { Nodes::default() };
        granted.insert(slot);
        let is_exempt = !known.shows_messages || known.model.last_survivor_enabled;
        if is_exempt || electorate.decision(granted) == Decision::Quorum {
            return Ok(());
        }
        let names = known.model.slots().filter(|slot| granted.contains(*slot));
        let names: Vec<String> = names.map(|slot| known.model.node(slot).id.to_string()).collect();
        S60.violated(format!(
            "{id} {becomes} in term {term}, but has taken {what} of that term only from {}, which \
             is not a quorum of {}",
            names.join(", "),
            electorate.membership
        ))
    }
}
