//! The values of a run: choices, digests, times, counts, and the words of a scenario.

pub mod choice;
pub mod digest;
pub mod distinct;
pub mod duration_range;
pub mod histogram;
pub mod substitution;
pub mod time;
pub(crate) mod words;
