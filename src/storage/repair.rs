//! Writes the content of damaged entries again, in place: only sectors that are not valid, with the
//! bytes that were there, or with zeros for entries that are no longer needed. A crash in between
//! leaves each sector damaged or valid. The module also rebuilds header blocks, and scrubs.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::storage::block::body_of;
use crate::storage::directory::Directory;
use crate::storage::disk::{FileAction, FileName, Lane, OperationId};
use crate::storage::error::StorageError;
use crate::storage::flush_bodies::{FlushBodies, SectorAssembly};
use crate::storage::identity::Identity;
use crate::storage::index::{LogIndex, SegmentFlushes};
use crate::storage::located_entry::{LocatedEntry, SectorGroup, is_intact, plan};
use crate::storage::operations::{Operations, Owner};
use crate::storage::patched_disk::PatchedDisk;
use crate::storage::read_cache::{FileRange, ReadCache};
use crate::storage::rebuild::rebuild_segment;
use crate::storage::scrub::{ScrubPlace, Scrubbed, damaged_headers, scrub};
use crate::storage::start_writes::writes_of;
use crate::storage::superblock::{COPIES, COPY_BYTES};
use crate::types::{DamagedEntry, Entry, EntryId, Index};

/// The requested repairs and scrubs, which run one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Repairs {
    identity: Identity,
    waiting: VecDeque<Request>,
    running: Option<Repair>,
    /// Damaged sectors for which some bytes were provided, by segment and offset. Each waits for
    /// the other entries that share it.
    sectors: BTreeMap<(u64, u64), SectorAssembly>,
    /// The place at which the next scrub continues.
    scrub_place: ScrubPlace,
    /// The header blocks that could not be rebuilt and were reported, by segment and offset.
    lost_headers: BTreeSet<(u64, u64)>,
}

/// A request to repair something, or to scrub.
#[derive(Clone, Debug)]
enum Request {
    /// Write the content of these entries again, once the superblock records that the log is
    /// compacted through this index.
    Entries(Vec<Entry>, Index),
    /// Rebuild the header blocks of this segment.
    Headers(u64),
    /// Read the next durable data, about this many bytes.
    Scrub(u64),
}

/// The end of a repair.
#[derive(Clone, Debug)]
pub(crate) enum RepairOutcome {
    Entries {
        /// The entries that are intact now.
        repaired: Vec<EntryId>,
        /// Damaged entries without which a damaged sector cannot be written, in ascending order.
        /// The read that found the sector damaged may have been for other entries only.
        lacking: Vec<DamagedEntry>,
    },
    /// The header blocks of this segment are intact, except for those that cannot be rebuilt: the
    /// errors about them that were not reported before.
    Headers(u64, Vec<StorageError>),
    Scrub(ScrubOutcome),
}

/// The end of a scrub.
#[derive(Clone, Debug, Default)]
pub(crate) struct ScrubOutcome {
    pub(crate) damaged: Vec<DamagedEntry>,
    /// Whether each copy of the superblock with this number is intact, if they were read.
    pub(crate) copies: Option<(u64, [bool; COPIES])>,
    pub(crate) bytes: u64,
    /// Whether the scrub has reached the end of the log.
    pub(crate) log_ended: bool,
}

/// The repair or the scrub that runs.
#[derive(Clone, Debug)]
struct Repair {
    /// The segment whose header blocks are rebuilt, if any are.
    headers: Option<u64>,
    /// The errors about the header blocks that cannot be rebuilt.
    lost: Vec<StorageError>,
    /// For a scrub, the number of bytes to read, and the outcome so far.
    scrub: Option<(u64, ScrubOutcome)>,
    /// The file whose cached pages the scrub has dropped, so that it reads the disk.
    uncached: Option<FileName>,
    /// The number of the superblock that was durable when the scrub began to read its copies.
    superblock_seq: u64,
    stage: Stage,
    cache: ReadCache,
    /// The flushes of a segment when the first of the cached reads for its header blocks was
    /// requested: the cache may lack later ones.
    flushes: Option<SegmentFlushes>,
    reading: Option<(OperationId, FileRange)>,
    /// The content of the sectors to write.
    writes: BTreeMap<(FileName, u64), Vec<u8>>,
    /// Entries that may be intact once the sectors are written.
    candidates: BTreeSet<EntryId>,
    repaired: Vec<EntryId>,
    /// Entries that share a damaged sector with a provided one, by index.
    sharing: BTreeMap<Index, DamagedEntry>,
}

