//! The stabilization phase: a core of nodes is repaired and must reach its goals, and every other
//! fault stays.

pub(super) mod core;
pub(super) mod stabilization;
