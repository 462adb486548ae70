//! The label values of metrics, and counters by label value.

use std::marker::PhantomData;

use strum::VariantNames;

use crate::raft::MessageRejectReason;
use crate::replica::ComparisonResult;
use crate::runtime::metrics::value::Counter;
use crate::storage::{DiskError, FileAction};
use crate::types::{
    MessageTopic, Packet, ReadLevel, RejectReason, RoleCause, RoleName, StateVerification,
};
use crate::wire::{ReplyBody, ServiceRejectReason};

/// A type whose values are counted by a label with a fixed set of values.
pub(in crate::runtime) trait Label {
    /// All label values, in the order of their numbers.
    const NAMES: &'static [&'static str];

    /// Returns the number of the label value, its index in [`Label::NAMES`].
    fn number(&self) -> usize;
}

/// Implements [`Label`] by a table of label values and the patterns that they stand for.
macro_rules! label_tables {
    ($($labelled:ty { $($name:literal: $pattern:pat,)* })*) => {$(
        impl Label for $labelled {
            const NAMES: &'static [&'static str] = &[$($name),*];

            fn number(&self) -> usize {
                match self { $($pattern => const { position(Self::NAMES, $name) },)* }
            }
        }
    )*};
}

/// Implements [`Label`] for enums whose label values are the names of their variants.
macro_rules! labels_by_name {
    ($($labelled:ty),*) => {$(
        impl Label for $labelled {
            const NAMES: &'static [&'static str] = <$labelled as VariantNames>::VARIANTS;

            fn number(&self) -> usize {
                *self as usize
            }
        }
    )*};
}

/// Returns the index of `name`, at compile time.
const fn position(names: &[&str], name: &str) -> usize {
    let mut index = 0;
    // Names differ in more than case, and only this comparison works at compile time.
    while !names[index].eq_ignore_ascii_case(name) {
        index += 1;
    }
    index
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
    /// Only the counter of rejected requests.
    None,
}

/// The outcome of a proposal.
#[derive(Clone, Copy, Debug, VariantNames)]
#[strum(serialize_all = "snake_case")]
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
#[derive(Clone, Copy, Debug, VariantNames)]
#[strum(serialize_all = "snake_case")]
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
#[derive(Clone, Copy, Debug, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub(in crate::runtime) enum SnapshotStep {
    Taken,
    Received,
    Installed,
    PartSent,
    PartReceived,
    TakeFailed,
    ReceiveFailed,
    PartCorrupt,
}

impl ProposalEnd {
    pub(super) fn of(reply: &ReplyBody) -> ProposalEnd {
        match reply {
            ReplyBody::MayBeLost { .. } => ProposalEnd::MayBeLost,
            ReplyBody::Rejected { .. }
            | ReplyBody::ServiceRejected(_)
            | ReplyBody::MachineRejected { .. } => ProposalEnd::Rejected,
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
            | ReplyBody::Report(_)
            | ReplyBody::RecordingPart { .. } => ProposalEnd::Done,
        }
    }
}

impl ReadEnd {
    pub(super) fn of(reply: &ReplyBody) -> ReadEnd {
        let answered = matches!(reply, ReplyBody::Answered { .. });
        if answered { ReadEnd::Answered } else { ReadEnd::Rejected }
    }
}

labels_by_name!(ProposalEnd, DropReason, SnapshotStep);

