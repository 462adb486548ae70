//! The form of every word on the wire: fields in the order they have here, variants by their
//! place, from 0. The words themselves are those of `types`; one that has no form here, or another
//! one, does not compile.
//!
//! A new variant goes last: `tests/wire/golden.rs` holds what each one's bytes are.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::types::{
    AppendOutcome, Beat, Body, Bringer, Command, Comparison, ComparisonBody, Entry, EntryId,
    Founder, Hash128, Imprint, Incarnation, Index, Membership, Message, NodeId, Part, Payload,
    Readiness, Root, SnapshotMeta, Term, Transfer, TransferBody,
};

/// How many entries one message may have.
pub const APPEND_ENTRIES_MAX: usize = 4096;

/// A message to be written.
pub(super) struct SharedMessage<'a>(pub(super) &'a Message);

/// A message that was read.
#[derive(Deserialize)]
pub(super) struct OwnedMessage(#[serde(with = "MessageForm")] pub(super) Message);

/// A message with a chain to be written.
pub(super) struct SharedChained<'a>(pub(super) &'a Message, pub(super) u64);

/// A message with a chain that was read.
#[derive(Deserialize)]
pub(super) struct OwnedChained(#[serde(with = "MessageForm")] pub(super) Message, pub(super) u64);

/// A question or an answer about the state machines to be written.
pub(super) struct SharedComparison<'a>(pub(super) &'a Comparison);

/// A question or an answer about the state machines that was read.
#[derive(Deserialize)]
pub(super) struct OwnedComparison(#[serde(with = "ComparisonForm")] pub(super) Comparison);

/// A step of a transfer to be written.
pub(super) struct SharedTransfer<'a>(pub(super) &'a Transfer);

/// A step of a transfer that was read.
#[derive(Deserialize)]
pub(super) struct OwnedTransfer(#[serde(with = "TransferForm")] pub(super) Transfer);

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
        TransferForm::serialize(self.0, serializer)
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
    Heartbeat(#[serde(with = "BeatForm")] Beat),
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
        boot: u64,
        ticket: u64,
    },
    ReadIndexReply {
        boot: u64,
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
    Meet {
        #[serde(with = "founders")]
        met: Vec<Founder>,
    },
    Founded {
        boot: u64,
        #[serde(with = "membership")]
        membership: Membership,
        #[serde(with = "BringerForm")]
        bringer: Bringer,
    },
    Stranger,
    Counted,
    Vouch,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Bringer")]
enum BringerForm {
    Answer,
    Log,
    Snapshot,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Beat")]
struct BeatForm {
    round: u64,
    #[serde(with = "IndexForm")]
    committed: Index,
    confirmed: u64,
    echo: u64,
    #[serde(with = "nanos")]
    promise: Duration,
    #[serde(with = "nanos")]
    loan: Duration,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Readiness")]
struct ReadinessForm {
    borrows: bool,
    leads: bool,
}

/// A span as its nanoseconds.
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
#[serde(remote = "Transfer")]
struct TransferForm {
    #[serde(with = "NodeIdForm")]
    from: NodeId,
    #[serde(with = "NodeIdForm")]
    to: NodeId,
    #[serde(with = "RootForm")]
    root: Root,
    #[serde(with = "TransferBodyForm")]
    body: TransferBody,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "TransferBody")]
enum TransferBodyForm {
    Request(#[serde(with = "PartForm")] Part),
    Bytes(#[serde(with = "PartForm")] Part, #[serde(with = "bytes")] Arc<[u8]>),
    Gone,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Part")]
enum PartForm {
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
    Ask {
        round: u64,
        #[serde(with = "IndexForm")]
        index: Index,
    },
    Answer {
        round: u64,
        #[serde(with = "IndexForm")]
        index: Index,
        #[serde(with = "ImprintForm")]
        imprint: Imprint,
    },
    Want {
        #[serde(with = "IndexForm")]
        after: Index,
    },
    Offer {
        #[serde(with = "SnapshotMetaForm")]
        meta: SnapshotMeta,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Imprint")]
struct ImprintForm {
    #[serde(with = "hash")]
    results: Option<Hash128>,
    #[serde(with = "hash")]
    state: Option<Hash128>,
}

/// A hash that may be unknown: its bytes in their order, as one number.
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
#[serde(remote = "Founder")]
struct FounderForm {
    #[serde(with = "NodeIdForm")]
    id: NodeId,
    #[serde(with = "IncarnationForm")]
    incarnation: Incarnation,
    boot: u64,
}

/// Founders as a list.
mod founders {
    use crate::types::{Founder, Membership};
    use crate::wire::form::{FounderForm, list, write_list};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    struct Shared<'a>(&'a Founder);

    #[derive(Deserialize)]
    struct Owned(#[serde(with = "FounderForm")] Founder);

    impl Serialize for Shared<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            FounderForm::serialize(self.0, serializer)
        }
    }

    pub(super) fn serialize<S: Serializer>(
        founders: &[Founder],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        write_list(founders.iter().map(Shared), Membership::MEMBERS_MAX, serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Founder>, D::Error> {
        let owned = list::<Owned, D>(Membership::MEMBERS_MAX, deserializer)?;
        Ok(owned.into_iter().map(|Owned(founder)| founder).collect())
    }
}

/// Entries as a list.
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

/// A membership as the bytes that [`Membership::encode`] gives.
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
        match membership.flaw() {
            Some(flaw) => Err(S::Error::custom(flaw)),
            None => serializer.serialize_bytes(&membership.encode()),
        }
    }

    pub(in crate::wire) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Membership, D::Error> {
        let bytes = deserializer.deserialize_bytes(BytesVisitor)?;
        Membership::decode(bytes).ok_or_else(|| D::Error::custom("no membership is so"))
    }
}

/// Bytes, whatever holds them.
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

/// Takes bytes where they lie: nothing is allocated before they are known to be there.
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

/// Takes items one by one: a length that is only claimed allocates nothing.
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
        let reason = format!("a list of {}, and at most {items_max} are allowed", items.len());
        return Err(serde::ser::Error::custom(reason));
    }
    serializer.collect_seq(items)
}
