//! The encoding of a backup: a header, the state in chunks with their hashes, and the root hash.
//! `docs/FORMAT.md` specifies it.

use std::fmt;
use std::io::{self, Read};

use crate::storage::{ClusterId, snapshot_root};
use crate::types::{EntryId, Index, Membership, Root, Term};

const MAGIC: [u8; 8] = *b"quorback";
const VERSION: u32 = 1;
/// The size of the header before its membership, in bytes.
const PREFIX_BYTES: usize = 56;
const CHECKSUM_BYTES: usize = 16;
/// The maximum size of a chunk in bytes; one is in memory at a time.
pub(crate) const CHUNK_BYTES_MAX: u32 = 1 << 20;
const CHUNK_BYTES_MIN: u32 = 512;
const HASH_BYTES: usize = 32;

const _: () = assert!(CHUNK_BYTES_MIN > 0, "a chunk of no bytes is the end frame");
const _: () = assert!(PREFIX_BYTES == 8 + 4 + 4 + 16 + 8 + 8 + 4 + 4, "the fields of the header");

/// The header of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupHeader {
    /// The id of the cluster whose state the backup contains.
    pub cluster: ClusterId,
    /// The last entry that the state covers; not zero.
    pub last: EntryId,
    /// The active membership at that entry.
    pub membership: Membership,
    /// The size of each chunk, from 512 bytes to 1 MiB; the last chunk may be shorter.
    pub chunk_bytes: u32,
}

/// An error in a backup, and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupError {
    /// The offset in the backup, in bytes, of the wrong field or frame, or of the end of a backup
    /// that ends early.
    pub offset: u64,
    /// A description of the error.
    pub description: String,
}

