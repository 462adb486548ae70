//! Reads entries from the segments: first the header blocks that locate the entries, then the
//! bodies.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::storage::block::{Block, BlockError, FlushSeq, Link, RECORD_BYTES, Record};
use crate::storage::config::StorageConfig;
use crate::storage::disk::{DiskError, FileAction, FileName, Lane, OperationId};
use crate::storage::error::StorageError;
use crate::storage::identity::Identity;
use crate::storage::index::{LogIndex, Position};
use crate::storage::operations::{Operations, Owner};
use crate::storage::sector::{
    PAGE_BYTES, PAYLOAD_BYTES, SECTOR_BYTES, SectorCodec, SectorState, framed_bytes,
    unreadable_sector,
};
use crate::storage::segment::NodeSegment;
use crate::types::{DamagedEntry, Entry, Index};

/// The size of the first read of a header zone, in bytes; a larger header block is then read whole.
const HEADER_PIECE_BYTES: u64 = 64 << 10;

/// The caller's id of a fetch, which is returned with the entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FetchId(pub u64);

/// The purpose of a read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// Reads entries for the caller of a fetch.
    Fetch { id: FetchId, bytes_max: usize },
    /// Reads the digest of one header, for the flush that follows it.
    Link,
}

/// The outcome of a completed disk read.
#[derive(Clone, Debug)]
pub(crate) enum ReadOutcome {
    /// The entries before the first damaged one, and the damaged ones among those that were read.
    Entries(FetchId, Vec<Entry>, Vec<DamagedEntry>),
    Link(Link),
    /// The log no longer has the entry in this segment, because it was compacted or truncated
    /// meanwhile.
    Gone(Purpose),
    /// A header block in this segment is damaged: the read waits for [`PendingReads::resume`].
    DamagedHeaders(u64),
    /// Another disk read was requested.
    Pending,
}

/// The reads of the log that wait for the disk.
#[derive(Clone, Debug)]
pub(crate) struct PendingReads {
    identity: Identity,
    read_bytes_max: u64,
    /// The segment that was read last, because the next read is most likely in the same.
    segment: Option<NodeSegment>,
    under_way: BTreeMap<OperationId, Read>,
    /// Reads that wait until the header blocks of their segment are rebuilt.
    stalled: Vec<Read>,
}

#[derive(Clone, Debug)]
struct Read {
    purpose: Purpose,
    first: Index,
    /// The highest index that this read may return: no truncation lies between the first entry and
    /// this one in the segments.
    last: Index,
    segment: u64,
    /// The offset and the length in bytes of the requested file range.
    offset: u64,
    bytes: u64,
    /// The bytes so far, if the range could not be read at once and is read piece by piece.
    pieces: Option<Pieces>,
    stage: ReadStage,
    /// Whether an earlier attempt found the headers damaged.
    retried: bool,
}

impl Read {
    /// Returns true if the log still has the first entry in the segment that is read.
    fn is_in(&self, index: &LogIndex) -> bool {
        index.locate(self.first).is_some_and(|position| position.segment == self.segment)
    }
}

/// The part of a range that was read piece by piece: pages, and the sectors of a page that cannot
/// be read.
#[derive(Clone, Debug, Default)]
struct Pieces {
    content: Vec<u8>,
    /// The size of the piece that is read now.
    reading: usize,
    /// The offset in the file before which the pieces are sectors, not pages.
    sectors_until: u64,
}

impl Pieces {
    /// Handles the result of reading the next piece of a range that begins at `offset`.
    fn add(&mut self, offset: u64, result: Option<&[u8]>) {
        match result {
            Some(piece) => self.content.extend_from_slice(piece),
            None if self.reading > SECTOR_BYTES => {
                self.sectors_until = offset + (self.content.len() + self.reading) as u64;
            }
            None => self.content.extend_from_slice(&unreadable_sector()[..self.reading]),
        }
    }
}

#[derive(Clone, Debug)]
enum ReadStage {
    /// Reads header blocks, which end at `end`.
    Headers { end: u64 },
    /// Reads the bodies at these locations.
    Bodies(Vec<BodyLocation>),
}

