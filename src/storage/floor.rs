//! The acknowledged floor: the last flush that is known to have been reported durable. Two marks
//! between the copies of the superblock record it. Their encoding is in `docs/FORMAT.md`.
//!
//! A mark is written after each flush and is not synced: the flush that it names is durable
//! already, so it does not matter whether a mark survives a crash. Every sync of the superblock
//! also makes the mark durable. A mark that cannot be read counts as none, because the log may be
//! complete without it. A mark that cannot be written stops the store, like any failed write.

use crate::storage::block::{Digest, FlushSeq};
use crate::storage::bytes::Reader;
use crate::storage::disk::{Disk, DiskError, FileAction, FileName, read};
use crate::storage::identity::Identity;
use crate::storage::sector::{PAGE_BYTES, SECTOR_BYTES, is_zero};
use crate::storage::segment::NodeSegment;
use crate::storage::superblock::{COPY_BYTES, COPY_STRIDE, FILE_BYTES, Superblock};
use crate::types::Index;

/// The number of marks. Consecutive flushes use them in turn, so that damage to one mark lowers the
/// floor by at most one flush.
const MARKS: u64 = 2;
const MAGIC: [u8; 8] = *b"QUORAFLR";
const VERSION: u32 = 1;
const SUM_OFFSET: usize = SECTOR_BYTES - 16;

const _: () = assert!(offset_of(0) >= COPY_BYTES as u64, "a mark begins after the copy before it");
const _: () = assert!(
    offset_of(0) + PAGE_BYTES as u64 <= COPY_STRIDE,
    "a mark ends before the copy after it"
);
const _: () = assert!(
    offset_of(MARKS - 1) + PAGE_BYTES as u64 <= FILE_BYTES,
    "the marks lie within the file of the superblock"
);

/// A flush that was reported durable, as was every flush before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Floor {
    pub(crate) seq: FlushSeq,
    /// The segment of the flush, and the last index of the log after it; `None` if only the
    /// superblock names the flush.
    pub(crate) place: Option<(u64, Index)>,
}

impl Floor {
    /// Reads the marks, and returns the highest floor that they or the superblock record. A mark
    /// that is damaged or cannot be read is ignored, because the flush that it names may be
    /// complete without it.
    pub(crate) fn read(disk: &mut dyn Disk, superblock: &Superblock) -> Floor {
        let mut floor = Floor { seq: superblock.ack_floor, place: None };
        for offset in (0..MARKS).map(offset_of) {
            let bytes = read_mark(disk, offset).unwrap_or_default();
            let marked = decode(&bytes, &superblock.identity).unwrap_or_default();
            if marked.seq >= floor.seq {
                floor = marked;
            }
        }
        floor
    }

    /// Returns the write of the mark of this floor, in the directory of `identity`. It covers a
    /// page, so that no system has to read the rest of the page first, and so that a sector that
    /// cannot be read is written again.
    pub(crate) fn mark(&self, identity: &Identity) -> FileAction {
        let (segment, last) = self.place.expect("a mark names the place of its flush");
        assert!(self.seq > FlushSeq(0), "flushes are numbered from 1");
        assert!(self.seq <= FlushSeq::MAX, "the flush number is in its range");
        let mut bytes = Vec::with_capacity(PAGE_BYTES);
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(identity.encode());
        for number in [self.seq.0, segment, last.0] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.resize(SUM_OFFSET, 0);
        let sum = Digest::of(&bytes);
        bytes.extend(sum.0);
        assert_eq!(bytes.len(), SECTOR_BYTES, "a mark is one sector, which is written as a whole");
        bytes.resize(PAGE_BYTES, 0);
        FileAction::Write { file: FileName::Superblock, offset: offset_of(self.seq.0), bytes }
    }
}

/// Returns the offsets of the marks that cannot be read or are damaged. A place of zeros has no
/// mark, so it is not damaged.
pub(crate) fn damaged_marks(disk: &mut dyn Disk, identity: &Identity) -> Vec<u64> {
    let is_valid = |bytes: &[u8]| is_zero(bytes) || decode(bytes, identity).is_some();
    let offsets = (0..MARKS).map(offset_of);
    offsets.filter(|offset| !read_mark(disk, *offset).is_ok_and(|bytes| is_valid(&bytes))).collect()
}

fn read_mark(disk: &mut dyn Disk, offset: u64) -> Result<Vec<u8>, DiskError> {
    read(disk, FileName::Superblock, offset, SECTOR_BYTES)
}

/// Returns the writes that overwrite every mark with zeros, and then write the mark of `floor`, if
/// there is one.
pub(crate) fn marks(floor: Option<Floor>, identity: &Identity) -> Vec<FileAction> {
    let file = FileName::Superblock;
    let empty =
        |seq| FileAction::Write { file, offset: offset_of(seq), bytes: vec![0; PAGE_BYTES] };
    let emptied = (0..MARKS).map(empty);
    emptied.chain(floor.map(|floor| floor.mark(identity))).collect()
}

/// Returns the offset of the mark of flush `seq`, halfway between two copies of the superblock, so
/// that no unit of the cache or of the disk has both a mark and a copy.
const fn offset_of(seq: u64) -> u64 {
    seq % MARKS * COPY_STRIDE + COPY_STRIDE / 2
}

fn decode(bytes: &[u8], identity: &Identity) -> Option<Floor> {
    let (payload, sum) = bytes.split_at_checked(SUM_OFFSET)?;
    let mut reader = Reader::new(payload);
    let known = reader.array() == Some(MAGIC) && reader.u32() == Some(VERSION);
    let ours = reader.array() == Some([0; 4]) && reader.array() == Some(identity.encode());
    let (seq, segment) = (FlushSeq(reader.u64()?), reader.u64()?);
    let last = Index(reader.u64()?);
    let in_range = (FlushSeq(1)..=FlushSeq::MAX).contains(&seq)
        && (1..=NodeSegment::NUMBER_MAX).contains(&segment)
        && last <= Index::MAX;
    let intact = known && ours && in_range && Digest::of(payload).0 == *sum;
    intact.then_some(Floor { seq, place: Some((segment, last)) })
}
