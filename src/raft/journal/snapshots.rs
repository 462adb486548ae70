//! Snapshots: taken on this node, offered to a lagging peer, received and installed (Raft §7).
//!
//! Only metadata passes through here, never a snapshot's bytes. A snapshot holds committed entries
//! only, so it stays valid under any leader: every later leader has the same entries (Raft §5.4.3).

use crate::progress::Progress;
use crate::raft::api::action::{Action, MessageRejectReason};
use crate::raft::common::Common;
use crate::raft::follower::Follower;
use crate::raft::screen;
use crate::types::{Body, EntryId, Index, NodeId, SnapshotMeta};

/// Records a snapshot taken of this node's state machine and compacts the log through `base`.
/// Ignores it if the node has a later snapshot.
pub(crate) fn on_taken(common: &mut Common, meta: SnapshotMeta, base: Index) {
    let last = meta.last;
    assert!(base <= last.index, "contract: only entries that a snapshot covers are compacted");
    if last.index < common.log.snapshot().index {
        return;
    }
    assert!(last.index <= common.log.applied(), "contract: a snapshot covers applied entries only");
    assert!(common.log.has(last), "contract: a snapshot ends with an entry of the log");
    let membership = common.log.membership_at(last.index);
    assert!(
        membership == Some(&meta.membership),
        "contract: a snapshot has the membership at its index"
    );
    common.log.take_snapshot(last);
    common.snapshot = meta;
    if base > common.log.base().index {
        common.log.compact(base);
    }
}

/// Offers the last snapshot to a peer that needs compacted entries, at most once per heartbeat
/// round.
pub(crate) fn offer(common: &mut Common, peer: NodeId, progress: &mut Progress, round: u64) {
    if progress.may_offer() {
        let meta = common.snapshot.clone();
        progress.snapshot_offered(meta.last.index, round);
        common.send(peer, Body::InstallSnapshot { meta });
    }
}

/// Replaces the whole log with the snapshot, and returns whether it did. A log that already has the
/// snapshot's last entry, or whose commit index is not before it, stays: its later entries may
/// count for a quorum.
pub(crate) fn install(common: &mut Common, meta: SnapshotMeta) -> bool {
    assert!(
        screen::is_valid_snapshot(&meta, common.term()),
        "contract: only a requested snapshot is received"
    );
    if common.log.has(meta.last) {
        common.log.commit(meta.last.index);
        return false;
    }
    if meta.last.index <= common.log.committed() {
        return false;
    }
    common.log.reset(&meta);
    common.snapshot = meta.clone();
    common.reject_reads_after(meta.last.index);
    common.outbox.write_install(meta);
    true
}

/// Whether the snapshot is of a log that contradicts this node's committed entries, because with
/// `Config::survivor` two groups of nodes each continued without the other. Installing it would
/// hide the contradiction.
fn is_of_diverged_log(common: &Common, meta: &SnapshotMeta) -> bool {
    let committed = common.log.membership_at(common.log.committed());
    committed.is_some_and(|committed| {
        meta.last.index > common.log.committed() && !meta.membership.descends_from(committed)
    })
}

/// Restarts the state machine and the log from a snapshot of this same log.
pub(crate) fn rebuild(common: &mut Common, meta: SnapshotMeta) {
    assert!(common.quarantined, "contract: only a quarantined state machine is rebuilt");
    if meta.last.index <= common.log.snapshot().index {
        return;
    }
    assert!(common.log.has(meta.last), "contract: the log has the snapshot's last entry");
    common.log.rebuild(meta.last);
    common.snapshot = meta;
}

impl Follower {
    /// Handles the leader's offer of a snapshot: acknowledges it if this node has everything that
    /// it covers, rejects it if it contradicts the log, and requests the snapshot otherwise.
    pub(crate) fn on_install_snapshot(
        &mut self,
        common: &mut Common,
        from: NodeId,
        meta: SnapshotMeta,
    ) {
        if !self.accept_leader(common, from, "InstallSnapshot") {
            return;
        }
        if is_of_diverged_log(common, &meta) {
            common.actions.push(Action::DivergedLog { from });
            return common.reject_message(
                from,
                "InstallSnapshot",
                MessageRejectReason::ConflictsWithCommitted,
            );
        }
        let known = common.log.committed().max(self.verified);
        if common.log.has(meta.last) {
            self.acknowledge_snapshot(common, meta.last);
        } else if meta.last.index >= common.log.base().index && meta.last.index <= known {
            common.reject_message(
                from,
                "InstallSnapshot",
                MessageRejectReason::ConflictsWithCommitted,
            );
        } else if meta.last.index <= known {
            self.acknowledge_snapshot(common, meta.last);
        } else {
            common.actions.push(Action::ReceiveSnapshot { from, meta });
        }
    }

    /// Installs a received snapshot; the leader that offered it may have lost its leadership since.
    pub(crate) fn on_snapshot_received(&mut self, common: &mut Common, meta: SnapshotMeta) {
        let last = meta.last;
        let is_contradicted = last.index <= self.verified && !common.log.has(last);
        if is_contradicted || is_of_diverged_log(common, &meta) {
            return;
        }
        install(common, meta);
        if common.log.has(last) || last.index < common.log.base().index {
            self.acknowledge_snapshot(common, last);
        }
    }

    /// Marks everything up to `last` as verified and committed, because the log or its snapshot has
    /// it, and acknowledges it to the leader as soon as it is durable.
    fn acknowledge_snapshot(&mut self, common: &mut Common, last: EntryId) {
        assert!(last.index <= common.log.last().index, "the acknowledged entry exists");
        self.verified = self.verified.max(last.index);
        common.log.commit(last.index);
        if let Some(leader) = self.leader {
            common.send(leader, Body::InstallSnapshotReply { matched: last.index });
        }
    }
}
