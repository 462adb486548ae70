//! The encoding of a snapshot file: a header, the content in chunks, and the manifest with the hash
//! of every chunk. `docs/FORMAT.md` describes it byte by byte.

use std::ops::Range;

use crate::storage::disk::FileName;
use crate::storage::error::StorageError;
use crate::storage::identity::ClusterId;
use crate::types::{EntryId, Index, Membership, Root, SnapshotMeta, Term};

/// The size of the header in bytes, and the offset of the content.
pub(crate) const HEADER_BYTES: u64 = 4096;
/// The smallest chunk in bytes; the part of a manifest before its membership fits in it.
pub(crate) const CHUNK_BYTES_MIN: u32 = 512;
/// The largest chunk, in bytes.
pub(crate) const CHUNK_BYTES_MAX: u32 = 1 << 20;
/// The smallest valid `manifest_bytes_max`: a manifest with the largest membership still has room
/// for a few hashes.
pub(crate) const MANIFEST_BYTES_MIN: u32 = 4096;
/// The maximum size of one read, in bytes; no chunk is larger.
pub(crate) const RUN_BYTES: u64 = 1 << 20;
/// The size of the hash of a chunk, in bytes.
pub(crate) const HASH_BYTES: u64 = 32;

const HEADER_MAGIC: [u8; 8] = *b"quorsnap";
const MANIFEST_MAGIC: [u8; 8] = *b"quormani";
const VERSION: u32 = 1;
/// The offset of the header's checksum, which covers everything before it.
const CHECKSUM_AT: usize = HEADER_BYTES as usize - 16;
/// The size of a manifest before its membership, in bytes.
pub(crate) const PREFIX_BYTES: u64 = 48;

const _: () = assert!(
    PREFIX_BYTES <= CHUNK_BYTES_MIN as u64,
    "the first piece of a manifest states its size"
);
const _: () = assert!(CHUNK_BYTES_MAX as u64 <= RUN_BYTES, "a chunk is read at once");
const _: () = assert!(
    PREFIX_BYTES + Membership::BYTES_MAX as u64 + 4 * HASH_BYTES <= MANIFEST_BYTES_MIN as u64,
    "the smallest limit has room for the largest membership and a few hashes"
);

/// An error in encoded bytes, and its offset in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FormatError {
    pub(crate) offset: u64,
    pub(crate) message: String,
}

/// The header of a snapshot file. It does not name the node that wrote it, so that the files with
/// the same root are equal on all nodes of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) cluster: ClusterId,
    pub(crate) chunk_bytes: u32,
    pub(crate) last: EntryId,
    /// The size of the content, in bytes.
    pub(crate) bytes: u64,
    pub(crate) manifest_bytes: u32,
    pub(crate) root: Root,
}

/// The description of a snapshot's content: the hash of every chunk. Its own hash is the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    meta: SnapshotMeta,
    chunk_bytes: u32,
    encoded: Vec<u8>,
}

impl FormatError {
    fn new(offset: u64, message: impl Into<String>) -> FormatError {
        FormatError { offset, message: message.into() }
    }

    /// Turns the error in bytes that begin at `base` in `file` into a [`StorageError`].
    pub(crate) fn at(self, file: FileName, base: u64) -> StorageError {
        StorageError::damage(file, base + self.offset, self.message)
    }
}

