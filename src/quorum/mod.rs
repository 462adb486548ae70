//! Quorums: the highest number that a quorum of a membership has reached, and the votes in an
//! election.
//!
//! A quorum is a majority of the voters, or half of an even number of voters if that half has the
//! casting vote. A quorum of a joint membership is a quorum of the incoming and of the outgoing
//! voters (Raft §6). Any two quorums of one voter set share a voter: only two halves could be
//! disjoint, and then only one of them has the casting vote. An empty voter set agrees to every
//! decision, so that the other set decides alone.

mod majority;
mod tally;

pub use majority::{is_quorum, reached};
pub use tally::{Tally, VoteResult};
