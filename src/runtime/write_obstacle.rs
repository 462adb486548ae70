//! The reasons for which no write can succeed, as one node knows them.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use crate::quorum::is_quorum;
use crate::types::{
    Index, Membership, NodeId, PeerStatus, Report, RoleName, StateVerification, Status,
};

/// The reason for which no write can succeed at present, or for which this node applies none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display)]
#[non_exhaustive]
pub enum WriteObstacle {
    /// The node knows no leader.
    #[strum(to_string = "there is no leader")]
    NoLeader,
    /// The state machine of the node differs from those of other nodes, so it applies nothing.
    #[strum(to_string = "the state of the node differs from that of others: it applies nothing")]
    StateDiffers,
    /// The build of the node lacks the version of the rules that the log has reached, so it
    /// applies nothing.
    #[strum(to_string = "the build of the node is too old for the log: it applies nothing")]
    BuildTooOld,
    /// The disk of the node is not the one that the cluster knows for it, so the node counts
    /// in no quorum and applies nothing. Only the node itself knows this: `of_report` never returns
    /// it.
    #[strum(to_string = "the cluster knows another disk for this node: remove and add the node")]
    UnknownDisk,
    /// The node leads, and its disk is full.
    #[strum(to_string = "the disk of the leader is full: transfer the leadership, or free space")]
    DiskFull,
    /// The node leads, and the voters that answer it and have space on their disks are not a
    /// quorum.
    #[strum(to_string = "no quorum of the voters answers and has free space")]
    NoQuorumWithSpace,
    /// The log has entries to commit, and none was committed for over 5 seconds; the disks of a
    /// quorum may hang. [`WriteObstacle::of_report`] never returns this, because a report has no
    /// past to compare with.
    #[strum(to_string = "no entry was committed for over 5 s: check the disks of the voters")]
    NothingCommitted,
}

/// The time after which [`WriteObstacle::NothingCommitted`] applies, in milliseconds.
const COMMIT_PATIENCE_MILLISECONDS: u64 = 5000;

/// The last index that a node knew to be committed, and the time, in milliseconds, since which that
/// index has not risen although the log has further entries.
#[derive(Debug, Default)]
pub(super) struct CommitProgress {
    committed: AtomicU64,
    since: AtomicU64,
}

impl CommitProgress {
    /// Takes over the status of the node at `now`, and returns true if nothing was committed for
    /// longer than [`COMMIT_PATIENCE_MILLISECONDS`].
    pub(super) fn is_stalled(&self, status: &Status, now: u64) -> bool {
        let committed = status.committed;
        let has_moved = self.committed.swap(committed.0, Relaxed) != committed.0;
        if has_moved || committed >= status.last.index {
            self.since.store(now, Relaxed);
        }
        now.saturating_sub(self.since.load(Relaxed)) > COMMIT_PATIENCE_MILLISECONDS
    }
}

/// Whether a peer has reported that the cluster knows another disk for this node: one more than the
/// last index that the node then knew to be committed, or 0 without such a report.
#[derive(Debug, Default)]
pub(super) struct UnknownDisk(AtomicU64);

impl UnknownDisk {
    /// Records a peer's report.
    pub(super) fn record(&self, committed: Index) {
        self.0.store(committed.0.saturating_add(1), Relaxed);
    }

    /// Returns true from a report on, until the node learns that a later entry is committed: then
    /// a leader has accepted its disk.
    pub(super) fn is_reported(&self, committed: Index) -> bool {
        self.0.load(Relaxed) > committed.0
    }
}

impl WriteObstacle {
    /// Returns the obstacle that a node's report shows; `None` if writes can succeed as far as that
    /// node knows. Only a leader knows the state of other nodes.
    #[must_use]
    pub fn of_report(report: &Report) -> Option<WriteObstacle> {
        let Report { status, verification, membership, peers, .. } = report;
        WriteObstacle::of(status, *verification, membership, peers)
    }