impl BackupHeader {
    /// Returns the offset of an invalid field in the encoded header, and the rule that the field
    /// violates, or `None` if the header is valid.
    pub(crate) fn violation(&self) -> Option<(u64, &'static str)> {
        let sizes = CHUNK_BYTES_MIN..=CHUNK_BYTES_MAX;
        if !sizes.contains(&self.chunk_bytes) {
            Some((12, "chunk_bytes must be from 512 to 1048576"))
        } else if self.last.index == Index::ZERO || self.last.index > Index::MAX {
            Some((40, "the index of the last entry is out of bounds"))
        } else if self.last.term == Term::ZERO || self.last.term > Term::MAX {
            Some((32, "the term of the last entry is out of bounds"))
        } else if self.membership.is_empty() || self.membership.violation().is_some() {
            Some((PREFIX_BYTES as u64, "invalid membership"))
        } else {
            None
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let membership = self.membership.encode();
        let mut bytes = Vec::with_capacity(PREFIX_BYTES + membership.len() + CHECKSUM_BYTES);
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(self.chunk_bytes.to_le_bytes());
        bytes.extend(self.cluster.0.to_le_bytes());
        bytes.extend(self.last.term.0.to_le_bytes());
        bytes.extend(self.last.index.0.to_le_bytes());
        let length = u32::try_from(membership.len()).expect("a membership is within its bound");
        bytes.extend(length.to_le_bytes());
        bytes.extend([0; 4]);
        assert_eq!(bytes.len(), PREFIX_BYTES, "the membership follows the prefix");
        bytes.extend(membership);
        let hash = blake3::hash(&bytes);
        bytes.extend(&hash.as_bytes()[..CHECKSUM_BYTES]);
        debug_assert_eq!(
            BackupHeader::read(&mut OffsetReader::new(&mut &bytes[..])).ok().as_ref(),
            Some(self),
            "the header can be read back"
        );
        bytes
    }

    /// Reads and verifies a header.
    pub(crate) fn read(from: &mut OffsetReader<'_>) -> io::Result<BackupHeader> {
        let prefix: [u8; PREFIX_BYTES] = from.array("the header")?;
        let number = |at: usize| u32::from_le_bytes(field(&prefix, at));
        let long = |at: usize| u64::from_le_bytes(field(&prefix, at));
        if prefix[..8] != MAGIC {
            return Err(damage(0, "not a backup"));
        }
        if number(8) != VERSION {
            let error = format!("version {}, but this program reads version {VERSION}", number(8));
            return Err(damage(8, error));
        }
        if number(48) as usize > Membership::BYTES_MAX {
            return Err(damage(48, "the membership is too large"));
        }
        let membership = from.bytes(number(48) as usize, "the header")?;
        let checksum: [u8; CHECKSUM_BYTES] = from.array("the header")?;
        let mut hasher = blake3::Hasher::new();
        hasher.update(&prefix).update(&membership);
        if hasher.finalize().as_bytes()[..CHECKSUM_BYTES] != checksum {
            return Err(damage(0, "the header's checksum does not match"));
        }
        let membership = Membership::decode(&membership)
            .ok_or_else(|| damage(PREFIX_BYTES as u64, "invalid membership"))?;
        let head = BackupHeader {
            cluster: ClusterId(u128::from_le_bytes(field(&prefix, 16))),
            last: EntryId::new(Term(long(32)), Index(long(40))),
            membership,
            chunk_bytes: number(12),
        };
        match head.violation() {
            Some((offset, violation)) => Err(damage(offset, violation)),
            None if number(52) != 0 => Err(damage(52, "reserved bytes are not zero")),
            None => Ok(head),
        }
    }

    /// Returns the root hash of a backup whose chunks have these hashes.
    pub(crate) fn root(&self, bytes: u64, hashes: &[u8]) -> Root {
        snapshot_root(self.last, &self.membership, bytes, self.chunk_bytes, hashes)
    }
}

/// Returns the frame before a chunk: its length and hash.
pub(crate) fn chunk_frame(chunk: &[u8]) -> Vec<u8> {
    assert!(!chunk.is_empty(), "a frame without bytes would end the backup");
    assert!(chunk.len() <= CHUNK_BYTES_MAX as usize, "a reader accepts the size of the chunk");
    let length = u32::try_from(chunk.len()).expect("a chunk is within its bound");
    let mut bytes = length.to_le_bytes().to_vec();
    bytes.extend(blake3::hash(chunk).as_bytes());
    bytes
}

/// Returns the end frame after the last chunk.
pub(crate) fn end_frame(bytes: u64, root: Root) -> Vec<u8> {
    let mut frame = [0; 4].to_vec();
    frame.extend(bytes.to_le_bytes());
    frame.extend(root.0);
    frame
}

/// Reads the next frame. Returns the verified chunk, or `None` at the end frame, whose root must
/// match the chunk hashes so far.
pub(crate) fn read_frame(
    from: &mut OffsetReader<'_>,
    head: &BackupHeader,
    bytes: u64,
    hashes: &mut Vec<u8>,
) -> io::Result<Option<Vec<u8>>> {
    let start = from.offset;
    let length = u32::from_le_bytes(from.array("the frame of a chunk or of the end")?);
    if length == 0 {
        let total = u64::from_le_bytes(from.array("the end frame")?);
        let root = Root(from.array("the end frame")?);
        if (total, root) != (bytes, head.root(bytes, hashes)) {
            return Err(damage(start, "the root does not match the chunks"));
        }
        let after = from.offset;
        let rest = read_at_most(from, 1)?;
        return match rest.is_empty() {
            true => Ok(None),
            false => Err(damage(after, "trailing bytes after the end")),
        };
    }
    if length > head.chunk_bytes || !bytes.is_multiple_of(u64::from(head.chunk_bytes)) {
        return Err(damage(start, "a chunk has the wrong size"));
    }
    let hash: [u8; HASH_BYTES] = from.array("a chunk's hash")?;
    let chunk = from.bytes(length as usize, "a chunk")?;
    if *blake3::hash(&chunk).as_bytes() != hash {
        return Err(damage(start, "the chunk's hash does not match"));
    }
    assert!(hashes.len().is_multiple_of(HASH_BYTES), "the hashes so far are whole");
    hashes.extend(hash);
    Ok(Some(chunk))
}

/// A reader that counts the bytes it has read.
pub(crate) struct OffsetReader<'a> {
    from: &'a mut dyn Read,
    pub(crate) offset: u64,
}

impl<'a> OffsetReader<'a> {
    pub(crate) fn new(from: &'a mut dyn Read) -> OffsetReader<'a> {
        OffsetReader { from, offset: 0 }
    }

    fn array<const N: usize>(&mut self, of: &str) -> io::Result<[u8; N]> {
        let bytes = self.bytes(N, of)?;
        Ok(*bytes.first_chunk().expect("the requested number of bytes"))
    }

    fn bytes(&mut self, count: usize, of: &str) -> io::Result<Vec<u8>> {
        let bytes = read_at_most(self, count)?;
        if bytes.len() < count {
            return Err(damage(self.offset, format!("the backup ends inside {of}")));
        }
        Ok(bytes)
    }
}

fn read_at_most(from: &mut OffsetReader<'_>, count: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.from.take(count as u64).read_to_end(&mut bytes)?;
    from.offset += bytes.len() as u64;
    Ok(bytes)
}

fn field<const N: usize>(bytes: &[u8; PREFIX_BYTES], at: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[at..at + N]);
    field
}

fn damage(offset: u64, description: impl Into<String>) -> io::Error {
    let damage = BackupError { offset, description: description.into() };
    io::Error::new(io::ErrorKind::InvalidData, damage)
}

impl fmt::Display for BackupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the backup at offset {}: {}", self.offset, self.description)
    }
}

impl std::error::Error for BackupError {}
