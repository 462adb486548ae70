//! The header block of a flush, in the header zone of a segment, in the encoding of
//! `docs/FORMAT.md`.

use std::borrow::Cow;

use crate::storage::bytes::Reader;
use crate::storage::identity::Identity;
use crate::storage::sector::PAYLOAD_BYTES;
use crate::storage::segment::NodeSegment;
use crate::types::{Command, Entry, EntryId, Incarnation, Index, Membership, Payload, Term};

/// The size of the fixed part of a header block, in bytes of payload.
pub(crate) const BLOCK_BYTES: usize = 144;
/// The size of the header of one entry, in bytes.
pub(crate) const RECORD_BYTES: usize = 56;
/// The maximum number of entries in one flush: a header block of that many is smaller than 1 MiB.
pub(crate) const ENTRIES_MAX: usize = 16_384;

/// The maximum offset and length of the bodies of a flush, in bytes; every segment is smaller.
const BODIES_MAX: u64 = 1 << 40;

const MAGIC: [u8; 8] = *b"QUORALOG";
/// The version of the segment format that is written, and the only one that is read.
pub(crate) const VERSION: u32 = 1;
const _: () = assert!(BLOCK_BYTES <= PAYLOAD_BYTES, "the first sector has the fixed part");
const _: () =
    assert!(Block::payload_bytes(ENTRIES_MAX) < 1 << 20, "a header block is at most 1 MiB long");
const _: () = assert!(
    FlushSeq::RECOVERED_MAX.0 < FlushSeq::MAX.0,
    "a node that was opened has flush numbers left"
);

const KIND_NOOP: u32 = 1;
const KIND_COMMAND: u32 = 2;
const KIND_MEMBERSHIP: u32 = 3;

/// The sequence number of a flush: from 1, without gaps, over the lifetime of a directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FlushSeq(pub(crate) u64);

/// The first half of a BLAKE3 hash: of an entry's body or header, of the anchor of a log, of a copy
/// of the superblock, or of a mark of the floor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Digest(pub(crate) [u8; 16]);

/// The id of an entry, and the digest of its header. The header has the digest of the header before
/// it, so that the digest depends on every entry back to the first one, or to the last installed
/// snapshot ([`Link::anchor`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) id: EntryId,
    pub(crate) chain: Digest,
}

/// The header of one entry. It is equal on all nodes that received the log entry by entry. On a
/// node that installed a snapshot, the chain of later headers begins at the snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) id: EntryId,
    pub(crate) kind: u32,
    pub(crate) body_bytes: u32,
    pub(crate) body: Digest,
    /// The digest of the header of the entry before this one.
    pub(crate) chain: Digest,
}

/// The encoded header of an entry, and the link that the next entry follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) bytes: [u8; RECORD_BYTES],
    pub(crate) link: Link,
}

/// The fixed part of a header block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) entries: u32,
    pub(crate) identity: Identity,
    pub(crate) segment: u64,
    pub(crate) seq: FlushSeq,
    /// The entry that the flush follows; entries after it in older flushes are no longer part of
    /// the log.
    pub(crate) prev: Link,
    /// A lower bound of the commit index; it may be after the last entry of the flush.
    pub(crate) committed: Index,
    /// Entries through this index were durable before the flush began.
    pub(crate) watermark: Index,
    pub(crate) body_offset: u64,
    pub(crate) body_bytes: u64,
}

/// The reason why a payload is not a header block of the expected segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BlockError {
    /// The payload is not a valid header block of this segment; the text says how.
    Invalid(&'static str),
    /// The payload has another format version, node or segment number: the name of the field, the
    /// expected value, and the value found.
    Mismatch(&'static str, String, String),
}

impl FlushSeq {
    /// The highest number that is accepted; the room above it keeps arithmetic from overflowing.
    pub(crate) const MAX: FlushSeq = FlushSeq(1 << 62);
    /// The highest number with which a log may be opened, so that no node ever reaches `MAX`.
    pub(crate) const RECOVERED_MAX: FlushSeq = FlushSeq(1 << 61);

    pub(crate) const fn next(self) -> FlushSeq {
        FlushSeq(self.0 + 1)
    }
}

impl Digest {
    pub(crate) fn of(bytes: &[u8]) -> Digest {
        let hash = blake3::hash(bytes);
        let half = hash.as_bytes().first_chunk::<16>();
        Digest(*half.expect("a BLAKE3 hash has 32 bytes"))
    }
}

impl Link {
    /// Returns the link before the first entry of a log that begins after `id` and lacks the entry
    /// `id` itself: a log that begins at index 1, or after a received snapshot.
    pub(crate) fn anchor(id: EntryId) -> Link {
        if id == EntryId::ZERO {
            return Link::default();
        }
        let mut bytes = *b"quorate anchor\0\0________________";
        bytes[16..24].copy_from_slice(&id.term.0.to_le_bytes());
        bytes[24..].copy_from_slice(&id.index.0.to_le_bytes());
        Link { id, chain: Digest::of(&bytes) }
    }
}

/// Returns the bytes of an entry's body.
pub(crate) fn body_of(entry: &Entry) -> Cow<'_, [u8]> {
    match &entry.payload {
        Payload::Noop => Cow::Borrowed(&[]),
        Payload::Command(command) => Cow::Borrowed(command),
        Payload::Membership(membership) => Cow::Owned(membership.encode()),
    }
}

