//! Prompt commits (S67): a leader commits an entry of its term in the step that takes the last
//! reply that it needs (Raft §5.3).

use std::sync::Arc;

use quorate::raft::{RoleName, Status};
use quorate::types::{Body, Incarnation, Index, Message, NodeId};

use crate::check::electorate::{Decision, Electorate};
use crate::check::finding::{CheckResult, S67};
use crate::check::known::Known;
use crate::check::leader_terms::LeaderTerms;
use crate::check::nodes::{Nodes, Slot};
use crate::check::rule::Rule;

/// For each node, the acknowledgements that its peers have sent to it as the leader.
#[derive(Clone, Debug)]
pub(super) struct PromptCommits {
    leaders: LeaderTerms<Leader>,
}

/// The acknowledgements that a leader has received in its term under its present membership.
#[derive(Clone, Debug)]
struct Leader {
    electorate: Arc<Electorate>,
    peers: Vec<Peer>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Peer {
    acknowledged: Index,
    disk: Option<Incarnation>,
    /// Whether the leader may have reasons not to count the peer: it has replied from another disk,
    /// as an uncertain node, or without entries that it had acknowledged.
    is_doubtful: bool,
}

impl Rule for PromptCommits {
    fn new(known: &Known) -> PromptCommits {
        let none = |slot| Leader {
            electorate: Arc::clone(known.model.electorate(slot)),
            peers: vec![Peer::default(); known.model.nodes.len()],
        };
        PromptCommits { leaders: LeaderTerms::new(known, none) }
    }

    fn delivered(&mut self, known: &Known, id: NodeId, message: &Message) -> CheckResult {
        let (model, slot) = (&known.model, known.model.slot(id));
        let is_rejected = known.next_message.is_none_or(|message| message.may_be_rejected);
        if !model.node(slot).leads(message.term) || message.to != id || is_rejected {
            return Ok(());
        }
        let Some((leader, _)) = self.leaders.leading(slot, message.term) else { return Ok(()) };
        let peer = &mut leader.peers[model.slot(message.from).0];
        let acknowledged = message.body.acknowledged();
        if let Body::HeartbeatReply { durable, ready, .. } = message.body {
            peer.is_doubtful |= ready.is_uncertain || durable < peer.acknowledged;
        }
        if message.body.requires_known_disk() {
            let known = peer.disk.replace(message.incarnation);
            peer.is_doubtful |= known.is_some_and(|known| known != message.incarnation);
        }
        peer.acknowledged = peer.acknowledged.max(acknowledged);
        Ok(())
    }

    fn stepped(&mut self, known: &Known, status: &Status) -> CheckResult {
        let Status { id, role, term, committed, .. } = *status;
        let slot = known.model.slot(id);
        let is_same = self.leaders.step(known, status).is_some();
        let leader = self.leaders.data(slot);
        if role == RoleName::Leader {
            leader.follow(known.model.electorate(slot), is_same);
        }
        // Every holder of a read lease must have the entries, too; in last-survivor mode, every
        // voter.
        let has_read_leases = known.bounds.config.lease.is_some_and(|lease| lease.read_leases);
        let is_exempt = has_read_leases || known.model.last_survivor_enabled;
        let is_behind = role == RoleName::Leader && committed < status.last.index;
        if !known.shows_messages || is_exempt || !is_behind || status.damaged_entries > 0 {
            return Ok(());
        }
        if known.is_fault_input {
            // The message may have named another disk of any peer.
            leader.peers.iter_mut().for_each(|peer| peer.is_doubtful = true);
        }
        let Some(reached) = leader.quorum_reached(slot, status) else { return Ok(()) };
        let entry = known.model.node(slot).memory.log.id_at(reached);
        if entry.is_none_or(|entry| entry.term != term) {
            return Ok(());
        }
        S67.violated(format!(
            "{id} leads term {term} and commits only index {committed}, but a quorum of {} has \
             acknowledged its log up to index {reached}",
            leader.electorate.membership
        ))
    }
}

impl Leader {
    /// Records a step, with the membership after it. A new membership may make the leader forget
    /// the acknowledgements of a node that was not a member for a time. If the leader's term began
    /// in this step, `is_same` is false, and there are no acknowledgements yet.
    fn follow(&mut self, now: &Arc<Electorate>, is_same: bool) {
        if is_same && Arc::ptr_eq(&self.electorate, now) {
            return;
        }
        self.electorate = Arc::clone(now);
        for peer in &mut self.peers {
            let is_doubtful = peer.is_doubtful && is_same;
            *peer = Peer { is_doubtful, disk: peer.disk.filter(|_| is_same), ..Peer::default() };
        }
    }

    /// The last index after the commit index that a quorum has reached; `None` if there is none.
    fn quorum_reached(&self, own: Slot, status: &Status) -> Option<Index> {
        let reached = |slot: Slot| match self.peers[slot.0] {
            _ if slot == own => status.durable,
            Peer { acknowledged, is_doubtful: false, .. } => acknowledged,
            _ => Index::ZERO,
        };
        let slots = || (0..self.peers.len()).map(Slot);
        let has = |index: Index| -> Nodes { slots().filter(|it| reached(*it) >= index).collect() };
        let is_quorum = |index: &Index| self.electorate.decision(has(*index)) == Decision::Quorum;
        if !is_quorum(&status.committed.next()) {
            return None;
        }
        slots().map(reached).filter(is_quorum).max()
    }
}
