//! What a directory holds, read before the start: the log as far as it was acknowledged, or the
//! line that says why not. It changes nothing.

use std::collections::VecDeque;

use crate::storage::block::{FlushSeq, Link, Record};
use crate::storage::disk::{Disk, FileName};
use crate::storage::failure::{Cause, Failure, OpenError};
use crate::storage::identity::Identity;
use crate::storage::index::{Flush, LogIndex};
use crate::storage::scan::{HeaderBlock, Scan, Seen, at_most};
use crate::storage::sector::{PAGE_BYTES, framed_bytes};
use crate::storage::superblock::Superblock;
use crate::types::{Entry, EntryId, Index, Term};

/// The log as it was found.
#[derive(Clone, Debug)]
pub(crate) struct Recovered {
    pub(crate) index: LogIndex,
    pub(crate) committed: Index,
    /// The first entry of each term after the base.
    pub(crate) runs: Vec<EntryId>,
    /// Where the log has memberships.
    pub(crate) memberships: Vec<Index>,
    /// The first of the last entries that together are as large as the tail may be.
    pub(crate) tail_first: Index,
    /// The last flush, and the entry it follows, if nothing shows that it was acknowledged.
    pub(crate) unacknowledged: Option<EntryId>,
    pub(crate) last_seq: FlushSeq,
    /// Segments that are empty and of the right size, and others that hold nothing.
    pub(crate) ready: Vec<u64>,
    pub(crate) litter: Vec<u64>,
    pub(crate) next_segment: u64,
}

/// Reads the segments, given as number and size in ascending order.
pub(crate) fn recover(
    disk: &mut impl Disk,
    superblock: &Superblock,
    segments: &[(u64, u64)],
    segment_bytes: u64,
    tail_bytes_max: usize,
) -> Result<Recovered, OpenError> {
    let identity = superblock.identity;
    let (mut used, mut unused) = (Vec::new(), Vec::new());
    for (number, bytes) in segments {
        match Scan::new(identity, *number, *bytes).first_seq(disk)? {
            Some(seq) => used.push((*number, *bytes, seq)),
            None => unused.push((*number, *bytes)),
        }
    }
    // A segment whose only flush was cut short counts as unused: the flush may be one that was
    // written once more, and the first of the two stands in the segment before.
    let (ready, seen) = loop {
        let behind = used.last().map_or(0, |(number, _, _)| *number);
        let later = unused.partition_point(|(number, _)| *number <= behind);
        let (ready, seen) = leftovers(disk, identity, &unused[later..], segment_bytes)?;
        let Some((number, bytes, _)) = used.last().copied() else { break (ready, seen) };
        let mut scan = Scan::new(identity, number, bytes);
        if !is_torn_at_once(disk, superblock, &mut scan, seen)? {
            break (ready, seen);
        }
        used.pop();
        unused.insert(later, (number, bytes));
    };
    // What was cut short in a segment of its own stays there until somebody has removed it; before
    // that, an opening may have written the flush before it once more.
    let mut place = 0;
    while let Some((_, _, until)) = used.get(place + 1).copied() {
        let (number, bytes, seq) = used[place];
        if seq > until && is_cut_short(disk, &mut Scan::new(identity, number, bytes))? {
            used.remove(place);
            unused.push((number, bytes));
        } else {
            place += 1;
        }
    }
    let mut replay = Replay::new(superblock, tail_bytes_max);
    if used.is_empty() {
        no_hole_after(FlushSeq(superblock.log_start.0 - 1), seen)?;
    }
    for (place, (number, bytes, _)) in used.iter().enumerate() {
        let mut scan = Scan::new(identity, *number, *bytes);
        match used.get(place + 1) {
            Some((_, _, until)) => replay.segment(disk, &mut scan, *until)?,
            None => replay.last_segment(disk, &mut scan, seen)?,
        }
        if replay.index.room(*number).is_none() {
            // All it has was written once more elsewhere.
            unused.push((*number, *bytes));
        }
    }
    let next = segments.last().map_or(1, |(number, _)| number + 1);
    let litter = unused.into_iter().map(|(number, _)| number);
    let litter = litter.filter(|number| !ready.contains(number)).collect();
    replay.finish(ready, litter, next)
}

