//! Snapshots: taken here, offered to a peer that lags too far, received and installed (Raft §7).
//!
//! None of their bytes pass here. A snapshot holds what is committed, so whoever has one needs no
//! leader's word for it: every later leader has the same entries (Raft §5.4.3).

use crate::progress::Progress;
use crate::raft::action::{Action, Refusal};
use crate::raft::common::Common;
use crate::raft::follower::Follower;
use crate::raft::screen;
use crate::types::{Body, EntryId, Index, NodeId, SnapshotMeta};

/// The disk has a snapshot of the state machine: the log starts after `base` from now on, unless
/// an installed snapshot has overtaken it.
pub(crate) fn on_taken(common: &mut Common, meta: SnapshotMeta, base: Index) {
    let last = meta.last;
    assert!(base <= last.index, "contract: only what a snapshot covers is forgotten");
    if last.index < common.log.snapshot().index {
        return;
    }
    assert!(last.index <= common.log.applied(), "contract: a snapshot holds what is applied");
    assert!(common.log.has(last), "contract: a snapshot ends with an entry of the log");
    let membership = common.log.membership_at(last.index);
    assert!(
        membership == Some(&meta.membership),
        "contract: a snapshot has its index's membership"
    );
    common.log.take_snapshot(last);
    common.snapshot = meta;
    if base > common.log.base().index {
        common.log.compact(base);
    }
}

/// Offers the peer the last snapshot, once a round of heartbeats: the log does not go back to what
/// it needs.
pub(crate) fn offer(common: &mut Common, peer: NodeId, progress: &mut Progress, round: u64) {
    if progress.may_offer() {
        let meta = common.snapshot.clone();
        progress.offered(meta.last.index, round);
        common.send(peer, Body::InstallSnapshot { meta });
    }
}

/// Puts the snapshot in the place of the whole log, unless the log goes on from it, or beyond it:
/// nothing that was acknowledged is ever given up. Returns whether it did.
pub(crate) fn install(common: &mut Common, meta: SnapshotMeta) -> bool {
    assert!(
        screen::is_snapshot(&meta, common.term()),
        "contract: only a snapshot that was asked for is received"
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

/// Whether survivors led to what this node knows as committed, and not to the snapshot: it would
/// take the place of what the log alone shows to be contradicted.
fn went_another_way(common: &Common, meta: &SnapshotMeta) -> bool {
    let committed = common.log.membership_at(common.log.committed());
    committed.is_some_and(|committed| {
        meta.last.index > common.log.committed() && !meta.membership.descends_from(committed)
    })
}

/// The state machine starts over from a snapshot of this very log, and so does the log.
pub(crate) fn rebuild(common: &mut Common, meta: SnapshotMeta) {
    assert!(common.quarantined, "contract: only a state machine that is wrong is rebuilt");
    if meta.last.index <= common.log.snapshot().index {
        return;
    }
    assert!(common.log.has(meta.last), "contract: the log has the snapshot's last entry");
    common.log.rebuild(meta.last);
    common.snapshot = meta;
}

impl Follower {
    /// The leader offers a snapshot: what it covers is known to be the leader's if the log has it,
    /// and is to be got otherwise.
    pub(crate) fn on_install_snapshot(
        &mut self,
        common: &mut Common,
        from: NodeId,
        meta: SnapshotMeta,
    ) {
        if !self.hear(common, from, "InstallSnapshot") {
            return;
        }
        if went_another_way(common, &meta) {
            common.actions.push(Action::Forked { from });
            return common.refuse(from, "InstallSnapshot", Refusal::ConflictsWithCommitted);
        }
        let known = common.log.committed().max(self.verified);
        if common.log.has(meta.last) {
            self.reach(common, meta.last);
        } else if meta.last.index >= common.log.base().index && meta.last.index <= known {
            common.refuse(from, "InstallSnapshot", Refusal::ConflictsWithCommitted);
        } else if meta.last.index <= known {
            self.reach(common, meta.last);
        } else {
            common.actions.push(Action::ReceiveSnapshot { from, meta });
        }
    }

    /// A snapshot is here. The leader that offered it need not lead any more.
    pub(crate) fn on_snapshot_received(&mut self, common: &mut Common, meta: SnapshotMeta) {
        let last = meta.last;
        let is_contradicted = last.index <= self.verified && !common.log.has(last);
        if is_contradicted || went_another_way(common, &meta) {
            return;
        }
        install(common, meta);
        if common.log.has(last) || last.index < common.log.base().index {
            self.reach(common, last);
        }
    }

    /// Everything up to `last` is committed and in the log, or covered by its snapshot: the leader
    /// is told, as soon as that is durable.
    fn reach(&mut self, common: &mut Common, last: EntryId) {
        assert!(last.index <= common.log.last().index, "what is reached exists");
        self.verified = self.verified.max(last.index);
        common.log.commit(last.index);
        if let Some(leader) = self.leader {
            common.send(leader, Body::InstallSnapshotReply { matched: last.index });
        }
    }
}
