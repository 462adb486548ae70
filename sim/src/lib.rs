//! Deterministic chaos simulation of a quorate cluster.

pub mod choice;
#[cfg(feature = "cli")]
pub mod cli;
pub mod coverage;
pub mod observe;
pub mod outcome;
pub mod profile;
pub mod run;
pub mod summary;
pub mod sweep;
pub mod time;
