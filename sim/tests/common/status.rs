//! The status of a node that has just started.

use quorate::raft::{Config, Raft, Status};
use quorate::types::{Instant, Membership, NodeId, Restored, Term};

/// Returns the status of a follower with an empty log that has not voted in its term.
pub(crate) fn follower(id: NodeId, term: Term) -> Status {
    let restored = Restored::fresh(Membership::new([id]));
    let raft = Raft::new(Config::new(id), restored, 7, Instant::ZERO).expect("a valid start");
    Status { term, ..raft.status() }
}
