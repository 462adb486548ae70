//! The reads on a leader that wait until its leadership is confirmed (thesis §6.4).
//!
//! TLA+: `docs/tla/quorate.tla`, BeginRead and IsConfirmed.

use alloc::collections::VecDeque;

use crate::raft::common::Common;
use crate::types::{Body, Freshness, Index, NodeId, Tag};

/// The reads on a leader that have a read index, or get one later.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct LeaderReads {
    /// This node's reads that came before an entry of this term was committed.
    early: VecDeque<Tag>,
    /// Reads that wait for a heartbeat round, by ascending round.
    waiting: VecDeque<LeaderRead>,
}

/// The requester of a read index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub(crate) enum Reader {
    /// A user of this node, the leader.
    Own(Tag),
    /// A follower, for the reads up to `ticket`.
    Peer { id: NodeId, start_id: u64, ticket: u64 },
}

/// A read on the leader that waits for a heartbeat round that began after the read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct LeaderRead {
    pub(crate) reader: Reader,
    pub(crate) index: Index,
    pub(crate) round: u64,
}

impl LeaderReads {
    pub(crate) fn len(&self) -> usize {
        self.early.len() + self.waiting.len()
    }

    /// The number of reads of this node's users.
    #[cfg(feature = "std")]
    pub(crate) fn own(&self) -> usize {
        let is_own = |read: &&LeaderRead| matches!(read.reader, Reader::Own(_));
        self.early.len() + self.waiting.iter().filter(is_own).count()
    }

    /// Whether a read waits for a heartbeat round.
    pub(crate) fn awaits_round(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether a read waits until an entry of this term is committed.
    pub(crate) fn has_early(&self) -> bool {
        !self.early.is_empty()
    }

    /// Whether this request for a read index waits already.
    pub(crate) fn contains(&self, reader: Reader) -> bool {
        self.waiting.iter().any(|read| read.reader == reader)
    }

    /// Adds a read of this node that waits until an entry of this term is committed.
    pub(crate) fn push_early(&mut self, tag: Tag) {
        self.early.push_back(tag);
    }

    /// Removes the next read that waits until an entry of this term is committed.
    pub(crate) fn pop_early(&mut self) -> Option<Tag> {
        self.early.pop_front()
    }

    /// Adds a read that waits for a heartbeat round.
    pub(crate) fn push(&mut self, read: LeaderRead) {
        let last = self.waiting.back();
        assert!(last.is_none_or(|last| last.round <= read.round), "rounds only increase");
        self.waiting.push_back(read);
    }

    /// Removes the next read whose round is at or before `confirmed`.
    pub(crate) fn pop_confirmed(&mut self, confirmed: u64) -> Option<LeaderRead> {
        self.waiting.pop_front_if(|read| read.round <= confirmed)
    }

    /// Panics unless the reads wait in the order of their rounds, none for a round after the next.
    pub(crate) fn assert_invariants(&self, round: u64) {
        let order = self.waiting.iter().is_sorted_by_key(|read| read.round);
        assert!(order, "reads wait in the order of their rounds");
        let last = self.waiting.back();
        assert!(last.is_none_or(|read| read.round <= round + 1), "reads wait for the next round");
    }
}

/// Answers the reads whose round is at or before the `confirmed` one.
pub(crate) fn answer_reads(common: &mut Common, reads: &mut LeaderReads, confirmed: u64) {
    while let Some(read) = reads.pop_confirmed(confirmed) {
        assert!(read.index <= common.log().committed(), "a read index is committed");
        match read.reader {
            Reader::Own(tag) => {
                common.confirm_read(tag, read.index, Freshness::Linearizable);
            }
            Reader::Peer { id, start_id, ticket } => {
                common.send(id, Body::ReadIndexReply { start_id, ticket, index: read.index });
            }
        }
    }
}
