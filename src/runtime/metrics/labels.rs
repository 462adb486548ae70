//! The label values of metrics, and counters by label value.

use std::marker::PhantomData;

use crate::raft::MessageRejectReason;
use crate::replica::ComparisonResult;
use crate::runtime::metrics::value::Counter;
use crate::storage::{DiskError, FileAction};
use crate::types::{MessageTopic, Packet, ReadLevel, RejectReason, RoleName, StateVerification};
use crate::wire::ReplyBody;

/// A type whose values are counted by a label with a fixed set of values.
pub(in crate::runtime) trait Label {
    /// All label values, in the order of their numbers.
    const NAMES: &'static [&'static str];

    /// Returns the number of the label value, its index in [`Label::NAMES`].
    fn number(&self) -> usize;
}

/// One counter for each label value.
#[derive(Debug)]
pub(in crate::runtime) struct CountersByLabel<S>(Box<[Counter]>, PhantomData<fn(&S)>);

impl<S: Label> Default for CountersByLabel<S> {
    fn default() -> CountersByLabel<S> {
        CountersByLabel(S::NAMES.iter().map(|_| Counter::default()).collect(), PhantomData)
    }
}

impl<S: Label> CountersByLabel<S> {
    pub(in crate::runtime) fn add(&self, label: &S, count: u64) {
        self.0[label.number()].add(count);
    }

    /// Raises the counter of the label value to `total`, which was counted elsewhere.
    pub(in crate::runtime) fn raise(&self, label: &S, total: u64) {
        self.0[label.number()].raise(total);
    }

    #[cfg(feature = "metrics")]
    pub(in crate::runtime) fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        S::NAMES.iter().copied().zip(self.0.iter().map(Counter::get))
    }
}

/// The counters that an operation adds to.
#[derive(Clone, Copy, Debug)]
pub(in crate::runtime) enum RequestMetric {
    Proposal,
    Read(ReadLevel),
    /// Only that of rejected requests.
    None,
}

/// The outcome of a proposal.
#[derive(Clone, Copy, Debug)]
pub(in crate::runtime) enum ProposalEnd {
    Done,
    MayBeLost,
    Rejected,
    Unknown,
}

/// The outcome of a read.
#[derive(Clone, Copy, Debug)]
pub(in crate::runtime) enum ReadEnd {
    Answered,
    Rejected,
}

/// The reasons for which a packet is dropped before it is sent.
#[derive(Clone, Copy, Debug)]
pub(in crate::runtime) enum DropReason {
    /// The queue of the peer's lane is full.
    QueueFull,
    /// The packet waited for a connection that was not established or was lost.
    Unreachable,
    /// The address of the peer is unknown.
    NoAddress,
    /// The packet exceeds the size limit of the wire format.
    TooLarge,
}

/// The steps of snapshots that are counted.
#[derive(Clone, Copy, Debug)]
pub(in crate::runtime) enum SnapshotStep {
    Taken,
    Received,
    Installed,
    PartSent,
    PartReceived,
}

impl ProposalEnd {
    pub(super) fn of(reply: &ReplyBody) -> ProposalEnd {
        match reply {
            ReplyBody::MayBeLost { .. } => ProposalEnd::MayBeLost,
            ReplyBody::Rejected { .. } | ReplyBody::ServiceRejected(_) => ProposalEnd::Rejected,
            ReplyBody::Unknown => ProposalEnd::Unknown,
            ReplyBody::Replied { .. }
            | ReplyBody::Registered { .. }
            | ReplyBody::SessionExpired { .. }
            | ReplyBody::OutsideWindow { .. }
            | ReplyBody::Malformed { .. }
            | ReplyBody::Answered { .. }
            | ReplyBody::MembershipChangeCommitted { .. }
            | ReplyBody::LeadershipTransferred
            | ReplyBody::Started
            | ReplyBody::Report(_) => ProposalEnd::Done,
        }
    }
}

impl ReadEnd {
    pub(super) fn of(reply: &ReplyBody) -> ReadEnd {
        let answered = matches!(reply, ReplyBody::Answered { .. });
        if answered { ReadEnd::Answered } else { ReadEnd::Rejected }
    }
}