#[derive(Clone, Copy, Debug)]
struct BodyLocation {
    record: Record,
    /// The number of the flush that wrote the entry.
    seq: FlushSeq,
    /// The offset in the file at which the bodies of the flush begin.
    body_offset: u64,
    /// The offset of the entry's header in the payload of these bodies.
    position: u64,
}

/// Returns the file range of the sectors that hold the entry at `place`, the copy of its header and
/// its body: the start and the end.
fn range(place: &BodyLocation) -> (u64, u64) {
    let (payload, sector) = (PAYLOAD_BYTES as u64, SECTOR_BYTES as u64);
    let end = place.position + place.record.bytes() as u64;
    let first = place.body_offset + place.position / payload * sector;
    (first, place.body_offset + end.div_ceil(payload) * sector)
}

impl PendingReads {
    pub(crate) fn new(identity: Identity, config: &StorageConfig) -> PendingReads {
        let read_bytes_max = config.read_bytes_max as u64;
        let (under_way, stalled) = (BTreeMap::new(), Vec::new());
        PendingReads { identity, read_bytes_max, segment: None, under_way, stalled }
    }

    /// Returns the number of pending reads for the caller of a fetch.
    pub(crate) fn fetches(&self) -> usize {
        let is_fetch = |read: &&Read| matches!(read.purpose, Purpose::Fetch { .. });
        self.under_way.values().chain(&self.stalled).filter(is_fetch).count()
    }

    /// Returns true if the read of a link is pending.
    pub(crate) fn reads_link(&self) -> bool {
        let mut reads = self.under_way.values().chain(&self.stalled);
        reads.any(|read| matches!(read.purpose, Purpose::Link))
    }

    /// Returns true if a read of `segment` is pending.
    pub(crate) fn needs(&self, segment: u64) -> bool {
        self.under_way.values().chain(&self.stalled).any(|read| read.segment == segment)
    }

    /// Begins to read entries from `first`, which is at or after `position`, and none after `last`.
    pub(crate) fn begin(
        &mut self,
        purpose: Purpose,
        position: Position,
        first: Index,
        last: Index,
        operations: &mut Operations,
    ) {
        let last = last.min(position.last);
        assert!(first <= last, "a read covers at least one entry");
        assert!(position.offset < position.end, "a read begins before the end of the headers");
        let bytes = HEADER_PIECE_BYTES.min(position.end - position.offset);
        let (segment, offset) = (position.segment, position.offset);
        let (pieces, stage, retried) = (None, ReadStage::Headers { end: position.end }, false);
        let read = Read { purpose, first, last, segment, offset, bytes, pieces, stage, retried };
        self.request(read, operations);
    }

    fn request(&mut self, mut read: Read, operations: &mut Operations) {
        let file = FileName::Segment(read.segment);
        let (mut offset, mut bytes) = (read.offset, read.bytes);
        if let Some(pieces) = &mut read.pieces {
            offset += pieces.content.len() as u64;
            let unit = if offset < pieces.sectors_until { SECTOR_BYTES } else { PAGE_BYTES } as u64;
            bytes = (read.offset + read.bytes - offset).min(unit - offset % unit);
            pieces.reading = usize::try_from(bytes).expect("a piece is a page at most");
        }
        assert!(bytes > 0, "a read that makes no progress would be repeated forever");
        let bytes = usize::try_from(bytes).expect("a read fits into memory");
        let action = FileAction::Read { file, offset, bytes };
        self.under_way.insert(operations.request(Owner::Log, Lane::Bulk, action), read);
    }

    fn segment(&mut self, number: u64) -> NodeSegment {
        let last = self.segment.filter(|last| last.number == number);
        *self.segment.insert(last.unwrap_or_else(|| NodeSegment::new(self.identity, number)))
    }

    /// Returns true if the operation belongs to a pending read.
    pub(crate) fn has(&self, id: OperationId) -> bool {
        self.under_way.contains_key(&id)
    }

