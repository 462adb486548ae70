//! Reads a segment before the start, a piece at a time: header blocks, bodies, and what lies
//! between them.

use crate::storage::block::{Block, BlockError, FlushSeq, Record, VERSION, claimed, version_of};
use crate::storage::disk::{Disk, FileAction, FileName};
use crate::storage::failure::{Failure, OpenError};
use crate::storage::identity::Identity;
use crate::storage::sector::{PAGE_BYTES, SECTOR_BYTES, SectorState, framed_bytes, is_zero};
use crate::storage::segment::NodeSegment;

/// The most bytes read at once; no header block is larger.
const PIECE_BYTES: u64 = 1 << 20;
/// How much of a header zone is read at first. Each further piece is twice as large as the one
/// before: who wants to know the first flush alone does not read the bodies.
const FIRST_PIECE_BYTES: u64 = PAGE_BYTES as u64;

/// One segment, and the piece of it that was read last.
pub(crate) struct Scan {
    pub(crate) segment: NodeSegment,
    pub(crate) bytes: u64,
    /// Where the piece begins, and it.
    piece: (u64, Vec<u8>),
}

/// A header block that is whole.
#[derive(Clone, Debug)]
pub(crate) struct HeaderBlock {
    pub(crate) offset: u64,
    pub(crate) end: u64,
    pub(crate) block: Block,
    pub(crate) records: Vec<Record>,
}

/// What is written where no whole flush is known.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    /// Sectors as somebody wrote them: a flush began there.
    pub(crate) valid: bool,
    /// The highest flush whose header block begins there, and where.
    pub(crate) stray: Option<(FileName, u64, FlushSeq)>,
}

impl Seen {
    pub(crate) fn join(&mut self, other: Seen) {
        self.valid |= other.valid;
        let seq = |stray: &Option<(FileName, u64, FlushSeq)>| stray.map(|(_, _, seq)| seq);
        if seq(&other.stray) > seq(&self.stray) {
            self.stray = other.stray;
        }
    }
}

/// `number` as a size, if it is no larger than `limit`.
pub(crate) fn at_most(number: u64, limit: u64) -> Option<usize> {
    usize::try_from(number).ok().filter(|_| number <= limit)
}

impl Scan {
    pub(crate) fn new(identity: Identity, number: u64, bytes: u64) -> Scan {
        Scan { segment: NodeSegment::new(identity, number), bytes, piece: (0, Vec::new()) }
    }

    fn file(&self) -> FileName {
        self.segment.file()
    }

    fn damage(&self, offset: u64, what: impl Into<String>) -> OpenError {
        Failure::damage(self.file(), offset, what).into()
    }

    /// Reads up to `bytes` at `offset`.
    fn read(&self, disk: &mut impl Disk, offset: u64, bytes: u64) -> Result<Vec<u8>, OpenError> {
        let file = self.file();
        let length = at_most(bytes, PIECE_BYTES).expect("a piece is bounded");
        let read = disk.execute(&FileAction::Read { file, offset, bytes: length });
        let read = read.map_err(|error| Failure::disk(Some(file), offset, &error))?;
        if read.len() as u64 != bytes {
            return Err(self.damage(offset + read.len() as u64, "the file ends here"));
        }
        Ok(read)
    }

    /// The number of the segment's first flush, if it has one.
    ///
    /// # Errors
    /// The segment is somebody else's, or cannot be read.
    pub(crate) fn first_seq(
        &mut self,
        disk: &mut impl Disk,
    ) -> Result<Option<FlushSeq>, OpenError> {
        let sector = SECTOR_BYTES as u64;
        if self.bytes < sector {
            return Ok(None);
        }
        let bytes = self.read(disk, 0, sector)?;
        if let Some(version) = version_of(&bytes).filter(|version| *version > VERSION) {
            let (expected, found) = (VERSION.to_string(), version.to_string());
            let (file, what) = (self.file(), "version");
            return Err(OpenError::Foreign { file, what, expected, found });
        }
        if let Some((identity, number)) = claimed(&bytes) {
            // Sealed by whom it names: it is not ours with a flipped bit, it is theirs.
            let theirs = NodeSegment::new(identity, number).headers;
            if theirs.state(0, &bytes) == SectorState::Valid
                && let Err(BlockError::Foreign(what, expected, found)) =
                    Block::decode(&bytes, &self.segment)
            {
                return Err(OpenError::Foreign { file: self.file(), what, expected, found });
            }
        }
        Ok(self.block(disk, 0)?.map(|found| found.block.seq))
    }