/// Whether a segment's first flush is its only one and was cut short.
fn is_torn_at_once(
    disk: &mut impl Disk,
    superblock: &Superblock,
    scan: &mut Scan,
    later: Seen,
) -> Result<bool, OpenError> {
    let Some(found) = scan.block(disk, 0)? else { return Ok(false) };
    if scan.block(disk, found.end)?.is_some() {
        return Ok(false);
    }
    let (start, end) = bodies(&found, scan, None)?;
    let here = scan.rest(disk, found.end, start)?;
    let acknowledged = is_acknowledged(superblock, found.block.seq, here, later);
    Ok(!acknowledged && scan.torn(disk, start, end)?)
}

/// Whether a segment has one flush, with bodies of which some were never written.
fn is_cut_short(disk: &mut impl Disk, scan: &mut Scan) -> Result<bool, OpenError> {
    let Some(found) = scan.block(disk, 0)? else { return Ok(false) };
    if scan.block(disk, found.end)?.is_some() {
        return Ok(false);
    }
    let (start, end) = bodies(&found, scan, None)?;
    scan.torn(disk, start, end)
}

/// Nothing that was seen behind flush `seq`, the last that is known, may stand further on than the
/// next: a flush begins when the one before it is durable.
fn no_hole_after(seq: FlushSeq, seen: Seen) -> Result<(), OpenError> {
    let next = seq.next();
    match seen.stray.filter(|(_, _, stray)| *stray > next) {
        Some((file, offset, stray)) => {
            let what = format!("flush {} is damaged or missing before {}", next.0, stray.0);
            Err(Failure::damage(file, offset, what).into())
        }
        None => Ok(()),
    }
}

/// Whether something shows that flush `seq` was reported durable: the superblock, or a flush that
/// began behind it, `here` in its segment or in a `later` one. In a later one the same flush may
/// have begun once more, so that only a header that names another shows it. That a node stopped in
/// good order shows nothing: its start may have left what a crash cut short.
fn is_acknowledged(superblock: &Superblock, seq: FlushSeq, here: Seen, later: Seen) -> bool {
    let another = later.stray.is_some_and(|(_, _, stray)| stray > seq);
    seq <= superblock.ack_floor || here.valid || another
}

/// The file range of a flush's bodies, which ends where those before it begin.
pub(crate) fn bodies(
    found: &HeaderBlock,
    scan: &Scan,
    before: Option<u64>,
) -> Result<(u64, u64), OpenError> {
    let block = &found.block;
    let framed = at_most(block.body_bytes, scan.bytes).map(framed_bytes);
    let end = framed.and_then(|framed| block.body_offset.checked_add(framed as u64));
    let aligned = block.body_offset.is_multiple_of(PAGE_BYTES as u64);
    let end = end.filter(|end| {
        let fits = block.body_offset >= found.end && *end <= scan.bytes;
        aligned && fits && *end == before.unwrap_or(*end)
    });
    if let Some(end) = end {
        return Ok((block.body_offset, end));
    }
    let what = "the bodies of a flush are said to be where they cannot be";
    Err(damage(scan.segment.number, found.offset, what))
}

/// The segments after the last one with a flush: those that are empty and of the right size, and
/// what else was seen. They are filled in their order: what is in one after an empty one is
/// nobody's. None has a whole flush at its front, so that none may begin behind it either.
fn leftovers(
    disk: &mut impl Disk,
    identity: Identity,
    segments: &[(u64, u64)],
    segment_bytes: u64,
) -> Result<(Vec<u64>, Seen), OpenError> {
    let mut ready = Vec::new();
    let mut seen = Seen::default();
    for (number, bytes) in segments {
        let scan = Scan::new(identity, *number, *bytes);
        let empty = if ready.is_empty() {
            let here = scan.rest(disk, 0, *bytes)?;
            // The one before it in the segment was durable when it began: no crash takes that away.
            if let Some((_, _, stray)) = here.stray.filter(|(_, offset, _)| *offset > 0) {
                let what = format!("a flush before {} is damaged or missing", stray.0);
                return Err(damage(*number, 0, what));
            }
            seen.join(here);
            !here.valid
        } else {
            scan.is_empty(disk)?
        };
        if empty && *bytes == segment_bytes {
            ready.push(*number);
        }
    }
    Ok((ready, seen))
}

/// The flushes one after the other, as they are found.
pub(crate) struct Replay<'a> {
    superblock: &'a Superblock,
    index: LogIndex,
    started: bool,
    committed: Index,
    runs: Vec<EntryId>,
    memberships: Vec<Index>,
    /// The last entries with their sizes, as many as the tail may hold.
    tail: VecDeque<(Index, usize)>,
    tail_bytes: usize,
    tail_bytes_max: usize,
    last_seq: Option<FlushSeq>,
    unacknowledged: Option<EntryId>,
}

