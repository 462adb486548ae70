//! Rebuilds damaged header blocks, before the start and on a running node. In the body zone a copy
//! of its header precedes each body, and the hash chain proves that the copies are those of the
//! flush that was written there.

use crate::storage::block::{BLOCK_BYTES, Block, FlushSeq, Link, RECORD_BYTES, Record};
use crate::storage::directory::Directory;
use crate::storage::disk::{Disk, FileAction, FileName};
use crate::storage::index::{LogIndex, SegmentFlushes};
use crate::storage::patched_disk::PatchedDisk;
use crate::storage::scan::{HeaderBlock, SegmentScan, at_most};
use crate::storage::sector::{
    Framer, PAGE_BYTES, PAYLOAD_BYTES, SECTOR_BYTES, SectorCodec, SectorState, framed_bytes,
};
use crate::storage::snapshots::last_entry_of_snapshot;
use crate::types::{EntryId, Index};

const SECTOR: u64 = SECTOR_BYTES as u64;
const PAGE: u64 = PAGE_BYTES as u64;
/// The size of the space in which the header block after a damaged one begins; every header block
/// is smaller than a mebibyte.
const HEADERS_MAX: u64 = (1 << 20) + PAGE;

/// Finds header blocks that are damaged, and patches their damaged sectors. Returns true if it has
/// patched one. A block with sectors of zeros is rebuilt only if its flush was certainly durable.
pub(crate) fn rebuild_headers(disk: &mut PatchedDisk<'_>, directory: &Directory) -> bool {
    let mut rebuilding = Rebuilding {
        directory,
        links: Vec::new(),
        searched: directory.segments.clone(),
        end: (u64::MAX, 0),
        committed: Index::ZERO,
        last: None,
        torn: None,
    };
    let places = 0..directory.segments.len();
    places.fold(false, |patched, place| rebuilding.segment(disk, place) | patched)
}

/// Patches the damaged sectors of the header blocks of these flushes, on a running node, whose
/// durable flushes the index knows.
pub(crate) fn rebuild_segment(
    disk: &mut PatchedDisk<'_>,
    directory: &Directory,
    index: &LogIndex,
    flushes: SegmentFlushes,
) {
    let SegmentFlushes { segment, end, .. } = flushes;
    if let Some(place) = directory.segments.iter().position(|(number, _)| *number == segment) {
        let mut rebuilding = Rebuilding {
            directory,
            links: index.links(),
            searched: vec![(segment, end.0)],
            end,
            committed: Index::ZERO,
            last: None,
            torn: None,
        };
        rebuilding.segment(disk, place);
    }
}

/// The walk through the flushes.
struct Rebuilding<'a> {
    directory: &'a Directory,
    /// Entries that are known besides those in header blocks.
    links: Vec<Link>,
    /// The segments whose header blocks are searched for an entry, and the bytes to search.
    searched: Vec<(u64, u64)>,
    /// The offsets at which the header blocks of a segment end, and at which its bodies begin, as
    /// far as they are known.
    end: (u64, u64),
    /// The commit index of the last header block.
    committed: Index,
    /// The last flush: its number, the entry before it, and its last entry.
    last: Option<(FlushSeq, Link, Link)>,
    /// The flush after it, if that is the last one in its segment and lacks sectors. A start may
    /// have dropped it, and have given its number to the next flush, in a later segment.
    torn: Option<(FlushSeq, Link, Link)>,
}

/// The place of a damaged header block.
#[derive(Clone, Copy)]
struct Gap {
    /// The position of the segment in the list.
    place: usize,
    /// The offset of the header block.
    offset: u64,
    /// The offset at which the bodies of the flush end.
    end: u64,
}

/// The sectors of a file range, with the state of each.
struct SectorRange {
    payload: Vec<u8>,
    states: Vec<SectorState>,
}

impl SectorRange {
    fn read(
        disk: &mut dyn Disk,
        scan: &SegmentScan,
        codec: SectorCodec,
        range: (u64, u64),
    ) -> SectorRange {
        let bytes = usize::try_from(range.1.saturating_sub(range.0)).unwrap_or_default();
        let read = FileAction::Read { file: scan.segment.file(), offset: range.0, bytes };
        let content = disk.execute(&read).unwrap_or_default();
        let (mut payload, mut states) = (Vec::new(), Vec::new());
        let offsets = (range.0..).step_by(SECTOR_BYTES);
        for (offset, sector) in offsets.zip(content.chunks_exact(SECTOR_BYTES)) {
            payload.extend_from_slice(&sector[..PAYLOAD_BYTES]);
            states.push(codec.state(offset, sector));
        }
        SectorRange { payload, states }
    }

