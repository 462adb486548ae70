//! Numbers that must not be confused: nodes, terms, indices, writes and tags.

use core::fmt;

/// One member process of the cluster. An id is never given to another process later.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

/// A logical era with at most one leader (Raft §5.1). Starts at 0, in which nobody ever leads.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term(pub u64);

/// A position in the log. The first entry has index 1; 0 stands for "before the first entry".
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Index(pub u64);

/// The term and the index of an entry: together they identify its content (Raft §5.3).
///
/// The order is that of "at least as up to date" (Raft §5.4.1): the later term wins, and within
/// one term the higher index.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    /// The term of the leader that first appended the entry.
    pub term: Term,
    /// Where the entry stands.
    pub index: Index,
}

/// Numbers one node's writes to its disk, from 1, in the order they were asked for.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriteId(pub u64);

/// The caller's own name for a proposal or a read; the core hands it back with the outcome and
/// gives it no meaning.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(pub u64);

impl Term {
    /// The term before any election.
    pub const ZERO: Term = Term(0);
    /// The highest term a node accepts from a peer; a message beyond it is malformed. No cluster
    /// gets there by electing, and the room above it keeps arithmetic from overflowing.
    pub const MAX: Term = Term(1 << 62);

    /// The term after this one.
    #[must_use]
    pub const fn next(self) -> Term {
        Term(self.0 + 1)
    }
}

impl Index {
    /// The position before the first entry.
    pub const ZERO: Index = Index(0);
    /// The highest index a node accepts from a peer; a message beyond it is malformed.
    pub const MAX: Index = Index(1 << 62);

    /// The position after this one.
    #[must_use]
    pub const fn next(self) -> Index {
        Index(self.0 + 1)
    }

    /// The position before this one, or 0 for 0.
    #[must_use]
    pub const fn previous(self) -> Index {
        Index(self.0.saturating_sub(1))
    }
}

impl EntryId {
    /// What stands before the first entry: index 0 in term 0.
    pub const ZERO: EntryId = EntryId { term: Term::ZERO, index: Index::ZERO };

    /// The id of the entry at `index`, appended in `term`.
    #[must_use]
    pub const fn new(term: Term, index: Index) -> EntryId {
        EntryId { term, index }
    }
}

impl WriteId {
    /// Before any write: what needs no write to be durable waits for this one.
    pub const ZERO: WriteId = WriteId(0);

    /// The write after this one.
    #[must_use]
    pub const fn next(self) -> WriteId {
        WriteId(self.0 + 1)
    }
}

/// Gives a number type the short form used in traces, for `{}` and for `{:?}`.
macro_rules! short_form {
    ($type:ty, $prefix:literal) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&alloc::format!(concat!($prefix, "{}"), self.0))
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

short_form!(NodeId, "n");
short_form!(Term, "t");
short_form!(Index, "");
short_form!(WriteId, "w");
short_form!(Tag, "#");

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&alloc::format!("{}@{}", self.index, self.term))
    }
}

impl fmt::Debug for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
