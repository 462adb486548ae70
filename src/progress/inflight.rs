//! The append messages in flight to one peer, bounded in messages, entries and bytes.

use alloc::collections::VecDeque;

use crate::types::Index;

/// The bounds on the append messages in flight to one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The maximum number of append messages in flight.
    pub messages_max: usize,
    /// The maximum number of entries in flight.
    pub entries_max: usize,
    /// The maximum number of bytes of entries in flight; a single larger entry may be sent alone.
    pub bytes_max: usize,
}

/// The append messages sent to one peer and not yet acknowledged, in the order of their entries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Inflight {
    messages: VecDeque<Sent>,
    entries: usize,
    bytes: usize,
    closed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
struct Sent {
    last: Index,
    entries: usize,
    bytes: usize,
}

impl Inflight {
    /// The number of messages in flight.
    #[must_use]
    pub fn messages(&self) -> usize {
        self.messages.len()
    }

    /// The number of entries in flight.
    #[must_use]
    #[inline]
    pub fn entries(&self) -> usize {
        self.entries
    }

    /// The bytes of the entries in flight.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a bound is reached, or the next entry did not fit.
    #[must_use]
    #[inline]
    pub fn is_full(&self, window: &Window) -> bool {
        self.closed
            || self.messages.len() >= window.messages_max
            || self.entries >= window.entries_max
            || self.bytes >= window.bytes_max
    }

    /// The number of entries, and the number of their bytes, that the window still allows.
    #[must_use]
    #[inline]
    pub fn room(&self, window: &Window) -> (usize, usize) {
        let entries = window.entries_max.saturating_sub(self.entries);
        let bytes = window.bytes_max.saturating_sub(self.bytes);
        (entries, bytes)
    }

    /// The index of the last entry in flight.
    pub(super) fn last(&self) -> Option<Index> {
        self.messages.back().map(|sent| sent.last)
    }

    /// Closes the window until a message is acknowledged or lost, because the next entry does not
    /// fit. Without this, an entry that is not in memory would be fetched again and again.
    pub fn close(&mut self) {
        assert!(self.entries > 0, "an entry that is sent alone always fits");
        self.closed = true;
    }

    /// Adds a sent message whose last entry is at `last`.
    #[inline]
    pub fn push(&mut self, last: Index, entries: usize, bytes: usize) {
        assert!(entries > 0, "a message without entries is not in flight");
        assert!(self.last().is_none_or(|sent| sent < last), "sent in order");
        self.messages.push_back(Sent { last, entries, bytes });
        self.entries += entries;
        self.bytes += bytes;
    }

    /// Removes the messages that end at or before `matched`, because the peer acknowledged them.
    #[inline]
    pub fn free_through(&mut self, matched: Index) {
        while let Some(sent) = self.messages.pop_front_if(|sent| sent.last <= matched) {
            self.closed = false;
            self.entries -= sent.entries;
            self.bytes -= sent.bytes;
        }
    }

    /// Removes all messages, because none is in flight now.
    pub fn clear(&mut self) {
        *self = Inflight::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_fills_the_window_and_an_acknowledgement_frees_it() {
        let window = Window { messages_max: 3, entries_max: 10, bytes_max: 100 };
        let mut inflight = Inflight::default();
        inflight.push(Index(10), 10, 1);
        assert!(inflight.is_full(&window), "entries");
        inflight.free_through(Index(9));
        assert!(inflight.is_full(&window), "the last entry is still in flight");
        inflight.free_through(Index(10));
        inflight.push(Index(11), 1, 100);
        assert!(inflight.is_full(&window), "bytes");
        inflight.clear();
        for index in 1..=3 {
            assert!(!inflight.is_full(&window));
            inflight.push(Index(index), 1, 1);
        }
        assert!(inflight.is_full(&window), "messages");
        inflight.free_through(Index(2));
        assert_eq!((inflight.messages(), inflight.entries(), inflight.bytes()), (1, 1, 1));
        assert_eq!(inflight.room(&window), (9, 99));
    }

    #[test]
    fn an_entry_that_does_not_fit_waits_for_an_acknowledgement() {
        let window = Window { messages_max: 3, entries_max: 10, bytes_max: 100 };
        let mut inflight = Inflight::default();
        inflight.push(Index(1), 1, 60);
        inflight.push(Index(2), 1, 20);
        inflight.close();
        inflight.free_through(Index(0));
        assert!(inflight.is_full(&window), "no message was acknowledged");
        inflight.free_through(Index(1));
        assert!(!inflight.is_full(&window), "a message was acknowledged");
        inflight.close();
        inflight.clear();
        assert!(!inflight.is_full(&window), "nothing is in flight any more");
    }
}
