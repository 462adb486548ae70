//! A segment of a node's log, and the sector codecs of its two zones.

use crate::storage::disk::FileName;
use crate::storage::identity::Identity;
use crate::storage::sector::{SectorCodec, Zone};

/// A segment of the node that `identity` names, and the codecs of its sectors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NodeSegment {
    pub(crate) identity: Identity,
    pub(crate) number: u64,
    /// The hash of identity and number that keys the checksums of the segment's sectors.
    pub(crate) salt: u64,
    pub(crate) headers: SectorCodec,
    pub(crate) bodies: SectorCodec,
}

impl NodeSegment {
    /// The highest segment number; a healthy log never reaches it.
    pub(crate) const NUMBER_MAX: u64 = 1 << 62;

    /// The highest segment number that a start accepts; the numbers above it are left for later
    /// segments.
    pub(crate) const RECOVERED_MAX: u64 = 1 << 61;

    pub(crate) fn new(identity: Identity, number: u64) -> NodeSegment {
        let salt = salt(&identity, number);
        let (headers, bodies) =
            (SectorCodec::new(salt, Zone::Headers), SectorCodec::new(salt, Zone::Bodies));
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
