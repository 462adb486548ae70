//! One entry of the log on the disk: where its header and its body are, whether they are intact,
//! and which sectors of the body have to be written again.

use crate::storage::block::{Digest, Record, body_of};
use crate::storage::disk::{Disk, FileAction};
use crate::storage::flush_bodies::FlushBodies;
use crate::storage::identity::Identity;
use crate::storage::index::LogIndex;
use crate::storage::scan::{HeaderBlock, SegmentScan};
use crate::storage::sector::{PAGE_BYTES, SECTOR_BYTES, SectorState, unreadable_sector};
use crate::storage::segment::NodeSegment;
use crate::types::{Entry, EntryId};

/// An entry of the log and the sectors of its body, as they were read.
pub(crate) struct LocatedEntry {
    pub(crate) segment: NodeSegment,
    pub(crate) found: HeaderBlock,
    /// The position of the entry in its flush.
    place: usize,
    /// The offset and the content of the sectors.
    start: u64,
    sectors: Vec<u8>,
}

/// Damaged sectors that are written together: a single one, or those of a page that could not be
/// read.
pub(crate) type SectorGroup = Vec<u64>;

/// Finds the sectors to write for an entry; `None` if the log does not have this entry, its header
/// block cannot be read, or the content is not what was written.
pub(crate) fn plan(
    disk: &mut dyn Disk,
    index: &LogIndex,
    identity: Identity,
    entry: &Entry,
) -> Option<(LocatedEntry, Vec<SectorGroup>)> {
    let located = locate(disk, index, identity, entry.id)?;
    let record = &located.found.records[located.place];
    if Record::of(entry, Digest::of(&body_of(entry)), record.chain) != *record {
        return None;
    }
    let (codec, file) = (located.segment.bodies, located.segment.file());
    let mut groups: Vec<SectorGroup> = Vec::new();
    let offsets = (located.start..).step_by(SECTOR_BYTES);
    for (offset, sector) in offsets.zip(located.sectors.chunks(SECTOR_BYTES)) {
        let is_known = groups.last().is_some_and(|group| group.contains(&offset));
        if is_known || codec.state(offset, sector) == SectorState::Valid {
            continue;
        }
        if sector != unreadable_sector() {
            groups.push(vec![offset]);
            continue;
        }
        let page = offset - offset % PAGE_BYTES as u64;
        let read = FileAction::Read { file, offset: page, bytes: PAGE_BYTES };
        let content = disk.execute(&read).ok()?;
        let sectors = (page..).step_by(SECTOR_BYTES).zip(content.chunks(SECTOR_BYTES));
        let unreadable = sectors.filter(|(_, sector)| **sector == unreadable_sector());
        groups.push(unreadable.map(|(offset, _)| offset).collect());
    }
    Some((located, groups))
}

/// Returns true if the log has this entry, and its body is as it was written.
pub(crate) fn is_intact(
    disk: &mut dyn Disk,
    index: &LogIndex,
    identity: Identity,
    id: EntryId,
) -> bool {
    let Some(located) = locate(disk, index, identity, id) else { return false };
    let LocatedEntry { segment, found, place, start, sectors } = located;
    let Ok(payload) = segment.bodies.unframe(start, &sectors) else { return false };
    let bodies = FlushBodies::new(&found.block, &found.records);
    let body = bodies.body_in(place, &payload);
    body.is_some_and(|body| found.records[place].entry(body).is_some())
}

/// Finds an entry of the log, and reads the sectors of its body; `None` if the log does not have
/// it, or a header block up to its own cannot be read.
fn locate(
    disk: &mut dyn Disk,
    index: &LogIndex,
    identity: Identity,
    id: EntryId,
) -> Option<LocatedEntry> {
    let position = index.locate(id.index)?;
    let mut scan = SegmentScan::new(identity, position.segment, position.end);
    let mut offset = position.offset;
    while offset < position.end {
        let found = scan.block(disk, offset).ok().flatten()?;
        offset = found.end;
        let Some(place) = found.records.iter().position(|record| record.id.index == id.index)
        else {
            continue;
        };
        let range = FlushBodies::new(&found.block, &found.records).sectors(place);
        let (file, bytes) = (scan.segment.file(), usize::try_from(range.end - range.start).ok()?);
        let read = FileAction::Read { file, offset: range.start, bytes };
        let mut sectors = if bytes > 0 { disk.execute(&read).ok()? } else { Vec::new() };
        // Sectors after the end of a file that was cut are damaged, like unwritten ones.
        sectors.resize(bytes, 0);
        let is_same = found.records[place].id == id;
        let (segment, start) = (scan.segment, range.start);
        return is_same.then_some(LocatedEntry { segment, found, place, start, sectors });
    }
    None
}
