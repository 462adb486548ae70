//! The key-value store: what a node keeps, and what clients say to it, as bytes.

mod bytes;
mod machine;
mod snapshot;
mod words;

pub(crate) use machine::Store;
pub(crate) use words::{Answer, Command, Pair, Query, Reply};
