//! Reads a segment piece by piece, before the start and for scrubs and repairs: header blocks,
//! bodies, and the space between.

use crate::storage::block::{
    Block, BlockError, ENTRIES_MAX, FlushSeq, Record, VERSION, claimed_segment, version_of,
};
use crate::storage::disk::{Disk, FileAction, FileName};
use crate::storage::error::{OpenError, StorageError};
use crate::storage::identity::Identity;
use crate::storage::sector::{PAGE_BYTES, SECTOR_BYTES, SectorState, framed_bytes, is_zero};
use crate::storage::segment::NodeSegment;

/// The maximum size of one read, in bytes; no header block is larger.
const PIECE_BYTES: u64 = 1 << 20;
const _: () = assert!(
    framed_bytes(Block::payload_bytes(ENTRIES_MAX)) as u64 <= PIECE_BYTES,
    "a piece holds any header block"
);

/// The size of the first piece of a header zone, in bytes. Each further piece is twice as large as
/// the previous one, up to [`PIECE_BYTES`]: a search for the first flush alone reads no bodies.
const FIRST_PIECE_BYTES: u64 = PAGE_BYTES as u64;

/// One segment, and the piece of it that was read last.
pub(crate) struct SegmentScan {
    pub(crate) segment: NodeSegment,
    pub(crate) bytes: u64,
    /// The offset and the bytes of the piece.
    piece: (u64, Vec<u8>),
}

/// A header block that is complete.
#[derive(Clone, Debug)]
pub(crate) struct HeaderBlock {
    pub(crate) offset: u64,
    pub(crate) end: u64,
    pub(crate) block: Block,
    pub(crate) records: Vec<Record>,
}

/// The writes found outside the known complete flushes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StrayWrites {
    /// Whether a valid sector was found, which proves that a flush began there.
    pub(crate) valid: bool,
    /// Whether a sector was found that is neither valid nor zeros; no complete flush explains it.
    pub(crate) bad: bool,
    /// The highest flush number in a header block found there, with the file and offset of that
    /// block.
    pub(crate) highest: Option<(FileName, u64, FlushSeq)>,
}

/// The state of the sectors of some bodies.
#[derive(Clone, Debug, Default)]
pub(crate) struct BodyCheck {
    /// The offsets of the sectors that are not valid, in ascending order.
    pub(crate) bad: Vec<u64>,
    /// Whether some of them are zeros: they were never written, or were acknowledged and then lost.
    pub(crate) is_torn: bool,
}

impl StrayWrites {
    pub(crate) fn join(&mut self, other: StrayWrites) {
        self.valid |= other.valid;
        self.bad |= other.bad;
        let seq = |highest: &Option<(FileName, u64, FlushSeq)>| highest.map(|(_, _, seq)| seq);
        if seq(&other.highest) > seq(&self.highest) {
            self.highest = other.highest;
        }
    }
}

/// Returns `number` as a `usize`; `None` if it is larger than `limit`.
pub(crate) fn at_most(number: u64, limit: u64) -> Option<usize> {
    usize::try_from(number).ok().filter(|_| number <= limit)
}

impl SegmentScan {
    pub(crate) fn new(identity: Identity, number: u64, bytes: u64) -> SegmentScan {
        SegmentScan { segment: NodeSegment::new(identity, number), bytes, piece: (0, Vec::new()) }
    }

    /// An error about the bytes at this offset.
    pub(crate) fn damage(&self, offset: u64, message: impl Into<String>) -> OpenError {
        StorageError::damage(self.segment.file(), offset, message).into()
    }

    /// Reads `bytes` bytes at `offset`.
    fn read(&self, disk: &mut dyn Disk, offset: u64, bytes: u64) -> Result<Vec<u8>, OpenError> {
        let file = self.segment.file();
        let length = at_most(bytes, PIECE_BYTES).expect("a piece is bounded");
        let read = disk.execute(&FileAction::Read { file, offset, bytes: length });
        let read = read.map_err(|error| StorageError::disk(Some(file), offset, &error))?;
        if read.len() as u64 != bytes {
            return Err(self.damage(offset + read.len() as u64, "unexpected end of file"));
        }
        Ok(read)
    }

