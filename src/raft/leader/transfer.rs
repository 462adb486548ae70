//! Leadership transfers (thesis §3.10). Their reasons: a user's request, a voter of higher
//! priority, a slow, stuck or damaged disk of the leader, or a leader that is no longer a voter.
//!
//! TLA+: `docs/tla/quorate.tla`, AskToTakeOver.

use crate::progress::{Mode, Progress};
use crate::raft::api::action::Action;
use crate::raft::common::Common;
use crate::raft::leader::disk_lag::{DiskLag, LagLimits};
use crate::raft::leader::lease::LeaderLease;
use crate::raft::leader::peers::Peers;
use crate::types::{Body, Instant, NodeId, RejectReason, Tag};

/// The leadership transfer under way, if there is one, and whether the leader's disk is a reason
/// for a transfer. Proposals are rejected during a transfer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Transfers {
    current: Option<Transfer>,
    /// When the last read lease ends, if this leader has to stop leading and waits for that time
    /// before it asks another node to campaign.
    hand_over_at: Option<Instant>,
    disk_lag: DiskLag,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
struct Transfer {
    /// The tag of the user's request; `None` if the leader began the transfer itself.
    tag: Option<Tag>,
    to: NodeId,
    /// When this leader aborts the transfer and continues to lead.
    deadline: Instant,
}

impl Transfers {
    /// Whether a transfer is under way, or this leader waits to hand over.
    pub(crate) fn is_active(&self) -> bool {
        self.current.is_some() || self.hand_over_at.is_some()
    }

    /// Whether a user's request waits for the transfer under way.
    #[cfg(feature = "std")]
    pub(crate) fn has_request(&self) -> bool {
        self.current.is_some_and(|transfer| transfer.tag.is_some())
    }

    /// The time at which this leader tries again to hand over, because its read leases have ended
    /// by then; `Instant::NEVER` if it does not wait for that.
    pub(crate) fn hand_over_at(&self) -> Instant {
        self.hand_over_at.unwrap_or(Instant::NEVER)
    }

    /// Begins the transfer that a user requests, to the best target if `to` is `None`.
    pub(crate) fn on_request(
        &mut self,
        common: &mut Common,
        peers: &Peers,
        lease: &mut LeaderLease,
        tag: Tag,
        to: Option<NodeId>,
    ) {
        if self.is_active() {
            return common.reject(tag, RejectReason::Transferring);
        }
        let voters = common.log().membership().incoming();
        let is_other_voter = |to: &NodeId| *to != common.id() && voters.contains(to);
        match to
            .filter(is_other_voter)
            .or_else(|| best_transfer_target(common, peers).filter(|_| to.is_none()))
        {
            Some(to) => self.begin(common, peers, lease, Some(tag), to),
            None => common.reject(tag, RejectReason::NoTransferTarget),
        }
    }

    /// Begins a transfer to `to`, for the user's request `tag` or by the leader itself.
    pub(crate) fn begin(
        &mut self,
        common: &mut Common,
        peers: &Peers,
        lease: &mut LeaderLease,
        tag: Option<Tag>,
        to: NodeId,
    ) {
        assert!(self.current.is_none(), "one transfer at a time");
        assert!(to != common.id(), "a leader transfers to another node");
        assert!(common.log().membership().incoming().contains(&to), "a voter can lead");
        // The target is asked only once the read leases have ended, and has its time from then on.
        let asked_from = lease.read_leases_end().unwrap_or_default().max(common.now());
        let deadline = asked_from.after(common.config().election_timeout_max);
        self.current = Some(Transfer { tag, to, deadline });
        self.advance(common, peers, lease);
    }

    /// Asks the target to campaign once the target may lead and has the whole log, and no read
    /// lease is in force. Until then this leader replicates the entries that the target lacks.
    pub(crate) fn advance(&self, common: &mut Common, peers: &Peers, lease: &mut LeaderLease) {
        let Some(Transfer { to, .. }) = self.current else { return };
        let last = common.log().last().index;
        let ready = |peer: &Progress| peer.ready().may_lead && peer.matched() == last;
        // Until its read lease ends, a holder relies on the fact that no other leader is elected.
        if peers.get(to).is_some_and(ready) && !lease.has_read_leases(common.now()) {
            lease.end();
            common.send(to, Body::TimeoutNow);
        }
    }

    /// Ends a transfer whose target did not become leader in time; this leader continues. It also
    /// stops waiting for its read leases to end, unless it still `must_hand_over`.
    pub(crate) fn expire(&mut self, common: &mut Common, must_hand_over: bool) {
        let now = common.now();
        self.hand_over_at = self.hand_over_at.filter(|_| must_hand_over);
        if let Some(expired) = self.current.take_if(|transfer| transfer.deadline <= now)
            && let Some(tag) = expired.tag
        {
            common.reject(tag, RejectReason::TransferAborted);
        }
    }

