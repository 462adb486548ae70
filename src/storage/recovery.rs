//! Recovery: reads a directory before the start, changes nothing, and returns the log, or an error.
//! The result names damage that a peer can repair or the snapshot covers, and a lost log end.

use std::collections::BTreeSet;

use crate::storage::block::{Block, FlushSeq, Link, Record};
use crate::storage::body_damage::{BodyDamage, LogDamage};
use crate::storage::directory::Directory;
use crate::storage::disk::{Disk, FileName};
use crate::storage::error::{ErrorCause, OpenError, StorageError};
use crate::storage::floor::Floor;
use crate::storage::index::{Flush, LogIndex};
use crate::storage::log_end::{
    check_no_missing_flush, is_acknowledged, is_single_torn_flush, is_single_unfinished_flush,
    scan_trailing_segments,
};
use crate::storage::loss::{self, Loss};
use crate::storage::patched_disk::PatchedDisk;
use crate::storage::rebuild::rebuild_headers;
use crate::storage::replayed_entries::ReplayedEntries;
use crate::storage::scan::{HeaderBlock, SegmentScan, StrayWrites};
use crate::storage::superblock::Superblock;
use crate::storage::torn_flush::TornFlush;
use crate::types::{EntryId, Index, Term};

/// The log as recovery found it.
#[derive(Clone, Debug)]
pub(crate) struct RecoveredLog {
    pub(crate) index: LogIndex,
    pub(crate) committed: Index,
    /// The first entry of each term in the log that is later than the term of the base.
    pub(crate) runs: Vec<EntryId>,
    /// The indices at which the log has memberships, except for damaged ones.
    pub(crate) memberships: Vec<Index>,
    /// The index of the first entry of the tail: the last entries, of at most `tail_bytes_max`
    /// bytes together.
    pub(crate) tail_first: Index,
    /// The last flush, if it is after the floor, and so may not be durable.
    pub(crate) unacknowledged: Option<UnacknowledgedFlush>,
    pub(crate) damage: LogDamage,
    /// The error about the last flushes, if acknowledged ones are missing: the log is the state
    /// before them.
    pub(crate) lost_end: Option<StorageError>,
    /// The error about flushes that cannot be read, if the current snapshot covers all their
    /// entries: the log begins after them.
    pub(crate) covered_loss: Option<StorageError>,
    /// The first flush that the snapshot does not replace.
    pub(crate) log_start: FlushSeq,
    /// The flushes that are incomplete and not known to be acknowledged; they are dropped.
    pub(crate) torn: Vec<TornFlush>,
    pub(crate) last_seq: FlushSeq,
    /// Segments that are empty and of the configured size; `unused_segments` are the others that
    /// hold no flush of the log.
    pub(crate) spare_segments: Vec<u64>,
    pub(crate) unused_segments: Vec<u64>,
    pub(crate) next_segment: u64,
}

/// The last flush, if it is not torn but may not be durable, because it may be in the cache only.
#[derive(Clone, Copy, Debug)]
pub(crate) enum UnacknowledgedFlush {
    /// The flush is intact; the entries after this one are written again in a new segment.
    Intact(EntryId),
    /// Some sectors of its bodies are damaged; the valid ones are written again in place.
    Damaged {
        segment: u64,
        /// The file ranges of the header block and of the bodies.
        ranges: [(u64, u64); 2],
    },
}

/// Recovers the log of a directory. Every flush through the floor must be there, except for the
/// last ones, and for those whose entries the current snapshot covers; the result reports them.
pub(crate) fn recover(
    disk: &mut PatchedDisk<'_>,
    directory: &Directory,
    segment_bytes: u64,
    tail_bytes_max: usize,
) -> Result<RecoveredLog, OpenError> {
    loop {
        match replay(disk, directory, segment_bytes, tail_bytes_max) {
            Err(OpenError::Failed(_)) if rebuild_headers(disk, directory) => {}
            Ok(
                RecoveredLog { lost_end: Some(_), .. } | RecoveredLog { covered_loss: Some(_), .. },
            ) if rebuild_headers(disk, directory) => {}
            // A torn flush that a start has dropped takes the place of the flush that got its
            // number, if the header block of the latter is damaged.
            Ok(RecoveredLog { damage: LogDamage { error: Some(_), .. }, .. })
                if rebuild_headers(disk, directory) => {}
            Err(OpenError::Failed(error)) => {
                // A read that failed looks like damage, so its error is the one to report.
                return Err(disk.failure().cloned().unwrap_or(error).into());
            }
            Ok(RecoveredLog { lost_end: Some(_), .. }) if let Some(error) = disk.failure() => {
                return Err(error.clone().into());
            }
            result => return result,
        }
    }
}

