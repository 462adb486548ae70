//! The types at the boundary of a node: its configuration, the errors of its start, its inputs and
//! actions and their texts, and the counts of the messages that it rejected.

pub(crate) mod action;
pub(crate) mod config;
pub(crate) mod input;
pub(crate) mod rejected_messages;
pub(crate) mod start;
mod trace;