#[derive(Clone, Debug)]
enum Stage {
    /// Rebuilds the header blocks of this segment.
    Rebuild(u64),
    /// Reads durable data until the requested bytes were read or the pass has ended.
    Scrub,
    /// Compares the provided entries with their headers, and assembles the damaged sectors.
    Assemble(VecDeque<Entry>),
    /// Waits for the writes and syncs.
    Write(Vec<OperationId>),
    /// Reads the candidates again.
    Verify(VecDeque<EntryId>),
}

impl Repairs {
    pub(crate) fn new(identity: Identity) -> Repairs {
        Repairs {
            identity,
            waiting: VecDeque::new(),
            running: None,
            sectors: BTreeMap::new(),
            scrub_place: ScrubPlace::default(),
            lost_headers: BTreeSet::new(),
        }
    }

    pub(crate) fn scrub_place(&self) -> ScrubPlace {
        self.scrub_place
    }

    /// Makes the next scrub continue at this place.
    pub(crate) fn resume_scrub(&mut self, place: ScrubPlace) {
        self.scrub_place = place;
    }

    pub(crate) fn push(&mut self, entries: Vec<Entry>, compacted: Index) {
        self.waiting.push_back(Request::Entries(entries, compacted));
    }

    /// Requests a read of the next durable data, about this many bytes.
    pub(crate) fn push_scrub(&mut self, bytes_max: u64) {
        self.waiting.push_back(Request::Scrub(bytes_max));
    }

    /// Requests a rebuild of the header blocks of a segment.
    pub(crate) fn push_headers(&mut self, segment: u64) {
        if !self.awaits_headers(segment) {
            self.waiting.push_front(Request::Headers(segment));
        }
    }

    /// Returns whether a request to write content is pending, and whether one to scrub is.
    pub(crate) fn pending(&self) -> [bool; 2] {
        let running = self.running.as_ref().filter(|repair| repair.headers.is_none());
        let runs = running.map(|repair| repair.scrub.is_some());
        let scrubs = |request: &Request| match request {
            Request::Entries(..) => Some(false),
            Request::Scrub(_) => Some(true),
            Request::Headers(_) => None,
        };
        let has = |kind| runs == kind || self.waiting.iter().any(|it| scrubs(it) == kind);
        [false, true].map(|is_scrub| has(Some(is_scrub)))
    }

    /// Returns true while a repair reads or writes segments, which must not be removed then.
    pub(crate) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Returns true if the operation is a read of the repair under way.
    pub(crate) fn is_reading(&self, id: OperationId) -> bool {
        let reading = self.running.as_ref().and_then(|repair| repair.reading);
        reading.is_some_and(|(reading, _)| reading == id)
    }

    /// Returns true if the operation is a write or a sync of the repair under way.
    pub(crate) fn is_writing(&self, id: OperationId) -> bool {
        self.running.as_ref().is_some_and(|repair| match &repair.stage {
            Stage::Write(operations) => operations.contains(&id),
            _ => false,
        })
    }

    /// Handles a read, which may have failed, or a write that has succeeded.
    pub(crate) fn completed(&mut self, id: OperationId, bytes: Option<Vec<u8>>) {
        let repair = self.running.as_mut().expect("the operation belongs to a repair");
        match (&mut repair.stage, repair.reading.take()) {
            (Stage::Write(operations), _) => operations.retain(|other| *other != id),
            (_, Some((_, range))) => repair.cache.add(range, bytes),
            (_, None) => unreachable!("a repair that does not write reads"),
        }
    }

    /// Returns true if a rebuild of header blocks of the segment is requested and has not begun.
    pub(crate) fn awaits_headers(&self, segment: u64) -> bool {
        let is_it =
            |request: &Request| matches!(request, Request::Headers(other) if *other == segment);
        self.waiting.iter().any(is_it)
    }

