//! Deterministic chaos simulation of a quorate cluster.

pub mod chain;
pub mod check;
pub mod digest;
pub mod observe;
pub mod outcome;
pub mod time;
