//! The types at the boundary of a node: its configuration, inputs and actions, and their texts.

pub(crate) mod action;
pub(crate) mod config;
pub(crate) mod input;
pub(crate) mod rejected_messages;
pub(crate) mod start;
mod trace;