    /// The header block at `offset`, or None if there is none that is whole.
    ///
    /// # Errors
    /// Its sectors are whole, and what they say cannot be.
    pub(crate) fn block(
        &mut self,
        disk: &mut impl Disk,
        offset: u64,
    ) -> Result<Option<HeaderBlock>, OpenError> {
        let headers = self.segment.headers;
        let Some(first) = self.bytes_at(disk, offset, SECTOR_BYTES as u64)? else {
            return Ok(None);
        };
        let Ok(payload) = headers.unframe(offset, first) else { return Ok(None) };
        let block = Block::decode(&payload, &self.segment);
        let block = block.map_err(|error| match error {
            BlockError::Nonsense(what) => self.damage(offset, what),
            BlockError::Foreign(what, expected, found) => {
                OpenError::Foreign { file: self.file(), what, expected, found }
            }
        })?;
        let length = framed_bytes(block.bytes()) as u64;
        let Some(sectors) = self.bytes_at(disk, offset, length)? else {
            return Err(self.damage(offset, "a header block reaches beyond the file"));
        };
        let Ok(payload) = headers.unframe(offset, sectors) else { return Ok(None) };
        let records = block.records(&payload).map_err(|what| self.damage(offset, what))?;
        Ok(Some(HeaderBlock { offset, end: offset + length, block, records }))
    }

    /// `bytes` bytes at `offset`, out of the piece or a new one; None beyond the file's end.
    fn bytes_at(
        &mut self,
        disk: &mut impl Disk,
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

    /// Bodies from `start` to `end`, every sector of which has been acknowledged.
    ///
    /// # Errors
    /// The first sector that is not as it was written.
    pub(crate) fn bodies(
        &self,
        disk: &mut impl Disk,
        start: u64,
        end: u64,
    ) -> Result<(), OpenError> {
        self.sectors(disk, start, end, |scan, offset, sector| {
            match scan.segment.bodies.state(offset, sector) {
                SectorState::Valid => Ok(()),
                SectorState::Zero => Err(scan.damage(offset, "a sector that was written is zeros")),
                SectorState::Bad => {
                    Err(scan.damage(offset, "a sector's checksum is not that of its content"))
                }
            }
        })
    }

    /// Whether some of the bodies from `start` to `end` have never been written.
    ///
    /// # Errors
    /// A sector is neither as it was written nor untouched.
    pub(crate) fn torn(
        &self,
        disk: &mut impl Disk,
        start: u64,
        end: u64,
    ) -> Result<bool, OpenError> {
        let mut torn = false;
        self.sectors(disk, start, end, |scan, offset, sector| {
            match scan.segment.bodies.state(offset, sector) {
                SectorState::Valid => {}
                SectorState::Zero => torn = true,
                SectorState::Bad => return Err(scan.uncertain(offset)),
            }
            Ok(())
        })?;
        Ok(torn)
    }

    /// Whether nothing was ever written to the segment.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn is_empty(&self, disk: &mut impl Disk) -> Result<bool, OpenError> {
        let mut empty = true;
        self.sectors(disk, 0, self.bytes, |_, _, sector| {
            empty &= is_zero(sector);
            Ok(())
        })?;
        Ok(empty)
    }

    /// What is written between `start` and `end`, where no whole flush is known.
    ///
    /// # Errors
    /// A sector is neither as somebody wrote it nor untouched.
    pub(crate) fn rest(
        &self,
        disk: &mut impl Disk,
        start: u64,
        end: u64,
    ) -> Result<Seen, OpenError> {
        let mut seen = Seen::default();
        self.sectors(disk, start, end, |scan, offset, sector| {
            if is_zero(sector) {
                return Ok(());
            }
            let header = scan.segment.headers.state(offset, sector);
            match (header, scan.segment.bodies.state(offset, sector)) {
                (SectorState::Valid, _) => {
                    seen.valid = true;
                    if offset % PAGE_BYTES as u64 == 0
                        && let Ok(block) = Block::decode(sector, &scan.segment)
                    {
                        let stray = Some((scan.file(), offset, block.seq));
                        seen.join(Seen { valid: true, stray });
                    }
                }
                (_, SectorState::Valid) => seen.valid = true,
                _ => return Err(scan.uncertain(offset)),
            }
            Ok(())
        })?;
        Ok(seen)
    }

    fn uncertain(&self, offset: u64) -> OpenError {
        self.damage(offset, "the log's end is uncertain: a sector there is damaged")
    }

    /// Every sector from `start` to `end`; a file that ends inside a sector is damaged there.
    fn sectors(
        &self,
        disk: &mut impl Disk,
        start: u64,
        end: u64,
        mut each: impl FnMut(&Scan, u64, &[u8]) -> Result<(), OpenError>,
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
}