    /// Handles the result of a disk read. A range that cannot be read is read again by page, then
    /// by sector. The log is durably compacted through `compacted`.
    ///
    /// # Errors
    /// While the log has the entry in this segment, a [`StorageError`] if the file ends before the
    /// range, if headers are still damaged after the attempt to rebuild them, or if the body of an
    /// entry contradicts its header.
    pub(crate) fn completed(
        &mut self,
        id: OperationId,
        result: Result<Vec<u8>, DiskError>,
        index: &LogIndex,
        compacted: Index,
        operations: &mut Operations,
    ) -> Result<ReadOutcome, StorageError> {
        let mut read =
            self.under_way.remove(&id).expect("the caller checked that the read is pending");
        let bytes = match (result, &mut read.pieces) {
            (Ok(bytes), None) => bytes,
            (Err(_), pieces @ None) => {
                *pieces = Some(Pieces::default());
                self.request(read, operations);
                return Ok(ReadOutcome::Pending);
            }
            (result, Some(pieces)) => {
                let is_short = result.as_ref().is_ok_and(|bytes| bytes.len() < pieces.reading);
                pieces.add(read.offset, result.as_deref().ok());
                if !is_short && (pieces.content.len() as u64) < read.bytes {
                    self.request(read, operations);
                    return Ok(ReadOutcome::Pending);
                }
                read.pieces.take().map(|pieces| pieces.content).unwrap_or_default()
            }
        };
        let (purpose, is_in) = (read.purpose, read.is_in(index));
        let segment = read.segment;
        let is_needed = |place: &BodyLocation| {
            let entry = place.record.id.index;
            entry > compacted && index.is_live(segment, place.seq, entry)
        };
        match self.on_bytes(read, &bytes, is_needed, operations) {
            Err(_) if !is_in => Ok(ReadOutcome::Gone(purpose)),
            outcome => outcome,
        }
    }

    fn on_bytes(
        &mut self,
        read: Read,
        bytes: &[u8],
        is_needed: impl Fn(&BodyLocation) -> bool,
        operations: &mut Operations,
    ) -> Result<ReadOutcome, StorageError> {
        let file = FileName::Segment(read.segment);
        if bytes.len() as u64 != read.bytes {
            let end = read.offset + bytes.len() as u64;
            return Err(StorageError::damage(file, end, "unexpected end of file"));
        }
        match &read.stage {
            ReadStage::Headers { end } => {
                let end = *end;
                let again = (!read.retried).then(|| Read { retried: true, ..read.clone() });
                let result = self.on_headers(read, end, bytes, operations);
                let (Err(_), Some(again)) = (&result, again) else { return result };
                let segment = again.segment;
                self.stalled.push(again);
                Ok(ReadOutcome::DamagedHeaders(segment))
            }
            ReadStage::Bodies(places) => {
                let Purpose::Fetch { id, .. } = read.purpose else {
                    unreachable!("a link needs no bodies")
                };
                let codec = self.segment(read.segment).bodies;
                let DecodedBodies { intact, damaged } =
                    entries(file, codec, read.offset, bytes, places, is_needed)?;
                let begins = intact.first().is_none_or(|entry| entry.id.index == read.first);
                assert!(begins, "a fetch returns the entries from the requested one on");
                if intact.is_empty() && damaged.is_empty() {
                    return Ok(ReadOutcome::Gone(read.purpose));
                }
                Ok(ReadOutcome::Entries(id, intact, damaged))
            }
        }
    }

    /// Repeats the reads that wait for the header blocks of a segment. Returns the purpose of those
    /// that end instead: the log no longer has their entry in this segment.
    pub(crate) fn resume(
        &mut self,
        segment: u64,
        index: &LogIndex,
        operations: &mut Operations,
    ) -> Vec<Purpose> {
        let waiting = self.stalled.extract_if(.., |read| read.segment == segment);
        let (there, gone): (Vec<Read>, Vec<Read>) = waiting.partition(|read| read.is_in(index));
        assert!(there.iter().all(|read| read.retried), "damaged headers are read again once");
        there.into_iter().for_each(|read| self.request(read, operations));
        gone.into_iter().map(|read| read.purpose).collect()
    }

