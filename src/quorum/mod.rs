//! Quorums: the number that a quorum of a membership has reached, and the votes in an election.
//!
//! A quorum is a majority of the voters, or half of an even number of voters if that half has the
//! casting vote. A quorum of a joint membership is a quorum of the incoming and of the outgoing
//! voters (Raft §6). Any two quorums of one voter set share a voter: two majorities do, and of two
//! halves only one has the casting vote. An empty voter set decides nothing: it agrees to every
//! decision of the other set.

mod majority;
mod tally;

pub use majority::{is_quorum, reached};
pub use tally::{Tally, VoteResult};
