//! Bounds on the numbers that are read off a disk: what is at a bound is taken, what is beyond it
//! is refused although its checksums are right.

mod block;
mod recovery;
mod superblock;

use crate::storage::identity::{ClusterId, Identity, Incarnation};
use crate::types::NodeId;

fn identity() -> Identity {
    Identity { cluster: ClusterId(1), node: NodeId(2), incarnation: Incarnation(3) }
}