    /// Returns `bytes` bytes of the payload, unless a sector that holds some of them is not valid.
    fn bytes(&self, place: usize, bytes: usize) -> Option<&[u8]> {
        let end = place.checked_add(bytes)?;
        let sectors = place / PAYLOAD_BYTES..end.div_ceil(PAYLOAD_BYTES);
        let is_valid = self.states.get(sectors)?.iter().all(|state| *state == SectorState::Valid);
        is_valid.then(|| &self.payload[place..end])
    }

    fn record(&self, place: usize) -> Option<Record> {
        self.bytes(place, RECORD_BYTES).and_then(Record::decode)
    }

    /// Patches the sectors at `offset` of the file that are not valid, with those of `framed`.
    /// Returns false if a valid sector has another content, or nothing was patched.
    fn patch(
        &self,
        disk: &mut PatchedDisk<'_>,
        file: FileName,
        offset: u64,
        framed: &[u8],
    ) -> bool {
        let sectors: Vec<&[u8]> = framed.chunks(SECTOR_BYTES).collect();
        let payloads = self.payload.chunks(PAYLOAD_BYTES);
        let mut states = sectors.iter().zip(payloads).zip(&self.states);
        let differs = states.any(|((sector, payload), state)| {
            *state == SectorState::Valid && sector[..PAYLOAD_BYTES] != *payload
        });
        if differs {
            return false;
        }
        let mut patched = false;
        for (place, sector) in sectors.iter().enumerate() {
            if self.states[place] != SectorState::Valid {
                let offset = offset + place as u64 * SECTOR;
                patched |= disk.patch(file, offset, sector.to_vec());
            }
        }
        patched
    }
}

