//! Example systems on quorate: each has a state machine, a server, a client and chaos tests in its
//! own folder. They share `common` and are independent of each other.
//!
//! Without the feature `commands` there are only the parts of the chat and the coordinator that
//! need no command line; `sim/turmoil` runs them.
#![deny(clippy::print_stderr, clippy::print_stdout, reason = "they panic if the write fails")]

pub mod common;

pub mod chat;
pub mod coordinator;
#[cfg(feature = "commands")]
pub mod courier;
#[cfg(feature = "commands")]
pub mod directory;
#[cfg(feature = "commands")]
pub mod orders;
