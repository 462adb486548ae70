//! Deterministic chaos simulation of a quorate cluster.

pub mod choice;
pub mod coverage;
pub mod observe;
pub mod outcome;
pub mod profile;
pub mod run;
pub mod time;
