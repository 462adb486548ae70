//! Deterministic chaos simulation of a quorate cluster.

pub mod observe;
pub mod outcome;
pub mod time;
