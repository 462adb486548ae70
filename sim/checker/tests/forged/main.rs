//! One stale read, one lost write, one duplicate application, one read inversion: after a long
//! and honest history of every model, each is noticed, and nothing is where there is none.

mod collections;
mod registers;
mod stage;
mod sums;
