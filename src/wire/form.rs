//! The wire form of each message type: fields in the order given here, variants by their position
//! from 0. Each form mirrors a type of `types`; a mirror that does not match does not compile.
//!
//! New variants go last, because positions are on the wire (`tests/wire/golden.rs`).

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::types::{
    AppendOutcome, Body, BootstrapPeer, Command, Comparison, ComparisonBody, Entry, EntryId,
    Hash128, Heartbeat, Incarnation, Index, Membership, MembershipSource, Message, NodeId, Payload,
    Readiness, Root, SnapshotMeta, SnapshotPart, SnapshotTransfer, SnapshotTransferBody,
    StateDigest, Term,
};

/// The maximum number of entries in one message.
pub const APPEND_ENTRIES_MAX: usize = 4096;

/// A message to encode.
pub(super) struct SharedMessage<'a>(pub(super) &'a Message);

/// A decoded message that owns its bytes.
#[derive(Deserialize)]
pub(super) struct OwnedMessage(#[serde(with = "MessageForm")] pub(super) Message);

/// A message with a hash chain, to encode.
pub(super) struct SharedChained<'a>(pub(super) &'a Message, pub(super) u64);

/// A decoded message with a hash chain.
#[derive(Deserialize)]
pub(super) struct OwnedChained(#[serde(with = "MessageForm")] pub(super) Message, pub(super) u64);

/// A comparison message to encode.
pub(super) struct SharedComparison<'a>(pub(super) &'a Comparison);

/// A decoded comparison message.
#[derive(Deserialize)]
pub(super) struct OwnedComparison(#[serde(with = "ComparisonForm")] pub(super) Comparison);

/// A snapshot transfer message to encode.
pub(super) struct SharedTransfer<'a>(pub(super) &'a SnapshotTransfer);

/// A decoded snapshot transfer message.
#[derive(Deserialize)]
pub(super) struct OwnedTransfer(
    #[serde(with = "SnapshotTransferForm")] pub(super) SnapshotTransfer,
);

impl Serialize for SharedMessage<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        MessageForm::serialize(self.0, serializer)
    }
}

impl Serialize for SharedChained<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (SharedMessage(self.0), self.1).serialize(serializer)
    }
}

impl Serialize for SharedComparison<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        ComparisonForm::serialize(self.0, serializer)
    }
}

impl Serialize for SharedTransfer<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        SnapshotTransferForm::serialize(self.0, serializer)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "NodeId")]
pub(super) struct NodeIdForm(u64);

#[derive(Serialize, Deserialize)]
#[serde(remote = "Term")]
pub(super) struct TermForm(u64);

#[derive(Serialize, Deserialize)]
#[serde(remote = "Index")]
pub(super) struct IndexForm(u64);

#[derive(Serialize, Deserialize)]
#[serde(remote = "Root")]
struct RootForm([u8; 32]);

#[derive(Serialize, Deserialize)]
#[serde(remote = "EntryId")]
pub(super) struct EntryIdForm {
    #[serde(with = "TermForm")]
    term: Term,
    #[serde(with = "IndexForm")]
    index: Index,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Message")]
struct MessageForm {
    #[serde(with = "NodeIdForm")]
    from: NodeId,
    #[serde(with = "IncarnationForm")]
    incarnation: Incarnation,
    #[serde(with = "NodeIdForm")]
    to: NodeId,
    #[serde(with = "TermForm")]
    term: Term,
    #[serde(with = "BodyForm")]
    body: Body,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Body")]
enum BodyForm {
    PreVote {
        #[serde(with = "TermForm")]
        next_term: Term,
        #[serde(with = "EntryIdForm")]
        last: EntryId,
    },
    PreVoteReply {
        #[serde(with = "TermForm")]
        next_term: Term,
        granted: bool,
    },
    RequestVote {
        #[serde(with = "EntryIdForm")]
        last: EntryId,
        transfer: bool,
    },
    RequestVoteReply {
        granted: bool,
    },
    AppendEntries {
        #[serde(with = "EntryIdForm")]
        prev: EntryId,
        #[serde(with = "entries")]
        entries: Vec<Entry>,
        #[serde(with = "IndexForm")]
        committed: Index,
    },
    AppendEntriesReply(#[serde(with = "AppendOutcomeForm")] AppendOutcome),
    Heartbeat(#[serde(with = "HeartbeatForm")] Heartbeat),
    HeartbeatReply {
        round: u64,
        #[serde(with = "IndexForm")]
        verified: Index,
        #[serde(with = "IndexForm")]
        matched: Index,
        #[serde(with = "IndexForm")]
        durable: Index,
        #[serde(with = "ReadinessForm")]
        ready: Readiness,
    },
    ReadIndex {
        start_id: u64,
        ticket: u64,
    },
    ReadIndexReply {
        start_id: u64,
        ticket: u64,
        #[serde(with = "IndexForm")]
        index: Index,
    },
    InstallSnapshot {
        #[serde(with = "SnapshotMetaForm")]
        meta: SnapshotMeta,
    },
    InstallSnapshotReply {
        #[serde(with = "IndexForm")]
        matched: Index,
    },
    TimeoutNow,
    BootstrapProbe {
        #[serde(with = "bootstrap_peers")]
        seen: Vec<BootstrapPeer>,
    },
    Bootstrapped {
        start_id: u64,
        #[serde(with = "membership")]
        membership: Membership,
        #[serde(with = "MembershipSourceForm")]
        source: MembershipSource,
    },
    UnknownIncarnation,
    TakeoverAllowed,
    LogIsComplete,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "MembershipSource")]
enum MembershipSourceForm {
    Reply,
    Log,
    Snapshot,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Heartbeat")]
struct HeartbeatForm {
    round: u64,
    #[serde(with = "IndexForm")]
    committed: Index,
    confirmed: u64,
    echo: u64,
    #[serde(with = "nanos")]
    vote_lease: Duration,
    #[serde(with = "nanos")]
    read_lease: Duration,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Readiness")]
struct ReadinessForm {
    wants_read_lease: bool,
    may_lead: bool,
}

/// A duration, in nanoseconds.
pub(super) mod nanos {
    use core::time::Duration;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(in crate::wire) fn serialize<S: Serializer>(
        span: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX))
    }

