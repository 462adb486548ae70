//! Uncertain nodes: a node whose log may lack entries that it acknowledged, and whose term and vote
//! may be old, counts in no quorum and grants no vote. That ends once a leader has confirmed how
//! far the node's log must reach, and the log reaches that far (docs/REPAIR.md, R3).

pub(crate) mod state;

use crate::raft::api::action::{Action, MessageRejectReason};
use crate::raft::common::Common;
use crate::raft::uncertain::state::LogEndRequest;
use crate::types::{Body, Index, NodeId};

/// Makes the node uncertain, because `from`, the leader of its term, has found that the node's disk
/// was rolled back. Drops every message that waits for the disk. A late copy of the leader's notice
/// may arrive after the node became certain in this term. It changes nothing, because a disk is
/// rolled back only while its node is down, and this node has not restarted since.
pub(crate) fn on_rolled_back(common: &mut Common, from: NodeId) {
    if common.ballot.is_uncertain() || common.health.log_end.became_certain_in(common.term()) {
        return;
    }
    common.journal.outbox_mut().drop_held();
    common.ballot.set_uncertain(true, &mut common.journal);
    common.survival.forbid_takeover();
    common.health.log_end = LogEndRequest::default();
    common.output.push(Action::LogUncertain { from });
}

/// Asks the leader for the end of the log, if this node is uncertain and no reply of this leader is
/// known.
pub(crate) fn request(common: &mut Common, leader: NodeId) {
    let (term, now) = (common.term(), common.now());
    let retry_after = common.config().heartbeat_interval;
    if common.ballot.is_uncertain() && common.health.log_end.take_request(term, now, retry_after) {
        let start_id = common.reads.start_id();
        common.send(leader, Body::RequestLogEnd { start_id });
    }
}

/// Records the reply of the leader of the current term.
pub(crate) fn on_log_end(common: &mut Common, from: NodeId, start_id: u64, last: Index) {
    if !common.ballot.is_uncertain() || start_id != common.reads.start_id() {
        return common.reject_message(from, "LogEnd", MessageRejectReason::StaleReply);
    }
    common.health.log_end.replied(common.term(), last);
}

/// Makes the node certain again once its disk has everything that its log must have. `verified` is
/// the index up to which the log equals that of the leader of the current term. Every later message
/// waits until the hard state, with the node's term and its certainty, is durable too.
#[inline]
pub(crate) fn advance(common: &mut Common, verified: Index) {
    if !common.ballot.is_uncertain() {
        return;
    }
    let log_end = common.health.log_end;
    if log_end.is_reached(common.term(), verified, common.log()) {
        common.ballot.set_uncertain(false, &mut common.journal);
        common.health.log_end = LogEndRequest::certain_since(common.term());
        common.output.push(Action::LogCertain);
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::log::Log;
    use crate::raft::api::config::Config;
    use crate::types::{
        AppendOutcome, EntryId, HardState, Instant, Membership, Payload, Restored, SnapshotMeta,
        Term,
    };

    #[test]
    fn a_node_that_becomes_uncertain_acknowledges_nothing_and_does_not_take_over() {
        let (own, leader) = (NodeId(1), NodeId(2));
        let snapshot = SnapshotMeta::empty(EntryId::ZERO, Membership::new([own, leader]));
        let state = HardState::new(Term(1), None);
        let restored = Restored::with_log(state, Index(0), snapshot, Vec::new());
        let log = Log::new(&restored).expect("the log is consistent");
        let mut common = Common::new(Config::new(own), restored, log, 1, Instant::ZERO);
        let matched = common.append(Payload::Noop).index;
        common.send(leader, Body::AppendEntriesReply(AppendOutcome::Accepted { matched }));
        assert_eq!(common.journal.outbox().held(), 1, "it waits for the entry");
        common.survival.allow_takeover();
        on_rolled_back(&mut common, leader);
        assert!(common.ballot.is_uncertain());
        assert_eq!(common.journal.outbox().held(), 0);
        assert!(!common.survival.may_take_over(), "its log may lack committed entries");
    }
}
