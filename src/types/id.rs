//! Newtypes for numbers that must not be confused: nodes, terms, indices, writes and tags.

use crate::types::text::short_form;

/// One node of the cluster. It keeps its id when it restarts, and when it returns with a new disk,
/// which has another incarnation. No other node ever gets the id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct NodeId(pub u64);

/// A logical era with at most one leader (Raft §5.1). Starts at 0, a term without a leader.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Term(pub u64);

/// A position in the log. The first entry has index 1; 0 is the position before it.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Index(pub u64);

/// The term and the index of an entry, which together identify its content (Raft §5.3).
///
/// The order is that of "at least as up to date" (Raft §5.4.1): the later term is greater, and
/// within one term the higher index.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct EntryId {
    /// The term of the leader that first appended the entry.
    pub term: Term,
    /// The index of the entry in the log.
    pub index: Index,
}

/// The number of one write of a node to its disk, from 1, in the order of the requests.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct WriteId(pub u64);

/// The caller's identifier of a request, such as a proposal or a read. The core returns it with the
/// outcome and does not interpret it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Tag(pub u64);

const _: () = assert!(Term::MAX.0 < u64::MAX / 2, "terms have room above the highest one");
const _: () = assert!(Index::MAX.0 < u64::MAX / 2, "indices have room above the highest one");

impl Term {
    /// The initial term, before any election.
    pub const ZERO: Term = Term(0);
    /// The highest term that a node accepts from a peer; a message with a higher one is malformed.
    /// No cluster reaches it by elections, and the room above it keeps arithmetic from overflowing.
    pub const MAX: Term = Term(1 << 62);

    /// Returns the term after this one.
    #[must_use]
    pub const fn next(self) -> Term {
        assert!(self.0 < u64::MAX, "a term does not overflow");
        Term(self.0 + 1)
    }
}

impl Index {
    /// The position before the first entry.
    pub const ZERO: Index = Index(0);
    /// The highest index that a node accepts from a peer; a message with a higher one is malformed.
    pub const MAX: Index = Index(1 << 62);

    /// Returns the index after this one.
    #[must_use]
    pub const fn next(self) -> Index {
        assert!(self.0 < u64::MAX, "an index does not overflow");
        Index(self.0 + 1)
    }

    /// Returns the index before this one, or 0 for 0.
    #[must_use]
    pub const fn previous(self) -> Index {
        Index(self.0.saturating_sub(1))
    }
}

impl EntryId {
    /// The position before the first entry: index 0 in term 0.
    pub const ZERO: EntryId = EntryId { term: Term::ZERO, index: Index::ZERO };

    /// Returns the id of the entry at `index`, appended in `term`.
    #[must_use]
    pub const fn new(term: Term, index: Index) -> EntryId {
        EntryId { term, index }
    }
}

impl WriteId {
    /// The number before the first write. A message that depends on no write waits for this one.
    pub const ZERO: WriteId = WriteId(0);

    /// Returns the number of the write after this one.
    #[must_use]
    pub const fn next(self) -> WriteId {
        assert!(self.0 < u64::MAX, "the number of a write does not overflow");
        WriteId(self.0 + 1)
    }
}

short_form!(NodeId: "n{}", 0);
short_form!(Term: "t{}", 0);
short_form!(Index: "{}", 0);
short_form!(WriteId: "w{}", 0);
short_form!(Tag: "#{}", 0);
short_form!(EntryId: "{}@{}", index, term);
