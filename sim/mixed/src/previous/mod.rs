//! The build of the previous release.

pub(crate) use quorate_previous as quorate;

#[path = "../build/disk.rs"]
mod disk;
#[path = "../build/machine.rs"]
mod machine;
#[path = "../build/node.rs"]
pub(crate) mod node;
