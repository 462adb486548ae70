//! The replies that nodes count: a leader's matched index of a peer, and a candidate's votes and
//! pre-votes, grow only because of replies of its term that it has received (S60). A candidate
//! wins, and a pre-candidate starts its election, as soon as a quorum has granted its request
//! (S68).

use std::sync::Arc;

use quorate::raft::{RoleName, Status};
use quorate::types::{Body, Index, Instant, Message, NodeId, Term};

use crate::check::electorate::{Decision, Electorate};
use crate::check::finding::{CheckResult, S60, S68};
use crate::check::known::{Known, names};
use crate::check::nodes::{Nodes, Slot};
use crate::check::rule::Rule;

/// The replies that nodes have received and may count.
#[derive(Clone, Debug)]
pub(super) struct CountedReplies {
    /// For each leader and peer, the index up to which the leader last counted the peer's log as
    /// matched, with the leader's term and its number of starts at that time.
    matched: Vec<(Term, u64, Index)>,
    /// For each node, the membership that it used after its last step.
    used: Vec<Arc<Electorate>>,
    /// For each node, the votes of its last candidacy, and the pre-votes of its last campaign.
    votes: Vec<Grants>,
    pre_votes: Vec<Grants>,
    /// For each node, when it last became a pre-candidate or a candidate, by its own clock; `None`
    /// if a fault has acted on it since.
    begun: Vec<Option<Instant>>,
}

/// The replies that a node has received in one election, and the term of the election.
#[derive(Clone, Copy, Debug, Default)]
struct Grants {
    term: Term,
    granted: Nodes,
    /// The nodes whose first reply must count as a grant, and those whose first reply rejects.
    counted: Nodes,
    rejected: Nodes,
}

impl Rule for CountedReplies {
    fn new(known: &Known) -> CountedReplies {
        let nodes = known.model.nodes.len();
        let none = vec![Grants::default(); nodes];
        let matched = vec![(Term::ZERO, 0, Index::ZERO); nodes * nodes];
        let begun = vec![None; nodes];
        let used = |slot| Arc::clone(known.model.electorate(slot));
        let used = known.model.slots().map(used).collect();
        CountedReplies { matched, used, votes: none.clone(), pre_votes: none, begun }
    }

    fn started(&mut self, known: &Known, status: &Status) -> CheckResult {
        let slot = known.model.slot(status.id);
        self.votes[slot.0] = Grants::default();
        self.pre_votes[slot.0] = Grants::default();
        Ok(())
    }

    /// Notes the reply to a request for a vote or a pre-vote, if the node may count it because it
    /// still campaigns in that term.
    fn delivered(&mut self, known: &Known, node: NodeId, message: &Message) -> CheckResult {
        let [slot, from] = [node, message.from].map(|id| known.model.slot(id));
        let Some(status) = known.model.node(slot).status else { return Ok(()) };
        let (role, term) = (status.role, status.term);
        let (grants, election, granted) = match message.body {
            Body::RequestVoteReply { granted, .. }
                if role == RoleName::Candidate && message.term == term =>
            {
                (&mut self.votes[slot.0], term, granted)
            }
            Body::PreVoteReply { granted, next_term, .. }
                if role == RoleName::PreCandidate && next_term == term.next() =>
            {
                (&mut self.pre_votes[slot.0], next_term, granted)
            }
            _ => return Ok(()),
        };
        let may_be_rejected = known.next_message.is_none_or(|message| message.may_be_rejected);
        if message.to == node {
            grants.add(election, from, granted, may_be_rejected);
        }
        Ok(())
    }

