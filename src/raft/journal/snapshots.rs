//! Snapshots: taken on this node, offered to a lagging peer, received and installed (Raft §7).
//!
//! Only metadata passes through here, never a snapshot's bytes. A snapshot holds committed entries
//! only, so it stays valid under any leader: every later leader has the same entries (Raft §5.4.3).
//!
//! TLA+: `docs/tla/quorate_trace.tla`, Install and HaveSnapshot.

use crate::progress::Progress;
use crate::raft::api::action::Action;
use crate::raft::common::Common;
use crate::raft::screen;
use crate::types::{Body, Index, Membership, NodeId, SnapshotMeta};

/// Records a snapshot taken of this node's state machine, and compacts the log through `base`; or
/// records the snapshot that the disk has adopted. Ignores it if the node has a later snapshot.
pub(crate) fn on_taken(common: &mut Common, meta: SnapshotMeta, base: Index) {
    let last = meta.last;
    assert!(base <= last.index, "contract: only entries that a snapshot covers are compacted");
    if last.index < common.log().snapshot().index {
        return;
    }
    assert!(common.log().has(last), "contract: a snapshot ends with an entry of the log");
    if common.health.repair.end_adoption(last) && last.index > common.log().snapshot().index {
        return common.journal.adopt_snapshot(meta);
    }
    assert!(
        last.index <= common.log().applied(),
        "contract: a snapshot covers applied entries only"
    );
    assert!(
        last.index <= common.log().durable(),
        "contract: a snapshot covers durable entries only"
    );
    let membership = common.log().membership_at(last.index);
    assert!(
        membership == Some(&meta.membership),
        "contract: a snapshot has the membership at its index"
    );
    common.journal.take_snapshot(meta, base);
}

/// Offers the last snapshot to a peer that needs compacted entries, at most once per heartbeat
/// interval.
pub(crate) fn offer(common: &mut Common, peer: NodeId, progress: &mut Progress) {
    if progress.may_offer() {
        let meta = common.journal.snapshot().clone();
        progress.snapshot_offered(meta.last.index);
        common.send(peer, Body::InstallSnapshot { meta });
    }
}

/// Requests a snapshot that a peer offered, unless the disk is adopting another one.
pub(crate) fn receive(common: &mut Common, from: NodeId, meta: SnapshotMeta) {
    if !common.health.repair.is_adopting(common.log()) {
        common.output.push(Action::ReceiveSnapshot { from, meta });
    }
}

/// Replaces the whole log with the snapshot, and returns whether it did. A log that already has the
/// snapshot's last entry, or has committed that index, stays as it is: its later entries may count
/// for a quorum.
pub(crate) fn install(common: &mut Common, meta: SnapshotMeta) -> bool {
    assert!(
        screen::is_valid_snapshot(&meta, common.term()),
        "contract: only a requested snapshot is received"
    );
    if common.log().has(meta.last) {
        common.journal.commit(meta.last.index);
        return false;
    }
    if meta.last.index <= common.log().committed() {
        return false;
    }
    common.reject_reads_after(meta.last.index);
    let last = meta.last;
    common.journal.install(meta);
    assert!(common.log().last() == last, "the snapshot replaces the whole log");
    true
}

/// Whether the snapshot is of a log that contradicts this node's committed entries, because with
/// `Config::survivor` two groups of nodes each continued without the other. Installing it, or
/// acknowledging it as covered, would hide the contradiction.
pub(crate) fn is_of_diverged_log(common: &Common, meta: &SnapshotMeta) -> bool {
    let committed = common.log().membership_at(common.log().committed());
    committed.is_some_and(|committed| {
        if meta.last.index > common.log().committed() {
            return !meta.membership.descends_from(committed);
        }
        // A membership keeps only the last lineages (`Membership::LINEAGES_MAX`), so those of an
        // older snapshot may be gone.
        let lineages = committed.lineages();
        let are_dropped =
            lineages.len() == Membership::LINEAGES_MAX && lineages[0].at.index > meta.last.index;
        !are_dropped && !committed.descends_from(&meta.membership)
    })
}

/// Restarts the state machine and the log from a snapshot of this same log.
pub(crate) fn rebuild(common: &mut Common, meta: SnapshotMeta) {
    assert!(common.health.quarantined, "contract: only a quarantined state machine is rebuilt");
    if meta.last.index <= common.log().snapshot().index {
        return;
    }
    assert!(common.log().has(meta.last), "contract: the log has the snapshot's last entry");
    common.journal.rebuild(meta);
}