impl Header {
    /// Creates the header of the file that `manifest` describes.
    pub(crate) fn of(cluster: ClusterId, manifest: &Manifest) -> Header {
        Header {
            cluster,
            chunk_bytes: manifest.chunk_bytes,
            last: manifest.meta.last,
            bytes: manifest.meta.bytes,
            manifest_bytes: u32::try_from(manifest.encoded.len())
                .expect("a manifest is bounded far below 4 GiB"),
            root: manifest.meta.root,
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut block = Vec::with_capacity(HEADER_BYTES as usize);
        block.extend(HEADER_MAGIC);
        block.extend(VERSION.to_le_bytes());
        block.extend(self.chunk_bytes.to_le_bytes());
        block.extend(self.cluster.0.to_le_bytes());
        block.extend(self.last.term.0.to_le_bytes());
        block.extend(self.last.index.0.to_le_bytes());
        block.extend(self.bytes.to_le_bytes());
        block.extend(self.manifest_bytes.to_le_bytes());
        block.extend([0; 4]);
        block.extend(self.root.0);
        assert!(block.len() <= CHECKSUM_AT, "the fields of a header end before its checksum");
        block.resize(CHECKSUM_AT, 0);
        block.extend(checksum(&block));
        debug_assert_eq!(Header::decode(&block).as_ref(), Ok(self), "the header can be read");
        block
    }

    /// Decodes a header block.
    ///
    /// # Errors
    /// The first error, if this version cannot read the block as a header.
    pub(crate) fn decode(block: &[u8]) -> Result<Header, FormatError> {
        let mut fields = FieldReader { rest: block, at: 0 };
        fields.expect_bytes(&HEADER_MAGIC, "not the header of a snapshot")?;
        fields.version()?;
        if block.len() as u64 != HEADER_BYTES {
            return Err(FormatError::new(block.len() as u64, "the header is truncated"));
        }
        if checksum(&block[..CHECKSUM_AT]) != block[CHECKSUM_AT..] {
            return Err(FormatError::new(0, "the header's checksum does not match"));
        }
        let chunk_bytes = fields.chunk_bytes()?;
        let cluster = ClusterId(fields.take().map(u128::from_le_bytes)?);
        let last = fields.entry_id()?;
        let bytes = fields.u64()?;
        let manifest_bytes = fields.u32()?;
        fields.expect_bytes(&[0; 4], "reserved bytes are not zero")?;
        let root = Root(fields.take()?);
        Ok(Header { cluster, chunk_bytes, last, bytes, manifest_bytes, root })
    }
}

impl Manifest {
    /// Creates the manifest of `bytes` bytes of content whose chunks have `hashes`, in order.
    pub(crate) fn new(
        last: EntryId,
        membership: Membership,
        bytes: u64,
        chunk_bytes: u32,
        hashes: &[u8],
    ) -> Manifest {
        let expected = bytes.div_ceil(u64::from(chunk_bytes)) * HASH_BYTES;
        assert_eq!(hashes.len() as u64, expected, "each chunk has one hash");
        let mut encoded = Vec::with_capacity(hashes.len() + 256);
        encoded.extend(MANIFEST_MAGIC);
        encoded.extend(VERSION.to_le_bytes());
        encoded.extend(chunk_bytes.to_le_bytes());
        encoded.extend(last.term.0.to_le_bytes());
        encoded.extend(last.index.0.to_le_bytes());
        encoded.extend(bytes.to_le_bytes());
        assert!(membership.violation().is_none(), "contract: the membership is valid");
        let members = membership.encode();
        let length = u32::try_from(members.len())
            .expect("a membership is at most Membership::BYTES_MAX long");
        encoded.extend(length.to_le_bytes());
        encoded.extend([0; 4]);
        assert_eq!(encoded.len() as u64, PREFIX_BYTES, "the membership follows the prefix");
        encoded.extend(members);
        encoded.extend(hashes);
        let root = Root(*blake3::hash(&encoded).as_bytes());
        let meta = SnapshotMeta { last, membership, bytes, root };
        Manifest { meta, chunk_bytes, encoded }
    }

    /// Decodes a manifest.
    ///
    /// # Errors
    /// The first error, if this version cannot read the bytes as a manifest.
    pub(crate) fn decode(encoded: Vec<u8>) -> Result<Manifest, FormatError> {
        let prefix = Prefix::decode(&encoded)?;
        if prefix.manifest_bytes() != encoded.len() as u64 {
            return Err(FormatError::new(0, "the size of the manifest contradicts its fields"));
        }
        let members = &encoded[PREFIX_BYTES as usize..][..prefix.membership_bytes as usize];
        let membership = Membership::decode(members)
            .ok_or_else(|| FormatError::new(PREFIX_BYTES, "the membership is invalid"))?;
        let root = Root(*blake3::hash(&encoded).as_bytes());
        let meta = SnapshotMeta { last: prefix.last, membership, bytes: prefix.bytes, root };
        Ok(Manifest { meta, chunk_bytes: prefix.chunk_bytes, encoded })
    }

