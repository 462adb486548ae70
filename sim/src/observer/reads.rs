//! Reads and read leases, for the coverage marks of how each read was requested, confirmed and
//! answered.

use std::collections::BTreeMap;

use quorate::raft::{RoleName, Status};
use quorate::types::{Freshness, Heartbeat, Message, NodeId, ReadLevel, Tag};

use crate::observe::coverage::Spot;
use crate::values::time::SimTime;

/// The pending reads and the read leases of all nodes.
#[derive(Default)]
pub(super) struct Reads {
    pending: BTreeMap<Tag, PendingRead>,
    /// The read that a node takes right now.
    in_progress: Option<Tag>,
    /// The last read lease that each node was granted.
    leases: BTreeMap<NodeId, GrantedReadLease>,
}

/// A pending read at one node.
#[derive(Clone, Copy)]
struct PendingRead {
    level: ReadLevel,
    leads: bool,
    /// Whether the read waits for a heartbeat round if the node does not answer it at once.
    waits_for_round: bool,
}

/// A read lease that a leader granted to a node.
#[derive(Clone, Copy)]
struct GrantedReadLease {
    by: NodeId,
    until: SimTime,
}

impl Reads {
    /// Records a read that reaches a node. The node is taking the read until [`Reads::taken`].
    pub(super) fn request(&mut self, now: SimTime, status: &Status, tag: Tag, level: ReadLevel) {
        let leads = status.role == RoleName::Leader;
        let waits_for_round = match leads {
            true => status.applied == status.committed,
            false => !self.has_lease(now, status.id),
        };
        self.pending.insert(tag, PendingRead { level, leads, waits_for_round });
        self.in_progress = Some(tag);
    }

    /// Records that the node has taken the read.
    pub(super) fn taken(&mut self) {
        self.in_progress = None;
    }

    /// Records that a read is rejected.
    pub(super) fn rejected(&mut self, tag: Tag) {
        self.pending.remove(&tag);
    }

    /// Records that a read waits only for the state machine. Returns the mark that says how the
    /// read was confirmed. `is_alone` says that the cluster has one voter.
    pub(super) fn ready(&mut self, tag: Tag, freshness: Freshness, is_alone: bool) -> Option<Spot> {
        let PendingRead { level, leads, waits_for_round } = self.pending.remove(&tag)?;
        let at_once = self.in_progress == Some(tag) && !is_alone;
        Some(match (level, freshness) {
            (ReadLevel::Linearizable, _) => Spot::ReadByHeartbeatRound,
            (ReadLevel::Lease | ReadLevel::Replica, _) if at_once && leads => Spot::ReadByLease,
            (ReadLevel::Replica, _) if at_once => Spot::ReadByReadLease,
            (ReadLevel::Lease | ReadLevel::Replica, _) if !waits_for_round => return None,
            (ReadLevel::Lease, _) => Spot::LeaseFallsBack,
            (ReadLevel::Replica, _) => Spot::ReadLeaseFallsBack,
            (ReadLevel::Bounded(_), Freshness::Within(_)) => Spot::ReadWithin,
            (ReadLevel::Bounded(_), _) => Spot::BoundedFallsBack,
            (ReadLevel::Local, _) => Spot::ReadLocal,
        })
    }

    /// Records a read lease that a leader grants with this message.
    pub(super) fn grant_lease(&mut self, now: SimTime, message: &Message, heartbeat: &Heartbeat) {
        let Message { from: by, to, .. } = *message;
        self.leases.insert(to, GrantedReadLease { by, until: now.after(heartbeat.read_lease) });
    }

    /// Whether the node has a read lease that has not expired.
    pub(super) fn has_lease(&self, now: SimTime, node: NodeId) -> bool {
        self.leases.get(&node).is_some_and(|lease| now < lease.until)
    }

    /// Whether the leader has granted read leases that have not expired.
    pub(super) fn has_granted_lease(&self, now: SimTime, leader: NodeId) -> bool {
        self.leases.values().any(|lease| lease.by == leader && now < lease.until)
    }
}
