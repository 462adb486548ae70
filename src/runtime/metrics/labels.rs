//! What is counted by sort: a name for each, as it stands in a label.

use std::marker::PhantomData;

use crate::raft::Refusal;
use crate::replica::Verdict;
use crate::runtime::metrics::value::Counter;
use crate::storage::{DiskError, FileAction};
use crate::types::{Body, Packet, ReadLevel, RejectReason, RoleName, Standing};

/// Something of which there are a few sorts.
pub(in crate::runtime) trait Sort {
    /// The names of all sorts, in the order of their numbers.
    const NAMES: &'static [&'static str];

    /// The number of this one's sort: its place among the names.
    fn number(&self) -> usize;
}

/// A counter for each sort.
#[derive(Debug)]
pub(in crate::runtime) struct BySort<S>(Box<[Counter]>, PhantomData<fn(&S)>);

impl<S: Sort> Default for BySort<S> {
    fn default() -> BySort<S> {
        BySort(S::NAMES.iter().map(|_| Counter::default()).collect(), PhantomData)
    }
}

impl<S: Sort> BySort<S> {
    pub(in crate::runtime) fn add(&self, sort: &S, count: u64) {
        self.0[sort.number()].add(count);
    }

    /// There were so many by now.
    pub(in crate::runtime) fn raise(&self, sort: &S, total: u64) {
        self.0[sort.number()].raise(total);
    }

    #[cfg(feature = "metrics")]
    pub(in crate::runtime) fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        S::NAMES.iter().copied().zip(self.0.iter().map(Counter::get))
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug)]
pub(in crate::runtime) enum Ending {
    Done,
    MayBeLost,
    Rejected,
    Unknown,
}

/// How a read ended.
#[derive(Clone, Copy, Debug)]
pub(in crate::runtime) enum ReadEnding {
    Answered,
    Rejected,
}

/// Why a packet never left.
#[derive(Clone, Copy, Debug)]
pub(in crate::runtime) enum Loss {
    /// More waited for the peer than may.
    QueueFull,
    /// It waited for a connection that did not come about, or broke.
    Unreachable,
    /// Nobody knows where the peer is.
    NoAddress,
    /// It is beyond the bounds of the wire.
    TooLong,
}

/// What became of snapshots.
#[derive(Clone, Copy, Debug)]
pub(in crate::runtime) enum SnapshotStep {
    Taken,
    Received,
    Installed,
    PartSent,
    PartReceived,
}

impl Sort for Ending {
    const NAMES: &'static [&'static str] = &["done", "may_be_lost", "rejected", "unknown"];

    fn number(&self) -> usize {
        *self as usize
    }
}

/// A read by its level and its end: the name has both, with a space between.
impl Sort for (ReadLevel, ReadEnding) {
    const NAMES: &'static [&'static str] = &[
        "linearizable answered",
        "linearizable rejected",
        "lease answered",
        "lease rejected",
        "replica answered",
        "replica rejected",
        "bounded answered",
        "bounded rejected",
        "local answered",
        "local rejected",
    ];

    fn number(&self) -> usize {
        let level = match self.0 {
            ReadLevel::Linearizable => 0,
            ReadLevel::Lease => 1,
            ReadLevel::Replica => 2,
            ReadLevel::Bounded(_) => 3,
            ReadLevel::Local => 4,
        };
        2 * level + self.1 as usize
    }
}

impl Sort for Loss {
    const NAMES: &'static [&'static str] = &["queue_full", "unreachable", "no_address", "too_long"];

    fn number(&self) -> usize {
        *self as usize
    }
}

impl Sort for SnapshotStep {
    const NAMES: &'static [&'static str] =
        &["taken", "received", "installed", "part_sent", "part_received"];

    fn number(&self) -> usize {
        *self as usize
    }
}

impl Sort for RoleName {
    const NAMES: &'static [&'static str] = &["follower", "pre_candidate", "candidate", "leader"];

    fn number(&self) -> usize {
        *self as usize
    }
}

impl Sort for Refusal {
    const NAMES: &'static [&'static str] = &[
        "misaddressed",
        "malformed",
        "not_voter",
        "stale_term",
        "leader_fresh",
        "promised",
        "already_voted",
        "log_behind",
        "wrong_role",
        "stale_reply",
        "prev_mismatch",
        "conflicts_with_committed",
        "second_leader",
        "impossible_match",
        "read_not_ready",
        "outbox_full",
        "disk_full",
        "no_membership",
        "other_founders",
        "other_disk",
        "older_image",
    ];

    fn number(&self) -> usize {
        *self as usize
    }
}

