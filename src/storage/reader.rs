//! Entries out of the segments: first the header blocks that say where they are, then the bodies.

use std::collections::BTreeMap;

use crate::storage::block::{Block, BlockError, Link, RECORD_BYTES, Record};
use crate::storage::config::StorageConfig;
use crate::storage::disk::{FileAction, FileName, Lane, OperationId};
use crate::storage::failure::Failure;
use crate::storage::identity::Identity;
use crate::storage::index::Position;
use crate::storage::operations::{Operations, Owner};
use crate::storage::sector::{PAYLOAD_BYTES, SECTOR_BYTES, Seal, framed_bytes};
use crate::storage::segment::NodeSegment;
use crate::types::{Entry, Index};

/// How much of a header zone is read at first; more only for a block that is larger.
const HEADER_PIECE_BYTES: u64 = 64 << 10;

/// The caller's own name for a fetch; it comes back with the entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FetchId(pub u64);

/// What is read for whom.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// Entries for a consumer.
    Fetch { id: FetchId, bytes_max: usize },
    /// The digest of one header, for the flush that follows it.
    Link,
}

/// What a read came to.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    Entries(FetchId, Vec<Entry>),
    Link(Link),
    /// The next piece is on its way.
    Nothing,
}

/// Reads under way.
#[derive(Clone, Debug)]
pub(crate) struct Reads {
    identity: Identity,
    read_bytes_max: u64,
    /// The segment that was read last: the next read is most likely of the same.
    segment: Option<NodeSegment>,
    under_way: BTreeMap<OperationId, Read>,
}

#[derive(Clone, Debug)]
struct Read {
    purpose: Purpose,
    first: Index,
    /// At most the last entry that follows in the segments without a cut.
    last: Index,
    segment: u64,
    /// What was asked for.
    offset: u64,
    bytes: u64,
    step: Step,
}

#[derive(Clone, Debug)]
enum Step {
    /// Header blocks, which end at `end`.
    Headers { end: u64 },
    /// The bodies of these, each with the offset of its flush's bodies and its place in them.
    Bodies(Vec<Place>),
}

#[derive(Clone, Copy, Debug)]
struct Place {
    record: Record,
    body_offset: u64,
    position: u64,
}

/// The file range that holds the bytes from `first` to `last` of the bodies at `body_offset`.
fn range(place: &Place) -> (u64, u64) {
    let (payload, sector) = (PAYLOAD_BYTES as u64, SECTOR_BYTES as u64);
    let end = place.position + place.record.bytes() as u64;
    let first = place.body_offset + place.position / payload * sector;
    (first, place.body_offset + end.div_ceil(payload) * sector)
}

impl Reads {
    pub(crate) fn new(identity: Identity, config: &StorageConfig) -> Reads {
        let read_bytes_max = config.read_bytes_max as u64;
        Reads { identity, read_bytes_max, segment: None, under_way: BTreeMap::new() }
    }

    /// Whether something is still read from `segment`.
    pub(crate) fn needs(&self, segment: u64) -> bool {
        self.under_way.values().any(|read| read.segment == segment)
    }

    /// Reads entries from `first` on, which is at or after `position`, and none after `last`.
    pub(crate) fn begin(
        &mut self,
        purpose: Purpose,
        position: Position,
        first: Index,
        last: Index,
        operations: &mut Operations,
    ) {
        let last = last.min(position.last);
        assert!(first <= last, "something is read");
        let bytes = HEADER_PIECE_BYTES.min(position.end - position.offset);
        let (segment, offset) = (position.segment, position.offset);
        let step = Step::Headers { end: position.end };
        let read = Read { purpose, first, last, segment, offset, bytes, step };
        self.ask(read, operations);
    }

    fn ask(&mut self, read: Read, operations: &mut Operations) {
        let bytes = usize::try_from(read.bytes).expect("a read is as small as its bound");
        let file = FileName::Segment(read.segment);
        let action = FileAction::Read { file, offset: read.offset, bytes };
        self.under_way.insert(operations.ask(Owner::Log, Lane::Bulk, action), read);
    }

    fn segment(&mut self, number: u64) -> NodeSegment {
        let last = self.segment.filter(|last| last.number == number);
        *self.segment.insert(last.unwrap_or_else(|| NodeSegment::new(self.identity, number)))
    }

    /// Whether the operation is one of these.
    pub(crate) fn has(&self, id: OperationId) -> bool {
        self.under_way.contains_key(&id)
    }