    pub(in crate::wire) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_nanos)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "AppendOutcome")]
enum AppendOutcomeForm {
    Accepted {
        #[serde(with = "IndexForm")]
        matched: Index,
    },
    Rejected {
        #[serde(with = "IndexForm")]
        prev: Index,
        #[serde(with = "EntryIdForm")]
        hint: EntryId,
    },
    NoSpace {
        #[serde(with = "IndexForm")]
        verified: Index,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "SnapshotMeta")]
struct SnapshotMetaForm {
    #[serde(with = "EntryIdForm")]
    last: EntryId,
    #[serde(with = "membership")]
    membership: Membership,
    bytes: u64,
    #[serde(with = "RootForm")]
    root: Root,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Entry")]
struct EntryForm {
    #[serde(with = "EntryIdForm")]
    id: EntryId,
    #[serde(with = "PayloadForm")]
    payload: Payload,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Payload")]
enum PayloadForm {
    Noop,
    Command(#[serde(with = "bytes")] Command),
    Membership(#[serde(with = "membership")] Membership),
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "SnapshotTransfer")]
struct SnapshotTransferForm {
    #[serde(with = "NodeIdForm")]
    from: NodeId,
    #[serde(with = "NodeIdForm")]
    to: NodeId,
    #[serde(with = "RootForm")]
    root: Root,
    #[serde(with = "SnapshotTransferBodyForm")]
    body: SnapshotTransferBody,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "SnapshotTransferBody")]
enum SnapshotTransferBodyForm {
    Request(#[serde(with = "SnapshotPartForm")] SnapshotPart),
    Bytes(#[serde(with = "SnapshotPartForm")] SnapshotPart, #[serde(with = "bytes")] Arc<[u8]>),
    Gone,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "SnapshotPart")]
enum SnapshotPartForm {
    Manifest(u32),
    Chunk(u32),
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Comparison")]
struct ComparisonForm {
    #[serde(with = "NodeIdForm")]
    from: NodeId,
    #[serde(with = "NodeIdForm")]
    to: NodeId,
    #[serde(with = "ComparisonBodyForm")]
    body: ComparisonBody,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ComparisonBody")]
enum ComparisonBodyForm {
    Request {
        round: u64,
        #[serde(with = "IndexForm")]
        index: Index,
    },
    Reply {
        round: u64,
        #[serde(with = "IndexForm")]
        index: Index,
        #[serde(with = "StateDigestForm")]
        state_digest: StateDigest,
    },
    WantSnapshot {
        #[serde(with = "IndexForm")]
        after: Index,
    },
    OfferSnapshot {
        #[serde(with = "SnapshotMetaForm")]
        meta: SnapshotMeta,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "StateDigest")]
struct StateDigestForm {
    #[serde(with = "hash")]
    results: Option<Hash128>,
    #[serde(with = "hash")]
    state: Option<Hash128>,
}

/// An optional hash, as the number with the same bytes.
mod hash {
    use crate::types::Hash128;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        hash: &Option<Hash128>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        hash.map(|hash| u128::from_le_bytes(hash.0)).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Hash128>, D::Error> {
        let number = Option::<u128>::deserialize(deserializer)?;
        Ok(number.map(|number| Hash128(number.to_le_bytes())))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Incarnation")]
struct IncarnationForm(u128);

#[derive(Serialize, Deserialize)]
#[serde(remote = "BootstrapPeer")]
struct BootstrapPeerForm {
    #[serde(with = "NodeIdForm")]
    id: NodeId,
    #[serde(with = "IncarnationForm")]
    incarnation: Incarnation,
    start_id: u64,
}

/// Bootstrap peers, as a list.
mod bootstrap_peers {
    use crate::types::{BootstrapPeer, Membership};
    use crate::wire::form::{BootstrapPeerForm, list, write_list};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    struct Shared<'a>(&'a BootstrapPeer);

    #[derive(Deserialize)]
    struct Owned(#[serde(with = "BootstrapPeerForm")] BootstrapPeer);

    impl Serialize for Shared<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            BootstrapPeerForm::serialize(self.0, serializer)
        }
    }

