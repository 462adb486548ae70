//! Exhaustive exploration of a small cluster: drives the real `Raft` through every order of
//! messages, flushes, timeouts and crashes, within bounds.
//!
//! [`explore::explore`] takes a [`scope::Scope`] and ends with all of it explored, with a limit
//! reached, or with a shortest path to a state that violates a safety property. The README states
//! which states are treated as equal, and why that hides no violation. [`repair::explore`] does the
//! same with an abstract model of the repair of damaged entries.

mod checks;
mod events;
pub mod explore;
mod history;
mod intern;
mod log;
mod moves;
mod network;
mod node;
mod quorum;
pub mod repair;
pub mod scope;
pub mod scopes;
mod search;
mod trace;
mod world;
