//! The damage of bodies that recovery finds: which entries have lost their content, and which
//! damaged sectors can be written again from the headers alone.

use std::collections::BTreeMap;

use crate::storage::block::FlushSeq;
use crate::storage::disk::FileName;
use crate::storage::error::StorageError;
use crate::storage::flush_bodies::{FlushBodies, SectorAssembly};
use crate::storage::index::LogIndex;
use crate::storage::scan::HeaderBlock;
use crate::storage::sector::PAGE_BYTES;
use crate::storage::segment::NodeSegment;
use crate::types::{DamagedEntry, Index};

/// The maximum number of ranges of entries that an error lists.
const LISTED_MAX: usize = 8;

/// The damaged sectors of bodies that were found so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct BodyDamage {
    /// The entries with their flush, in the order of flushes; a later flush may have truncated some
    /// of them.
    entries: Vec<DamagedBody>,
    /// The content of damaged sectors that the header block determines.
    known: BTreeMap<(FileName, u64), Vec<u8>>,
}

#[derive(Clone, Debug)]
struct DamagedBody {
    segment: u64,
    seq: FlushSeq,
    entry: DamagedEntry,
    /// The first damaged sector of the flush.
    place: (FileName, u64),
}

/// The damage of a log that peers can repair.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogDamage {
    /// The damaged entries, in ascending order.
    pub(crate) entries: Vec<DamagedEntry>,
    /// The error about the damaged entries, for a node that has no peer to repair them.
    pub(crate) error: Option<StorageError>,
    /// The content of damaged sectors that is known.
    pub(crate) known: BTreeMap<(FileName, u64), Vec<u8>>,
}

impl BodyDamage {
    /// Notes those of the `bad` sectors, given by ascending offsets, that hold bodies of this
    /// flush.
    pub(crate) fn note(&mut self, found: &HeaderBlock, segment: &NodeSegment, bad: &[u64]) {
        debug_assert!(bad.is_sorted(), "damaged sectors are given by ascending offsets");
        let bodies = FlushBodies::new(&found.block, &found.records);
        let (start, end) = bodies.range();
        let first = bad.partition_point(|offset| *offset < start);
        let after = bad.partition_point(|offset| *offset < end);
        let bad = &bad[first..after];
        let Some(first) = bad.first() else { return };
        let (number, seq, place) = (segment.number, found.block.seq, (segment.file(), *first));
        let damaged = bodies.damaged_by(bad).into_iter();
        self.entries.extend(damaged.map(|entry| DamagedBody {
            segment: number,
            seq,
            entry,
            place,
        }));
        // To write one sector of a page, the system may first read the rest of the page. So the bad
        // sectors of a page are written again only if the content of all of them is known.
        let page = |offset: &u64| offset / PAGE_BYTES as u64;
        for page in bad.chunk_by(|one, next| page(one) == page(next)) {
            let sectors: Vec<SectorAssembly> =
                page.iter().map(|offset| bodies.assemble(*offset)).collect();
            if sectors.iter().all(|sector| sector.is_complete(|_| true)) {
                self.known.extend(page.iter().zip(sectors).map(|(offset, sector)| {
                    let content = segment.bodies.frame(*offset, &sector.payload);
                    ((segment.file(), *offset), content)
                }));
            }
        }
    }

    /// Returns the damage of the entries that are part of the log.
    pub(crate) fn of_log(self, index: &LogIndex) -> LogDamage {
        let is_live =
            |body: &&DamagedBody| index.is_live(body.segment, body.seq, body.entry.id.index);
        let mut live: Vec<&DamagedBody> = self.entries.iter().filter(is_live).collect();
        live.sort_by_key(|body| body.entry.id.index);
        let entries: Vec<DamagedEntry> = live.iter().map(|body| body.entry).collect();
        let ascends = entries.windows(2).all(|pair| pair[0].id.index < pair[1].id.index);
        assert!(ascends, "one flush holds each entry of the log");
        let error = live.first().map(|body| damage_of(body.place, &entries));
        assert_eq!(error.is_some(), !entries.is_empty(), "damaged entries have an error");
        LogDamage { entries, error, known: self.known }
    }
}

/// Returns the error about entries whose bodies are damaged, the first of them at `place`.
pub(crate) fn damage_of(place: (FileName, u64), entries: &[DamagedEntry]) -> StorageError {
    let message =
        format!("a sector does not hold what was written there: {}", damaged_entries(entries));
    StorageError::damage(place.0, place.1, message)
}

/// Returns the text that lists the damaged entries.
fn damaged_entries(entries: &[DamagedEntry]) -> String {
    let mut ranges: Vec<(Index, Index)> = Vec::new();
    for DamagedEntry { id, .. } in entries {
        match ranges.last_mut() {
            Some((_, last)) if last.next() == id.index => *last = id.index,
            _ => ranges.push((id.index, id.index)),
        }
    }
    let text = |(first, last): &(Index, Index)| match first == last {
        true => first.to_string(),
        false => format!("{first} through {last}"),
    };
    let listed: Vec<String> = ranges.iter().take(LISTED_MAX).map(text).collect();
    let more = if ranges.len() > LISTED_MAX { " and others" } else { "" };
    match entries {
        [_] => format!("entry {} is damaged", listed.concat()),
        _ => format!("entries {}{more} are damaged", listed.join(", ")),
    }
}
