//! The key-value store: its state machine, and the encoding of commands, queries and replies.

mod bytes;
mod machine;
mod messages;
mod pair;
mod snapshot;

pub(crate) use machine::Store;
pub(crate) use messages::{Answer, Command, Pair, Query, Reply};
