//! The build of this tree.

pub(crate) use quorate;

#[path = "../build/disk.rs"]
mod disk;
#[path = "../build/machine.rs"]
mod machine;
#[path = "../build/node.rs"]
pub(crate) mod node;

use self::quorate::types::{Address, NodeId};
use self::quorate::wire::{Hello, Versions};

/// The hello of a node, whose fields differ between the builds.
fn hello(cluster: u128, from: NodeId, to: NodeId, incarnation: u128) -> Hello {
    let (versions, address) = (Versions::SUPPORTED, Address::new("10.0.0.1:7100"));
    let address = address.expect("the address is short");
    Hello { versions, cluster, from, to, incarnation, start_id: 0, address }
}
