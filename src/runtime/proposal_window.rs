//! The window of proposals: the bytes that the node has appended to its log and not committed.
//!
//! Entries are committed in the order of the log, in which origins take no turns. So the driver
//! appends only as many proposals at once as keep the disk and the peers busy; further ones wait
//! for the turns of their origins.

use std::collections::VecDeque;

use crate::types::Index;

/// The batches of proposals that the node has appended as a leader and not committed.
#[derive(Debug, Default)]
pub(super) struct ProposalWindow {
    /// The last index of the log after each batch, and the bytes of the batch.
    batches: VecDeque<(Index, usize)>,
    bytes: usize,
}

impl ProposalWindow {
    /// Removes the batches up to `committed`, and returns the bytes that fit in a window of
    /// `bytes_max`.
    pub(super) fn room(&mut self, committed: Index, bytes_max: usize) -> usize {
        while let Some((_, bytes)) = self.batches.pop_front_if(|(last, _)| *last <= committed) {
            self.bytes -= bytes;
        }
        bytes_max.saturating_sub(self.bytes)
    }

    /// Removes all batches: a node that does not lead rejects proposals at once.
    pub(super) fn clear(&mut self) {
        *self = ProposalWindow::default();
    }

    /// Adds a batch, after which `last` is the last index of the log.
    pub(super) fn push(&mut self, last: Index, bytes: usize) {
        self.batches.push_back((last, bytes));
        self.bytes += bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_takes_room_until_it_is_committed_or_the_window_is_cleared() {
        let mut window = ProposalWindow::default();
        assert_eq!(window.room(Index(0), 100), 100);
        window.push(Index(3), 70);
        window.push(Index(5), 60);
        assert_eq!(window.room(Index(2), 100), 0, "a batch may exceed the window");
        assert_eq!(window.room(Index(4), 100), 40);
        assert_eq!(window.room(Index(5), 100), 100);
        window.push(Index(9), 70);
        window.clear();
        assert_eq!(window.room(Index(5), 100), 100);
    }
}
