//! The bodies of one flush, sector by sector: which entries have bytes in a sector, and which of
//! its bytes the header block determines. A flush stores the headers of its entries twice: in its
//! header block, and in its bodies, each before the content of its entry (docs/FORMAT.md).

use std::ops::Range;

use crate::storage::block::{Block, RECORD_BYTES, Record};
use crate::storage::sector::{PAYLOAD_BYTES, SECTOR_BYTES, framed_bytes};
use crate::types::{DamagedEntry, EntryId};

/// The layout of the bodies of a flush.
pub(crate) struct FlushBodies<'a> {
    body_offset: u64,
    records: &'a [Record],
    /// The offset of each entry's header in the payload of all bodies, and the end of the last one.
    places: Vec<usize>,
}

/// A damaged sector of bodies whose content is assembled again, from the header block and from the
/// bodies that peers provide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SectorAssembly {
    pub(crate) payload: Vec<u8>,
    /// The parts of bodies that were not provided yet.
    missing: Vec<MissingPart>,
    /// Every entry with bytes of its body in the sector.
    pub(crate) entries: Vec<EntryId>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct MissingPart {
    entry: DamagedEntry,
    /// The part of the entry's body, in bytes from the beginning of the body.
    body: Range<usize>,
    /// The offset of the part in the payload of the sector.
    place: usize,
}

impl<'a> FlushBodies<'a> {
    pub(crate) fn new(block: &Block, records: &'a [Record]) -> FlushBodies<'a> {
        let mut places = vec![0];
        let mut end = 0;
        places.extend(records.iter().map(|record| {
            end += record.bytes();
            end
        }));
        assert_eq!(records.len(), block.entries as usize, "the headers are those of the block");
        assert_eq!(
            end as u64, block.body_bytes,
            "the bodies have the length that the block states"
        );
        FlushBodies { body_offset: block.body_offset, records, places }
    }

    /// Returns the file range of the sectors: the start and the end, with the padding.
    pub(crate) fn range(&self) -> (u64, u64) {
        let payload = self.places.last().copied().unwrap_or_default();
        (self.body_offset, self.body_offset + framed_bytes(payload) as u64)
    }

    /// Returns the file range of the sectors that hold the body of the entry at `place` in the
    /// flush; an empty range for an entry without a body.
    pub(crate) fn sectors(&self, place: usize) -> Range<u64> {
        let body = self.body(place);
        let sector = |position: usize| self.body_offset + (position * SECTOR_BYTES) as u64;
        let first = sector(body.start / PAYLOAD_BYTES);
        match body.is_empty() {
            true => first..first,
            false => first..sector(body.end.div_ceil(PAYLOAD_BYTES)),
        }
    }

    /// Returns the body of an entry in the payload of its [`FlushBodies::sectors`].
    pub(crate) fn body_in<'b>(&self, place: usize, payload: &'b [u8]) -> Option<&'b [u8]> {
        let body = self.body(place);
        let first = if body.is_empty() { 0 } else { body.start % PAYLOAD_BYTES };
        payload.get(first..first + body.len())
    }

    /// Returns the range of an entry's body in the payload.
    fn body(&self, place: usize) -> Range<usize> {
        self.places[place] + RECORD_BYTES..self.places[place + 1]
    }

    /// Returns the sector at `offset` with everything that the header block determines: headers,
    /// empty bodies and padding.
    pub(crate) fn assemble(&self, offset: u64) -> SectorAssembly {
        let sector = (offset - self.body_offset) / SECTOR_BYTES as u64;
        let sector = usize::try_from(sector).expect("a flush fits into memory");
        let (start, end) = (sector * PAYLOAD_BYTES, (sector + 1) * PAYLOAD_BYTES);
        let (mut payload, mut missing) = (vec![0; PAYLOAD_BYTES], Vec::new());
        let before = self.places.partition_point(|place| *place <= start);
        let first = before.saturating_sub(1);
        for (place, record) in self.records.iter().enumerate().skip(first) {
            if self.places[place] >= end {
                break;
            }
            let header = self.places[place];
            for (at, byte) in (header..).zip(record.encode()) {
                if (start..end).contains(&at) {
                    payload[at - start] = byte;
                }
            }
            let body = self.body(place);
            let (from, until) = (body.start.max(start), body.end.min(end));
            if from < until {
                let part = from - body.start..until - body.start;
                let entry = DamagedEntry { id: record.id, is_membership: record.is_membership() };
                missing.push(MissingPart { entry, body: part, place: from - start });
            }
        }
        let entries = missing.iter().map(|part| part.entry.id).collect();
        SectorAssembly { payload, missing, entries }
    }

    /// Returns the entries with bytes of their bodies in any of these sectors, which are given by
    /// ascending offsets.
    pub(crate) fn damaged_by(&self, bad: &[u64]) -> Vec<DamagedEntry> {
        let is_hit = |place: &usize| {
            let sectors = self.sectors(*place);
            let next = bad.partition_point(|offset| *offset < sectors.start);
            bad.get(next).is_some_and(|offset| *offset < sectors.end)
        };
        let damaged = |place: usize| {
            let record = &self.records[place];
            DamagedEntry { id: record.id, is_membership: record.is_membership() }
        };
        (0..self.records.len()).filter(is_hit).map(damaged).collect()
    }
}

impl SectorAssembly {
    /// Adds the part of an entry's body that the sector holds.
    pub(crate) fn fill(&mut self, entry: EntryId, body: &[u8]) {
        for part in self.missing.extract_if(.., |part| part.entry.id == entry) {
            assert!(part.body.end <= body.len(), "the body has the length in its header");
            let bytes = &body[part.body];
            self.payload[part.place..part.place + bytes.len()].copy_from_slice(bytes);
        }
    }

    /// Returns true if every byte of the sector is known that belongs to a `live` entry. The bytes
    /// of other entries are never read again, and become zeros.
    pub(crate) fn is_complete(&self, live: impl Fn(EntryId) -> bool) -> bool {
        !self.missing.iter().any(|part| live(part.entry.id))
    }

    /// Returns the entries with missing bytes.
    pub(crate) fn missing(&self) -> impl Iterator<Item = DamagedEntry> {
        self.missing.iter().map(|part| part.entry)
    }
}
