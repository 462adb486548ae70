//! The log, its snapshot, and the writes that make both durable.

pub(crate) mod outbox;
pub(crate) mod snapshots;
