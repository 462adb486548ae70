//! A segment of a node's log, and what its bytes are known by.

use crate::storage::disk::FileName;
use crate::storage::identity::Identity;
use crate::storage::sector::{Seal, Zone};

/// A segment of this node, or of whoever it names, and what its sectors are sealed with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NodeSegment {
    pub(crate) identity: Identity,
    pub(crate) number: u64,
    /// Keys the checksums of its sectors.
    pub(crate) salt: u64,
    pub(crate) headers: Seal,
    pub(crate) bodies: Seal,
}

impl NodeSegment {
    pub(crate) fn new(identity: Identity, number: u64) -> NodeSegment {
        let salt = salt(&identity, number);
        let (headers, bodies) = (Seal::new(salt, Zone::Headers), Seal::new(salt, Zone::Bodies));
        NodeSegment { identity, number, salt, headers, bodies }
    }

    pub(crate) fn file(&self) -> FileName {
        FileName::Segment(self.number)
    }
}

fn salt(identity: &Identity, segment: u64) -> u64 {
    let mut bytes = [0; Identity::BYTES + 8];
    bytes[..Identity::BYTES].copy_from_slice(&identity.encode());
    bytes[Identity::BYTES..].copy_from_slice(&segment.to_le_bytes());
    let hash = blake3::hash(&bytes);
    let first = hash.as_bytes().first_chunk();
    u64::from_le_bytes(*first.expect("a hash has 32 bytes"))
}
