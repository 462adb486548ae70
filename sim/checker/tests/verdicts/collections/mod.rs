//! The checks of collections, compared with the definition on small histories, and required to
//! decide large ones. `CHECKER_FUZZ_ROUNDS` sets the number of small ones.

mod accounts;
mod counters;
pub(crate) mod fuzz;
mod lists;
mod pairs;
mod repeats;
mod switches;