impl Record {
    /// Creates the header of `entry`, given the digest of its body and the digest `chain` of the
    /// header before it.
    pub(crate) fn of(entry: &Entry, body: Digest, chain: Digest) -> Record {
        let kind = match entry.payload {
            Payload::Noop => KIND_NOOP,
            Payload::Command(_) => KIND_COMMAND,
            Payload::Membership(_) => KIND_MEMBERSHIP,
        };
        let length = u32::try_from(entry.payload.bytes());
        let body_bytes = length.expect("command_bytes_max is below 4 GiB");
        Record { id: entry.id, kind, body_bytes, body, chain }
    }

    pub(crate) fn encode(&self) -> [u8; RECORD_BYTES] {
        let mut bytes = [0; RECORD_BYTES];
        bytes[..8].copy_from_slice(&self.id.term.0.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.id.index.0.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.kind.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.body_bytes.to_le_bytes());
        bytes[24..40].copy_from_slice(&self.body.0);
        bytes[40..].copy_from_slice(&self.chain.0);
        bytes
    }

    /// Decodes a header from its bytes; `None` if its kind is unknown, if an entry of this kind
    /// cannot have a body of this size, or if the size of header and body exceeds 32 bits.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Record> {
        let reader = &mut Reader::new(bytes);
        let id = EntryId::new(Term(reader.u64()?), Index(reader.u64()?));
        let (kind, body_bytes) = (reader.u32()?, reader.u32()?);
        let (body, chain) = (Digest(reader.array()?), Digest(reader.array()?));
        let known = match kind {
            KIND_NOOP => body_bytes == 0,
            KIND_MEMBERSHIP => body_bytes as usize <= Membership::BYTES_MAX,
            // Otherwise `Record::bytes` would overflow on 32-bit systems.
            _ => kind == KIND_COMMAND && body_bytes <= u32::MAX - RECORD_BYTES as u32,
        };
        known.then_some(Record { id, kind, body_bytes, body, chain })
    }

    /// Returns the link that the next entry follows.
    pub(crate) fn link(&self) -> Link {
        Link { id: self.id, chain: Digest::of(&self.encode()) }
    }

    /// Returns the bytes that the record occupies in the body zone: a copy of its header, and its
    /// body.
    pub(crate) fn bytes(&self) -> usize {
        RECORD_BYTES + self.body_bytes as usize
    }

    /// Returns true if the entry carries a membership.
    pub(crate) fn is_membership(&self) -> bool {
        self.kind == KIND_MEMBERSHIP
    }

    /// Returns the entry, or `None` if `body` does not match its length and digest, or is not a
    /// membership although the header says so.
    pub(crate) fn entry(&self, body: &[u8]) -> Option<Entry> {
        if body.len() != self.body_bytes as usize || Digest::of(body) != self.body {
            return None;
        }
        let payload = match self.kind {
            KIND_NOOP => Payload::Noop,
            KIND_MEMBERSHIP => Payload::Membership(Membership::decode(body)?),
            _ => Payload::Command(Command::from(body)),
        };
        Some(Entry { id: self.id, payload })
    }
}

impl Header {
    /// Encodes the header of `entry`, given the digest of its body, after `prev`.
    pub(crate) fn of(entry: &Entry, body: Digest, prev: Link) -> Header {
        assert_eq!(entry.id.index, prev.id.index.next(), "an entry follows the one before it");
        let bytes = Record::of(entry, body, prev.chain).encode();
        debug_assert!(Record::decode(&bytes).is_some(), "a start can read the header");
        Header { bytes, link: Link { id: entry.id, chain: Digest::of(&bytes) } }
    }
}