    fn on_headers(
        &mut self,
        mut read: Read,
        end: u64,
        bytes: &[u8],
        operations: &mut Operations,
    ) -> Result<ReadOutcome, StorageError> {
        let segment = self.segment(read.segment);
        let mut chosen = BodySelection { places: Vec::new(), range: (0, 0), bytes: 0, full: false };
        let mut at = 0;
        while at < bytes.len() && !chosen.full {
            let offset = read.offset + at as u64;
            let block = first_sector(&segment, offset, &bytes[at..])?;
            let length = framed_bytes(block.bytes());
            let relevant = block.prev.id.index.0 + u64::from(block.entries) >= read.first.0;
            if relevant && at + length > bytes.len() {
                break;
            }
            if relevant {
                let sectors = &bytes[at..at + length];
                let records = records(&segment, &block, offset, sectors)?;
                if let Purpose::Link = read.purpose {
                    let record = records.iter().find(|record| record.id.index == read.first);
                    return match record {
                        Some(record) => Ok(ReadOutcome::Link(record.link())),
                        None => Err(missing(&read, offset)),
                    };
                }
                chosen.add(&read, &block, &records, self.read_bytes_max);
            }
            at += length;
        }
        if chosen.places.is_empty() {
            read.offset += at as u64;
            if read.offset >= end {
                return Err(missing(&read, end));
            }
            let rest = bytes.get(at..).unwrap_or_default();
            let needed = match rest {
                [] => HEADER_PIECE_BYTES,
                _ => {
                    let block = first_sector(&segment, read.offset, rest)?;
                    (framed_bytes(block.bytes()) as u64).max(HEADER_PIECE_BYTES)
                }
            };
            if at == 0 && end - read.offset <= bytes.len() as u64 {
                return Err(missing(&read, end));
            }
            read.bytes = needed.min(end - read.offset);
            self.request(read, operations);
            return Ok(ReadOutcome::Pending);
        }
        if chosen.places.first().is_some_and(|place| place.record.id.index != read.first) {
            return Err(missing(&read, read.offset));
        }
        (read.offset, read.bytes) = (chosen.range.0, chosen.range.1 - chosen.range.0);
        let is_within = read.bytes <= self.read_bytes_max || chosen.places.len() == 1;
        assert!(is_within, "only a single entry may exceed the limit of a read");
        read.stage = ReadStage::Bodies(chosen.places);
        self.request(read, operations);
        Ok(ReadOutcome::Pending)
    }
}

fn missing(read: &Read, offset: u64) -> StorageError {
    let message = format!("entry {} is missing", read.first);
    StorageError::damage(FileName::Segment(read.segment), offset, message)
}

/// The bodies selected for the next disk read.
struct BodySelection {
    places: Vec<BodyLocation>,
    range: (u64, u64),
    /// The size of the selected entries, counted like `Entry::bytes`.
    bytes: usize,
    full: bool,
}

impl BodySelection {
    /// Selects the requested entries of a block, as many as the limits allow, and at least one.
    fn add(&mut self, read: &Read, block: &Block, records: &[Record], range_max: u64) {
        let Purpose::Fetch { bytes_max, .. } = read.purpose else {
            unreachable!("a link needs no bodies")
        };
        let mut position = 0;
        for record in records {
            let (record, seq, body_offset) = (*record, block.seq, block.body_offset);
            let place = BodyLocation { record, seq, body_offset, position };
            position += record.bytes() as u64;
            let next = self.places.last().map_or(read.first, |place| place.record.id.index.next());
            if record.id.index < next {
                continue;
            }
            let (start, end) = range(&place);
            let wider = match self.places.is_empty() {
                true => (start, end),
                false => (self.range.0.min(start), self.range.1.max(end)),
            };
            let bytes = Entry::OVERHEAD_BYTES + record.body_bytes as usize;
            let bytes = self.bytes.saturating_add(bytes);
            let fits = bytes <= bytes_max && wider.1 - wider.0 <= range_max;
            if record.id.index > read.last || !(fits || self.places.is_empty()) {
                self.full = true;
                return;
            }
            (self.range, self.bytes) = (wider, bytes);
            self.places.push(place);
        }
    }
}

/// Decodes the fixed part of the header block at `offset`, whose first bytes are `bytes`.
fn first_sector(segment: &NodeSegment, offset: u64, bytes: &[u8]) -> Result<Block, StorageError> {
    let file = segment.file();
    let sector = bytes.get(..SECTOR_BYTES).unwrap_or(bytes);
    let payload = segment.headers.unframe(offset, sector).map_err(|(place, _)| {
        StorageError::damage(file, place, "a sector's checksum does not match its content")
    })?;
    Block::decode(&payload, segment).map_err(|error| match error {
        BlockError::Invalid(message) => StorageError::damage(file, offset, message),
        BlockError::Mismatch(field, expected, found) => {
            StorageError::damage(file, offset, format!("{field} is {found}, expected {expected}"))
        }
    })
}

