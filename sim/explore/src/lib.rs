//! Every state a small cluster of cores can get into, within bounds: the real `Raft`, driven
//! through every order of messages, flushes, timeouts and crashes.
//!
//! [`explore::explore`] takes a [`scope::Scope`] and ends with all of it seen, with a limit
//! reached, or with the shortest way to a state that must not be. The README says which states
//! count as one, and why that hides nothing.

mod events;
pub mod explore;
mod history;
mod intern;
mod judge;
mod log;
mod moves;
mod network;
mod node;
mod quorum;
pub mod scope;
pub mod scopes;
mod trace;
mod world;
