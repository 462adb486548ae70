//! The build of the previous release.

pub(crate) use quorate_previous as quorate;

#[path = "../build/disk.rs"]
mod disk;
#[path = "../build/machine.rs"]
mod machine;
#[path = "../build/node.rs"]
pub(crate) mod node;

use self::quorate::types::NodeId;
use self::quorate::wire::{Hello, Versions};

/// The hello of a node, whose fields differ between the builds.
fn hello(cluster: u128, from: NodeId, to: NodeId, incarnation: u128) -> Hello {
    let versions = Versions::SUPPORTED;
    Hello { versions, cluster, from, to, incarnation, start_id: 0 }
}
