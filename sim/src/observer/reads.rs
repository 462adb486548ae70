//! Coverage marks of reads: how each read was requested, confirmed and answered.

use quorate::raft::{RoleName, Status};
use quorate::types::{Freshness, Heartbeat, Index, Message, NodeId, ReadLevel, Tag};

use crate::coverage::Spot;
use crate::observer::{GrantedReadLease, Observer, PendingRead};

impl Observer {
    /// Records a read that reaches a node. `led_from` is the last index of a leader's log before
    /// its election.
    pub(crate) fn read_requested(
        &mut self,
        status: &Status,
        led_from: Index,
        (tag, level): (Tag, ReadLevel),
    ) {
        let leads = status.role == RoleName::Leader;
        let has_read_lease =
            self.read_leases.get(&status.id).is_some_and(|lease| self.now < lease.until);
        let waits_for_round =
            if leads { status.applied == status.committed } else { !has_read_lease };
        self.reads.insert(tag, PendingRead { level, leads, waits_for_round });
        self.read_in_progress = Some(tag);
        self.reach(if leads { Spot::ReadAtLeader } else { Spot::ReadAtFollower });
        self.reach_if(leads && status.committed <= led_from, Spot::ReadBeforeOwnTerm);
        self.reach_if(leads && status.applied < status.committed, Spot::ReadWaitsForApply);
    }

    /// Records that the node has taken the read.
    pub(crate) fn read_taken(&mut self) {
        self.read_in_progress = None;
    }

    /// Marks the way in which a read was confirmed, once it waits only for the state machine.
    pub(super) fn read_ready(&mut self, tag: Tag, freshness: Freshness) {
        let Some(read) = self.reads.remove(&tag) else { return };
        let PendingRead { level, leads, waits_for_round } = read;
        let at_once = self.read_in_progress == Some(tag) && self.voters > 1;
        self.reach(match (level, freshness) {
            (ReadLevel::Linearizable, _) => Spot::ReadByHeartbeatRound,
            (ReadLevel::Lease | ReadLevel::Replica, _) if at_once && leads => Spot::ReadByLease,
            (ReadLevel::Replica, _) if at_once => Spot::ReadByReadLease,
            (ReadLevel::Lease | ReadLevel::Replica, _) if !waits_for_round => return,
            (ReadLevel::Lease, _) => Spot::LeaseFallsBack,
            (ReadLevel::Replica, _) => Spot::ReadLeaseFallsBack,
            (ReadLevel::Bounded(_), Freshness::Within(_)) => Spot::ReadWithin,
            (ReadLevel::Bounded(_), _) => Spot::BoundedFallsBack,
            (ReadLevel::Local, _) => Spot::ReadLocal,
        });
    }

    /// Records a read lease that a leader grants in a heartbeat.
    pub(super) fn read_lease_granted(&mut self, message: &Message, heartbeat: &Heartbeat) {
        if heartbeat.read_lease.is_zero() {
            return;
        }
        self.reach(Spot::ReadLeaseGranted);
        let Message { from: by, to, .. } = *message;
        self.read_leases
            .insert(to, GrantedReadLease { by, until: self.now.after(heartbeat.read_lease) });
    }

    /// Marks `spot` if the leader has granted read leases that have not expired.
    pub(crate) fn while_read_lease_granted(&mut self, leader: NodeId, spot: Spot) {
        let out =
            self.read_leases.values().any(|lease| lease.by == leader && self.now < lease.until);
        self.reach_if(out, spot);
    }
}