impl<'a> Replay<'a> {
    pub(crate) fn new(superblock: &'a Superblock, tail_bytes_max: usize) -> Replay<'a> {
        Replay {
            superblock,
            index: LogIndex::new(Link::anchor(superblock.snapshot.last)),
            started: false,
            committed: superblock.committed,
            runs: Vec::new(),
            memberships: Vec::new(),
            tail: VecDeque::new(),
            tail_bytes: 0,
            tail_bytes_max,
            last_seq: None,
            unacknowledged: None,
        }
    }

    /// A segment after which another begins, with flush `until`.
    fn segment(
        &mut self,
        disk: &mut impl Disk,
        scan: &mut Scan,
        until: FlushSeq,
    ) -> Result<(), OpenError> {
        let mut zone: Option<(u64, u64)> = None;
        let mut offset = 0;
        loop {
            match scan.block(disk, offset)? {
                Some(found) if found.block.seq < until => {
                    offset = found.end;
                    let (start, end) = bodies(&found, scan, zone.map(|(start, _)| start))?;
                    zone = Some((start, zone.map_or(end, |(_, top)| top)));
                    self.take(&found, scan)?;
                }
                Some(found) if found.block.seq > until => {
                    let what = format!("flush {} stands before {}", found.block.seq.0, until.0);
                    return Err(damage(scan.segment.number, offset, what));
                }
                // What began there was cut short by a crash, and a later start began it anew.
                _ => break,
            }
        }
        if let Some(expected) = self.last_seq.map(FlushSeq::next).filter(|next| *next != until) {
            let what = format!("flush {} is damaged or missing", expected.0);
            return Err(damage(scan.segment.number, offset, what));
        }
        let Some((start, end)) = zone else { return Ok(()) };
        scan.bodies(disk, start, end)
    }

    /// The last segment with a flush; `later` is what was seen in those after it.
    fn last_segment(
        &mut self,
        disk: &mut impl Disk,
        scan: &mut Scan,
        later: Seen,
    ) -> Result<(), OpenError> {
        let mut zone: Option<(u64, u64)> = None;
        let mut last: Option<HeaderBlock> = None;
        let mut offset = 0;
        while let Some(found) = scan.block(disk, offset)? {
            offset = found.end;
            if let Some(before) = last.replace(found) {
                let (start, end) = bodies(&before, scan, zone.map(|(start, _)| start))?;
                zone = Some((start, zone.map_or(end, |(_, top)| top)));
                self.take(&before, scan)?;
            }
        }
        let last = last.expect("the segment was chosen for its first flush");
        let (start, end) = bodies(&last, scan, zone.map(|(start, _)| start))?;
        if let Some((start, end)) = zone {
            scan.bodies(disk, start, end)?;
        }
        let here = scan.rest(disk, offset, start)?;
        let mut seen = here;
        seen.join(later);
        let seq = last.block.seq;
        no_hole_after(seq, seen)?;
        let acknowledged = is_acknowledged(self.superblock, seq, here, later);
        // A flush that nothing followed may have been cut short: then it was not acknowledged.
        if acknowledged {
            scan.bodies(disk, start, end)?;
        } else if scan.torn(disk, start, end)? {
            return Ok(());
        }
        self.take(&last, scan)?;
        if seq > self.superblock.ack_floor {
            self.unacknowledged = Some(last.block.prev.id);
        }
        Ok(())
    }

    /// Takes a flush in that is whole.
    pub(crate) fn take(&mut self, found: &HeaderBlock, scan: &Scan) -> Result<(), OpenError> {
        let (block, records) = (&found.block, &found.records);
        let refuse = |what: String| Err(damage(scan.segment.number, found.offset, what));
        if let Some(last) = self.last_seq.filter(|last| last.next() != block.seq) {
            return refuse(format!("flush {} stands where {} must", block.seq.0, last.next().0));
        }
        self.last_seq = Some(block.seq);
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
            self.index.note(&flush);
            return Ok(());
        }
        let prev = block.prev;
        if !self.started {
            self.started = true;
            self.index.restart(prev);
        }
        let (base, end) = (self.index.base().id.index, self.index.last());
        let follows = prev.id.index < end.id.index
            && (prev.id.index < base || self.term_at(prev.id.index) == prev.id.term);
        if prev != end && !follows {
            return refuse(format!(
                "a flush after {} follows a log that ends at {}",
                prev.id, end.id
            ));
        }
        if last.id.term > self.superblock.hard_state.term {
            let term = self.superblock.hard_state.term;
            return refuse(format!("{} is ahead of the superblock's term {term}", last.id));
        }
        self.committed = self.committed.max(block.committed);
        self.index.append(&flush);
        self.note_entries(prev.id, records);
        Ok(())
    }

