//! The checks of collections, held against the definition on small histories, and required to come
//! to a verdict on large ones. `CHECKER_FUZZ_ROUNDS` asks for more small ones than usual.

mod accounts;
mod counters;
mod fuzz;
mod lists;
mod pairs;
mod switches;
