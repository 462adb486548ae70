//! The stabilization phase: a core of nodes is repaired and must make progress. All other faults
//! stay.

pub(super) mod core;
pub(super) mod stabilization;
