//! The window of proposals: the bytes that the node has appended to its log and not committed.
//!
//! Entries are committed in the order of the log, in which origins take no turns. So the log gets
//! only as many proposals at once as keep its disk and its peers busy, and further ones wait for
//! the turns of their origins.

use std::collections::VecDeque;

use crate::types::{Index, RoleName, Status};

/// The batches of proposals that the node has appended as a leader and not committed.
#[derive(Debug, Default)]
pub(super) struct ProposalWindow {
    /// The last index of the log after each batch, and the bytes of the batch.
    batches: VecDeque<(Index, usize)>,
    bytes: usize,
}

impl ProposalWindow {
    /// Removes the committed batches; all of them if the node does not lead, because it then
    /// rejects proposals at once. Returns the bytes that fit in a window of `bytes_max`.
    pub(super) fn room(&mut self, status: &Status, bytes_max: usize) -> usize {
        let leads = status.role == RoleName::Leader;
        let is_over = |(last, _): &mut (Index, usize)| !leads || *last <= status.committed;
        while let Some((_, bytes)) = self.batches.pop_front_if(is_over) {
            self.bytes -= bytes;
        }
        bytes_max.saturating_sub(self.bytes)
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
    use crate::raft::{Config, Raft};
    use crate::types::{Instant, Membership, NodeId, Restored};

    #[test]
    fn a_batch_takes_room_until_it_is_committed_or_the_node_leads_no_longer() {
        let restored = Restored::fresh(Membership::new([NodeId(1)]));
        let raft = Raft::new(Config::new(NodeId(1)), restored, 7, Instant::ZERO);
        let status = raft.expect("a valid start").status();
        let with = |role, committed| Status { role, committed: Index(committed), ..status };
        let mut window = ProposalWindow::default();
        let leader = |committed| with(RoleName::Leader, committed);
        assert_eq!(window.room(&leader(0), 100), 100);
        window.push(Index(3), 70);
        window.push(Index(5), 60);
        assert_eq!(window.room(&leader(2), 100), 0, "a batch may exceed the window");
        assert_eq!(window.room(&leader(4), 100), 40);
        assert_eq!(window.room(&leader(5), 100), 100);
        window.push(Index(9), 70);
        assert_eq!(window.room(&with(RoleName::Follower, 5), 100), 100);
    }
}
