//! Disk writes of a node, and the state that it restores after a restart.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use crate::types::damage::DamagedEntry;
use crate::types::entries::Entries;
use crate::types::entry::Entry;
use crate::types::id::{EntryId, Index, NodeId, Term, WriteId};
use crate::types::membership::{Incarnation, Membership};
use crate::types::text::{debug_as_display, texts};
use crate::types::version::MachineVersion;

/// The state that a node must never lose: its term, its vote in that term (Raft §5.1, §5.2), its
/// longest vote lease (thesis §6.4.1), and whether it is uncertain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct HardState {
    /// The latest term the node has seen.
    pub term: Term,
    /// The candidate that the node voted for in that term, if any.
    pub vote: Option<NodeId>,
    /// The longest vote lease: how long after a leader's heartbeat the node withholds its vote from
    /// other candidates; zero as long as the node has used no leases.
    pub vote_lease: Duration,
    /// Whether the node is uncertain: its log may lack entries that it acknowledged, and its term
    /// and vote may be older than those that it once had (docs/REPAIR.md, R3).
    pub is_uncertain: bool,
}

impl HardState {
    /// Returns the hard state of a node in `term` with this vote and no vote lease, which is not
    /// uncertain.
    #[must_use]
    pub fn new(term: Term, vote: Option<NodeId>) -> HardState {
        HardState { term, vote, vote_lease: Duration::ZERO, is_uncertain: false }
    }
}

/// One batch of disk writes. A crash may leave any prefix of the batch durable, in this order: the
/// hard state, the snapshot, then the entries one by one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize))]
pub struct Write {
    /// The number that the driver reports in `Input::Persisted` once this batch and every earlier
    /// one are durable.
    pub id: WriteId,
    /// The new hard state, if it changed.
    pub hard_state: Option<HardState>,
    /// The node's commit index, at most the index that earlier writes have made durable. It lets a
    /// restarted node apply at once. It stays valid if no other part of the batch is durable.
    pub committed: Index,
    /// A received snapshot that replaces the whole log: every earlier entry is dropped, and the log
    /// continues after the snapshot. Its bytes are durable already.
    pub install: Option<Box<SnapshotMeta>>,
    /// Entries with consecutive indices. They replace all entries on disk at or after the first
    /// one's index: besides `install`, this is the only way in which a log is truncated.
    pub entries: Entries,
}

/// The root hash that identifies a snapshot's content; zeros for the empty state.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Root(pub [u8; 32]);

/// The description of a snapshot, which replaces the log up to `last`. The core passes `bytes` and
/// `root` on without interpreting them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct SnapshotMeta {
    /// The last entry the snapshot covers; [`EntryId::ZERO`] for the empty state.
    pub last: EntryId,
    /// The active membership at that entry. A new cluster starts from the empty snapshot with its
    /// first membership.
    pub membership: Membership,
    /// The size of the snapshot in bytes.
    pub bytes: u64,
    /// The hash of its content: snapshots with equal roots have equal bytes.
    pub root: Root,
}

impl SnapshotMeta {
    /// Returns a snapshot without content, for a log that starts after `last`.
    #[must_use]
    pub fn empty(last: EntryId, membership: Membership) -> SnapshotMeta {
        SnapshotMeta { last, membership, bytes: 0, root: Root::default() }
    }
}

/// The state a node starts from: the state that was durable when it stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Restored {
    /// The incarnation of the disk; zero if incarnations are not checked.
    pub incarnation: Incarnation,
    /// The term, the vote, the vote lease, and whether the node is uncertain.
    pub hard_state: HardState,
    /// The highest durable commit index. The node uses at most the last index of the log.
    pub committed: Index,
    /// The last snapshot, which ends at or after `base`.
    pub snapshot: SnapshotMeta,
    /// The entry before the first one that the disk still has. It is at or before the snapshot's
    /// last entry, because some covered entries are kept for peers that lag.
    pub base: EntryId,
    /// The first entry of each term in the log that is later than the term of `base`, in ascending
    /// order.
    pub runs: Vec<EntryId>,
    /// The index of the last entry of the log, or of `base` if the log is empty.
    pub last: Index,
    /// The damaged entries after the base, in ascending order; `tail` begins after the last one.
    pub damaged: Vec<DamagedEntry>,
    /// Every membership in the log after the snapshot, in ascending order, except for damaged ones.
    pub memberships: Vec<(Index, Membership)>,
    /// The last entries of the log, as many as the driver chooses: consecutive and ending at
    /// `last`, or none. The core requests older ones with `Action::Fetch`.
    pub tail: Vec<Entry>,
    /// The last index that the state machine has applied: at least the last index of the snapshot,
    /// because the driver first restores the state machine from it.
    pub applied: Index,
    /// The properties of the state machine that starts with this state.
    pub machine: MachineTraits,
}

/// The properties of a node's state machine that do not change while the node runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct MachineTraits {
    /// Whether the state machine keeps durable state of its own. It then gets no entry before that
    /// entry is durable on this node, so that a crash never leaves it ahead of the log.
    pub is_durable: bool,
    /// The highest version of the rules by which the state machine can apply commands.
    pub version_max: MachineVersion,
}

impl Restored {
    /// Returns the state of a node that has never run, in a cluster whose first membership is
    /// `membership`.
    #[must_use]
    pub fn fresh(membership: Membership) -> Restored {
        let snapshot = SnapshotMeta::empty(EntryId::ZERO, membership);
        Restored { snapshot, ..Restored::default() }
    }

    /// Returns the state of a node whose disk holds `hard_state`, a commit index and the whole log
    /// `entries` after `snapshot`; the state machine starts from the snapshot.
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

texts! {
    /// Writes the first eight hexadecimal digits.
    Root:
    Self([a, b, c, d, ..]) => "{a:02x}{b:02x}{c:02x}{d:02x}";
}

debug_as_display!(Root);