    /// The term of the entry at `index`, which is in the log or its base.
    fn term_at(&self, index: Index) -> Term {
        let before = self.runs.partition_point(|run| run.index <= index);
        let run = before.checked_sub(1).map(|place| self.runs[place].term);
        run.unwrap_or(self.index.base().id.term)
    }

    fn note_entries(&mut self, prev: EntryId, records: &[Record]) {
        while self.runs.pop_if(|run| run.index > prev.index).is_some() {}
        while self.memberships.pop_if(|index| *index > prev.index).is_some() {}
        while let Some((_, bytes)) = self.tail.pop_back_if(|(index, _)| *index > prev.index) {
            self.tail_bytes -= bytes;
        }
        let mut term = self.term_at(prev.index);
        for record in records {
            if record.id.term != term {
                term = record.id.term;
                self.runs.push(record.id);
            }
            if record.is_membership() {
                self.memberships.push(record.id.index);
            }
            let bytes = Entry::OVERHEAD_BYTES + record.body_bytes as usize;
            self.tail.push_back((record.id.index, bytes));
            self.tail_bytes += bytes;
            while self.tail_bytes > self.tail_bytes_max
                && let Some((_, bytes)) = self.tail.pop_front()
            {
                self.tail_bytes -= bytes;
            }
        }
    }

    fn finish(
        self,
        ready: Vec<u64>,
        litter: Vec<u64>,
        next_segment: u64,
    ) -> Result<Recovered, OpenError> {
        let (superblock, snapshot) = (self.superblock, self.superblock.snapshot.last);
        let start = FlushSeq(superblock.log_start.0 - 1);
        let last_seq = self.last_seq.unwrap_or(start).max(start);
        if last_seq < superblock.ack_floor {
            let what = format!("acknowledged flush {} is nowhere", superblock.ack_floor.0);
            return Err(damage(next_segment.saturating_sub(1), 0, what));
        }
        let (base, last) = (self.index.base().id, self.index.last().id);
        if base.index > snapshot.index {
            let what = format!("the log begins after {base}, the snapshot ends at {snapshot}");
            return Err(Failure { file: None, offset: 0, what, cause: Cause::Damage }.into());
        }
        if !self.reaches(snapshot) {
            let what = format!("the log ends at {last} and does not hold {snapshot}");
            return Err(Failure { file: None, offset: 0, what, cause: Cause::Damage }.into());
        }
        Ok(Recovered { ready, litter, next_segment, ..self.recovered(last_seq) })
    }

    /// Whether the log holds the entry `snapshot`, which is at or after its base.
    fn reaches(&self, snapshot: EntryId) -> bool {
        let last = self.index.last().id;
        last.index >= snapshot.index && self.term_at(snapshot.index) == snapshot.term
    }

    /// The log as far as it was replayed; None unless the snapshot in force belongs to it.
    pub(crate) fn salvaged(self) -> Option<Recovered> {
        let snapshot = self.superblock.snapshot.last;
        let belongs = self.index.base().id.index <= snapshot.index && self.reaches(snapshot);
        let last_seq = self.last_seq.unwrap_or_default();
        belongs.then(|| self.recovered(last_seq))
    }

    fn recovered(mut self, last_seq: FlushSeq) -> Recovered {
        let (base, last) = (self.index.base().id.index, self.index.last().id.index);
        self.runs.retain(|run| run.index > base);
        Recovered {
            index: self.index,
            committed: self.committed,
            runs: self.runs,
            memberships: self.memberships,
            tail_first: self.tail.front().map_or(last.next(), |(index, _)| *index),
            unacknowledged: self.unacknowledged,
            last_seq,
            ready: Vec::new(),
            litter: Vec::new(),
            next_segment: 1,
        }
    }
}

fn damage(segment: u64, offset: u64, what: impl Into<String>) -> OpenError {
    Failure::damage(FileName::Segment(segment), offset, what).into()
}