impl Sort for RejectReason {
    const NAMES: &'static [&'static str] = &[
        "not_leader",
        "busy",
        "too_large",
        "no_leader",
        "stopped",
        "disk_full",
        "change_in_flight",
        "bad_membership",
        "nothing_to_give_up",
        "given_up",
        "transferring",
        "no_successor",
        "transfer_aborted",
        "unverified",
    ];

    fn number(&self) -> usize {
        match self {
            RejectReason::NotLeader { .. } => 0,
            RejectReason::Busy => 1,
            RejectReason::TooLarge => 2,
            RejectReason::NoLeader => 3,
            RejectReason::Stopped => 4,
            RejectReason::DiskFull => 5,
            RejectReason::MembershipChangeInFlight => 6,
            RejectReason::Membership(_) => 7,
            RejectReason::NothingToGiveUp => 8,
            RejectReason::GivenUp => 9,
            RejectReason::Transferring => 10,
            RejectReason::NoSuccessor => 11,
            RejectReason::TransferAborted => 12,
            RejectReason::Unverified => 13,
        }
    }
}

impl Sort for Verdict {
    const NAMES: &'static [&'static str] =
        &["sound", "unavailable", "undecided", "quarantined", "divided", "rebuilt"];

    fn number(&self) -> usize {
        match self {
            Verdict::Sound { .. } => 0,
            Verdict::Unavailable { .. } => 1,
            Verdict::Undecided { .. } => 2,
            Verdict::Quarantined { .. } => 3,
            Verdict::Divided { .. } => 4,
            Verdict::Rebuilt { .. } => 5,
        }
    }
}

impl Sort for Standing {
    const NAMES: &'static [&'static str] = &["unchecked", "sound", "quarantined", "divided"];

    fn number(&self) -> usize {
        *self as usize
    }
}

impl Sort for DiskError {
    const NAMES: &'static [&'static str] = &["full", "failed"];

    fn number(&self) -> usize {
        match self {
            DiskError::Full => 0,
            DiskError::Failed(_) => 1,
        }
    }
}

impl Sort for FileAction {
    const NAMES: &'static [&'static str] =
        &["create", "write", "sync", "read", "rename", "remove", "sync_directory"];

    fn number(&self) -> usize {
        match self {
            FileAction::Create { .. } => 0,
            FileAction::Write { .. } => 1,
            FileAction::Sync { .. } => 2,
            FileAction::Read { .. } => 3,
            FileAction::Rename { .. } => 4,
            FileAction::Remove { .. } => 5,
            FileAction::SyncDirectory => 6,
        }
    }
}

impl Sort for Packet {
    const NAMES: &'static [&'static str] = &[
        "append",
        "append_reply",
        "heartbeat",
        "heartbeat_reply",
        "election",
        "snapshot_offer",
        "snapshot_part",
        "read_index",
        "comparison",
        "meeting",
    ];

    fn number(&self) -> usize {
        match self {
            Packet::Chained(..) => 0,
            Packet::Transfer(_) => 6,
            Packet::Comparison(_) => 8,
            Packet::Message(message) => match message.body {
                Body::AppendEntries { .. } => 0,
                Body::AppendEntriesReply(_) => 1,
                Body::Heartbeat(_) => 2,
                Body::HeartbeatReply { .. } => 3,
                Body::PreVote { .. }
                | Body::PreVoteReply { .. }
                | Body::RequestVote { .. }
                | Body::RequestVoteReply { .. }
                | Body::TimeoutNow => 4,
                Body::InstallSnapshot { .. } | Body::InstallSnapshotReply { .. } => 5,
                Body::ReadIndex { .. } | Body::ReadIndexReply { .. } => 7,
                Body::Counted
                | Body::Vouch
                | Body::Meet { .. }
                | Body::Founded { .. }
                | Body::Stranger => 9,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_and_role_has_the_name_that_it_has_elsewhere() {
        for role in RoleName::ALL {
            assert_eq!(RoleName::NAMES[role.number()], role.to_string().replace('-', "_"));
        }
        assert_eq!(Refusal::NAMES.len(), Refusal::ALL.len());
        for refusal in Refusal::ALL {
            let name = format!("{refusal:?}").to_lowercase();
            assert_eq!(Refusal::NAMES[refusal.number()].replace('_', ""), name);
        }
    }
}