    pub(super) fn of(
        status: &Status,
        verification: StateVerification,
        membership: &Membership,
        peers: &[PeerStatus],
    ) -> Option<WriteObstacle> {
        if status.leader.is_none() {
            return Some(WriteObstacle::NoLeader);
        }
        match verification {
            StateVerification::Quarantined | StateVerification::NoMajority => {
                return Some(WriteObstacle::StateDiffers);
            }
            StateVerification::TooOld => return Some(WriteObstacle::BuildTooOld),
            StateVerification::Unverified | StateVerification::Consistent => {}
        }
        if status.role != RoleName::Leader {
            return None;
        }
        if status.disk_full {
            return Some(WriteObstacle::DiskFull);
        }
        let accepts = |id: NodeId| {
            let peer = peers.iter().find(|peer| peer.id == id);
            id == status.id || peer.is_some_and(|peer| !peer.disk_full && !peer.suspected)
        };
        (!is_quorum(membership, accepts)).then_some(WriteObstacle::NoQuorumWithSpace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::{Config, Raft};
    use crate::types::{EntryId, Instant, Restored, Term};

    /// Returns the status of a node in term 3 that follows node 1, or is node 1 itself.
    fn status(role: RoleName) -> Status {
        let restored = Restored::fresh(Membership::new([NodeId(1)]));
        let raft = Raft::new(Config::new(NodeId(1)), restored, 7, Instant::ZERO);
        let status = raft.expect("a valid start").status();
        Status { role, term: Term(3), leader: Some(NodeId(1)), ..status }
    }

    fn peer(id: u64, disk_full: bool, suspected: bool) -> PeerStatus {
        PeerStatus {
            id: NodeId(id),
            probing: false,
            snapshot: None,
            disk_full,
            suspected,
            matched: Index::ZERO,
            next: Index(1),
            inflight_entries: 0,
            inflight_bytes: 0,
            version_max: None,
        }
    }

    #[test]
    fn entries_that_wait_too_long_for_their_commit_are_an_obstacle() {
        let progress = CommitProgress::default();
        let is_stalled = |last, committed, now| {
            let last = EntryId::new(Term(3), Index(last));
            let committed = Index(committed);
            progress.is_stalled(&Status { last, committed, ..status(RoleName::Leader) }, now)
        };
        assert!(!is_stalled(5, 5, 100_000), "nothing waits");
        assert!(!is_stalled(6, 5, 105_000));
        assert!(is_stalled(7, 5, 105_001), "nothing was committed since 100,000");
        assert!(!is_stalled(8, 6, 105_002), "one was committed");
        assert!(!is_stalled(8, 6, 110_002));
        assert!(is_stalled(8, 6, 110_003));
        assert!(!is_stalled(8, 8, 110_004));
    }

    #[test]
    fn an_unknown_disk_is_reported_until_a_later_entry_is_committed() {
        let disk = UnknownDisk::default();
        assert!(!disk.is_reported(Index::ZERO));
        disk.record(Index::ZERO);
        assert!(disk.is_reported(Index::ZERO));
        assert!(!disk.is_reported(Index(1)), "the node was removed and added again");
        disk.record(Index(7));
        assert!(disk.is_reported(Index(7)));
        assert!(!disk.is_reported(Index(8)));
    }

    #[test]
    fn a_leader_needs_space_and_a_quorum_that_has_it() {
        let three = Membership::new([1, 2, 3].map(NodeId));
        let of = |status: &Status, peers: &[PeerStatus]| {
            WriteObstacle::of(status, StateVerification::Consistent, &three, peers)
        };
        let leader = status(RoleName::Leader);
        let (well, full, silent) =
            (peer(2, false, false), peer(3, true, false), peer(3, false, true));
        assert_eq!(of(&leader, &[well, full]), None);
        assert_eq!(of(&leader, &[well, silent]), None);
        let no_quorum = Some(WriteObstacle::NoQuorumWithSpace);
        assert_eq!(of(&leader, &[peer(2, true, false), full]), no_quorum);
        assert_eq!(of(&leader, &[peer(2, true, false), silent]), no_quorum);
        let full_leader = Status { disk_full: true, ..leader };
        assert_eq!(of(&full_leader, &[well, well]), Some(WriteObstacle::DiskFull));
        let follower = Status { disk_full: true, ..status(RoleName::Follower) };
        assert_eq!(of(&follower, &[]), None, "the leader's disk counts");
        assert_eq!(of(&Status { leader: None, ..follower }, &[]), Some(WriteObstacle::NoLeader));
        for verification in [StateVerification::Quarantined, StateVerification::NoMajority] {
            let obstacle = WriteObstacle::of(&follower, verification, &three, &[]);
            assert_eq!(obstacle, Some(WriteObstacle::StateDiffers));
        }
    }
}
