//! The replies of a peer to a leader's messages, which update the leader's view of the peer.

use crate::progress::Progress;
use crate::raft::api::action::MessageRejectReason;
use crate::raft::common::Common;
use crate::types::{AppendOutcome, Index, NodeId, Readiness};

/// The content of a heartbeat reply.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeartbeatReply {
    pub(crate) round: u64,
    pub(crate) verified: Index,
    pub(crate) matched: Index,
    pub(crate) durable: Index,
    pub(crate) ready: Readiness,
}

/// Records the reply to entries, where `round` is the last heartbeat round sent.
#[inline]
pub(crate) fn on_append_entries_reply(
    common: &mut Common,
    from: NodeId,
    progress: &mut Progress,
    outcome: AppendOutcome,
    round: u64,
) {
    let (name, last) = ("AppendEntriesReply", common.log().last().index);
    let before = progress.matched();
    match outcome {
        AppendOutcome::Accepted { matched } if matched > last => {
            common.reject_message(from, name, MessageRejectReason::ImpossibleMatch);
        }
        AppendOutcome::Accepted { .. } if !progress.counts() => {
            common.reject_message(from, name, MessageRejectReason::StaleReply);
        }
        AppendOutcome::Stored { verified } if verified > last => {
            common.reject_message(from, name, MessageRejectReason::ImpossibleMatch);
        }
        AppendOutcome::Stored { verified } => progress.stored(verified),
        AppendOutcome::Accepted { matched } => {
            progress.accepted(matched);
            progress.record_matched_round(before, round);
        }
        AppendOutcome::NoSpace { verified } if verified > last => {
            common.reject_message(from, name, MessageRejectReason::ImpossibleMatch);
        }
        AppendOutcome::NoSpace { verified } => progress.no_space(verified),
        AppendOutcome::Rejected { prev, hint } => {
            // The follower's entries up to `hint.index` have terms of at most `hint.term`, so the
            // logs match at most up to the last entry of this leader's log with a term of at most
            // `hint.term`.
            let agreed = common.log().find_conflict_by_term(hint.index, hint.term).index;
            let agreed = agreed.min(hint.index);
            if !progress.rejected(prev, agreed) {
                common.reject_message(from, name, MessageRejectReason::StaleReply);
            }
        }
    }
    assert!(progress.matched() >= before, "a peer does not lose what it has");
}

/// Records the reply to a snapshot offer, where `round` is the last heartbeat round sent.
pub(crate) fn on_install_snapshot_reply(
    common: &mut Common,
    from: NodeId,
    progress: &mut Progress,
    matched: Index,
    round: u64,
) {
    if matched > common.log().last().index {
        let reason = MessageRejectReason::ImpossibleMatch;
        return common.reject_message(from, "InstallSnapshotReply", reason);
    }
    if !progress.counts() {
        let reason = MessageRejectReason::StaleReply;
        return common.reject_message(from, "InstallSnapshotReply", reason);
    }
    let before = progress.matched();
    progress.accepted(matched);
    progress.record_matched_round(before, round);
}

/// Records the reply to a heartbeat, where `round` is the last heartbeat round sent.
pub(crate) fn on_heartbeat_reply(
    common: &mut Common,
    from: NodeId,
    progress: &mut Progress,
    reply: HeartbeatReply,
    round: u64,
) {
    assert!(reply.matched <= reply.verified, "matched entries are verified");
    let last = common.log().last().index;
    if reply.round > round || reply.verified > last {
        let reason = MessageRejectReason::ImpossibleMatch;
        return common.reject_message(from, "HeartbeatReply", reason);
    }
    if !progress.report_certainty(reply.round, reply.ready.is_uncertain, last) {
        return common.reject_message(from, "HeartbeatReply", MessageRejectReason::StaleReply);
    }
    progress.answered(reply.round, reply.ready);
    let before = progress.matched();
    progress.heartbeat_replied(reply.round, reply.verified, reply.matched, reply.durable);
    progress.record_matched_round(before, round);
}
