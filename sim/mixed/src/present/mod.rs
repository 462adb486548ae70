//! The build of this tree.

pub(crate) use quorate;

#[path = "../build/disk.rs"]
mod disk;
#[path = "../build/machine.rs"]
mod machine;
#[path = "../build/node.rs"]
pub(crate) mod node;