fn replay(
    disk: &mut dyn Disk,
    directory: &Directory,
    segment_bytes: u64,
    tail_bytes_max: usize,
) -> Result<RecoveredLog, OpenError> {
    let Directory { superblock, floor, segments, .. } = directory;
    let (floor, identity) = (*floor, superblock.identity);
    let (mut used, mut unused, mut torn) = (Vec::new(), Vec::new(), Vec::new());
    for (number, bytes) in segments {
        match SegmentScan::new(identity, *number, *bytes).first_block(disk)? {
            Some(first) => used.push((*number, *bytes, first)),
            None => unused.push((*number, *bytes)),
        }
    }
    // A segment whose only flush is torn counts as unused: the flush may be a rewrite of one whose
    // first copy is in the previous segment.
    let (spare, stray) = loop {
        let last_used = used.last().map_or(0, |(number, _, _)| *number);
        let later = unused.partition_point(|(number, _)| *number <= last_used);
        let (spare, stray) =
            scan_trailing_segments(disk, identity, &unused[later..], segment_bytes)?;
        let Some((number, bytes, _)) = used.last().copied() else { break (spare, stray) };
        let mut scan = SegmentScan::new(identity, number, bytes);
        if !is_single_torn_flush(disk, floor, &mut scan, stray)? {
            break (spare, stray);
        }
        used.pop();
        unused.insert(later, (number, bytes));
        torn.extend(scan.block(disk, 0)?.map(|found| TornFlush::of(&found, &scan)));
    };
    // A torn flush in a segment of its own remains there until the segment is removed; meanwhile, a
    // start may have rewritten the flush before it.
    let mut place = 0;
    while let Some((_, _, until)) = used.get(place + 1).copied() {
        let (number, bytes, first) = used[place];
        if first.seq > until.seq
            && is_single_unfinished_flush(disk, &mut SegmentScan::new(identity, number, bytes))?
        {
            used.remove(place);
            unused.push((number, bytes));
        } else {
            place += 1;
        }
    }
    let mut replay = Replay::new(superblock, floor, tail_bytes_max);
    replay.torn = torn;
    if used.is_empty() {
        check_no_missing_flush(FlushSeq(superblock.log_start.0 - 1), stray)?;
    }
    for (place, (number, bytes, _)) in used.iter().enumerate() {
        let mut scan = SegmentScan::new(identity, *number, *bytes);
        match used.get(place + 1) {
            Some((_, _, next)) => replay.segment(disk, &mut scan, next, segments)?,
            None => replay.last_segment(disk, &mut scan, stray)?,
        }
    }
    // A segment is unused if its flushes were written again in later ones, or the log begins later.
    let is_unused =
        |(number, _, _): &&(u64, u64, Block)| replay.index.free_space(*number).is_none();
    unused.extend(used.iter().filter(is_unused).map(|(number, bytes, _)| (*number, *bytes)));
    let found = replay.finish(segments)?;
    if found.log_start > superblock.log_start {
        unused.extend(used.iter().map(|(number, bytes, _)| (*number, *bytes)));
    }
    let next_segment = segments.last().map_or(1, |(number, _)| number + 1);
    let unused = unused.into_iter().map(|(number, _)| number);
    let unused_segments = unused.filter(|number| !spare.contains(number)).collect();
    Ok(RecoveredLog { spare_segments: spare, unused_segments, next_segment, ..found })
}