/// Decodes the headers of a block's entries.
fn records(
    segment: &NodeSegment,
    block: &Block,
    offset: u64,
    sectors: &[u8],
) -> Result<Vec<Record>, StorageError> {
    let file = segment.file();
    let payload = segment.headers.unframe(offset, sectors).map_err(|(place, _)| {
        StorageError::damage(file, place, "a sector's checksum does not match its content")
    })?;
    block.records(&payload).map_err(|message| StorageError::damage(file, offset, message))
}

/// The outcome of decoding the bodies of some entries.
#[derive(Clone, Debug)]
pub(crate) struct DecodedBodies {
    /// The entries before the first damaged one, and before the first one that is gone.
    pub(crate) intact: Vec<Entry>,
    pub(crate) damaged: Vec<DamagedEntry>,
}

/// Decodes the entries at these locations from the bytes that were read at `offset`. An entry is
/// damaged if a sector that holds some of its body is not valid. A repair may have written zeros in
/// place of an entry that the log no longer needs: the entries before it are returned.
///
/// # Errors
/// A [`StorageError`] if valid sectors contradict the header of an entry that the log needs.
fn entries(
    file: FileName,
    codec: SectorCodec,
    offset: u64,
    bytes: &[u8],
    places: &[BodyLocation],
    is_needed: impl Fn(&BodyLocation) -> bool,
) -> Result<DecodedBodies, StorageError> {
    let mut sectors = Vec::with_capacity(bytes.len().div_ceil(SECTOR_BYTES));
    let mut payload = Vec::with_capacity(bytes.len() / SECTOR_BYTES * PAYLOAD_BYTES);
    for (at, sector) in (offset..).step_by(SECTOR_BYTES).zip(bytes.chunks(SECTOR_BYTES)) {
        sectors.push(codec.state(at, sector) == SectorState::Valid);
        payload.extend_from_slice(&sector[..sector.len().min(PAYLOAD_BYTES)]);
    }
    let mut decoded =
        DecodedBodies { intact: Vec::with_capacity(places.len()), damaged: Vec::new() };
    for place in places {
        let (start, _) = range(place);
        assert!(start >= offset, "the range that was read begins with the first body");
        let first = usize::try_from((start - offset) / SECTOR_BYTES as u64 * PAYLOAD_BYTES as u64);
        let within = place.position % PAYLOAD_BYTES as u64;
        let first = first.expect("the bytes that were read fit into memory") + within as usize;
        let body = first + RECORD_BYTES..first + place.record.bytes();
        let is_valid = |bytes: Range<usize>| {
            let valid = sectors.get(bytes.start / PAYLOAD_BYTES..bytes.end.div_ceil(PAYLOAD_BYTES));
            bytes.is_empty() || valid.is_some_and(|valid| valid.iter().all(|valid| *valid))
        };
        let id = place.record.id;
        if !is_valid(body.clone()) {
            let is_membership = place.record.is_membership();
            decoded.damaged.push(DamagedEntry { id, is_membership });
            continue;
        }
        let header = first..body.start;
        let has_header =
            !is_valid(header.clone()) || payload.get(header) == Some(&place.record.encode()[..]);
        let entry = match body.is_empty() {
            true => place.record.entry(&[]),
            false => payload.get(body).and_then(|body| place.record.entry(body)),
        };
        match entry.filter(|_| has_header) {
            Some(entry) if decoded.damaged.is_empty() => decoded.intact.push(entry),
            Some(_) => {}
            None if is_needed(place) => {
                let message = format!("the body of entry {id} does not match its header");
                return Err(StorageError::damage(file, start, message));
            }
            None => break,
        }
    }
    let count = decoded.intact.len() + decoded.damaged.len();
    assert!(count <= places.len(), "an entry is intact or damaged, and not both");
    Ok(decoded)
}
