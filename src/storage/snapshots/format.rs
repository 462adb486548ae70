//! The bytes of a snapshot's file: a header, the content in chunks, and the manifest that names
//! every chunk. `docs/FORMAT.md` has the same, byte by byte.

use std::ops::Range;

use crate::storage::disk::FileName;
use crate::storage::failure::Failure;
use crate::storage::identity::ClusterId;
use crate::types::{EntryId, Index, Membership, Root, SnapshotMeta, Term};

/// Where the content begins.
pub(crate) const HEADER_BYTES: u64 = 4096;
/// The smallest chunk; the part of a manifest before its membership fits in it.
pub(crate) const CHUNK_BYTES_MIN: u32 = 512;
/// The largest chunk.
pub(crate) const CHUNK_BYTES_MAX: u32 = 1 << 20;
/// The smallest bound on manifests: one with a largest membership has room for a few hashes.
pub(crate) const MANIFEST_BYTES_MIN: u32 = 4096;
/// What is read at once, unless a single chunk is larger, which it never is.
pub(crate) const RUN_BYTES: u64 = 1 << 20;
/// One chunk's hash.
pub(crate) const HASH_BYTES: u64 = 32;

const HEADER_MAGIC: [u8; 8] = *b"quorsnap";
const MANIFEST_MAGIC: [u8; 8] = *b"quormani";
const VERSION: u32 = 1;
/// Where the header's checksum stands: over everything before it.
const CHECKSUM_AT: usize = HEADER_BYTES as usize - 16;
/// A manifest up to its membership.
pub(crate) const PREFIX_BYTES: u64 = 48;

/// What is wrong in a block of bytes, and where in the block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    pub(crate) offset: u64,
    pub(crate) text: String,
}

/// The first block of a snapshot's file. It says nothing about the node that wrote it: the files
/// of one root are equal everywhere in a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) cluster: ClusterId,
    pub(crate) chunk_bytes: u32,
    pub(crate) last: EntryId,
    /// Of the content.
    pub(crate) bytes: u64,
    pub(crate) manifest_bytes: u32,
    pub(crate) root: Root,
}

/// What names a snapshot's content: every chunk by its hash. Its own hash is the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    meta: SnapshotMeta,
    chunk_bytes: u32,
    encoded: Vec<u8>,
}

impl Flaw {
    fn new(offset: u64, text: impl Into<String>) -> Flaw {
        Flaw { offset, text: text.into() }
    }

    /// The flaw of a block that begins at `base` in `file`.
    pub(crate) fn of(self, file: FileName, base: u64) -> Failure {
        Failure::damage(file, base + self.offset, self.text)
    }
}

impl Header {
    /// The header of the file that `manifest` describes.
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
        block.resize(CHECKSUM_AT, 0);
        block.extend(checksum(&block));
        block
    }

    /// # Errors
    /// The first flaw of a block that is no header this version can read.
    pub(crate) fn decode(block: &[u8]) -> Result<Header, Flaw> {
        let mut fields = Fields { rest: block, at: 0 };
        fields.must_be(&HEADER_MAGIC, "not the header of a snapshot")?;
        fields.version()?;
        if block.len() as u64 != HEADER_BYTES {
            return Err(Flaw::new(block.len() as u64, "the header ends early"));
        }
        if checksum(&block[..CHECKSUM_AT]) != block[CHECKSUM_AT..] {
            return Err(Flaw::new(0, "the header's checksum does not match"));
        }
        let chunk_bytes = fields.chunk_bytes()?;
        let cluster = ClusterId(fields.take().map(u128::from_le_bytes)?);
        let last = fields.entry_id()?;
        let bytes = fields.u64()?;
        let manifest_bytes = fields.u32()?;
        fields.must_be(&[0; 4], "not zero")?;
        let root = Root(fields.take()?);
        Ok(Header { cluster, chunk_bytes, last, bytes, manifest_bytes, root })
    }
}