    /// Takes every step that is possible. Returns the outcome of a repair or a scrub once it ends.
    /// `directory` describes the files.
    pub(crate) fn advance(
        &mut self,
        index: &LogIndex,
        directory: impl Fn() -> Directory,
        operations: &mut Operations,
    ) -> Option<RepairOutcome> {
        self.check();
        let mut repair = match self.running.take() {
            Some(repair) => repair,
            None => self.begin(index, &directory)?,
        };
        while repair.reading.is_none() {
            match &mut repair.stage {
                Stage::Rebuild(segment) => {
                    let segment = *segment;
                    repair.rebuild(segment, index, &directory(), operations);
                }
                Stage::Scrub => self.scrub(&mut repair, index, &directory, operations),
                Stage::Assemble(entries) => match entries.front() {
                    Some(entry) => {
                        let entry = entry.clone();
                        self.provide(&mut repair, &entry, index, &directory, operations);
                    }
                    None => repair.write(operations),
                },
                Stage::Write(pending) if !pending.is_empty() => break,
                Stage::Write(_) => {
                    repair.stage = Stage::Verify(repair.candidates.iter().copied().collect());
                }
                Stage::Verify(candidates) => {
                    let Some(id) = candidates.front().copied() else {
                        return Some(self.end(repair));
                    };
                    let identity = self.identity;
                    match repair.cache.run(|disk| is_intact(disk, index, identity, id)) {
                        Ok(intact) => {
                            candidates.pop_front();
                            repair.cache = ReadCache::default();
                            repair.repaired.extend(intact.then_some(id));
                        }
                        Err(range) => repair.read(range, operations),
                    }
                }
            }
        }
        self.running = Some(repair);
        None
    }

    /// Takes the next step of a scrub: reads more durable data, or ends it.
    fn scrub(
        &mut self,
        repair: &mut Repair,
        index: &LogIndex,
        directory: &impl Fn() -> Directory,
        operations: &mut Operations,
    ) {
        let (identity, place) = (self.identity, self.scrub_place);
        let durable = directory().superblock;
        let compacted = durable.compacted;
        if place == ScrubPlace::Superblock && repair.superblock_seq != durable.seq {
            // The copies that were read so far belong to an earlier superblock.
            (repair.cache, repair.superblock_seq) = (ReadCache::default(), durable.seq);
        }
        let found = repair.cache.run(|disk| scrub(disk, index, identity, &durable, place));
        let found = match found {
            Ok(found) => found,
            Err(range) => return repair.read(range, operations),
        };
        repair.cache = ReadCache::default();
        let (bytes_max, outcome) = repair.scrub.as_mut().expect("a scrub has an outcome");
        match found {
            Scrubbed::Superblock(copies) => {
                outcome.copies = Some((durable.seq, copies));
                outcome.bytes += (COPIES * COPY_BYTES) as u64;
                self.scrub_place = ScrubPlace::Flush { segment: 0, offset: 0 };
            }
            Scrubbed::Flush { damage, next, bytes } => {
                let is_needed = |entry: &DamagedEntry| entry.id.index > compacted;
                outcome.damaged.extend(damage.entries.into_iter().filter(is_needed));
                outcome.bytes += bytes;
                repair.writes.extend(damage.known);
                self.scrub_place = next;
            }
            Scrubbed::DamagedHeaders { segment, next, bytes } => {
                // The pass continues after the header block, which is rebuilt meanwhile.
                self.push_headers(segment);
                outcome.bytes += bytes;
                self.scrub_place = next;
            }
            Scrubbed::End => {
                outcome.log_ended = true;
                self.scrub_place = ScrubPlace::default();
            }
        }
        if outcome.log_ended || outcome.bytes >= *bytes_max {
            outcome.damaged.sort_unstable_by_key(|damaged| damaged.id.index);
            outcome.damaged.dedup();
            repair.write(operations);
        }
    }

    fn begin(&mut self, index: &LogIndex, directory: &impl Fn() -> Directory) -> Option<Repair> {
        if let Some(Request::Entries(_, compacted)) = self.waiting.front()
            && *compacted > directory().superblock.compacted
        {
            return None;
        }
        let (stage, headers, scrub) = match self.waiting.pop_front()? {
            Request::Entries(entries, _) => (Stage::Assemble(entries.into()), None, None),
            Request::Headers(segment) => (Stage::Rebuild(segment), Some(segment), None),
            Request::Scrub(bytes) => (Stage::Scrub, None, Some((bytes, ScrubOutcome::default()))),
        };
        let first = index.first_segment().unwrap_or(u64::MAX);
        self.sectors.retain(|(segment, _), _| *segment >= first);
        Some(Repair {
            headers,
            lost: Vec::new(),
            scrub,
            uncached: None,
            superblock_seq: 0,
            stage,
            cache: ReadCache::default(),
            flushes: None,
            reading: None,
            writes: BTreeMap::new(),
            candidates: BTreeSet::new(),
            repaired: Vec::new(),
            sharing: BTreeMap::new(),
        })
    }

