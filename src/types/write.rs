//! What a node asks of its disk, and what it gets back after a restart.

use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use crate::types::entry::Entry;
use crate::types::id::{EntryId, Index, NodeId, Term, WriteId};
use crate::types::membership::{Incarnation, Membership};

/// What a node must never forget: its term, its vote in that term (Raft §5.1, §5.2), and what it
/// promised leaders that hold leases (thesis §6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct HardState {
    /// The latest term the node has seen.
    pub term: Term,
    /// Whom it voted for in that term.
    pub vote: Option<NodeId>,
    /// For how long after a leader was heard of the node has ever promised to vote for nobody
    /// else; zero as long as no leader counts on it.
    pub promise: Duration,
}

impl HardState {
    /// A node in `term` that voted so, and has promised no leader anything.
    #[must_use]
    pub fn new(term: Term, vote: Option<NodeId>) -> HardState {
        HardState { term, vote, promise: Duration::ZERO }
    }
}

/// One batch for the disk. It is durable as a whole or, after a crash, in any part that a prefix
/// of its fields allows: first the hard state, then the snapshot, then the entries one by one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Write {
    /// The number to report in `Input::Persisted` once the batch, and every batch before it, is
    /// durable.
    pub id: WriteId,
    /// A new hard state, if it changed.
    pub hard_state: Option<HardState>,
    /// The node's commit index as far as earlier writes have made the log durable: it lets a
    /// restart apply at once. Safe to keep even if nothing else of the batch is kept.
    pub committed: Index,
    /// A received snapshot that takes the place of the whole log: every entry before this write is
    /// forgotten, and the log goes on after the snapshot. Its bytes are durable already.
    pub install: Option<SnapshotMeta>,
    /// Entries with consecutive indices. Whatever the disk holds at or after the first one's
    /// index is replaced: this is the only way a log is ever cut.
    pub entries: Vec<Entry>,
}

/// The hash that names a snapshot's content; zeros for the empty state.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Root(pub [u8; 32]);

/// What a snapshot stands for: the log up to `last`, under `membership`. The core passes on `bytes`
/// and `root` without looking at them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SnapshotMeta {
    /// The last entry the snapshot covers; [`EntryId::ZERO`] for the empty state.
    pub last: EntryId,
    /// The membership in force at that entry. A new cluster starts from the empty snapshot with
    /// its first membership.
    pub membership: Membership,
    /// How large the snapshot is, in bytes.
    pub bytes: u64,
    /// What names its content: equal roots, equal bytes.
    pub root: Root,
}

impl SnapshotMeta {
    /// A snapshot without content: what a log starts from where nothing but `last` and
    /// `membership` matters.
    #[must_use]
    pub fn empty(last: EntryId, membership: Membership) -> SnapshotMeta {
        SnapshotMeta { last, membership, bytes: 0, root: Root::default() }
    }
}

/// Everything a node starts from: exactly what was durable when it stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Restored {
    /// The life of the disk; zero where nobody tells one from another.
    pub incarnation: Incarnation,
    /// Term and vote.
    pub hard_state: HardState,
    /// The commit index of the last durable write; beyond the log's last index it counts as that.
    pub committed: Index,
    /// The last snapshot; at or after `base`.
    pub snapshot: SnapshotMeta,
    /// Where the log starts: the entry before the first that the disk still has. At most the
    /// snapshot's last, for some entries before that are kept for peers that lag.
    pub base: EntryId,
    /// The first entry of each term in the log after `base`, in ascending order.
    pub runs: Vec<EntryId>,
    /// The index of the last entry of the log, or of `base` if the log is empty.
    pub last: Index,
    /// Every membership in the log after the snapshot, in ascending order.
    pub memberships: Vec<(Index, Membership)>,
    /// The last entries of the log, as many as the driver likes to hand over at once: consecutive
    /// and ending at `last`, or none. Older ones are asked for with `Action::Fetch`.
    pub tail: Vec<Entry>,
    /// How far the state machine has applied the log by itself; at least the snapshot's index
    /// once the snapshot is installed.
    pub applied: Index,
}

impl Restored {
    /// A node that has never run, in a cluster whose first membership is `membership`.
    #[must_use]
    pub fn fresh(membership: Membership) -> Restored {
        let snapshot = SnapshotMeta::empty(EntryId::ZERO, membership);
        Restored { snapshot, ..Restored::default() }
    }

    /// A node whose disk holds `hard_state`, a commit hint and the whole log `entries`, on top of
    /// `snapshot`; the state machine starts from the snapshot.
    #[must_use]
    pub fn with_log(
        hard_state: HardState,
        committed: Index,
        snapshot: SnapshotMeta,
        entries: Vec<Entry>,
    ) -> Restored {
        let mut runs: Vec<EntryId> = Vec::new();
        let mut term = snapshot.last.term;
        for entry in &entries {
            if entry.id.term != term {
                term = entry.id.term;
                runs.push(entry.id);
            }
        }
        let last = entries.last().map_or(snapshot.last.index, |entry| entry.id.index);
        let (base, applied) = (snapshot.last, snapshot.last.index);
        let memberships = entries.iter().filter_map(Entry::membership).collect();
        let tail = entries;
        Restored {
            hard_state,
            committed,
            snapshot,
            base,
            runs,
            last,
            memberships,
            tail,
            applied,
            ..Restored::default()
        }
    }
}

impl fmt::Display for Root {
    /// The first eight hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