    pub(crate) fn meta(&self) -> &SnapshotMeta {
        &self.meta
    }

    pub(crate) fn encoded(&self) -> &[u8] {
        &self.encoded
    }

    /// Returns the number of chunks of the content.
    pub(crate) fn chunks(&self) -> u32 {
        let chunks = self.meta.bytes.div_ceil(u64::from(self.chunk_bytes));
        u32::try_from(chunks).expect("a manifest in memory has fewer hashes")
    }

    /// Returns the offset of a chunk in the file.
    pub(crate) fn offset(&self, chunk: u32) -> u64 {
        HEADER_BYTES + u64::from(chunk) * u64::from(self.chunk_bytes)
    }

    /// Returns the total size of a range of chunks, in bytes.
    pub(crate) fn bytes(&self, chunks: &Range<u32>) -> u64 {
        let end = HEADER_BYTES + self.meta.bytes;
        self.offset(chunks.end).min(end) - self.offset(chunks.start).min(end)
    }

    /// Returns the chunks that are read at once, from `first` on.
    pub(crate) fn run(&self, first: u32) -> Range<u32> {
        let count = u32::try_from(RUN_BYTES / u64::from(self.chunk_bytes)).unwrap_or(1).max(1);
        first..first.saturating_add(count).min(self.chunks())
    }

    /// Returns the size of the whole file, in bytes.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.file_offset() + self.encoded.len() as u64
    }

    /// Returns the offset of the manifest in the file.
    pub(crate) fn file_offset(&self) -> u64 {
        manifest_offset(self.meta.bytes)
    }

    /// Returns true if `bytes` match the size and the hash of the chunk.
    pub(crate) fn chunk_matches(&self, chunk: u32, bytes: &[u8]) -> bool {
        assert!(chunk < self.chunks(), "the manifest has the hash of the chunk");
        let hashes = self.encoded.len() - self.chunks() as usize * HASH_BYTES as usize;
        let at = hashes + chunk as usize * HASH_BYTES as usize;
        bytes.len() as u64 == self.bytes(&(chunk..chunk + 1))
            && blake3::hash(bytes).as_bytes()[..] == self.encoded[at..at + HASH_BYTES as usize]
    }

    /// Returns, for a run that was read, each chunk and whether its bytes match.
    pub(crate) fn check_run<'a>(
        &'a self,
        run: Range<u32>,
        bytes: &'a [u8],
    ) -> impl Iterator<Item = (u32, bool)> + 'a {
        assert!(run.end <= self.chunks(), "the manifest has the hashes of the run");
        let base = self.offset(run.start);
        run.map(move |chunk| {
            let from = (self.offset(chunk) - base) as usize;
            let to = from + self.bytes(&(chunk..chunk + 1)) as usize;
            (chunk, bytes.get(from..to).is_some_and(|bytes| self.chunk_matches(chunk, bytes)))
        })
    }

    /// Returns the number of pieces in which the manifest is sent: each has `chunk_bytes`, the last
    /// may be shorter.
    pub(crate) fn pieces(&self) -> u32 {
        u32::try_from(self.encoded.len())
            .expect("a manifest is bounded far below 4 GiB")
            .div_ceil(self.chunk_bytes)
    }

    /// Returns one of the pieces in which the manifest is sent, if it exists.
    pub(crate) fn piece(&self, number: u32) -> Option<&[u8]> {
        self.encoded.chunks(self.chunk_bytes as usize).nth(number as usize)
    }
}

/// Returns the root of a snapshot of `bytes` bytes whose chunks have `hashes`, in order.
pub(crate) fn snapshot_root(
    last: EntryId,
    membership: &Membership,
    bytes: u64,
    chunk_bytes: u32,
    hashes: &[u8],
) -> Root {
    Manifest::new(last, membership.clone(), bytes, chunk_bytes, hashes).meta().root
}