    /// Returns the fixed part of the segment's first header block, if it has a complete one.
    ///
    /// # Errors
    /// An [`OpenError`] if the segment belongs to another node, has a newer version, cannot be
    /// read, or has a first header block that contradicts itself.
    pub(crate) fn first_block(&mut self, disk: &mut dyn Disk) -> Result<Option<Block>, OpenError> {
        let sector = SECTOR_BYTES as u64;
        if self.bytes < sector {
            return Ok(None);
        }
        let bytes = self.read(disk, 0, sector)?;
        // If the checksum matches with the version of this program in place of the one found, the
        // version field is damaged, not newer.
        let is_damaged = || {
            let ours = [&bytes[..8], &VERSION.to_le_bytes(), &bytes[12..]].concat();
            self.segment.headers.state(0, &ours) == SectorState::Valid
        };
        let newer = version_of(&bytes).filter(|version| *version > VERSION && !is_damaged());
        if let Some(version) = newer {
            let (expected, found) = (VERSION.to_string(), version.to_string());
            let (file, field) = (self.segment.file(), "version");
            return Err(OpenError::Mismatch { file, field, expected, found });
        }
        if let Some((identity, number)) = claimed_segment(&bytes) {
            // The checksum is valid under the claimed identity, so the segment is another node's,
            // not damaged.
            let claimed = NodeSegment::new(identity, number).headers;
            if claimed.state(0, &bytes) == SectorState::Valid
                && let Err(BlockError::Mismatch(field, expected, found)) =
                    Block::decode(&bytes, &self.segment)
            {
                return Err(OpenError::Mismatch {
                    file: self.segment.file(),
                    field,
                    expected,
                    found,
                });
            }
        }
        Ok(self.block(disk, 0)?.map(|found| found.block))
    }

    /// Returns the header block at `offset`, or `None` if there is no complete one.
    ///
    /// # Errors
    /// An [`OpenError`] if the segment cannot be read, or if the sectors are valid and their
    /// content contradicts itself.
    pub(crate) fn block(
        &mut self,
        disk: &mut dyn Disk,
        offset: u64,
    ) -> Result<Option<HeaderBlock>, OpenError> {
        assert!(offset.is_multiple_of(PAGE_BYTES as u64), "a header block begins with a page");
        let headers = self.segment.headers;
        let Some(first) = self.bytes_at(disk, offset, SECTOR_BYTES as u64)? else {
            return Ok(None);
        };
        let Ok(payload) = headers.unframe(offset, first) else { return Ok(None) };
        let block = Block::decode(&payload, &self.segment);
        let block = block.map_err(|error| match error {
            BlockError::Invalid(message) => self.damage(offset, message),
            BlockError::Mismatch(field, expected, found) => {
                OpenError::Mismatch { file: self.segment.file(), field, expected, found }
            }
        })?;
        let length = framed_bytes(block.bytes()) as u64;
        let Some(sectors) = self.bytes_at(disk, offset, length)? else {
            return Err(self.damage(offset, "a header block extends beyond the end of the file"));
        };
        let Ok(payload) = headers.unframe(offset, sectors) else { return Ok(None) };
        let records = block.records(&payload).map_err(|message| self.damage(offset, message))?;
        Ok(Some(HeaderBlock { offset, end: offset + length, block, records }))
    }

    /// Returns the first readable header block after the one at `offset`, which cannot be read.
    pub(crate) fn block_after(&mut self, disk: &mut dyn Disk, offset: u64) -> Option<HeaderBlock> {
        let offsets = (offset..self.bytes).step_by(PAGE_BYTES).skip(1);
        offsets.into_iter().find_map(|offset| self.block(disk, offset).ok().flatten())
    }

    /// Returns `bytes` bytes at `offset`, from the piece or a new read; `None` beyond the file's
    /// end.
    fn bytes_at(
        &mut self,
        disk: &mut dyn Disk,
        offset: u64,
        bytes: u64,
    ) -> Result<Option<&[u8]>, OpenError> {
        if offset + bytes > self.bytes {
            return Ok(None);
        }
        let (start, piece) = (self.piece.0, &self.piece.1);
        if offset < start || offset + bytes > start + piece.len() as u64 {
            let length = (2 * piece.len() as u64).clamp(FIRST_PIECE_BYTES, PIECE_BYTES);
            let length = length.max(bytes).min(self.bytes - offset);
            self.piece = (offset, self.read(disk, offset, length)?);
        }
        let within = |place: u64| usize::try_from(place).expect("a piece fits into memory");
        let first = within(offset - self.piece.0);
        Ok(self.piece.1.get(first..first + within(bytes)))
    }

    /// Checks the sectors of the bodies from `start` to `end`.
    ///
    /// # Errors
    /// An [`OpenError`] if the segment cannot be read, or ends before `end`.
    pub(crate) fn check_bodies(
        &self,
        disk: &mut dyn Disk,
        start: u64,
        end: u64,
    ) -> Result<BodyCheck, OpenError> {
        let mut check = BodyCheck::default();
        self.for_each_sector(disk, start, end, |scan, offset, sector| {
            match scan.segment.bodies.state(offset, sector) {
                SectorState::Valid => return Ok(()),
                SectorState::Zero => check.is_torn = true,
                SectorState::Bad => {}
            }
            check.bad.push(offset);
            Ok(())
        })?;
        assert!(!check.is_torn || !check.bad.is_empty(), "a torn flush lacks a sector");
        Ok(check)
    }