/// Replays the flushes in order, as they are read.
pub(crate) struct Replay<'a> {
    superblock: &'a Superblock,
    floor: Floor,
    index: LogIndex,
    started: bool,
    /// The entry at `superblock.compacted`, once its header was read; the log begins after it.
    compacted: Option<Link>,
    committed: Index,
    /// The highest commit index that the snapshot or a flush names. Unlike the commit index of the
    /// superblock, it comes only from flushes that are left if the end of the log is lost.
    committed_left: Index,
    entries: ReplayedEntries,
    /// The last flush that was replayed, or that `begin_at` has skipped.
    last_replayed: Option<FlushSeq>,
    unacknowledged: Option<UnacknowledgedFlush>,
    pub(crate) damage: BodyDamage,
    torn: Vec<TornFlush>,
    covered_loss: Option<StorageError>,
}

impl<'a> Replay<'a> {
    pub(crate) fn new(
        superblock: &'a Superblock,
        floor: Floor,
        tail_bytes_max: usize,
    ) -> Replay<'a> {
        Replay {
            superblock,
            floor,
            index: LogIndex::new(Link::anchor(superblock.snapshot.last)),
            started: false,
            compacted: None,
            committed: superblock.committed,
            committed_left: superblock.snapshot.last.index,
            entries: ReplayedEntries::new(tail_bytes_max),
            last_replayed: None,
            unacknowledged: None,
            damage: BodyDamage::default(),
            torn: Vec::new(),
            covered_loss: None,
        }
    }

    /// Replays a segment after which another one begins, with the block `next`.
    fn segment(
        &mut self,
        disk: &mut dyn Disk,
        scan: &mut SegmentScan,
        next: &Block,
        segments: &[(u64, u64)],
    ) -> Result<(), OpenError> {
        let until = next.seq;
        let mut zone: Option<(u64, u64)> = None;
        let mut offset = 0;
        loop {
            match scan.block(disk, offset)? {
                Some(found) if found.block.seq < until => {
                    offset = found.end;
                    let (start, end) = scan.body_range(&found, zone.map(|(start, _)| start))?;
                    zone = Some((start, zone.map_or(end, |(_, top)| top)));
                    self.apply(&found, scan)?;
                }
                Some(found) if found.block.seq > until => {
                    let message =
                        format!("flush {} is before flush {}", found.block.seq.0, until.0);
                    return Err(scan.damage(offset, message));
                }
                // The segment ends here; or a crash tore this flush, and a later start wrote it
                // again in another segment; or flushes are damaged, and the check below finds them.
                _ => break,
            }
        }
        let first = self.last_seq().next();
        if self.last_replayed.is_some() && first < until {
            let loss = Loss {
                first,
                last: FlushSeq(until.0 - 1),
                after: self.index.last().id.index,
                through: Some(next.prev.id.index),
                before: (scan.segment.number, offset),
                until: next.segment,
            };
            if next.prev.id.index > self.superblock.snapshot.last.index {
                return Err(loss.error(segments).into());
            }
            self.covered_loss.get_or_insert(loss.error(segments));
            self.begin_at(next);
            return Ok(());
        }
        self.check_zone(disk, scan, zone, until)
    }

    /// Begins the log at `next`, if flushes before it are missing, and the current snapshot covers
    /// everything before it.
    pub(crate) fn skip_covered_loss(&mut self, next: &Block) {
        let is_missing = self.last_replayed.is_some() && self.last_seq().next() < next.seq;
        if is_missing && next.prev.id.index <= self.superblock.snapshot.last.index {
            self.begin_at(next);
        }
    }

    /// Forgets the log before `next`, the first block after flushes that cannot be read.
    fn begin_at(&mut self, next: &Block) {
        self.index = LogIndex::new(next.prev);
        self.last_replayed = Some(FlushSeq(next.seq.0 - 1));
        (self.started, self.compacted) = (false, None);
        self.entries.clear();
    }

    /// Checks the bodies of the flushes before `until` in a segment, which were acknowledged.
    fn check_zone(
        &mut self,
        disk: &mut dyn Disk,
        scan: &mut SegmentScan,
        zone: Option<(u64, u64)>,
        until: FlushSeq,
    ) -> Result<(), OpenError> {
        let Some((start, end)) = zone else { return Ok(()) };
        let check = scan.check_bodies(disk, start, end)?;
        let mut offset = 0;
        while !check.bad.is_empty()
            && let Some(found) = scan.block(disk, offset)?.filter(|found| found.block.seq < until)
        {
            self.damage.note(&found, &scan.segment, &check.bad);
            offset = found.end;
        }
        Ok(())
    }

    /// Replays the last segment with a flush; `later` are the stray writes in the segments after
    /// it.
    fn last_segment(
        &mut self,
        disk: &mut dyn Disk,
        scan: &mut SegmentScan,
        later: StrayWrites,
    ) -> Result<(), OpenError> {
        let mut zone: Option<(u64, u64)> = None;
        let mut last: Option<HeaderBlock> = None;
        let mut offset = 0;
        while let Some(found) = scan.block(disk, offset)? {
            offset = found.end;
            if let Some(before) = last.replace(found) {
                let (start, end) = scan.body_range(&before, zone.map(|(start, _)| start))?;
                zone = Some((start, zone.map_or(end, |(_, top)| top)));
                self.apply(&before, scan)?;
            }
        }
        let Some(last) = last else {
            // `first_block` has read this header block before.
            return Err(scan.damage(0, "the first header block is unreadable"));
        };
        let (start, end) = scan.body_range(&last, zone.map(|(start, _)| start))?;
        self.check_zone(disk, scan, zone, last.block.seq)?;
        let here = scan.stray_writes(disk, offset, start)?;
        let mut stray = here;
        stray.join(later);
        let seq = last.block.seq;
        check_no_missing_flush(seq.max(FlushSeq(self.superblock.log_start.0 - 1)), stray)?;
        let acknowledged = is_acknowledged(self.floor, seq, here, later);
        let check = scan.check_bodies(disk, start, end)?;
        // The last flush may be torn if it was not acknowledged.
        if !acknowledged && check.is_torn {
            self.torn.push(TornFlush::of(&last, scan));
            return Ok(());
        }
        self.apply(&last, scan)?;
        self.damage.note(&last, &scan.segment, &check.bad);
        // A flush before `log_start` is obsolete: none of it is written again.
        if seq > self.floor.seq && seq >= self.superblock.log_start {
            let (segment, ranges) = (scan.segment.number, [(last.offset, last.end), (start, end)]);
            self.unacknowledged = Some(match check.bad.is_empty() {
                true => UnacknowledgedFlush::Intact(last.block.prev.id),
                false => UnacknowledgedFlush::Damaged { segment, ranges },
            });
        }
        Ok(())
    }

    /// Applies a flush whose header block is complete.
    pub(crate) fn apply(
        &mut self,
        found: &HeaderBlock,
        scan: &SegmentScan,
    ) -> Result<(), OpenError> {
        let (block, records) = (&found.block, &found.records);
        let invalid = |message: String| Err(scan.damage(found.offset, message));
        // An installed snapshot replaced the flushes before `log_start`.
        let skips_dead =
            |last: FlushSeq| last < block.seq && block.seq <= self.superblock.log_start;
        let gap = |last: &FlushSeq| last.next() != block.seq && !skips_dead(*last);
        if let Some(last) = self.last_replayed.filter(gap) {
            return invalid(format!(
                "found flush {} instead of flush {}",
                block.seq.0,
                last.next().0
            ));
        }
        self.last_replayed = Some(block.seq);
        let last = records.last().map_or(block.prev, Record::link);
        let flush = Flush {
            segment: scan.segment.number,
            seq: block.seq,
            prev: block.prev,
            last,
            header: (found.offset, found.end),
            body_start: block.body_offset,
        };
        if block.seq < self.superblock.log_start {
            self.index.record_flush(&flush);
            return Ok(());
        }
        let prev = block.prev;
        if !self.started {
            self.started = true;
            self.index.restart(prev);
        }
        let (base, end) = (self.index.base().id.index, self.index.last());
        let truncates = prev.id.index < end.id.index
            && (prev.id.index < base || self.term_at(prev.id.index) == prev.id.term);
        if prev != end && !truncates {
            return invalid(format!(
                "a flush that follows entry {} does not fit a log that ends at entry {}",
                prev.id, end.id
            ));
        }
        if last.id.term > self.superblock.hard_state.term {
            let term = self.superblock.hard_state.term;
            return invalid(format!(
                "entry {} is of a later term than the superblock's term {term}",
                last.id
            ));
        }
        self.committed = self.committed.max(block.committed);
        self.committed_left = self.committed_left.max(block.committed);
        self.index.append(&flush);
        let is_compacted = |record: &&Record| record.id.index == self.superblock.compacted;
        self.compacted = records.iter().find(is_compacted).map(Record::link).or(self.compacted);
        self.entries.append(prev.id, records, self.index.base().id.term);
        assert_eq!(self.term_at(last.id.index), last.id.term, "the runs end with the last entry");
        Ok(())
    }

    /// Returns the term of the entry at `index`, which is in the log or its base.
    fn term_at(&self, index: Index) -> Term {
        self.entries.term_at(index, self.index.base().id.term)
    }

    /// Returns the number of the last flush that was replayed, or that an installed snapshot
    /// replaced.
    fn last_seq(&self) -> FlushSeq {
        let start = FlushSeq(self.superblock.log_start.0 - 1);
        self.last_replayed.unwrap_or(start).max(start)
    }

    /// Returns the flushes through the floor that are missing after the last one found, unless an
    /// installed snapshot replaced them. The last one found may be an older copy of the floor's
    /// flush, if the segment is missing in which a start has written that flush again.
    fn missing_end(&self, segments: &[(u64, u64)]) -> Option<Loss> {
        let (floor, first) = (self.floor, self.last_seq().next());
        let found = self.index.end_of_headers().map_or(0, |(segment, _)| segment);
        let is_obsolete = floor.seq < self.superblock.log_start;
        let is_in_later_segment = floor.place.is_some_and(|(segment, _)| segment > found);
        if first > floor.seq && (is_obsolete || !is_in_later_segment) {
            return None;
        }
        let listed = segments.first().map(|(number, _)| *number);
        let before = match (self.index.end_of_headers(), floor.place) {
            (Some(before), _) => before,
            // Earlier segments may have been compacted.
            (None, Some((segment, _))) => {
                (listed.unwrap_or(segment).min(segment).saturating_sub(1), 0)
            }
            (None, None) => (0, 0),
        };
        // Without a place, the best guess is a number that is missing between two files.
        let later = segments.iter().map(|(number, _)| *number).find(|number| *number > before.0);
        let until = match floor.place {
            Some((segment, _)) => segment + 1,
            None => later.unwrap_or(before.0 + 1),
        };
        let through = floor.place.filter(|_| first <= floor.seq).map(|(_, last)| last);
        let after = self.index.last().id.index;
        Some(Loss { first, last: floor.seq, after, through, before, until })
    }

    /// Returns the log, unless it contradicts the snapshot.
    fn finish(self, segments: &[(u64, u64)]) -> Result<RecoveredLog, OpenError> {
        let lost_end = self.missing_end(segments).map(|loss| loss.error(segments));
        let snapshot = self.superblock.snapshot.last;
        let last_seq = self.last_seq();
        assert!(lost_end.is_some() || last_seq >= self.floor.seq, "every flush is accounted for");
        // The next flush may get the number after the floor.
        let highest = last_seq.max(self.floor.seq);
        if highest > FlushSeq::RECOVERED_MAX {
            let file = self.index.end_of_headers().map(|(segment, _)| FileName::Segment(segment));
            let message = format!("flush {} is out of range: no log has that many", highest.0);
            return Err(StorageError { file, offset: 0, message, cause: ErrorCause::Damage }.into());
        }
        if let Some(UnacknowledgedFlush::Intact(prev)) = self.unacknowledged
            && prev.index < self.superblock.compacted
        {
            return Err(inconsistent("a flush is compacted that was not acknowledged".to_owned()));
        }
        let (base, last) = (self.index.base().id, self.index.last().id);
        if base.index > snapshot.index {
            let lost = loss::entries(snapshot.index, Some(base.index));
            let message = format!(
                "the log begins after entry {base}, but the snapshot ends at entry {snapshot}; \
                 {lost}"
            );
            // The error names the file before the first one found, unless that is number 1.
            let file = self.index.first_segment().filter(|first| *first > 1);
            let file = file.map(|first| FileName::Segment(first - 1));
            return Err(StorageError { file, offset: 0, message, cause: ErrorCause::Damage }.into());
        }
        if self.contains(snapshot) {
            // The superblock may name an entry that was lost. The entry that is left at its index
            // may never have been committed, if the lost flush had replaced it.
            let committed = match lost_end {
                Some(_) => self.committed_left,
                None => self.committed,
            };
            return Ok(RecoveredLog { lost_end, committed, ..self.recovered(last_seq) });
        }
        if lost_end.is_none() {
            return Err(inconsistent(format!(
                "the log ends at entry {last} and lacks the snapshot's last entry {snapshot}"
            )));
        }
        // No entry after the snapshot is left, so it replaces every flush through the floor.
        let (last_seq, empty) = (self.floor.seq, Replay::new(self.superblock, self.floor, 0));
        let log_start = last_seq.next();
        let committed = snapshot.index;
        Ok(RecoveredLog { lost_end, log_start, committed, ..empty.recovered(last_seq) })
    }

    /// Returns true if the log contains the entry `snapshot`, which is at or after its base.
    fn contains(&self, snapshot: EntryId) -> bool {
        let last = self.index.last().id;
        last.index >= snapshot.index && self.term_at(snapshot.index) == snapshot.term
    }

    /// Returns the log as far as it was replayed; `None` unless it contains the current snapshot.
    pub(crate) fn salvaged(self) -> Option<RecoveredLog> {
        let snapshot = self.superblock.snapshot.last;
        let belongs = self.index.base().id.index <= snapshot.index && self.contains(snapshot);
        let (last_seq, committed) = (self.last_replayed.unwrap_or_default(), self.committed_left);
        belongs.then(|| RecoveredLog { committed, ..self.recovered(last_seq) })
    }

    fn recovered(mut self, last_seq: FlushSeq) -> RecoveredLog {
        self.compacted.into_iter().for_each(|compacted| self.index.begin_after(compacted));
        let (base, last) = (self.index.base().id.index, self.index.last().id.index);
        let ReplayedEntries { mut runs, mut memberships, tail, .. } = self.entries;
        runs.retain(|run| run.index > base);
        let damage = self.damage.of_log(&self.index);
        // The entries before the last damaged one are read when they are needed.
        let damaged: BTreeSet<Index> = damage.entries.iter().map(|found| found.id.index).collect();
        memberships.retain(|index| *index > base && !damaged.contains(index));
        let readable = damage.entries.last().map_or(base, |entry| entry.id.index).next();
        let tail_first = tail.front().map_or(last.next(), |(index, _)| *index);
        assert!(readable.max(tail_first) <= last.next(), "the tail is in the log");
        assert!(runs.last().is_none_or(|run| run.index <= last), "runs end with the log");
        RecoveredLog {
            index: self.index,
            damage,
            committed: self.committed,
            runs,
            memberships,
            tail_first: tail_first.max(readable),
            unacknowledged: self.unacknowledged,
            torn: self.torn,
            last_seq,
            spare_segments: Vec::new(),
            unused_segments: Vec::new(),
            next_segment: 1,
            lost_end: None,
            covered_loss: self.covered_loss,
            log_start: self.superblock.log_start,
        }
    }
}

/// An error about a log that contradicts the current snapshot.
fn inconsistent(message: String) -> OpenError {
    StorageError { file: None, offset: 0, message, cause: ErrorCause::Damage }.into()
}