    /// Checks that a node that has the votes or the pre-votes of a quorum does not wait for more.
    fn stepped(&mut self, known: &Known, status: &Status) -> CheckResult {
        self.forget_returned(known, known.model.slot(status.id));
        let campaigns = matches!(status.role, RoleName::PreCandidate | RoleName::Candidate);
        if !campaigns || !known.shows_messages || known.model.last_survivor_enabled {
            return Ok(());
        }
        let slot = known.model.slot(status.id);
        let begun = &mut self.begun[slot.0];
        let role_before = known.status_before(status).map(|before| before.role);
        if role_before != Some(status.role) {
            *begun = Some(known.own_time);
        } else if known.is_fault_input {
            *begun = None;
        }
        if status.role == RoleName::Candidate {
            let hard_state = known.model.node(slot).disk.hard_state;
            let is_durable = (hard_state.term, hard_state.vote) == (status.term, Some(status.id));
            let grants = if is_durable { self.votes[slot.0] } else { Grants::default() };
            return grants.check_pending(known, slot, status, "votes", status.term);
        }
        // After the election timeout, the node may ask again, and then it no longer counts earlier
        // pre-votes.
        let timeout_min = known.bounds.config.election_timeout_min;
        let is_first = begun.is_some_and(|at| known.own_time < at.after(timeout_min));
        let grants = if is_first { self.pre_votes[slot.0] } else { Grants::default() };
        grants.check_pending(known, slot, status, "pre-votes", status.term.next())
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
    /// in this step acknowledges.
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
            "{id} leads term {term} and counts {peer}'s log as matched up to index {to} after \
             {peer}'s {kind} of term {of}, which acknowledges index {}; until then it counted \
             index {known_before}",
            reply.acknowledged
        ))
    }
}

impl CountedReplies {
    /// Forgets the matched indices of the nodes that this step has made members: a member that was
    /// removed and is back may have another disk, which has acknowledged nothing
    /// (`ChangeInProgress::update_peers`).
    fn forget_returned(&mut self, known: &Known, slot: Slot) {
        let now = known.model.electorate(slot);
        if Arc::ptr_eq(&self.used[slot.0], now) {
            return;
        }
        let before = std::mem::replace(&mut self.used[slot.0], Arc::clone(now));
        let nodes = &known.model.nodes;
        for (other, node) in nodes.iter().enumerate() {
            if now.membership.is_member(node.id) && !before.membership.is_member(node.id) {
                self.matched[slot.0 * nodes.len() + other].2 = Index::ZERO;
            }
        }
    }
}

impl Grants {
    /// Adds a reply. A node in `counted` or `rejected` stays there whatever it replies later.
    /// `may_be_rejected` says that the receiver may reject the message.
    fn add(&mut self, term: Term, from: Slot, granted: bool, may_be_rejected: bool) {
        if self.term != term {
            *self = Grants { term, ..Grants::default() };
        }
        if granted {
            self.granted.insert(from);
        }
        if !granted && !self.counted.contains(from) {
            self.rejected.insert(from);
        } else if granted && !may_be_rejected && !self.rejected.contains(from) {
            self.counted.insert(from);
        }
    }

    /// Checks that the grants in the election of this term, including the node's own, are not a
    /// quorum, because the node has not won.
    fn check_pending(
        &self,
        known: &Known,
        slot: Slot,
        status: &Status,
        what: &str,
        election: Term,
    ) -> CheckResult {
        let mut counted = self.counted;
        counted.insert(slot);
        let electorate = known.model.electorate(slot);
        if self.term != election || electorate.decision(counted) != Decision::Quorum {
            return Ok(());
        }
        let (Status { id, role, term, .. }, names) = (*status, names(&known.model, counted));
        S68.violated(format!(
            "{id} is still a {role} in term {term}, but has received the {what} for term \
             {election} of {names}, which is a quorum of {}",
            electorate.membership
        ))
    }

    /// Checks that the grants, including the node's own, are a quorum. A last survivor does not
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
        S60.violated(format!(
            "{id} {becomes} in term {term}, but has received {what} of that term only from {}, \
             which is not a quorum of {}",
            names(&known.model, granted),
            electorate.membership
        ))
    }
}
