//! One stale read, lost write, duplicate application or read inversion after a long correct history
//! of each object but the lock, whose histories are short: each is detected, and nothing is
//! reported without one.

mod collections;
mod registers;
mod stage;
mod sums;
