//! The status of a node that has just started.

use std::time::Duration;

use quorate::raft::{RoleName, Status};
use quorate::types::{EntryId, Index, NodeId, Term};

/// Returns the status of a follower with an empty log that has not voted in its term.
pub(crate) fn follower(id: NodeId, term: Term) -> Status {
    Status {
        id,
        role: RoleName::Follower,
        term,
        vote: None,
        vote_lease: Duration::ZERO,
        leader: None,
        last: EntryId::ZERO,
        durable: Index::ZERO,
        committed: Index::ZERO,
        applied: Index::ZERO,
        snapshot: Index::ZERO,
        base: Index::ZERO,
        disk_full: false,
        damaged_entries: 0,
        is_uncertain: false,
        tail_bytes: 0,
        unapplied_bytes: 0,
        outbox_messages: 0,
        reads_waiting: 0,
    }
}
