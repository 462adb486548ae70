//! Counting: what a quorum of a membership has reached, and how it votes.
//!
//! A quorum is a majority of the voters; of a joint membership, a majority of each half (Raft §6).
//! An empty half decides nothing by itself: it agrees to whatever the other half decides.

mod majority;
mod tally;

pub use majority::{VOTERS_MAX, is_quorum, reached};
pub use tally::{Tally, Verdict};
