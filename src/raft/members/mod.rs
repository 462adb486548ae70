//! The other nodes, as far as a node in any role knows them.

pub(crate) mod survival;
