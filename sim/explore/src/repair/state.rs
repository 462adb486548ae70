//! The abstract state of a cluster: the disk and the memory of each node, as small values.

use crate::repair::omissions::Omission;

/// The largest number of nodes, and of entries in a log.
pub(crate) const NODES_MAX: usize = 5;
pub(crate) const ENTRIES_MAX: usize = 6;
/// The largest term for which the history keeps a leader's log or counts elections, plus one.
pub(crate) const TERMS_MAX: usize = 8;

/// The place of one entry in a log, with the term in which the entry was appended: the index and
/// the term identify an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Slot {
    #[default]
    Absent,
    Intact(u8),
    /// The header is readable, and the body is not.
    Faulty(u8),
    /// Neither record is readable. Only the header of the next entry names this one.
    Lost(u8),
}

/// The log of a node, by index from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Log(pub(crate) [Slot; ENTRIES_MAX]);

impl Log {
    pub(crate) fn last(&self) -> u8 {
        let present = self.0.iter().rposition(|slot| *slot != Slot::Absent);
        present.map_or(0, |at| u8::try_from(at + 1).expect("the log is short"))
    }

    pub(crate) fn slot(&self, index: u8) -> Slot {
        let at = usize::from(index).wrapping_sub(1);
        self.0.get(at).copied().unwrap_or_default()
    }

    pub(crate) fn set(&mut self, index: u8, slot: Slot) {
        self.0[usize::from(index) - 1] = slot;
    }

    /// The entry at the index, whether or not the node can identify it.
    pub(crate) fn content(&self, index: u8) -> Option<u8> {
        match self.slot(index) {
            Slot::Absent => None,
            Slot::Intact(id) | Slot::Faulty(id) | Slot::Lost(id) => Some(id),
        }
    }

    /// The id of the entry at the index, if the node can identify it.
    pub(crate) fn id(&self, index: u8) -> Option<u8> {
        let is_named = matches!(self.slot(index + 1), Slot::Intact(_) | Slot::Faulty(_));
        match self.slot(index) {
            Slot::Lost(id) if is_named => Some(id),
            Slot::Lost(_) | Slot::Absent => None,
            Slot::Intact(id) | Slot::Faulty(id) => Some(id),
        }
    }

    pub(crate) fn is_intact(&self, index: u8) -> bool {
        matches!(self.slot(index), Slot::Intact(_))
    }

    /// Removes the entries from `first` on. Returns false if the log then ends with an entry that
    /// nothing identifies, which is removed, too.
    pub(crate) fn truncate(&mut self, first: u8) -> bool {
        let end = first - 1;
        let id = self.id(end);
        (first..=self.last()).rev().for_each(|index| self.set(index, Slot::Absent));
        match (self.slot(end), id) {
            (Slot::Lost(_), Some(id)) => self.set(end, Slot::Faulty(id)),
            (Slot::Lost(_), None) => {
                self.truncate(end);
                return false;
            }
            _ => {}
        }
        true
    }
}

/// The role of a node. Unless disks are rolled back, an election is one event, and no node is a
/// candidate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Role {
    #[default]
    Follower,
    /// The voters that have granted their votes, as bits.
    Candidate(u8),
    Leader(Leader),
}

/// The memory of a leader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Leader {
    /// The index up to which each node's acknowledgement counts, this leader's flush included.
    pub(crate) counted: [u8; NODES_MAX],
    /// The index up to which each node had intact entries when it acknowledged them.
    pub(crate) intact: [u8; NODES_MAX],
    /// The nodes that replied that they lack the highest damaged entry that may not be committed,
    /// as bits.
    pub(crate) lacking: u8,
    /// Whether the leader has appended or sent an entry.
    pub(crate) is_open: bool,
    /// The entry that was appended after the request of each uncertain node, 0 without a request.
    pub(crate) requests: [u8; NODES_MAX],
}

/// An older copy of a node's disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct OldDisk {
    pub(crate) term: u8,
    pub(crate) log: Log,
}

/// One node. A crash loses `role`, `goal` and `matched`, and sets `commit` back to `snapshot`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Node {
    pub(crate) term: u8,
    pub(crate) log: Log,
    /// The index of an intact snapshot. The model keeps the entries up to it in `log`, because the
    /// snapshot stands for them, but the node reads none of them there.
    pub(crate) snapshot: u8,
    /// Whether the node knows that it has every entry that it acknowledged.
    pub(crate) is_certain: bool,
    pub(crate) commit: u8,
    /// While the node is uncertain: the term of the leader that answered it, and the last index of
    /// that leader's log.
    pub(crate) goal: Option<(u8, u8)>,
    /// While the node is uncertain: the term of a leader, and the index up to which the node's log
    /// matches that leader's.
    pub(crate) matched: (u8, u8),
    /// The log before its last truncation: it is back if the truncation is lost.
    pub(crate) shadow: Log,
    pub(crate) old_disk: Option<OldDisk>,
    pub(crate) role: Role,
}

