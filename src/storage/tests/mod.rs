//! Limits of numbers that are read from a disk: a value at its limit is accepted, a value beyond it
//! is rejected although its checksums are valid. And errors that are not the disk's.

mod block;
mod exhausted;
mod floor;
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

/// Returns the payload of a header block with its entries, in the segment that it names.
fn payload(block: &Block, records: &[Record]) -> Vec<u8> {
    let mut bytes = block.encode(NodeSegment::new(block.identity, block.segment).salt);
    records.iter().for_each(|record| bytes.extend(record.encode()));
    bytes
}