impl Manifest {
    /// The manifest of content of `bytes` bytes whose chunks have `hashes`, in order.
    pub(crate) fn new(
        last: EntryId,
        membership: Membership,
        bytes: u64,
        chunk_bytes: u32,
        hashes: &[u8],
    ) -> Manifest {
        assert_eq!(hashes.len() as u64, bytes.div_ceil(u64::from(chunk_bytes)) * HASH_BYTES);
        let mut encoded = Vec::with_capacity(hashes.len() + 256);
        encoded.extend(MANIFEST_MAGIC);
        encoded.extend(VERSION.to_le_bytes());
        encoded.extend(chunk_bytes.to_le_bytes());
        encoded.extend(last.term.0.to_le_bytes());
        encoded.extend(last.index.0.to_le_bytes());
        encoded.extend(bytes.to_le_bytes());
        assert!(membership.flaw().is_none(), "contract: a node may have the membership");
        let members = membership.encode();
        let length = u32::try_from(members.len()).expect("a membership is that short");
        encoded.extend(length.to_le_bytes());
        encoded.extend([0; 4]);
        encoded.extend(members);
        encoded.extend(hashes);
        let root = Root(*blake3::hash(&encoded).as_bytes());
        let meta = SnapshotMeta { last, membership, bytes, root };
        Manifest { meta, chunk_bytes, encoded }
    }

    /// # Errors
    /// The first flaw of bytes that are no manifest this version can read.
    pub(crate) fn decode(encoded: Vec<u8>) -> Result<Manifest, Flaw> {
        let prefix = Prefix::decode(&encoded)?;
        if prefix.manifest_bytes() != encoded.len() as u64 {
            return Err(Flaw::new(0, "the manifest's size does not fit what it says"));
        }
        let members = &encoded[PREFIX_BYTES as usize..][..prefix.membership_bytes as usize];
        let membership = Membership::decode(members)
            .ok_or_else(|| Flaw::new(PREFIX_BYTES, "no membership is so"))?;
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

    /// How many chunks the content has.
    pub(crate) fn chunks(&self) -> u32 {
        let chunks = self.meta.bytes.div_ceil(u64::from(self.chunk_bytes));
        u32::try_from(chunks).expect("a manifest in memory has fewer hashes")
    }

    /// Where a chunk stands in the file.
    pub(crate) fn offset(&self, chunk: u32) -> u64 {
        HEADER_BYTES + u64::from(chunk) * u64::from(self.chunk_bytes)
    }

    /// How many bytes the chunks of a range have together.
    pub(crate) fn bytes(&self, chunks: &Range<u32>) -> u64 {
        let end = HEADER_BYTES + self.meta.bytes;
        self.offset(chunks.end).min(end) - self.offset(chunks.start).min(end)
    }

    /// The chunks that are read at once, from `first` on.
    pub(crate) fn run(&self, first: u32) -> Range<u32> {
        let count = u32::try_from(RUN_BYTES / u64::from(self.chunk_bytes)).unwrap_or(1).max(1);
        first..first.saturating_add(count).min(self.chunks())
    }

    /// Where the manifest stands in the file.
    pub(crate) fn own_offset(&self) -> u64 {
        manifest_offset(self.meta.bytes)
    }

    /// Whether `bytes` are those of the chunk, and no others.
    pub(crate) fn has(&self, chunk: u32, bytes: &[u8]) -> bool {
        let hashes = self.encoded.len() - self.chunks() as usize * HASH_BYTES as usize;
        let at = hashes + chunk as usize * HASH_BYTES as usize;
        bytes.len() as u64 == self.bytes(&(chunk..chunk + 1))
            && blake3::hash(bytes).as_bytes()[..] == self.encoded[at..at + HASH_BYTES as usize]
    }

    /// Of a run that was read, each chunk and whether its bytes are right.
    pub(crate) fn check<'a>(
        &'a self,
        run: Range<u32>,
        bytes: &'a [u8],
    ) -> impl Iterator<Item = (u32, bool)> + 'a {
        let base = self.offset(run.start);
        run.map(move |chunk| {
            let from = (self.offset(chunk) - base) as usize;
            let to = from + self.bytes(&(chunk..chunk + 1)) as usize;
            (chunk, bytes.get(from..to).is_some_and(|bytes| self.has(chunk, bytes)))
        })
    }

    /// How many pieces the manifest travels in; each is as large as a chunk.
    pub(crate) fn pieces(&self) -> u32 {
        u32::try_from(self.encoded.len())
            .expect("a manifest is bounded far below 4 GiB")
            .div_ceil(self.chunk_bytes)
    }

    /// One of the pieces the manifest travels in, if it has that many.
    pub(crate) fn piece(&self, number: u32) -> Option<&[u8]> {
        self.encoded.chunks(self.chunk_bytes as usize).nth(number as usize)
    }
}