    /// A piece has been read.
    ///
    /// # Errors
    /// It is not what was written.
    pub(crate) fn completed(
        &mut self,
        id: OperationId,
        bytes: &[u8],
        operations: &mut Operations,
    ) -> Result<Found, Failure> {
        let read = self.under_way.remove(&id).expect("the caller asked whether it has it");
        let file = FileName::Segment(read.segment);
        if bytes.len() as u64 != read.bytes {
            let end = read.offset + bytes.len() as u64;
            return Err(Failure::damage(file, end, "the file ends here"));
        }
        match &read.step {
            Step::Headers { end } => {
                let end = *end;
                self.on_headers(read, end, bytes, operations)
            }
            Step::Bodies(places) => {
                let Purpose::Fetch { id, .. } = read.purpose else {
                    unreachable!("a link needs no bodies")
                };
                let seal = self.segment(read.segment).bodies;
                Ok(Found::Entries(id, entries(file, seal, read.offset, bytes, places)?))
            }
        }
    }

    fn on_headers(
        &mut self,
        mut read: Read,
        end: u64,
        bytes: &[u8],
        operations: &mut Operations,
    ) -> Result<Found, Failure> {
        let segment = self.segment(read.segment);
        let mut chosen = Chosen { places: Vec::new(), range: (0, 0), bytes: 0, full: false };
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
                        Some(record) => Ok(Found::Link(record.link())),
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
            self.ask(read, operations);
            return Ok(Found::Nothing);
        }
        if chosen.places.first().is_some_and(|place| place.record.id.index != read.first) {
            return Err(missing(&read, read.offset));
        }
        (read.offset, read.bytes) = (chosen.range.0, chosen.range.1 - chosen.range.0);
        read.step = Step::Bodies(chosen.places);
        self.ask(read, operations);
        Ok(Found::Nothing)
    }
}

fn missing(read: &Read, offset: u64) -> Failure {
    let what = format!("entry {} is not where it was written", read.first);
    Failure::damage(FileName::Segment(read.segment), offset, what)
}

/// What is to be read of the bodies.
struct Chosen {
    places: Vec<Place>,
    range: (u64, u64),
    /// As `Entry::bytes` counts them.
    bytes: usize,
    full: bool,
}

impl Chosen {
    /// Takes the wanted ones of a block's entries, as many as the bounds allow, and always one.
    fn add(&mut self, read: &Read, block: &Block, records: &[Record], range_max: u64) {
        let Purpose::Fetch { bytes_max, .. } = read.purpose else {
            unreachable!("a link needs no bodies")
        };
        let mut position = 0;
        for record in records {
            let place = Place { record: *record, body_offset: block.body_offset, position };
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
            let bytes = self.bytes + Entry::OVERHEAD_BYTES + record.body_bytes as usize;
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

/// The fixed part of the header block at `offset`, of which `bytes` are the first.
fn first_sector(segment: &NodeSegment, offset: u64, bytes: &[u8]) -> Result<Block, Failure> {
    let file = segment.file();
    let sector = bytes.get(..SECTOR_BYTES).unwrap_or(bytes);
    let payload = segment.headers.unframe(offset, sector).map_err(|(place, _)| {
        Failure::damage(file, place, "a sector's checksum is not that of its content")
    })?;
    Block::decode(&payload, segment).map_err(|error| match error {
        BlockError::Nonsense(what) => Failure::damage(file, offset, what),
        BlockError::Foreign(what, ours, theirs) => {
            Failure::damage(file, offset, format!("its {what} is {theirs} instead of {ours}"))
        }
    })
}

/// The headers of a block's entries.
fn records(
    segment: &NodeSegment,
    block: &Block,
    offset: u64,
    sectors: &[u8],
) -> Result<Vec<Record>, Failure> {
    let file = segment.file();
    let payload = segment.headers.unframe(offset, sectors).map_err(|(place, _)| {
        Failure::damage(file, place, "a sector's checksum is not that of its content")
    })?;
    block.records(&payload).map_err(|what| Failure::damage(file, offset, what))
}

/// The entries at these places, from what was read at `offset`.
fn entries(
    file: FileName,
    seal: Seal,
    offset: u64,
    bytes: &[u8],
    places: &[Place],
) -> Result<Vec<Entry>, Failure> {
    let payload = seal.unframe(offset, bytes).map_err(|(place, _)| {
        Failure::damage(file, place, "a sector's checksum is not that of its content")
    })?;
    let mut entries = Vec::with_capacity(places.len());
    for place in places {
        let (start, _) = range(place);
        let sectors = (start - offset) / SECTOR_BYTES as u64;
        let within = place.position % PAYLOAD_BYTES as u64;
        let first = usize::try_from(sectors * PAYLOAD_BYTES as u64 + within);
        let first = first.expect("what was read fits into memory");
        let record = payload.get(first..first + place.record.bytes());
        let entry = record.and_then(|record| {
            let (header, body) = record.split_at(RECORD_BYTES);
            (header == place.record.encode()).then(|| place.record.entry(body))?
        });
        let id = place.record.id;
        let damage = || Failure::damage(file, start, format!("entry {id} is not what was written"));
        entries.push(entry.ok_or_else(damage)?);
    }
    Ok(entries)
}
