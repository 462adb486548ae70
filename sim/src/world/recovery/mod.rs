//! The stabilization phase: a core of nodes is repaired and must make progress. Faults that occur
//! by chance in single steps end at every node; all other faults outside the core stay.

pub(super) mod core;
pub(super) mod stabilization;
