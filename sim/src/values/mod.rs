//! The values of a run: choices, digests, times, counts, the words of a scenario, and the source
//! changes of planted bugs.

pub mod choice;
pub mod digest;
pub mod distinct;
pub mod duration_range;
pub mod histogram;
pub mod substitution;
pub mod time;
pub(crate) mod words;