    /// Panics if the parts contradict one another.
    fn check(&self) {
        let Some(repair) = &self.running else { return };
        let writes = matches!(repair.stage, Stage::Write(_));
        assert!(!(writes && repair.reading.is_some()), "a repair reads or writes, not both");
        assert!(repair.headers.is_none() || repair.scrub.is_none(), "a repair has one purpose");
        let scrubs = matches!(repair.stage, Stage::Scrub);
        assert!(!scrubs || repair.scrub.is_some(), "a scrub has an outcome");
        let rebuilds = matches!(repair.stage, Stage::Rebuild(_));
        assert!(!rebuilds || repair.headers.is_some(), "a rebuilt segment is known");
        let is_after = matches!(repair.stage, Stage::Verify(_));
        assert!(is_after || repair.repaired.is_empty(), "only what was written is verified");
    }

    fn end(&mut self, repair: Repair) -> RepairOutcome {
        assert!(repair.writes.is_empty(), "every assembled sector was written");
        assert!(repair.reading.is_none(), "no read is under way");
        let is_known = |id: &EntryId| repair.candidates.contains(id);
        assert!(repair.repaired.iter().all(is_known), "only verified entries are intact");
        let Repair { headers, lost, scrub, repaired, sharing, .. } = repair;
        match (headers, scrub) {
            (_, Some((_, outcome))) => RepairOutcome::Scrub(outcome),
            (Some(segment), None) => {
                let is_new = |lost: &StorageError| self.lost_headers.insert((segment, lost.offset));
                RepairOutcome::Headers(segment, lost.into_iter().filter(is_new).collect())
            }
            (None, None) => {
                let is_missing = |entry: &DamagedEntry| {
                    let mut missing = self.sectors.values().flat_map(SectorAssembly::missing);
                    missing.any(|missing| missing == *entry)
                };
                let lacking = sharing.into_values().filter(is_missing).collect();
                RepairOutcome::Entries { repaired, lacking }
            }
        }
    }

    /// Takes the next step for the first provided entry: reads its place on the disk, or adds its
    /// content to the damaged sectors. If its header block cannot be read, requests a rebuild of
    /// the header blocks of its segment, and drops the entry.
    fn provide(
        &mut self,
        repair: &mut Repair,
        entry: &Entry,
        index: &LogIndex,
        directory: &impl Fn() -> Directory,
        operations: &mut Operations,
    ) {
        let identity = self.identity;
        let position = index.locate(entry.id.index);
        let flushes = position.and_then(|position| repair.flushes_of(index, position.segment));
        let mut headers = BTreeMap::new();
        let planned = repair.cache.run(|disk| {
            if let planned @ Some(_) = plan(disk, index, identity, entry) {
                return planned;
            }
            // The header block may be damaged.
            let mut disk = PatchedDisk::new(disk);
            rebuild_segment(&mut disk, &directory(), index, flushes?);
            let planned = plan(&mut disk, index, identity, entry);
            headers = disk.into_patches();
            planned
        });
        let planned = match planned {
            Ok(planned) => planned,
            Err(range) => return repair.read(range, operations),
        };
        if let Stage::Assemble(entries) = &mut repair.stage {
            entries.pop_front();
        }
        (repair.cache, repair.flushes) = (ReadCache::default(), None);
        repair.writes.extend(headers);
        match planned {
            Some((located, groups)) => {
                let compacted = directory().superblock.compacted;
                let (segment, seq) = (located.segment.number, located.found.block.seq);
                let is_needed =
                    |id: EntryId| id.index > compacted && index.is_live(segment, seq, id.index);
                self.assemble(repair, is_needed, entry, &located, groups);
            }
            None => {
                if let Some(position) = position {
                    self.push_headers(position.segment);
                }
            }
        }
    }