    /// Returns true if the segment is all zeros, like one to which nothing was written.
    ///
    /// # Errors
    /// An [`OpenError`] if the segment cannot be read.
    pub(crate) fn is_empty(&self, disk: &mut dyn Disk) -> Result<bool, OpenError> {
        let mut empty = true;
        self.for_each_sector(disk, 0, self.bytes, |_, _, sector| {
            empty &= is_zero(sector);
            Ok(())
        })?;
        Ok(empty)
    }

    /// Returns the writes between `start` and `end`, where no complete flush is known. Bad sectors
    /// are harmless unless a complete flush may have been there.
    ///
    /// # Errors
    /// An [`OpenError`] if the segment cannot be read, or if a damaged flush there may have been
    /// acknowledged.
    pub(crate) fn stray_writes(
        &self,
        disk: &mut dyn Disk,
        start: u64,
        end: u64,
    ) -> Result<StrayWrites, OpenError> {
        assert!(start <= end, "the headers of a segment end before its bodies");
        let (mut found, mut bad) = (StrayWrites::default(), None);
        self.for_each_sector(disk, start, end, |scan, offset, sector| {
            if is_zero(sector) {
                return Ok(());
            }
            let header = scan.segment.headers.state(offset, sector);
            match (header, scan.segment.bodies.state(offset, sector)) {
                (SectorState::Valid, _) => {
                    found.valid = true;
                    if offset % PAGE_BYTES as u64 == 0
                        && let Ok(block) = Block::decode(sector, &scan.segment)
                    {
                        let highest = Some((scan.segment.file(), offset, block.seq));
                        found.join(StrayWrites { highest, ..StrayWrites::default() });
                    }
                }
                (_, SectorState::Valid) => found.valid = true,
                _ => bad = bad.or(Some(offset)),
            }
            Ok(())
        })?;
        assert!(found.valid || found.highest.is_none(), "a header block is a valid sector");
        found.bad = bad.is_some();
        match bad {
            Some(offset) if self.may_hold_flush(disk, start, end)? => {
                Err(self.uncertain_end(offset))
            }
            _ => Ok(found),
        }
    }

    /// Returns true if the space between `start` and `end` may hold a complete flush. Such a flush
    /// has written the first sector of the space, with its header block, and the last one, with its
    /// bodies. If the header block can be read, and names the place of the bodies, the flush has
    /// written every sector of both.
    fn may_hold_flush(&self, disk: &mut dyn Disk, start: u64, end: u64) -> Result<bool, OpenError> {
        let (sector, mut is_written) = (SECTOR_BYTES as u64, true);
        if end - start < 2 * sector {
            return Ok(true);
        }
        let mut ranges = vec![(start, start + sector), (end - sector, end)];
        let first = self.read(disk, start, sector)?;
        let payload = self.segment.headers.unframe(start, &first).ok();
        if let Some(block) = payload.and_then(|first| Block::decode(&first, &self.segment).ok())
            && block.body_offset < end
        {
            let headers = start + framed_bytes(block.bytes()) as u64;
            ranges.extend([(start, headers.min(end)), (block.body_offset.max(start), end)]);
        }
        for (start, end) in ranges {
            self.for_each_sector(disk, start, end, |_, _, sector| {
                is_written &= !is_zero(sector);
                Ok(())
            })?;
        }
        Ok(is_written)
    }

    fn uncertain_end(&self, offset: u64) -> OpenError {
        self.damage(offset, "the end of the log is uncertain: a sector there is damaged")
    }

    /// Calls `each` for every sector from `start` to `end`; a file that ends before `end` is
    /// damaged.
    fn for_each_sector(
        &self,
        disk: &mut dyn Disk,
        start: u64,
        end: u64,
        mut each: impl FnMut(&SegmentScan, u64, &[u8]) -> Result<(), OpenError>,
    ) -> Result<(), OpenError> {
        let mut offset = start;
        while offset < end {
            let bytes = self.read(disk, offset, PIECE_BYTES.min(end - offset))?;
            for sector in bytes.chunks(SECTOR_BYTES) {
                each(self, offset, sector)?;
                offset += sector.len() as u64;
            }
        }
        Ok(())
    }

    /// Returns the file range of a flush's bodies. It ends at `before`, where the bodies of the
    /// previous flush begin, if the segment has a previous flush.
    pub(crate) fn body_range(
        &self,
        found: &HeaderBlock,
        before: Option<u64>,
    ) -> Result<(u64, u64), OpenError> {
        let block = &found.block;
        let framed = at_most(block.body_bytes, self.bytes).map(framed_bytes);
        let end = framed.and_then(|framed| block.body_offset.checked_add(framed as u64));
        let aligned = block.body_offset.is_multiple_of(PAGE_BYTES as u64);
        let end = end.filter(|end| {
            let fits = block.body_offset >= found.end && *end <= self.bytes;
            aligned && fits && *end == before.unwrap_or(*end)
        });
        let message = "the body range in a header block is invalid";
        let invalid = || self.damage(found.offset, message);
        end.map(|end| (block.body_offset, end)).ok_or_else(invalid)
    }
}