label_tables! {
    // The level and the outcome of a read; each name contains both, separated by a space.
    (ReadLevel, ReadEnd) {
        "linearizable answered": (ReadLevel::Linearizable, ReadEnd::Answered),
        "linearizable rejected": (ReadLevel::Linearizable, ReadEnd::Rejected),
        "lease answered": (ReadLevel::Lease, ReadEnd::Answered),
        "lease rejected": (ReadLevel::Lease, ReadEnd::Rejected),
        "replica answered": (ReadLevel::Replica, ReadEnd::Answered),
        "replica rejected": (ReadLevel::Replica, ReadEnd::Rejected),
        "bounded answered": (ReadLevel::Bounded(_), ReadEnd::Answered),
        "bounded rejected": (ReadLevel::Bounded(_), ReadEnd::Rejected),
        "local answered": (ReadLevel::Local, ReadEnd::Answered),
        "local rejected": (ReadLevel::Local, ReadEnd::Rejected),
    }
    RoleName {
        "follower": RoleName::Follower,
        "pre_candidate": RoleName::PreCandidate,
        "candidate": RoleName::Candidate,
        "leader": RoleName::Leader,
    }
    StateVerification {
        "unverified": StateVerification::Unverified,
        "consistent": StateVerification::Consistent,
        "quarantined": StateVerification::Quarantined,
        "no_majority": StateVerification::NoMajority,
        "too_old": StateVerification::TooOld,
    }
    MessageRejectReason {
        "misaddressed": MessageRejectReason::Misaddressed,
        "malformed": MessageRejectReason::Malformed,
        "not_member": MessageRejectReason::NotMember,
        "not_voter": MessageRejectReason::NotVoter,
        "stale_term": MessageRejectReason::StaleTerm,
        "leader_heard": MessageRejectReason::LeaderHeard,
        "vote_withheld": MessageRejectReason::VoteWithheld,
        "already_voted": MessageRejectReason::AlreadyVoted,
        "log_behind": MessageRejectReason::LogBehind,
        "lacks_committed": MessageRejectReason::LacksCommitted,
        "wrong_role": MessageRejectReason::WrongRole,
        "stale_reply": MessageRejectReason::StaleReply,
        "prev_mismatch": MessageRejectReason::PrevMismatch,
        "conflicts_with_committed": MessageRejectReason::ConflictsWithCommitted,
        "second_leader": MessageRejectReason::SecondLeader,
        "impossible_match": MessageRejectReason::ImpossibleMatch,
        "leader_not_ready": MessageRejectReason::LeaderNotReady,
        "outbox_full": MessageRejectReason::OutboxFull,
        "disk_full": MessageRejectReason::DiskFull,
        "no_membership": MessageRejectReason::NoMembership,
        "other_bootstrap_peers": MessageRejectReason::OtherBootstrapPeers,
        "unknown_incarnation": MessageRejectReason::UnknownIncarnation,
        "rolled_back_disk": MessageRejectReason::RolledBackDisk,
        "log_uncertain": MessageRejectReason::LogUncertain,
    }
    RejectReason {
        "not_leader": RejectReason::NotLeader { .. },
        "busy": RejectReason::Busy,
        "too_large": RejectReason::TooLarge,
        "no_leader": RejectReason::NoLeader,
        "stopped": RejectReason::Stopped,
        "disk_full": RejectReason::DiskFull,
        "membership_change_in_flight": RejectReason::MembershipChangeInFlight,
        "invalid_membership": RejectReason::Membership(_),
        "no_change_to_cancel": RejectReason::NoChangeToCancel,
        "change_cancelled": RejectReason::ChangeCancelled,
        "transferring": RejectReason::Transferring,
        "no_transfer_target": RejectReason::NoTransferTarget,
        "transfer_aborted": RejectReason::TransferAborted,
        "unverified": RejectReason::Unverified,
        "build_too_old": RejectReason::BuildTooOld { .. },
        "build_unknown": RejectReason::BuildUnknown { .. },
    }
    ServiceRejectReason {
        "not_allowed": ServiceRejectReason::NotAllowed,
        "answer_too_large": ServiceRejectReason::AnswerTooLarge,
        "overloaded": ServiceRejectReason::Overloaded,
        "no_recording": ServiceRejectReason::NoRecording,
    }
    ComparisonResult {
        "consistent": ComparisonResult::Consistent { .. },
        "unavailable": ComparisonResult::Unavailable { .. },
        "inconclusive": ComparisonResult::Inconclusive { .. },
        "diverged": ComparisonResult::Diverged { .. },
        "no_majority": ComparisonResult::NoMajority { .. },
        "rebuilt": ComparisonResult::Rebuilt { .. },
    }
    RoleCause {
        "election_timeout": RoleCause::ElectionTimeout,
        "campaign_requested": RoleCause::CampaignRequested,
        "leadership_transfer": RoleCause::LeadershipTransfer { .. },
        "pre_votes_granted": RoleCause::PreVotesGranted,
        "votes_granted": RoleCause::VotesGranted,
        "votes_rejected": RoleCause::VotesRejected,
        "lacks_committed": RoleCause::LacksCommitted,
        "leader_found": RoleCause::LeaderFound { .. },
        "later_term": RoleCause::LaterTerm { .. },
        "quorum_lost": RoleCause::QuorumLost,
        "paused": RoleCause::Paused,
        "disk_stuck": RoleCause::DiskStuck,
        "log_damaged": RoleCause::LogDamaged,
        "vote_removed": RoleCause::VoteRemoved,
        "quarantined": RoleCause::Quarantined,
        "snapshot_installed": RoleCause::SnapshotInstalled,
        "voted": RoleCause::Voted { .. },
    }
    DiskError {
        "full": DiskError::Full,
        "exhausted": DiskError::Exhausted(_),
        "environment": DiskError::Environment(_),
        "failed": DiskError::Failed(_),
        "replaced": DiskError::Replaced(_),
    }
    FileAction {
        "create": FileAction::Create { .. },
        "write": FileAction::Write { .. },
        "sync": FileAction::Sync { .. },
        "read": FileAction::Read { .. },
        "drop_cache": FileAction::DropCache { .. },
        "rename": FileAction::Rename { .. },
        "remove": FileAction::Remove { .. },
        "sync_directory": FileAction::SyncDirectory,
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
    fn roles_verifications_and_reject_reasons_are_labelled_by_their_names() {
        for role in RoleName::ALL {
            assert_eq!(RoleName::NAMES[role.number()], role.to_string().replace('-', "_"));
        }
        let verifications = [
            StateVerification::Unverified,
            StateVerification::Consistent,
            StateVerification::Quarantined,
            StateVerification::NoMajority,
            StateVerification::TooOld,
        ];
        assert_eq!(StateVerification::NAMES, verifications.map(StateVerification::name));
        assert_eq!(MessageRejectReason::NAMES.len(), MessageRejectReason::ALL.len());
        for reason in MessageRejectReason::ALL {
            let name = format!("{reason:?}").to_lowercase();
            assert_eq!(MessageRejectReason::NAMES[reason.number()].replace('_', ""), name);
        }
    }
}