impl Block {
    /// Encodes the fixed part, for a segment whose salt is `salt`. The headers of its entries
    /// follow.
    pub(crate) fn encode(&self, salt: u64) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(BLOCK_BYTES);
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(self.entries.to_le_bytes());
        bytes.extend(self.identity.encode());
        for number in [self.segment, salt, self.seq.0, self.prev.id.term.0, self.prev.id.index.0] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(self.prev.chain.0);
        for number in [self.committed.0, self.watermark.0, self.body_offset, self.body_bytes] {
            bytes.extend(number.to_le_bytes());
        }
        assert_eq!(bytes.len(), BLOCK_BYTES, "the fixed part has its size");
        debug_assert_eq!(Block::fields(&bytes), Some((*self, salt)), "a start can read the block");
        bytes
    }

    /// Decodes the fixed part from the payload of the block's first sector in `segment`.
    ///
    /// # Errors
    /// A [`BlockError`] if the payload is invalid, or has another format version, node or segment.
    pub(crate) fn decode(payload: &[u8], segment: &NodeSegment) -> Result<Block, BlockError> {
        let version = version_of(payload).ok_or(BlockError::Invalid("not a header block"))?;
        if version != VERSION {
            let (expected, found) = (VERSION.to_string(), version.to_string());
            return Err(BlockError::Mismatch("version", expected, found));
        }
        let short = BlockError::Invalid("the header block is truncated");
        let (block, salt) = Block::fields(payload).ok_or(short)?;
        if let Some((field, expected, found)) = segment.identity.first_difference(&block.identity) {
            return Err(BlockError::Mismatch(field, expected, found));
        }
        if block.segment != segment.number {
            let (expected, found) = (segment.number.to_string(), block.segment.to_string());
            return Err(BlockError::Mismatch("segment number", expected, found));
        }
        let invalid = |message| Err(BlockError::Invalid(message));
        if salt != segment.salt {
            return invalid("the salt does not match the segment");
        }
        if block.entries == 0 || block.entries as usize > ENTRIES_MAX {
            return invalid("the number of entries in the header block is out of range");
        }
        let indices = [block.prev.id.index, block.committed, block.watermark];
        if indices.iter().any(|index| *index > Index::MAX) || block.prev.id.term > Term::MAX {
            return invalid("an index or term in the header block is out of range");
        }
        if block.body_offset.max(block.body_bytes) > BODIES_MAX {
            return invalid("the body range in the header block is out of range");
        }
        if block.seq > FlushSeq::MAX || block.seq == FlushSeq(0) {
            return invalid("the flush number is out of range");
        }
        if block.watermark > block.prev.id.index {
            return invalid("the durable watermark is after the previous entry");
        }
        Ok(block)
    }

    fn fields(payload: &[u8]) -> Option<(Block, u64)> {
        let mut reader = Reader::new(payload.get(12..)?);
        let entries = reader.u32()?;
        let identity = identity(&mut reader)?;
        let (segment, salt, seq) = (reader.u64()?, reader.u64()?, FlushSeq(reader.u64()?));
        let id = EntryId::new(Term(reader.u64()?), Index(reader.u64()?));
        let prev = Link { id, chain: Digest(reader.array()?) };
        let (committed, watermark) = (Index(reader.u64()?), Index(reader.u64()?));
        let (body_offset, body_bytes) = (reader.u64()?, reader.u64()?);
        let block = Block {
            entries,
            identity,
            segment,
            seq,
            prev,
            committed,
            watermark,
            body_offset,
            body_bytes,
        };
        Some((block, salt))
    }

    /// Returns the payload length of a block with `entries` entries, in bytes.
    pub(crate) const fn payload_bytes(entries: usize) -> usize {
        BLOCK_BYTES + entries * RECORD_BYTES
    }

    /// Returns the payload length in bytes, including the headers of the entries.
    pub(crate) fn bytes(&self) -> usize {
        Block::payload_bytes(self.entries as usize)
    }

    /// Decodes the headers of the entries. Their indices must be consecutive, their terms must not
    /// decrease, and each must have the digest of the one before it. With their bodies they must
    /// have the total size that the block states.
    ///
    /// # Errors
    /// A text that states the first contradiction.
    pub(crate) fn records(&self, payload: &[u8]) -> Result<Vec<Record>, &'static str> {
        let bytes =
            payload.get(BLOCK_BYTES..self.bytes()).ok_or("the header block is truncated")?;
        let mut reader = Reader::new(bytes);
        let mut records = Vec::with_capacity(self.entries as usize);
        let mut length = 0_u64;
        for _ in 0..self.entries {
            let record = reader
                .bytes(RECORD_BYTES)
                .and_then(Record::decode)
                .ok_or("an entry has an unknown kind or an invalid size")?;
            let before = records.last().map_or(self.prev, Record::link);
            if record.id.index > Index::MAX || record.id.term > Term::MAX {
                return Err("an index or term of an entry is out of range");
            }
            if record.id.index != before.id.index.next() {
                return Err("the entries are not consecutive");
            }
            if record.id.term < before.id.term {
                return Err("the terms of the entries decrease");
            }
            if record.chain != before.chain {
                return Err("the hash chain of the entries is broken");
            }
            length += record.bytes() as u64;
            records.push(record);
        }
        if length != self.body_bytes {
            return Err("the total size of the bodies does not match the entries");
        }
        Ok(records)
    }
}

