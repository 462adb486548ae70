//! A leader hands its leadership over: on a user's word, to a higher priority, or because its disk
//! is stuck (thesis §3.10).

use crate::progress::{Mode, Progress};
use crate::raft::action::Action;
use crate::raft::common::Common;
use crate::raft::leader::{Handover, Leader};
use crate::types::{Body, NodeId, RejectReason, Tag};

impl Leader {
    pub(crate) fn on_transfer(&mut self, common: &mut Common, tag: Tag, to: Option<NodeId>) {
        if self.handover.is_some() {
            return common.reject(tag, RejectReason::Transferring);
        }
        let voters = common.log.membership().incoming();
        let can = |to: &NodeId| *to != common.id() && voters.contains(to);
        match to.filter(can).or_else(|| self.successor(common).filter(|_| to.is_none())) {
            Some(to) => self.begin_handover(common, Some(tag), to),
            None => common.reject(tag, RejectReason::NoSuccessor),
        }
    }

    pub(crate) fn begin_handover(&mut self, common: &mut Common, tag: Option<Tag>, to: NodeId) {
        assert!(self.handover.is_none(), "one handover at a time");
        let deadline = common.now.after(common.config.election_timeout_max);
        self.handover = Some(Handover { tag, to, deadline });
        self.press_handover(common);
    }

    /// The best voter to lead after this one: of those that are there, the highest priority of
    /// those whose log is the longest known.
    fn successor(&self, common: &Common) -> Option<NodeId> {
        let membership = common.log.membership();
        let voter = |(id, _): &&(NodeId, Progress)| membership.incoming().contains(id);
        let rank = |(id, peer): &&(NodeId, Progress)| {
            let there = is_there(common, peer);
            (there, peer.matched(), membership.priority(*id), core::cmp::Reverse(*id))
        };
        self.peers.iter().filter(voter).max_by_key(rank).map(|(id, _)| *id)
    }

    /// Asks the successor to campaign, once it has the whole log: until then this leader sends
    /// what it lacks.
    pub(crate) fn press_handover(&mut self, common: &mut Common) {
        let Some(Handover { to, .. }) = self.handover else { return };
        let last = common.log.last().index;
        let ready = |peer: &Progress| peer.ready.leads && peer.matched() == last;
        let ready = self.peers.iter().any(|(id, peer)| *id == to && ready(peer));
        // Whoever answers reads by itself counts on nobody else being elected meanwhile.
        if ready && !self.tenure.lends(common.now) {
            self.tenure.end();
            common.send(to, Body::TimeoutNow);
        }
    }

    /// Leads on if the successor did not take over in time.
    pub(crate) fn expire_handover(&mut self, common: &mut Common) {
        if let Some(expired) = self.handover.take_if(|handover| handover.deadline <= common.now)
            && let Some(tag) = expired.tag
        {
            common.reject(tag, RejectReason::TransferAborted);
        }
    }

    /// Asks the best successor to campaign, and expects no answer: this node stops leading.
    pub(crate) fn yield_leadership(&mut self, common: &mut Common) {
        if let Some(to) = self.successor(common)
            && !self.tenure.lends(common.now)
        {
            self.tenure.end();
            common.send(to, Body::TimeoutNow);
        }
    }

    /// The node no longer leads: whoever wanted that, is told.
    pub(crate) fn finish_handover(&mut self, common: &mut Common) {
        if let Some(Handover { tag: Some(tag), .. }) = self.handover.take() {
            common.actions.push(Action::Resigned { tag });
        }
    }

    /// A voter that should lead in this one's place: of a higher priority, there, and with
    /// everything that is committed.
    pub(crate) fn preferred(&self, common: &Common) -> Option<NodeId> {
        let membership = common.log.membership();
        let own = membership.priority(common.id());
        let better = |(id, peer): &&(NodeId, Progress)| {
            membership.incoming().contains(id)
                && membership.priority(*id) > own
                && peer.matched() >= common.log.committed()
                && is_there(common, peer)
        };
        let rank =
            |(id, _): &&(NodeId, Progress)| (membership.priority(*id), core::cmp::Reverse(*id));
        self.peers.iter().filter(better).max_by_key(rank).map(|(id, _)| *id)
    }
}

/// Whether the peer answers, would lead, follows the stream and has space on its disk.
fn is_there(common: &Common, peer: &Progress) -> bool {
    let silent = peer.heard.after(common.config.heartbeat_interval.saturating_mul(2));
    let follows = peer.mode() == Mode::Replicate && !peer.disk_full();
    common.now <= silent && peer.ready.leads && follows
}