impl Rebuilding<'_> {
    /// Walks through the header blocks of a segment, and rebuilds those that are damaged. At a
    /// start the walk ends at the first block that cannot be rebuilt, because the log ends there or
    /// is rejected. On a running node it continues with the next block that can be read.
    fn segment(&mut self, disk: &mut PatchedDisk<'_>, place: usize) -> bool {
        let (number, bytes) = self.directory.segments[place];
        // Later flushes may be written while a running node reads.
        let end = bytes.min(self.end.0);
        let new_scan = || SegmentScan::new(self.directory.superblock.identity, number, end);
        let (mut scan, mut patched) = (new_scan(), false);
        let mut gap = Gap { place, offset: 0, end: bytes - bytes % PAGE };
        // The flush before the last one, and the file range of the bodies of the last one, if that
        // range is valid.
        let (mut before, mut bodies) = (self.last, (0, 0));
        while gap.offset < self.end.0 {
            let found = match scan.block(disk, gap.offset) {
                Ok(Some(found)) => Some(found),
                Ok(None) => {
                    let rebuilt = self.rebuild(disk, gap);
                    if rebuilt.is_some() {
                        scan = new_scan();
                        patched = true;
                    }
                    rebuilt
                }
                Err(_) => None,
            };
            let Some(found) = found.or_else(|| self.next_known(disk, number, gap.offset)) else {
                break;
            };
            let start = found.block.body_offset;
            if start < found.end || start >= gap.end {
                break;
            }
            let last = found.records.last().map_or(found.block.prev, Record::link);
            before = self.last.replace((found.block.seq, found.block.prev, last));
            self.torn = None;
            self.committed = found.block.committed;
            gap = Gap { place, offset: found.end, end: start };
            bodies = scan.body_range(&found, None).unwrap_or_default();
        }
        // A running node knows that the flushes of its index are durable.
        if self.end.0 == u64::MAX
            && scan.check_bodies(disk, bodies.0, bodies.1).is_ok_and(|check| check.is_torn)
        {
            (self.last, self.torn) = (before, self.last);
        }
        patched
    }

    /// Returns the last flush before this one. A flush that lacks sectors was not dropped if this
    /// one follows it: its sectors were lost later.
    fn last_before(&self, block: &Block) -> Option<(FlushSeq, Link, Link)> {
        self.torn.filter(|(_, _, last)| *last == block.prev).or(self.last)
    }

    /// Returns the next readable block after the unreadable one at `offset`, among the blocks that
    /// the index of a running node knows.
    fn next_known(&self, disk: &mut dyn Disk, segment: u64, offset: u64) -> Option<HeaderBlock> {
        let (end, _) = self.end;
        let identity = self.directory.superblock.identity;
        let known = (end < u64::MAX).then(|| SegmentScan::new(identity, segment, end));
        known?.block_after(disk, offset)
    }

    /// Rebuilds the header block in a gap, and patches its damaged sectors; `None` if the bodies do
    /// not prove its content, or if its flush may never have been complete.
    fn rebuild(&self, disk: &mut PatchedDisk<'_>, gap: Gap) -> Option<HeaderBlock> {
        let (number, bytes) = self.directory.segments[gap.place];
        let identity = self.directory.superblock.identity;
        let mut scan = SegmentScan::new(identity, number, bytes);
        let bodies = scan.segment.bodies;
        let top = gap.end.checked_sub(SECTOR).filter(|top| *top >= gap.offset + PAGE)?;
        if SectorRange::read(disk, &scan, bodies, (top, gap.end)).states == [SectorState::Zero] {
            return None;
        }
        let end = gap.end.min(gap.offset + HEADERS_MAX);
        let headers = SectorRange::read(disk, &scan, scan.segment.headers, (gap.offset, end));
        let known = headers
            .bytes(0, PAYLOAD_BYTES)
            .and_then(|payload| Block::decode(payload, &scan.segment).ok());
        let later = later_block(&headers, &scan, gap);
        // The search begins with the page that is furthest from the end of the bodies, because a
        // page inside the bodies may begin with an entry, too.
        let first = match (known, &later) {
            (Some(block), _) => block.body_offset,
            (None, Some((_, later))) => bodies_end(later, gap.end)?,
            (None, None) => self.end.1.max(gap.offset + PAGE),
        };
        let pages = if known.is_some() { 1 } else { usize::MAX };
        let mut starts = (first..gap.end).step_by(PAGE_BYTES).take(pages);
        let next = later.as_ref().map(|(_, block)| block.seq);
        let next = next.or_else(|| self.first_after(disk, gap));
        let is_obsolete = next.is_some_and(|next| next <= self.directory.superblock.log_start);
        let found = starts.find_map(|start| {
            self.flush_in(disk, &scan, &headers, (start, gap.end), known, is_obsolete)
        });
        let (mut block, records) = found?;
        let end = gap.offset + framed_bytes(block.bytes()) as u64;
        if end > block.body_offset || later.as_ref().is_some_and(|(offset, _)| *offset < end) {
            return None;
        }
        if known.is_none() {
            let next = scan.block(disk, end).ok().flatten().map(|next| next.block);
            let seq = self.seq_of(disk, gap, &block, &records, next.as_ref());
            let follows = |last: FlushSeq, seq: FlushSeq| [last, last.next()].contains(&seq);
            let last = self.last_before(&block).map(|(last, _, _)| last);
            let fits = |seq: &FlushSeq| {
                last.is_none_or(|last| follows(last, *seq))
                    || self.torn.is_some_and(|(torn, _, _)| follows(torn, *seq))
            };
            block.seq = seq.filter(|seq| fits(seq) && *seq > FlushSeq(0))?;
        }
        let count = usize::try_from((end - gap.offset) / SECTOR).ok()?;
        let mut is_proven = || later.is_some() || self.is_proven(disk, gap, block.seq);
        if headers.states.get(..count)?.contains(&SectorState::Zero) && !is_proven() {
            return None;
        }
        let mut framer = Framer::new(scan.segment.headers, gap.offset, block.bytes());
        framer.push(&block.encode(scan.segment.salt));
        records.iter().for_each(|record| framer.push(&record.encode()));
        let framed = framer.finish();
        let is_patched = headers.patch(disk, scan.segment.file(), gap.offset, &framed);
        is_patched.then_some(HeaderBlock { offset: gap.offset, end, block, records })
    }

    /// Returns the block and the headers of a flush whose bodies are in this file range. `known` is
    /// the fixed part of the block, if it is intact; without it, the number of the flush is not
    /// known yet. `is_obsolete` is true if a snapshot has certainly replaced the flush.
    fn flush_in(
        &self,
        disk: &mut PatchedDisk<'_>,
        scan: &SegmentScan,
        headers: &SectorRange,
        range: (u64, u64),
        known: Option<Block>,
        is_obsolete: bool,
    ) -> Option<(Block, Vec<Record>)> {
        let (start, end) = range;
        if start >= end {
            return None;
        }
        let first = SectorRange::read(disk, scan, scan.segment.bodies, (start, start + SECTOR));
        let first = first.record(0).or_else(|| known.and_then(|_| headers.record(BLOCK_BYTES)))?;
        let prev = match known {
            Some(block) => block.prev,
            None => match self.link_before(disk, &first) {
                Some(link) => link,
                None => self.base_before(disk, scan, &first, is_obsolete)?,
            },
        };
        let bodies = SectorRange::read(disk, scan, scan.segment.bodies, range);
        let (mut records, mut position, mut link) = (Vec::new(), 0, prev);
        while known.is_none_or(|block| records.len() < block.entries as usize) {
            let in_block = BLOCK_BYTES + records.len() * RECORD_BYTES;
            let record = bodies.record(position).or_else(|| headers.record(in_block));
            let follows = |record: &Record| {
                record.id.index == link.id.index.next()
                    && record.id.term >= link.id.term
                    && record.chain == link.chain
            };
            let Some(record) = record.filter(follows) else { break };
            position = position.checked_add(record.bytes())?;
            link = record.link();
            records.push(record);
        }
        let is_whole = match known {
            Some(block) => records.len() == block.entries as usize,
            // Only padding follows the last body.
            None => {
                let rest = bodies.payload.len().checked_sub(position)?;
                let padding = bodies.bytes(position, rest);
                !records.is_empty()
                    && padding.is_some_and(|rest| rest.iter().all(|byte| *byte == 0))
            }
        };
        let fits = is_whole && framed_bytes(position) as u64 == end - start;
        let block = known.unwrap_or(Block {
            entries: u32::try_from(records.len()).ok()?,
            identity: scan.segment.identity,
            segment: scan.segment.number,
            seq: FlushSeq(1),
            prev,
            committed: self.committed,
            watermark: prev.id.index,
            body_offset: start,
            body_bytes: position as u64,
        });
        (fits && block.body_bytes == position as u64).then_some((block, records))
    }

    /// Finds the entry before this one by its chain: in any header block that is readable, or at
    /// the beginning of the log.
    fn link_before(&self, disk: &mut dyn Disk, first: &Record) -> Option<Link> {
        let is_before =
            |link: &Link| link.chain == first.chain && link.id.index.next() == first.id.index;
        let anchor = Link::anchor(self.directory.superblock.snapshot.last);
        let known = [Link::default(), anchor].into_iter().chain(self.links.iter().copied());
        let last = self.last.map(|(_, _, last)| last);
        if let Some(link) = known.chain(last).find(is_before) {
            return Some(link);
        }
        for (number, bytes) in &self.searched {
            let identity = self.directory.superblock.identity;
            let mut scan = SegmentScan::new(identity, *number, *bytes);
            // Blocks after a damaged one are found page by page.
            for offset in (0..*bytes).step_by(PAGE_BYTES) {
                let Ok(Some(found)) = scan.block(disk, offset) else { continue };
                let links =
                    found.records.iter().filter(|record| record.id.index.next() == first.id.index);
                let mut links = links.map(Record::link).chain([found.block.prev]);
                if let Some(link) = links.find(is_before) {
                    return Some(link);
                }
            }
        }
        None
    }

    /// Returns the entry before the first one of a compacted log. If it is the last entry of a
    /// snapshot, its term is that of the snapshot. Otherwise its term is lost with the header
    /// block, and the term of the first entry is assumed. If that is wrong, the first entry is the
    /// first of its term, so no log has an entry with the assumed id. The snapshot covers both
    /// entries, so a peer that needs the entry before the first one gets the snapshot. A flush that
    /// `is_obsolete` may belong to a log that the snapshot replaced, and lie after the last entry
    /// of the snapshot.
    fn base_before(
        &self,
        disk: &mut dyn Disk,
        scan: &SegmentScan,
        first: &Record,
        is_obsolete: bool,
    ) -> Option<Link> {
        let covered = self.directory.superblock.snapshot.last;
        let listed = self.directory.segments.first().map(|(number, _)| *number);
        let begins = self.last.is_none() && self.links.is_empty();
        let follows = first.id.index <= covered.index.next() || is_obsolete;
        if !begins || listed != Some(scan.segment.number) || !follows {
            return None;
        }
        let index = first.id.index.previous();
        if index == covered.index {
            return Some(Link { id: covered, chain: first.chain });
        }
        // The snapshot before the newest one may become the start of this node again, and has to
        // agree with the log then.
        let cluster = self.directory.superblock.identity.cluster;
        let older = last_entry_of_snapshot(disk, cluster, index).ok()?;
        let id = older.unwrap_or(EntryId::new(first.id.term, index));
        Some(Link { id, chain: first.chain })
    }

    /// Returns the number of a flush whose damaged block has lost the number; `next` is the block
    /// after it in the same segment.
    fn seq_of(
        &self,
        disk: &mut dyn Disk,
        gap: Gap,
        block: &Block,
        records: &[Record],
        next: Option<&Block>,
    ) -> Option<FlushSeq> {
        let before = |seq: FlushSeq| FlushSeq(seq.0 - 1);
        let last_flush = self.last_before(block);
        let last = last_flush.map(|(seq, _, _)| seq);
        if gap.offset > 0 {
            return last.map(FlushSeq::next);
        }
        if let Some(next) = next {
            return Some(before(next.seq));
        }
        if let Some(later) = self.first_after(disk, gap) {
            // If no number is missing between the flushes before and after, a start has written
            // this flush again in a later segment.
            let is_missing = last.is_none_or(|last| last.next() < later);
            return is_missing.then(|| before(later));
        }
        let Directory { superblock, floor, segments, .. } = self.directory;
        let end = records.last().map(Record::link);
        let place = end.map(|end| (segments[gap.place].0, end.id.index));
        if floor.place.is_some() && floor.place == place {
            return Some(floor.seq);
        }
        match last_flush {
            // A start has written the last flush again here.
            Some((seq, prev, last)) if prev == block.prev && Some(last) == end => Some(seq),
            Some((seq, _, _)) => Some(seq.next()),
            None if block.prev == Link::anchor(superblock.snapshot.last) => {
                Some(superblock.log_start)
            }
            None => (block.prev == Link::default()).then_some(FlushSeq(1)),
        }
    }

    /// Returns the number of the first flush in the segments after this one.
    fn first_after(&self, disk: &mut dyn Disk, gap: Gap) -> Option<FlushSeq> {
        let identity = self.directory.superblock.identity;
        self.directory.segments[gap.place + 1..].iter().find_map(|(number, bytes)| {
            let mut scan = SegmentScan::new(identity, *number, *bytes);
            scan.block(disk, 0).ok().flatten().map(|found| found.block.seq)
        })
    }

    /// Returns true if the flush was certainly durable: the floor or a later flush shows it.
    fn is_proven(&self, disk: &mut dyn Disk, gap: Gap, seq: FlushSeq) -> bool {
        let later = self.first_after(disk, gap);
        seq <= self.directory.floor.seq || later.is_some_and(|later| later > seq)
    }
}

/// Returns the offset at which the bodies of a flush end, which is not after `limit`.
fn bodies_end(block: &Block, limit: u64) -> Option<u64> {
    let framed = framed_bytes(at_most(block.body_bytes, limit)?) as u64;
    block.body_offset.checked_add(framed).filter(|end| *end <= limit)
}

/// Returns the first intact fixed part of a header block after the damaged one, with its offset.
fn later_block(headers: &SectorRange, scan: &SegmentScan, gap: Gap) -> Option<(u64, Block)> {
    let sectors = PAGE_BYTES / SECTOR_BYTES;
    let pages = (sectors..headers.states.len()).step_by(sectors);
    pages.into_iter().find_map(|sector| {
        let payload = headers.bytes(sector * PAYLOAD_BYTES, PAYLOAD_BYTES)?;
        let block = Block::decode(payload, &scan.segment).ok()?;
        let end = bodies_end(&block, gap.end)?;
        (end < gap.end).then_some((gap.offset + sector as u64 * SECTOR, block))
    })
}
