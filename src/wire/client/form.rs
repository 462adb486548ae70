//! The wire form of the types that only clients and nodes exchange.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::types::serial::Nanos;
use crate::types::{
    Acknowledge, ChangeError, Comparisons, EntryId, Freshness, Index, Membership, NodeId,
    PeerStatus, ReadLevel, RejectReason, Report, RoleName, StateVerification, Status, Term,
};

#[derive(Serialize, Deserialize)]
#[serde(remote = "Acknowledge")]
pub(super) enum AcknowledgeForm {
    Default,
    Quorum,
    AllLive,
    LeaderOnly,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ReadLevel")]
pub(super) enum ReadLevelForm {
    Linearizable,
    Lease,
    Replica,
    Bounded(#[serde(with = "Nanos")] Duration),
    Local,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Freshness")]
pub(super) enum FreshnessForm {
    Linearizable,
    Within(#[serde(with = "Nanos")] Duration),
    Unknown,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "RejectReason")]
pub(super) enum RejectReasonForm {
    NotLeader { leader: Option<NodeId> },
    Busy,
    TooLarge,
    NoLeader,
    Stopped,
    DiskFull,
    MembershipChangeInFlight,
    Membership(#[serde(with = "ChangeErrorForm")] ChangeError),
    NoChangeToCancel,
    ChangeCancelled,
    Transferring,
    NoTransferTarget,
    TransferAborted,
    Unverified,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ChangeError")]
enum ChangeErrorForm {
    NoVoters,
    TooManyVoters,
    TooLarge,
    IdIsZero,
    NotMember(NodeId),
    CastingWithoutVote(NodeId),
    ConflictingRoles(NodeId),
    OtherIncarnationVotes(NodeId),
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Report")]
pub(super) struct ReportForm {
    #[serde(with = "StatusForm")]
    status: Status,
    #[serde(with = "peers")]
    peers: Vec<PeerStatus>,
    membership: Membership,
    #[serde(with = "StateVerificationForm")]
    verification: StateVerification,
    #[serde(with = "ComparisonsForm")]
    comparisons: Comparisons,
    #[serde(with = "Nanos")]
    lease: Duration,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Comparisons")]
struct ComparisonsForm {
    consistent: u64,
    unavailable: u64,
    inconclusive: u64,
    diverged: u64,
    chains: u64,
    chains_unavailable: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "RoleName")]
enum RoleNameForm {
    Follower,
    PreCandidate,
    Candidate,
    Leader,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "StateVerification")]
enum StateVerificationForm {
    Unverified,
    Consistent,
    Quarantined,
    NoMajority,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Status")]
struct StatusForm {
    id: NodeId,
    #[serde(with = "RoleNameForm")]
    role: RoleName,
    term: Term,
    vote: Option<NodeId>,
    #[serde(with = "Nanos")]
    vote_lease: Duration,
    leader: Option<NodeId>,
    last: EntryId,
    durable: Index,
    committed: Index,
    applied: Index,
    snapshot: Index,
    base: Index,
    disk_full: bool,
    tail_bytes: usize,
    unapplied_bytes: usize,
    outbox_messages: usize,
    reads_waiting: usize,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "PeerStatus")]
struct PeerStatusForm {
    id: NodeId,
    probing: bool,
    snapshot: Option<Index>,
    disk_full: bool,
    suspected: bool,
    matched: Index,
    next: Index,
    inflight_entries: usize,
    inflight_bytes: usize,
}

/// An address, as its UTF-8 bytes.
pub(super) mod address {
    use crate::types::Address;
    use crate::types::serial::BytesVisitor;
    use serde::de::Error as _;
    use serde::{Deserializer, Serializer};

    pub(in crate::wire) fn serialize<S: Serializer>(
        address: &Address,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(address.as_str().as_bytes())
    }

    pub(in crate::wire) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Address, D::Error> {
        let bytes = deserializer.deserialize_bytes(BytesVisitor)?;
        let text = std::str::from_utf8(bytes).map_err(D::Error::custom)?;
        Address::new(text).ok_or_else(|| D::Error::custom("the address is too long"))
    }
}

/// A report, boxed because the other replies are short.
pub(super) mod report {
    use crate::types::Report;
    use crate::wire::client::form::ReportForm;
    use serde::{Deserializer, Serializer};

    pub(in crate::wire) fn serialize<S: Serializer>(
        report: &Report,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        ReportForm::serialize(report, serializer)
    }

    pub(in crate::wire) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Box<Report>, D::Error> {
        ReportForm::deserialize(deserializer).map(Box::new)
    }
}

/// A membership change, encoded by [`Change::encode`](crate::types::Change::encode).
pub(super) mod change {
    use crate::types::Change;
    use crate::types::serial::BytesVisitor;
    use serde::de::Error as _;
    use serde::ser::Error as _;
    use serde::{Deserializer, Serializer};

    pub(in crate::wire) fn serialize<S: Serializer>(
        change: &Change,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match change.encode() {
            Some(bytes) => serializer.serialize_bytes(&bytes),
            None => Err(S::Error::custom("the membership change has too many edits")),
        }
    }

    pub(in crate::wire) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Change, D::Error> {
        let bytes = deserializer.deserialize_bytes(BytesVisitor)?;
        Change::decode(bytes).ok_or_else(|| D::Error::custom("invalid membership change"))
    }
}

/// The peers of a report, as a list.
mod peers {
    use crate::types::serial::List;
    use crate::types::{Membership, PeerStatus};
    use crate::wire::client::form::PeerStatusForm;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    type Peers = List<{ Membership::MEMBERS_MAX }>;

    struct Shared<'a>(&'a PeerStatus);

    #[derive(Deserialize)]
    struct Owned(#[serde(with = "PeerStatusForm")] PeerStatus);

    impl Serialize for Shared<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            PeerStatusForm::serialize(self.0, serializer)
        }
    }

    pub(super) fn serialize<S: Serializer>(
        peers: &[PeerStatus],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        Peers::serialize(&peers.iter().map(Shared).collect::<Vec<_>>(), serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<PeerStatus>, D::Error> {
        let owned = Peers::deserialize::<Owned, D>(deserializer)?;
        Ok(owned.into_iter().map(|Owned(peer)| peer).collect())
    }
}
