//! Bounds on the numbers that are read off a disk: what is at a bound is taken, what is beyond it
//! is refused although its checksums are right.

mod block;
mod recovery;
mod superblock;

use crate::storage::block::{Block, Record};
use crate::storage::identity::{ClusterId, Identity};
use crate::storage::segment::NodeSegment;
use crate::types::Incarnation;
use crate::types::NodeId;

fn identity() -> Identity {
    Identity { cluster: ClusterId(1), node: NodeId(2), incarnation: Incarnation(3) }
}

/// The payload of a header block with its entries, as a segment of that number has it.
fn payload(block: &Block, records: &[Record]) -> Vec<u8> {
    let mut bytes = block.encode(NodeSegment::new(block.identity, block.segment).salt);
    records.iter().for_each(|record| bytes.extend(record.encode()));
    bytes
}