impl Node {
    pub(crate) fn new() -> Node {
        Node {
            term: 0,
            log: Log::default(),
            snapshot: 0,
            is_certain: true,
            commit: 0,
            goal: None,
            matched: (0, 0),
            shadow: Log::default(),
            old_disk: None,
            role: Role::Follower,
        }
    }

    pub(crate) fn leader(&self) -> Option<&Leader> {
        match &self.role {
            Role::Leader(leader) => Some(leader),
            Role::Follower | Role::Candidate(_) => None,
        }
    }

    /// Whether the node can serve the entry: from its log, or as a part of its snapshot.
    pub(crate) fn serves(&self, index: u8, id: u8) -> bool {
        index <= self.snapshot || self.log.slot(index) == Slot::Intact(id)
    }

    /// The highest index, at most `through`, up to which no entry after the snapshot is damaged or
    /// missing.
    pub(crate) fn intact_through(&self, through: u8) -> u8 {
        let damaged = (self.snapshot + 1..=through).find(|index| !self.log.is_intact(*index));
        damaged.map_or(through, |index| index - 1)
    }

    /// The highest damaged entry that is not known to be committed.
    pub(crate) fn unresolved(&self) -> Option<u8> {
        (self.commit.max(self.snapshot) + 1..=self.log.last())
            .rev()
            .find(|index| !self.log.is_intact(*index))
    }
}

/// The past that no node may contradict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct History {
    /// The committed entries from index 1 on, each with the term of the leader that committed it.
    pub(crate) committed: [Option<(u8, u8)>; ENTRIES_MAX],
    /// The logs of the former leaders by term, whose messages may still arrive.
    pub(crate) led: [Log; TERMS_MAX],
    /// The number of elections that were won in each term, if disks are rolled back.
    pub(crate) elections: [u8; TERMS_MAX],
}

/// All nodes at one point, and the rules that they follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cluster {
    pub(crate) nodes: [Node; NODES_MAX],
    pub(crate) count: usize,
    pub(crate) history: History,
    /// Whether messages of former leaders may arrive late.
    pub(crate) late: bool,
    /// Whether the end of a log can be lost, and a truncation with it.
    pub(crate) loses_ends: bool,
    /// Whether disks can be replaced by older copies of themselves.
    pub(crate) rolls_back: bool,
    pub(crate) omitted: Option<Omission>,
}

impl Cluster {
    pub(crate) fn omits(&self, omission: Omission) -> bool {
        self.omitted == Some(omission)
    }

    /// Whether a set of nodes, as bits, is a quorum.
    pub(crate) fn is_quorum(&self, set: u8) -> bool {
        2 * set.count_ones() as usize > self.count
    }

    pub(crate) fn places(&self) -> std::ops::Range<usize> {
        0..self.count
    }

    /// The nodes that satisfy a condition, as bits.
    pub(crate) fn set(&self, condition: impl Fn(&Node) -> bool) -> u8 {
        let satisfies = self.places().filter(|place| condition(&self.nodes[*place]));
        satisfies.fold(0, |set, place| set | 1 << place)
    }

    /// Returns the cluster in which the node at `order[i]` is at place `i`.
    pub(crate) fn reordered(&self, order: &[usize]) -> Cluster {
        let mut next = *self;
        for (place, from) in order.iter().enumerate() {
            next.nodes[place] = self.nodes[*from];
            match &mut next.nodes[place].role {
                Role::Follower => {}
                Role::Candidate(votes) => *votes = reordered_set(*votes, order),
                Role::Leader(leader) => {
                    let before = *leader;
                    leader.lacking = reordered_set(before.lacking, order);
                    for (place, from) in order.iter().enumerate() {
                        leader.counted[place] = before.counted[*from];
                        leader.intact[place] = before.intact[*from];
                        leader.requests[place] = before.requests[*from];
                    }
                }
            }
        }
        next
    }
}

/// The set of nodes, as bits, in the order in which the node at `order[i]` is at place `i`.
fn reordered_set(set: u8, order: &[usize]) -> u8 {
    let bits = order.iter().enumerate();
    bits.fold(0, |next, (place, from)| next | (set >> from & 1) << place)
}
