//! Linearizable reads by read index (thesis §6.4): on the leader, and forwarded by followers.

use alloc::collections::VecDeque;
use core::time::Duration;

use crate::raft::action::Action;
use crate::types::{Freshness, Index, Instant, NodeId, Tag};

/// Reads whose index is known and that wait for the state machine to get there, by ascending
/// index. They outlive a change of role: the index stays right.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ConfirmedReads {
    waiting: VecDeque<ConfirmedRead>,
    /// Tells this start of the node from every other.
    pub(crate) boot: u64,
    /// The number of the last read forwarded to a leader.
    tickets: u64,
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
    pub(crate) fn new(boot: u64) -> ConfirmedReads {
        ConfirmedReads { waiting: VecDeque::new(), boot, tickets: 0 }
    }

    pub(crate) fn wait(&mut self, read: ConfirmedRead) {
        let place = self.waiting.partition_point(|other| other.index <= read.index);
        self.waiting.insert(place, read);
    }

    /// The next read that waited for an index up to `applied`.
    pub(crate) fn pop_through(&mut self, applied: Index) -> Option<ConfirmedRead> {
        self.waiting.pop_front_if(|read| read.index <= applied)
    }

    /// The next read that waits for an index after `committed`.
    pub(crate) fn pop_after(&mut self, committed: Index) -> Option<Tag> {
        self.waiting.pop_back_if(|read| read.index > committed).map(|read| read.tag)
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn next_ticket(&mut self) -> u64 {
        self.tickets += 1;
        self.tickets
    }
}

/// A follower's reads that wait for the leader's answer, by ascending ticket. One answer covers
/// every read up to its ticket, for the leader chose its index after all of them had begun.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct ForwardedReads {
    waiting: VecDeque<ForwardedRead>,
    /// When the leader was last asked, if it has not answered.
    asked: Option<Instant>,
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

    /// The ticket to ask for now, if a read waits and the leader was not asked within `patience`.
    pub(crate) fn ask(&mut self, now: Instant, patience: Duration) -> Option<u64> {
        if self.asked.is_some_and(|asked| now < asked.after(patience)) {
            return None;
        }
        let ticket = self.waiting.back()?.ticket;
        self.asked = Some(now);
        Some(ticket)
    }

    /// Every instant these reads know.
    pub(crate) fn instants(&mut self) -> impl Iterator<Item = &mut Instant> {
        self.waiting.iter_mut().map(|read| &mut read.since).chain(&mut self.asked)
    }

    /// The leader has answered, or never will: what still waits may be asked for at once.
    pub(crate) fn answered(&mut self) {
        self.asked = None;
    }

    /// The next read that an answer to `ticket` covers.
    pub(crate) fn pop_through(&mut self, ticket: u64) -> Option<Tag> {
        self.waiting.pop_front_if(|read| read.ticket <= ticket).map(|read| read.tag)
    }

    /// The next read that has waited for longer than `patience`.
    pub(crate) fn pop_older(&mut self, now: Instant, patience: Duration) -> Option<Tag> {
        let older = |read: &mut ForwardedRead| read.since.after(patience) < now;
        self.waiting.pop_front_if(older).map(|read| read.tag)
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }
}

/// Who asked a leader for a read index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reader {
    /// The leader's own user.
    Own(Tag),
    /// A follower, for its users.
    Peer { id: NodeId, boot: u64, ticket: u64 },
}

/// A read at the leader that waits for a round of heartbeats begun after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LeaderRead {
    pub(crate) reader: Reader,
    pub(crate) index: Index,
    pub(crate) round: u64,
}