    /// Adds the content of an entry, which matches its header, to the damaged sectors. No peer is
    /// asked for the content of a truncated or compacted entry, because the log does not need it.
    fn assemble(
        &mut self,
        repair: &mut Repair,
        is_needed: impl Fn(EntryId) -> bool,
        entry: &Entry,
        located: &LocatedEntry,
        groups: Vec<SectorGroup>,
    ) {
        let bodies = FlushBodies::new(&located.found.block, &located.found.records);
        let (number, file) = (located.segment.number, located.segment.file());
        if groups.is_empty() {
            repair.candidates.insert(entry.id);
        }
        for group in groups {
            if group.iter().any(|offset| repair.writes.contains_key(&(file, *offset))) {
                continue;
            }
            for offset in &group {
                let sector = self.sectors.entry((number, *offset));
                sector.or_insert_with(|| bodies.assemble(*offset)).fill(entry.id, &body_of(entry));
            }
            let sector = |offset: &u64| &self.sectors[&(number, *offset)];
            if !group.iter().all(|offset| sector(offset).is_complete(&is_needed)) {
                let missing = group.iter().flat_map(|offset| sector(offset).missing());
                let missing = missing.filter(|missing| is_needed(missing.id));
                repair.sharing.extend(missing.map(|missing| (missing.id.index, missing)));
                continue;
            }
            for offset in group {
                let sector = self.sectors.remove(&(number, offset));
                let sector = sector.expect("each sector of the group was assembled");
                let content = located.segment.bodies.frame(offset, &sector.payload);
                repair.writes.insert((file, offset), content);
                repair.candidates.extend(sector.entries);
            }
        }
    }
}

impl Repair {
    /// Rebuilds the header blocks of a segment, or requests the next read that this needs.
    fn rebuild(
        &mut self,
        segment: u64,
        index: &LogIndex,
        directory: &Directory,
        operations: &mut Operations,
    ) {
        let flushes = self.flushes_of(index, segment);
        let rebuilt = self.cache.run(|disk| {
            let Some(flushes) = flushes else { return Default::default() };
            let mut disk = PatchedDisk::new(disk);
            rebuild_segment(&mut disk, directory, index, flushes);
            let lost = damaged_headers(&mut disk, directory.superblock.identity, flushes);
            (disk.into_patches(), lost)
        });
        match rebuilt {
            Ok((patches, lost)) => {
                (self.writes, self.lost) = (patches, lost);
                self.write(operations);
            }
            Err(range) => self.read(range, operations),
        }
    }

    /// Returns the flushes of a segment whose header blocks the cached reads have. Otherwise each
    /// flush that becomes durable meanwhile would require another read.
    fn flushes_of(&mut self, index: &LogIndex, segment: u64) -> Option<SegmentFlushes> {
        let now = index.flushes_of(segment)?;
        let before = self.flushes.filter(|before| before.segment == segment);
        self.flushes = Some(before.unwrap_or(now));
        self.flushes
    }

    fn read(&mut self, range: FileRange, operations: &mut Operations) {
        let (file, offset, bytes) = range;
        assert!(self.reading.is_none(), "a repair reads one range at a time");
        if self.scrub.is_some() && self.uncached.replace(file) != Some(file) {
            operations.drop_cache(Lane::Bulk, file);
        }
        let action = FileAction::Read { file, offset, bytes };
        self.reading = Some((operations.request(Owner::Log, Lane::Bulk, action), range));
    }

    /// Begins to write the assembled sectors, in the lane of the flushes, because a file reports a
    /// write error to one sync only: in another lane the sync of a flush could get the error
    /// instead.
    fn write(&mut self, operations: &mut Operations) {
        assert!(self.reading.is_none(), "everything was read before it is written");
        let sectors = std::mem::take(&mut self.writes);
        let files: BTreeSet<FileName> = sectors.keys().map(|(file, _)| *file).collect();
        let syncs = files.into_iter().map(|file| FileAction::Sync { file });
        let actions = writes_of(sectors).into_iter().chain(syncs);
        let pending = actions.map(|action| operations.request(Owner::Log, Lane::Log, action));
        self.stage = Stage::Write(pending.collect());
    }
}
