//! Linearizable reads by read index (thesis §6.4), on the leader and forwarded by followers.

pub(crate) mod read_lease;

use alloc::collections::VecDeque;
use core::time::Duration;

use crate::raft::api::action::Action;
use crate::types::{Freshness, Index, Instant, NodeId, Tag};

/// Reads with a known read index that wait for the state machine to apply it, by ascending index.
/// They survive a role change, because the index stays valid.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ConfirmedReads {
    waiting: VecDeque<ConfirmedRead>,
    /// A random number that identifies this start of the node.
    pub(crate) start_id: u64,
    /// The number of the last read forwarded to a leader.
    last_ticket: u64,
}

/// A read that may be answered once `index` is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ConfirmedRead {
    pub(crate) tag: Tag,
    pub(crate) index: Index,
    pub(crate) freshness: Freshness,
}

impl ConfirmedRead {
    pub(crate) fn ready(self) -> Action {
        Action::ReadReady { tag: self.tag, index: self.index, freshness: self.freshness }
    }
}

impl ConfirmedReads {
    pub(crate) fn new(start_id: u64) -> ConfirmedReads {
        ConfirmedReads { waiting: VecDeque::new(), start_id, last_ticket: 0 }
    }

    pub(crate) fn insert(&mut self, read: ConfirmedRead) {
        let place = self.waiting.partition_point(|other| other.index <= read.index);
        self.waiting.insert(place, read);
    }

    /// Removes the next read that waits for an index up to `applied`.
    pub(crate) fn pop_through(&mut self, applied: Index) -> Option<ConfirmedRead> {
        self.waiting.pop_front_if(|read| read.index <= applied)
    }

    /// Removes the last read that waits for an index after `index`, and returns its tag.
    pub(crate) fn pop_after(&mut self, index: Index) -> Option<Tag> {
        self.waiting.pop_back_if(|read| read.index > index).map(|read| read.tag)
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn next_ticket(&mut self) -> u64 {
        self.last_ticket += 1;
        self.last_ticket
    }
}

/// A follower's reads that wait for the leader's reply, by ascending ticket. A reply covers every
/// read up to its ticket, because the leader chose its index after all of them had begun.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct ForwardedReads {
    waiting: VecDeque<ForwardedRead>,
    /// When the leader was last asked, if that request is unanswered.
    requested_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct ForwardedRead {
    ticket: u64,
    tag: Tag,
    since: Instant,
}

impl ForwardedReads {
    pub(crate) fn push(&mut self, ticket: u64, tag: Tag, since: Instant) {
        self.waiting.push_back(ForwardedRead { ticket, tag, since });
    }

    /// Returns the ticket to request now, or `None` if no read waits or the last request is younger
    /// than `retry_after`.
    pub(crate) fn next_request(&mut self, now: Instant, retry_after: Duration) -> Option<u64> {
        if self.requested_at.is_some_and(|at| now < at.after(retry_after)) {
            return None;
        }
        let ticket = self.waiting.back()?.ticket;
        self.requested_at = Some(now);
        Some(ticket)
    }

    /// Returns every instant in the reads' state.
    pub(crate) fn instants(&mut self) -> impl Iterator<Item = &mut Instant> {
        self.waiting.iter_mut().map(|read| &mut read.since).chain(&mut self.requested_at)
    }

    /// Allows the next request at once, because the leader has replied or never will.
    pub(crate) fn clear_request(&mut self) {
        self.requested_at = None;
    }

    /// Removes the next read that a reply to `ticket` covers, and returns its tag.
    pub(crate) fn pop_through(&mut self, ticket: u64) -> Option<Tag> {
        self.waiting.pop_front_if(|read| read.ticket <= ticket).map(|read| read.tag)
    }

    /// Removes the next read that has waited longer than `wait_max`, and returns its tag.
    pub(crate) fn pop_older(&mut self, now: Instant, wait_max: Duration) -> Option<Tag> {
        let older = |read: &mut ForwardedRead| read.since.after(wait_max) < now;
        self.waiting.pop_front_if(older).map(|read| read.tag)
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }
}

/// The requester of a read index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reader {
    /// A user of this node, the leader.
    Own(Tag),
    /// A follower, for the reads up to `ticket`.
    Peer { id: NodeId, start_id: u64, ticket: u64 },
}

/// A read on the leader that waits for a heartbeat round that began after the read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LeaderRead {
    pub(crate) reader: Reader,
    pub(crate) index: Index,
    pub(crate) round: u64,
}