    pub(super) fn serialize<S: Serializer>(
        peers: &[BootstrapPeer],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        write_list(peers.iter().map(Shared), Membership::MEMBERS_MAX, serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<BootstrapPeer>, D::Error> {
        let owned = list::<Owned, D>(Membership::MEMBERS_MAX, deserializer)?;
        Ok(owned.into_iter().map(|Owned(peer)| peer).collect())
    }
}

/// Log entries, as a list.
mod entries {
    use crate::types::Entry;
    use crate::wire::form::{APPEND_ENTRIES_MAX, EntryForm, list, write_list};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    struct Shared<'a>(&'a Entry);

    #[derive(Deserialize)]
    struct Owned(#[serde(with = "EntryForm")] Entry);

    impl Serialize for Shared<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            EntryForm::serialize(self.0, serializer)
        }
    }

    pub(super) fn serialize<S: Serializer>(
        entries: &[Entry],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        write_list(entries.iter().map(Shared), APPEND_ENTRIES_MAX, serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Entry>, D::Error> {
        let owned = list::<Owned, D>(APPEND_ENTRIES_MAX, deserializer)?;
        Ok(owned.into_iter().map(|Owned(entry)| entry).collect())
    }
}

/// A membership, encoded by [`Membership::encode`].
pub(super) mod membership {
    use crate::types::Membership;
    use crate::wire::form::BytesVisitor;
    use serde::de::Error as _;
    use serde::ser::Error as _;
    use serde::{Deserializer, Serializer};

    pub(in crate::wire) fn serialize<S: Serializer>(
        membership: &Membership,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match membership.violation() {
            Some(violation) => Err(S::Error::custom(violation)),
            None => serializer.serialize_bytes(&membership.encode()),
        }
    }

    pub(in crate::wire) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Membership, D::Error> {
        let bytes = deserializer.deserialize_bytes(BytesVisitor)?;
        Membership::decode(bytes).ok_or_else(|| D::Error::custom("invalid membership"))
    }
}

/// A byte string, in any container that holds bytes.
pub(super) mod bytes {
    use crate::wire::form::BytesVisitor;
    use serde::{Deserializer, Serializer};
    use std::ops::Deref;

    pub(in crate::wire) fn serialize<S: Serializer>(
        bytes: &impl Deref<Target = [u8]>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(in crate::wire) fn deserialize<'de, T: From<&'de [u8]>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        deserializer.deserialize_bytes(BytesVisitor).map(T::from)
    }
}

/// A visitor that borrows bytes from the input, so that a claimed length allocates nothing.
pub(super) struct BytesVisitor;

impl<'de> Visitor<'de> for BytesVisitor {
    type Value = &'de [u8];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<&'de [u8], E> {
        Ok(bytes)
    }
}

/// A visitor that takes items one by one, so that a claimed length allocates nothing.
struct ListVisitor<T> {
    items_max: usize,
    item: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {}", self.items_max)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
        let claimed = items.size_hint().unwrap_or(usize::MAX);
        if claimed > self.items_max {
            return Err(serde::de::Error::invalid_length(claimed, &self));
        }
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(list)
    }
}

pub(super) fn list<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    items_max: usize,
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    deserializer.deserialize_seq(ListVisitor { items_max, item: PhantomData })
}

pub(super) fn write_list<S: Serializer, T: Serialize>(
    items: impl ExactSizeIterator<Item = T>,
    items_max: usize,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    if items.len() > items_max {
        let reason = format!("a list of {} items; at most {items_max} are allowed", items.len());
        return Err(serde::ser::Error::custom(reason));
    }
    serializer.collect_seq(items)
}
