//! Deterministic chaos simulation of a quorate cluster.

pub mod chain;
pub mod check;
pub mod choice;
#[cfg(feature = "cli")]
pub mod cli;
pub mod coverage;
pub mod digest;
pub mod fault;
pub mod observe;
pub mod outcome;
pub mod plan;
pub mod profile;
pub mod run;
pub mod settings;
pub mod span;
pub mod summary;
pub mod sweep;
pub mod time;
pub mod trace;
mod witness;
mod world;
