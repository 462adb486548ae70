//! Counting: what a quorum of a membership has reached, and how it votes.
//!
//! A quorum is a majority of the voters, or half of an even number of them if that half has the
//! casting vote; of a joint membership, a quorum of each half (Raft §6). Any two quorums share a
//! voter: two majorities do, and of two halves only one has the casting vote.
//! An empty half decides nothing by itself: it agrees to whatever the other half decides.

mod majority;
mod tally;

pub use majority::{is_quorum, reached};
pub use tally::{Tally, Verdict};
