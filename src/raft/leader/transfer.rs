//! Leadership transfers (thesis §3.10): requested by a user, to a voter of higher priority, or
//! because the leader's disk is stuck or the leader has lost its vote.

use crate::progress::{Mode, Progress};
use crate::raft::api::action::Action;
use crate::raft::common::Common;
use crate::raft::leader::{Leader, Transfer};
use crate::types::{Body, NodeId, RejectReason, Tag};

impl Leader {
    pub(crate) fn on_transfer(&mut self, common: &mut Common, tag: Tag, to: Option<NodeId>) {
        if self.transfer.is_some() {
            return common.reject(tag, RejectReason::Transferring);
        }
        let voters = common.log.membership().incoming();
        let is_other_voter = |to: &NodeId| *to != common.id() && voters.contains(to);
        match to
            .filter(is_other_voter)
            .or_else(|| self.best_transfer_target(common).filter(|_| to.is_none()))
        {
            Some(to) => self.begin_transfer(common, Some(tag), to),
            None => common.reject(tag, RejectReason::NoTransferTarget),
        }
    }

    pub(crate) fn begin_transfer(&mut self, common: &mut Common, tag: Option<Tag>, to: NodeId) {
        assert!(self.transfer.is_none(), "one transfer at a time");
        let deadline = common.now.after(common.config.election_timeout_max);
        self.transfer = Some(Transfer { tag, to, deadline });
        self.advance_transfer(common);
    }

    /// Returns the best voter to lead next: by readiness, then the longest known log, then
    /// priority.
    fn best_transfer_target(&self, common: &Common) -> Option<NodeId> {
        let membership = common.log.membership();
        let voter = |(id, _): &&(NodeId, Progress)| membership.incoming().contains(id);
        let rank = |(id, peer): &&(NodeId, Progress)| {
            let is_ready = may_take_leadership(common, peer);
            (is_ready, peer.matched(), membership.priority(*id), core::cmp::Reverse(*id))
        };
        self.peers.iter().filter(voter).max_by_key(rank).map(|(id, _)| *id)
    }

    /// Asks the target to campaign once it has the whole log and no read lease is in force. Until
    /// then this leader replicates the entries that the target lacks.
    pub(crate) fn advance_transfer(&mut self, common: &mut Common) {
        let Some(Transfer { to, .. }) = self.transfer else { return };
        let last = common.log.last().index;
        let ready = |peer: &Progress| peer.ready.may_lead && peer.matched() == last;
        let ready = self.peers.iter().any(|(id, peer)| *id == to && ready(peer));
        // The holder of a read lease relies on no other leader being elected meanwhile.
        if ready && !self.leader_lease.has_read_leases(common.now) {
            self.leader_lease.end();
            common.send(to, Body::TimeoutNow);
        }
    }

    /// Ends a transfer whose target did not become leader in time; this leader continues.
    pub(crate) fn expire_transfer(&mut self, common: &mut Common) {
        if let Some(expired) = self.transfer.take_if(|transfer| transfer.deadline <= common.now)
            && let Some(tag) = expired.tag
        {
            common.reject(tag, RejectReason::TransferAborted);
        }
    }

    /// Asks the best target to campaign, because this node stops leading in any case; not while a
    /// read lease is in force.
    pub(crate) fn yield_leadership(&mut self, common: &mut Common) {
        if let Some(to) = self.best_transfer_target(common)
            && !self.leader_lease.has_read_leases(common.now)
        {
            self.leader_lease.end();
            common.send(to, Body::TimeoutNow);
        }
    }

    /// Reports a requested transfer as done, because the node no longer leads.
    pub(crate) fn finish_transfer(&mut self, common: &mut Common) {
        if let Some(Transfer { tag: Some(tag), .. }) = self.transfer.take() {
            common.actions.push(Action::LeadershipTransferred { tag });
        }
    }

    /// Returns the voter that should lead in this node's place: the one with the highest priority
    /// above this node's that is ready and has every committed entry.
    pub(crate) fn higher_priority_target(&self, common: &Common) -> Option<NodeId> {
        let membership = common.log.membership();
        let own = membership.priority(common.id());
        let is_eligible = |(id, peer): &&(NodeId, Progress)| {
            membership.incoming().contains(id)
                && membership.priority(*id) > own
                && peer.matched() >= common.log.committed()
                && may_take_leadership(common, peer)
        };
        let rank =
            |(id, _): &&(NodeId, Progress)| (membership.priority(*id), core::cmp::Reverse(*id));
        self.peers.iter().filter(is_eligible).max_by_key(rank).map(|(id, _)| *id)
    }
}

/// Whether the peer was heard from lately, may lead, receives entries and has disk space.
fn may_take_leadership(common: &Common, peer: &Progress) -> bool {
    let fresh_until = peer.last_contact.after(common.config.heartbeat_interval.saturating_mul(2));
    let receives_entries = peer.mode() == Mode::Replicate && !peer.disk_full();
    common.now <= fresh_until && peer.ready.may_lead && receives_entries
}
