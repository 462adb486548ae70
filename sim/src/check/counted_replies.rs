//! The replies that nodes count: a leader's matched index of a peer, and a candidate's votes and
//! pre-votes, grow only because of replies of its term that it has received (S60). A candidate
//! wins, and a pre-candidate starts its election, as soon as a quorum has granted its request;
//! either gives up as soon as, and only if, no quorum can grant it any more (S68).

use std::sync::Arc;

use quorate::raft::{RoleName, Status};
use quorate::types::{Body, Index, Instant, Message, MessageKind, NodeId, Term};

use crate::check::electorate::{Decision, Electorate};
use crate::check::finding::{CheckResult, S60, S68};
use crate::check::known::{Known, names};
use crate::check::model::DiskRef;
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
    /// For each node, the highest commit index that a voter has named to it since its start.
    named: Vec<Index>,
}

/// The replies that a node has received in one election, and the term of the election.
#[derive(Clone, Copy, Debug, Default)]
struct Grants {
    term: Term,
    granted: Nodes,
    /// The nodes whose first reply must count as a grant, and those whose first reply rejects.
    counted: Nodes,
    rejected: Nodes,
    /// Those of the `rejected` whose rejection must count.
    denied: Nodes,
    /// The nodes that have rejected it at any time. A pre-candidate that asks again after its
    /// election timeout counts no earlier reply.
    refused: Nodes,
    /// Whether the node may have counted a reply that no node sent.
    is_doubtful: bool,
}

impl Rule for CountedReplies {
    fn new(known: &Known) -> CountedReplies {
        let nodes = known.model.nodes.len();
        let none = vec![Grants::default(); nodes];
        let matched = vec![(Term::ZERO, 0, Index::ZERO); nodes * nodes];
        let begun = vec![None; nodes];
        let used = |slot| Arc::clone(known.model.electorate(slot));
        let used = known.model.slots().map(used).collect();
        let named = vec![Index::ZERO; nodes];
        CountedReplies { matched, used, votes: none.clone(), pre_votes: none, begun, named }
    }

    fn started(&mut self, known: &Known, status: &Status) -> CheckResult {
        let slot = known.model.slot(status.id);
        self.votes[slot.0] = Grants::default();
        self.pre_votes[slot.0] = Grants::default();
        self.named[slot.0] = Index::ZERO;
        Ok(())
    }

    /// Notes the reply to a request for a vote or a pre-vote, if the node may count it because it
    /// still campaigns in that term.
    fn delivered(&mut self, known: &Known, node: NodeId, message: &Message) -> CheckResult {
        let [slot, from] = [node, message.from].map(|id| known.model.slot(id));
        let Some(status) = known.model.node(slot).status else { return Ok(()) };
        let (role, term) = (status.role, status.term);
        if let Body::RequestVoteReply { committed, .. } | Body::PreVoteReply { committed, .. } =
            message.body
        {
            self.named[slot.0] = self.named[slot.0].max(committed);
        }
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

    /// Checks that a node that has the votes or the pre-votes of a quorum does not wait for more,
    /// nor one that can no longer get them.
    fn stepped(&mut self, known: &Known, status: &Status) -> CheckResult {
        let slot = known.model.slot(status.id);
        self.forget_returned(known, slot);
        if known.is_fault_input {
            self.votes[slot.0].is_doubtful = true;
            self.pre_votes[slot.0].is_doubtful = true;
        }
        let campaigns = matches!(status.role, RoleName::PreCandidate | RoleName::Candidate);
        if !campaigns || !known.shows_messages || known.model.last_survivor_enabled {
            return Ok(());
        }
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
            (RoleName::PreCandidate, RoleName::Follower) => {
                let kind = MessageKind::PreVoteReply;
                self.check_gives_up(known, slot, &before, status, kind)
            }
            (RoleName::Candidate, RoleName::Follower) => {
                let kind = MessageKind::RequestVoteReply;
                self.check_gives_up(known, slot, &before, status, kind)
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
    /// Checks that a node that gives up because of a reply of this kind can no longer win, or has
    /// learned that its log lacks committed entries.
    fn check_gives_up(
        &self,
        known: &Known,
        slot: Slot,
        before: &Status,
        status: &Status,
        kind: MessageKind,
    ) -> CheckResult {
        let (model, electorate) = (&known.model, known.model.electorate(slot));
        let replies = if kind == MessageKind::PreVoteReply { &self.pre_votes } else { &self.votes };
        let grants = replies[slot.0];
        let is_of_reply = known.message.is_some_and(|message| message.kind == kind);
        let is_same = before.term == status.term && status.leader.is_none();
        let lacks_committed = self.named[slot.0] > before.last.index;
        let disk = model.node(slot).disk_named_by(&electorate.membership);
        let may_lead = electorate.is_voter(slot) && disk == Some(DiskRef::Current);
        // A pre-candidate that a quorum has granted starts no election if its disk became stuck or
        // an entry was found damaged. A node whose state machine is wrong may begin its quarantine
        // in the same step.
        let mut granted = grants.granted;
        granted.insert(slot);
        let is_granted =
            kind == MessageKind::PreVoteReply && electorate.decision(granted) == Decision::Quorum;
        let is_unfit = is_granted || known.taint.fault_count() > 0;
        let is_exempt = lacks_committed || !may_lead || is_unfit || model.last_survivor_enabled;
        if !is_of_reply || !is_same || is_exempt || grants.is_doubtful || !known.shows_messages {
            return Ok(());
        }
        let left: Nodes = model.slots().filter(|slot| !grants.refused.contains(*slot)).collect();
        if electorate.decision(left) != Decision::Quorum {
            return Ok(());
        }
        let (Status { id, term, .. }, role) = (*status, before.role);
        S68.violated(format!(
            "{id} gives up as a {role} in term {term} after a {}, although only {} have rejected \
             it, and the other nodes are a quorum of {}",
            kind.name(),
            names(model, grants.refused),
            electorate.membership
        ))
    }

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
        let replied = if granted { &mut self.granted } else { &mut self.refused };
        replied.insert(from);
        if !granted && !self.counted.contains(from) {
            self.rejected.insert(from);
            if !may_be_rejected && !self.granted.contains(from) {
                self.denied.insert(from);
            }
        } else if granted && !may_be_rejected && !self.rejected.contains(from) {
            self.counted.insert(from);
        }
    }

    /// Checks that the grants in the election of this term, including the node's own, are not a
    /// quorum, because the node has not won; and that the nodes that have not rejected it are one,
    /// because it has not given up.
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
        if self.term != election {
            return Ok(());
        }
        let left: Nodes = known.model.slots().filter(|slot| !self.denied.contains(*slot)).collect();
        let can_win = electorate.decision(left) == Decision::Quorum;
        if !can_win && !self.is_doubtful {
            let (Status { id, role, term, .. }, by) = (*status, names(&known.model, self.denied));
            return S68.violated(format!(
                "{id} is still a {role} in term {term}, but {by} have rejected it in the election \
                 of term {election}, and the other nodes are no quorum of {}",
                electorate.membership
            ));
        }
        if electorate.decision(counted) != Decision::Quorum {
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