/// What names a snapshot of `bytes` bytes whose chunks have `hashes`, in order.
pub(crate) fn snapshot_root(
    last: EntryId,
    membership: &Membership,
    bytes: u64,
    chunk_bytes: u32,
    hashes: &[u8],
) -> Root {
    Manifest::new(last, membership.clone(), bytes, chunk_bytes, hashes).meta().root
}

/// What the first bytes of a manifest say: enough to know its size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prefix {
    pub(crate) chunk_bytes: u32,
    pub(crate) last: EntryId,
    pub(crate) bytes: u64,
    /// How long the membership is.
    membership_bytes: u32,
}

impl Prefix {
    /// # Errors
    /// The first flaw of bytes that do not begin a manifest this version can read.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Prefix, Flaw> {
        let mut fields = Fields { rest: bytes, at: 0 };
        fields.must_be(&MANIFEST_MAGIC, "not a manifest")?;
        fields.version()?;
        let chunk_bytes = fields.chunk_bytes()?;
        let last = fields.entry_id()?;
        let bytes = fields.u64()?;
        let membership_bytes = fields.u32()?;
        if membership_bytes as usize > Membership::BYTES_MAX {
            return Err(Flaw::new(40, "the membership is too large"));
        }
        fields.must_be(&[0; 4], "not zero")?;
        Ok(Prefix { chunk_bytes, last, bytes, membership_bytes })
    }

    /// How large the manifest is, as a whole.
    pub(crate) fn manifest_bytes(&self) -> u64 {
        let chunks = self.bytes.div_ceil(u64::from(self.chunk_bytes));
        let membership = u64::from(self.membership_bytes);
        PREFIX_BYTES + membership + chunks.saturating_mul(HASH_BYTES).min(u64::MAX / 2)
    }
}

/// Where the manifest of content of `bytes` bytes stands: at a boundary that no chunk's sector
/// crosses. Saturates for sizes no file has.
pub(crate) fn manifest_offset(bytes: u64) -> u64 {
    HEADER_BYTES.saturating_add(bytes).checked_next_multiple_of(HEADER_BYTES).unwrap_or(u64::MAX)
}

fn checksum(bytes: &[u8]) -> [u8; 16] {
    let hash = blake3::hash(bytes);
    let (checksum, _) = hash.as_bytes().split_first_chunk().expect("a hash has 32 bytes");
    *checksum
}

/// Fixed-size fields, taken one after another.
struct Fields<'a> {
    rest: &'a [u8],
    at: u64,
}

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Flaw> {
        let Some((field, rest)) = self.rest.split_first_chunk() else {
            return Err(Flaw::new(self.at, "the bytes end early"));
        };
        (self.rest, self.at) = (rest, self.at + N as u64);
        Ok(*field)
    }

    fn must_be<const N: usize>(&mut self, value: &[u8; N], text: &str) -> Result<(), Flaw> {
        let at = self.at;
        if self.take::<N>()? == *value { Ok(()) } else { Err(Flaw::new(at, text)) }
    }

    fn u32(&mut self) -> Result<u32, Flaw> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, Flaw> {
        self.take().map(u64::from_le_bytes)
    }

    fn entry_id(&mut self) -> Result<EntryId, Flaw> {
        Ok(EntryId::new(Term(self.u64()?), Index(self.u64()?)))
    }

    fn version(&mut self) -> Result<(), Flaw> {
        let at = self.at;
        match self.u32()? {
            VERSION => Ok(()),
            other => {
                Err(Flaw::new(at, format!("version {other}; this program reads version {VERSION}")))
            }
        }
    }

    fn chunk_bytes(&mut self) -> Result<u32, Flaw> {
        let at = self.at;
        let bytes = self.u32()?;
        let allowed = CHUNK_BYTES_MIN..=CHUNK_BYTES_MAX;
        if !allowed.contains(&bytes) {
            return Err(Flaw::new(at, format!("chunks of {bytes} bytes")));
        }
        Ok(bytes)
    }
}