/// Returns the version in a payload that begins with the magic of a header block.
pub(crate) fn version_of(payload: &[u8]) -> Option<u32> {
    let mut reader = Reader::new(payload);
    (reader.array() == Some(MAGIC)).then(|| reader.u32())?
}

/// Returns the identity and the segment number that a header block claims; they determine the salt
/// of its sector checksums.
pub(crate) fn claimed_segment(payload: &[u8]) -> Option<(Identity, u64)> {
    version_of(payload)?;
    let mut reader = Reader::new(payload.get(16..PAYLOAD_BYTES)?);
    let identity = identity(&mut reader)?;
    Some((identity, reader.u64()?))
}

fn identity(reader: &mut Reader<'_>) -> Option<Identity> {
    use crate::storage::identity::ClusterId;
    use crate::types::NodeId;
    let (cluster, node) = (ClusterId(reader.u128()?), NodeId(reader.u64()?));
    Some(Identity { cluster, node, incarnation: Incarnation(reader.u128()?) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::identity::ClusterId;
    use crate::types::Incarnation;
    use crate::types::NodeId;

    fn identity() -> Identity {
        Identity { cluster: ClusterId(1), node: NodeId(2), incarnation: Incarnation(3) }
    }

    fn sample() -> (Block, Vec<Record>) {
        let prev = Link::anchor(EntryId::new(Term(1), Index(4)));
        let mut records: Vec<Record> = Vec::new();
        let commands = [None, Some("a"), Some("bcd")];
        for (place, command) in commands.into_iter().enumerate() {
            let payload = command.map_or(Payload::Noop, |text| Payload::Command(text.into()));
            let id = EntryId::new(Term(2), Index(5 + place as u64));
            let entry = Entry { id, payload };
            let chain = records.last().map_or(prev.chain, |record| record.link().chain);
            records.push(Record::of(&entry, Digest::of(&body_of(&entry)), chain));
        }
        let body_bytes = records.iter().map(|record| record.bytes() as u64).sum();
        let block = Block {
            entries: 3,
            identity: identity(),
            segment: 9,
            seq: FlushSeq(7),
            prev,
            committed: Index(3),
            watermark: Index(4),
            body_offset: 4096,
            body_bytes,
        };
        (block, records)
    }

    fn payload(block: &Block, records: &[Record]) -> Vec<u8> {
        let mut bytes = block.encode(NodeSegment::new(block.identity, block.segment).salt);
        records.iter().for_each(|record| bytes.extend(record.encode()));
        bytes
    }

    #[test]
    fn an_encoded_block_decodes_to_itself() {
        let (block, records) = sample();
        let bytes = payload(&block, &records);
        assert_eq!(bytes.len(), block.bytes());
        assert_eq!(Block::decode(&bytes, &NodeSegment::new(identity(), 9)), Ok(block));
        assert_eq!(block.records(&bytes), Ok(records));
    }

    #[test]
    fn a_mismatch_names_the_field_and_both_values() {
        let (block, records) = sample();
        let bytes = payload(&block, &records);
        let mut other = identity();
        other.node = NodeId(8);
        let mismatch = |field, expected: &str, found: &str| {
            Err(BlockError::Mismatch(field, expected.to_owned(), found.to_owned()))
        };
        assert_eq!(
            Block::decode(&bytes, &NodeSegment::new(other, 9)),
            mismatch("node", "n8", "n2")
        );
        assert_eq!(
            Block::decode(&bytes, &NodeSegment::new(identity(), 8)),
            mismatch("segment number", "8", "9")
        );
        let mut newer = bytes.clone();
        newer[8] = 2;
        assert_eq!(
            Block::decode(&newer, &NodeSegment::new(identity(), 9)),
            mismatch("version", "1", "2")
        );
    }

    #[test]
    fn a_truncated_or_altered_block_never_panics() {
        let (block, records) = sample();
        let bytes = payload(&block, &records);
        for length in 0..bytes.len() {
            if let Ok(short) = Block::decode(&bytes[..length], &NodeSegment::new(identity(), 9)) {
                assert!(short.records(&bytes[..length]).is_err(), "{length}");
            }
        }
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 0xff;
            if let Ok(other) = Block::decode(&changed, &NodeSegment::new(identity(), 9)) {
                assert_ne!((other.records(&changed), other), (Ok(records.clone()), block));
            }
        }
    }

    #[test]
    fn the_largest_block_fits_into_a_mebibyte() {
        let bytes = BLOCK_BYTES + ENTRIES_MAX * RECORD_BYTES;
        assert!(crate::storage::sector::framed_bytes(bytes) <= 1 << 20);
    }
}