/// The fields in the first bytes of a manifest, which determine its size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prefix {
    pub(crate) chunk_bytes: u32,
    pub(crate) last: EntryId,
    pub(crate) bytes: u64,
    /// The size of the encoded membership, in bytes.
    membership_bytes: u32,
}

impl Prefix {
    /// Decodes the first bytes of a manifest.
    ///
    /// # Errors
    /// The first error, if this version cannot read them as the start of a manifest.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Prefix, FormatError> {
        let mut fields = FieldReader { rest: bytes, at: 0 };
        fields.expect_bytes(&MANIFEST_MAGIC, "not a manifest")?;
        fields.version()?;
        let chunk_bytes = fields.chunk_bytes()?;
        let last = fields.entry_id()?;
        let bytes = fields.u64()?;
        let membership_bytes = fields.u32()?;
        if membership_bytes as usize > Membership::BYTES_MAX {
            return Err(FormatError::new(40, "the membership is too large"));
        }
        fields.expect_bytes(&[0; 4], "reserved bytes are not zero")?;
        Ok(Prefix { chunk_bytes, last, bytes, membership_bytes })
    }

    /// Returns true unless these fields contradict the snapshot `meta`. With the size of a chunk,
    /// which `meta` does not state, they determine the size of the manifest.
    pub(crate) fn matches(&self, meta: &SnapshotMeta) -> bool {
        let membership = meta.membership.encode().len();
        (self.last, self.bytes) == (meta.last, meta.bytes)
            && self.membership_bytes as usize == membership
    }

    /// Returns the size of the whole manifest, in bytes.
    pub(crate) fn manifest_bytes(&self) -> u64 {
        let chunks = self.bytes.div_ceil(u64::from(self.chunk_bytes));
        let membership = u64::from(self.membership_bytes);
        PREFIX_BYTES + membership + chunks.saturating_mul(HASH_BYTES).min(u64::MAX / 2)
    }
}

/// Returns the offset of the manifest of `bytes` bytes of content: a multiple of 4096, so that no
/// sector holds parts of both. Saturates for sizes that no file has.
pub(crate) fn manifest_offset(bytes: u64) -> u64 {
    HEADER_BYTES.saturating_add(bytes).checked_next_multiple_of(HEADER_BYTES).unwrap_or(u64::MAX)
}

fn checksum(bytes: &[u8]) -> [u8; 16] {
    let hash = blake3::hash(bytes);
    let (checksum, _) = hash.as_bytes().split_first_chunk().expect("a hash has 32 bytes");
    *checksum
}

/// A reader of fixed-size fields, one after another.
struct FieldReader<'a> {
    rest: &'a [u8],
    at: u64,
}

impl FieldReader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        let Some((field, rest)) = self.rest.split_first_chunk() else {
            return Err(FormatError::new(self.at, "unexpected end"));
        };
        (self.rest, self.at) = (rest, self.at + N as u64);
        Ok(*field)
    }

    fn expect_bytes<const N: usize>(
        &mut self,
        value: &[u8; N],
        message: &str,
    ) -> Result<(), FormatError> {
        let at = self.at;
        if self.take::<N>()? == *value { Ok(()) } else { Err(FormatError::new(at, message)) }
    }

    fn u32(&mut self) -> Result<u32, FormatError> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, FormatError> {
        self.take().map(u64::from_le_bytes)
    }

    fn entry_id(&mut self) -> Result<EntryId, FormatError> {
        Ok(EntryId::new(Term(self.u64()?), Index(self.u64()?)))
    }

    fn version(&mut self) -> Result<(), FormatError> {
        let at = self.at;
        match self.u32()? {
            VERSION => Ok(()),
            other => Err(FormatError::new(
                at,
                format!("version {other}; this program reads version {VERSION}"),
            )),
        }
    }

    fn chunk_bytes(&mut self) -> Result<u32, FormatError> {
        let at = self.at;
        let bytes = self.u32()?;
        let allowed = CHUNK_BYTES_MIN..=CHUNK_BYTES_MAX;
        if !allowed.contains(&bytes) {
            return Err(FormatError::new(at, format!("chunks of {bytes} bytes")));
        }
        Ok(bytes)
    }
}
