//! The reads of a follower that wait for the leader's reply.

use alloc::collections::VecDeque;
use core::time::Duration;

use crate::types::{Instant, Tag};

/// A follower's reads that wait for the leader's reply, by ascending ticket. A ticket is the number
/// of a forwarded read. A reply covers every read up to its ticket, because the leader chose its
/// index after all of them had begun.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct ForwardedReads {
    waiting: VecDeque<ForwardedRead>,
    /// When the leader was last asked, if that request is unanswered.
    requested_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
struct ForwardedRead {
    ticket: u64,
    tag: Tag,
    since: Instant,
}

impl ForwardedReads {
    pub(crate) fn push(&mut self, ticket: u64, tag: Tag, since: Instant) {
        let last = self.waiting.back();
        assert!(last.is_none_or(|last| last.ticket < ticket), "tickets ascend");
        assert!(last.is_none_or(|last| last.since <= since), "reads wait in order");
        self.waiting.push_back(ForwardedRead { ticket, tag, since });
    }

    /// Returns the ticket to request now, or `None` if no read waits, or if the last request is
    /// unanswered and younger than `retry_after`.
    pub(crate) fn next_request(&mut self, now: Instant, retry_after: Duration) -> Option<u64> {
        if self.requested_at.is_some_and(|at| now < at.after(retry_after)) {
            return None;
        }
        let ticket = self.waiting.back()?.ticket;
        self.requested_at = Some(now);
        Some(ticket)
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

#[cfg(feature = "explore")]
impl ForwardedReads {
    /// Returns every instant in the reads' state.
    pub(crate) fn instants(&mut self) -> impl Iterator<Item = &mut Instant> {
        self.waiting.iter_mut().map(|read| &mut read.since).chain(&mut self.requested_at)
    }
}