    /// Compares this leader's disk with the disks of a quorum.
    #[inline]
    pub(crate) fn compare_disks(&mut self, common: &Common) {
        let (committed, durable) = (common.log().committed(), common.log().durable());
        if self.disk_lag.is_idle(committed, durable) {
            return;
        }
        self.disk_lag.record(committed, durable, lag_limits(common), common.now());
    }

    /// Whether this leader's disk has lagged behind the disks of a quorum by more than a heartbeat
    /// interval, for twice the longest election timeout.
    pub(crate) fn disk_is_slow(&self, common: &Common) -> bool {
        self.disk_lag.is_lasting(lag_limits(common), common.now())
    }

    /// Asks the best target to campaign, because this node has to stop leading. Returns true if the
    /// node may step down now. Returns false if it must wait until its read leases have ended,
    /// because until then their holders rely on the fact that no other leader is elected. It grants
    /// no new read lease while it waits.
    pub(crate) fn try_hand_over(
        &mut self,
        common: &mut Common,
        peers: &Peers,
        lease: &mut LeaderLease,
    ) -> bool {
        let Some(to) = best_transfer_target(common, peers) else { return true };
        if lease.has_read_leases(common.now()) {
            self.hand_over_at = lease.read_leases_end();
            assert!(self.hand_over_at > Some(common.now()), "a read lease in force ends later");
            return false;
        }
        lease.end();
        common.send(to, Body::TimeoutNow);
        true
    }

    /// Reports a requested transfer as done, because the node no longer leads.
    pub(crate) fn finish(&mut self, common: &mut Common) {
        self.hand_over_at = None;
        if let Some(Transfer { tag: Some(tag), .. }) = self.current.take() {
            common.output.push(Action::LeadershipTransferred { tag });
        }
    }

    /// Panics if the leader `own` transfers its leadership to itself.
    pub(crate) fn assert_invariants(&self, own: NodeId) {
        assert!(self.current.is_none_or(|it| it.to != own), "a leader transfers to another node");
    }
}

fn lag_limits(common: &Common) -> LagLimits {
    let span = common.config().election_timeout_max.saturating_mul(2);
    LagLimits { tolerance: common.config().heartbeat_interval, span }
}

#[cfg(feature = "explore")]
impl Transfers {
    /// Drops the comparison of disks, which matters only if a write takes long.
    pub(crate) fn forget_disk_lag(&mut self) {
        self.disk_lag = DiskLag::default();
    }

    /// The instants in the state.
    pub(crate) fn instants(&mut self) -> impl Iterator<Item = &mut Instant> {
        let deadline = self.current.as_mut().map(|transfer| &mut transfer.deadline);
        deadline.into_iter().chain(&mut self.hand_over_at)
    }
}

/// Returns the best voter to lead next: by readiness, then the longest known log, then priority.
fn best_transfer_target(common: &Common, peers: &Peers) -> Option<NodeId> {
    let membership = common.log().membership();
    let rank = |(id, peer): &(NodeId, &Progress)| {
        let is_ready = may_take_leadership(common, peer);
        (is_ready, peer.matched(), membership.priority(*id), core::cmp::Reverse(*id))
    };
    peers.incoming_voters(membership).max_by_key(rank).map(|(id, _)| id)
}

/// Returns the voter that should lead in this node's place: among the voters that are ready and
/// have every committed entry, the one with the highest priority. It must have a higher priority
/// than this node, unless this node's disk is slow (`any_priority`).
pub(crate) fn better_leader(common: &Common, peers: &Peers, any_priority: bool) -> Option<NodeId> {
    let membership = common.log().membership();
    let own = membership.priority(common.id());
    let is_eligible = |(id, peer): &(NodeId, &Progress)| {
        (any_priority || membership.priority(*id) > own)
            && peer.matched() >= common.log().committed()
            && may_take_leadership(common, peer)
    };
    let rank = |(id, _): &(NodeId, &Progress)| (membership.priority(*id), core::cmp::Reverse(*id));
    peers.incoming_voters(membership).filter(is_eligible).max_by_key(rank).map(|(id, _)| id)
}

/// Whether the leader has heard from the peer recently, and the peer may lead, receives entries and
/// has disk space.
fn may_take_leadership(common: &Common, peer: &Progress) -> bool {
    let fresh_until =
        peer.last_contact().after(common.config().heartbeat_interval.saturating_mul(2));
    let receives_entries = peer.mode() == Mode::Replicate && !peer.disk_full();
    common.now() <= fresh_until && peer.ready().may_lead && receives_entries
}