impl Label for ProposalEnd {
    const NAMES: &'static [&'static str] = &["done", "may_be_lost", "rejected", "unknown"];

    fn number(&self) -> usize {
        *self as usize
    }
}

/// The level and the outcome of a read; each name contains both, separated by a space.
impl Label for (ReadLevel, ReadEnd) {
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

impl Label for DropReason {
    const NAMES: &'static [&'static str] =
        &["queue_full", "unreachable", "no_address", "too_large"];

    fn number(&self) -> usize {
        *self as usize
    }
}

impl Label for SnapshotStep {
    const NAMES: &'static [&'static str] =
        &["taken", "received", "installed", "part_sent", "part_received"];

    fn number(&self) -> usize {
        *self as usize
    }
}

impl Label for RoleName {
    const NAMES: &'static [&'static str] = &["follower", "pre_candidate", "candidate", "leader"];

    fn number(&self) -> usize {
        *self as usize
    }
}

impl Label for MessageRejectReason {
    const NAMES: &'static [&'static str] = &[
        "misaddressed",
        "malformed",
        "not_voter",
        "stale_term",
        "leader_heard",
        "vote_withheld",
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
        "other_bootstrap_peers",
        "unknown_incarnation",
        "rolled_back_disk",
    ];

    fn number(&self) -> usize {
        *self as usize
    }
}

impl Label for RejectReason {
    const NAMES: &'static [&'static str] = &[
        "not_leader",
        "busy",
        "too_large",
        "no_leader",
        "stopped",
        "disk_full",
        "membership_change_in_flight",
        "invalid_membership",
        "no_change_to_cancel",
        "change_cancelled",
        "transferring",
        "no_transfer_target",
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
            RejectReason::NoChangeToCancel => 8,
            RejectReason::ChangeCancelled => 9,
            RejectReason::Transferring => 10,
            RejectReason::NoTransferTarget => 11,
            RejectReason::TransferAborted => 12,
            RejectReason::Unverified => 13,
        }
    }
}

impl Label for ComparisonResult {
    const NAMES: &'static [&'static str] =
        &["consistent", "unavailable", "inconclusive", "diverged", "no_majority", "rebuilt"];

    fn number(&self) -> usize {
        match self {
            ComparisonResult::Consistent { .. } => 0,
            ComparisonResult::Unavailable { .. } => 1,
            ComparisonResult::Inconclusive { .. } => 2,
            ComparisonResult::Diverged { .. } => 3,
            ComparisonResult::NoMajority { .. } => 4,
            ComparisonResult::Rebuilt { .. } => 5,
        }
    }
}

impl Label for StateVerification {
    const NAMES: &'static [&'static str] =
        &["unverified", "consistent", "quarantined", "no_majority"];

    fn number(&self) -> usize {
        *self as usize
    }
}

impl Label for DiskError {
    const NAMES: &'static [&'static str] = &["full", "failed"];

    fn number(&self) -> usize {
        match self {
            DiskError::Full => 0,
            DiskError::Failed(_) => 1,
        }
    }
}

impl Label for FileAction {
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

impl Label for Packet {
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
        "bootstrap",
    ];

    fn number(&self) -> usize {
        match self {
            Packet::Chained(..) => 0,
            Packet::SnapshotTransfer(_) => 6,
            Packet::Comparison(_) => 8,
            Packet::Message(message) => match (message.body.topic(), message.body.is_reply()) {
                (MessageTopic::Append, false) => 0,
                (MessageTopic::Append, true) => 1,
                (MessageTopic::Heartbeat, false) => 2,
                (MessageTopic::Heartbeat, true) => 3,
                (MessageTopic::Election, _) => 4,
                (MessageTopic::Snapshot, _) => 5,
                (MessageTopic::Read, _) => 7,
                (MessageTopic::Participation, _) => 9,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_and_reject_reasons_are_labelled_by_their_names() {
        for role in RoleName::ALL {
            assert_eq!(RoleName::NAMES[role.number()], role.to_string().replace('-', "_"));
        }
        assert_eq!(MessageRejectReason::NAMES.len(), MessageRejectReason::ALL.len());
        for reason in MessageRejectReason::ALL {
            let name = format!("{reason:?}").to_lowercase();
            assert_eq!(MessageRejectReason::NAMES[reason.number()].replace('_', ""), name);
        }
    }
}
