//! The append path of the log: one flush at a time, each with as many of the waiting entries as
//! fit.

use std::collections::{BTreeMap, VecDeque};

use crate::storage::batch::{Batch, WriteQueue};
use crate::storage::block::{Block, ENTRIES_MAX, FlushSeq, Link, RECORD_BYTES, body_of};
use crate::storage::config::StorageConfig;
use crate::storage::directory::Directory;
use crate::storage::disk::{FileAction, FileName, Lane, OperationId};
use crate::storage::floor::Floor;
use crate::storage::identity::Identity;
use crate::storage::index::{Flush, LogIndex};
use crate::storage::operations::{Operations, Owner};
use crate::storage::reader::{PendingReads, Purpose};
use crate::storage::repair::{RepairOutcome, Repairs};
use crate::storage::sector::{Framer, framed_bytes};
use crate::storage::segment::NodeSegment;
use crate::storage::spare_segments::SpareSegments;
use crate::storage::superblock::Superblock;
use crate::storage::superblock_updater::SuperblockUpdater;
use crate::types::{Index, SnapshotMeta, WriteId};

/// The state that recovery found, from which the log continues.
#[derive(Clone, Debug)]
pub(crate) struct LogStart {
    pub(crate) index: LogIndex,
    pub(crate) next_seq: FlushSeq,
    pub(crate) acknowledged: FlushSeq,
    pub(crate) spare_segments: SpareSegments,
}

/// The segments of the log, and the batch that is being written.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    identity: Identity,
    config: StorageConfig,
    pub(crate) index: LogIndex,
    pub(crate) spare_segments: SpareSegments,
    pub(crate) reads: PendingReads,
    pub(crate) repairs: Repairs,
    /// The sizes of the segments found at the opening, in bytes; later ones have the configured
    /// size.
    pub(crate) sizes: BTreeMap<u64, u64>,
    pub(crate) queue: WriteQueue,
    writing: Option<Writing>,
    /// The segment in use; `None` before the first flush after a start, and while the next flush
    /// waits for a spare segment.
    segment: Option<NodeSegment>,
    next_seq: FlushSeq,
    /// The last durable flush.
    acknowledged: FlushSeq,
    /// Segments to remove, in this order. The first is removed once no read of it is pending and no
    /// repair runs.
    obsolete: VecDeque<u64>,
    /// The directory sync that makes the removal in progress durable.
    removing: Option<OperationId>,
}

/// The batch that is being written, and its progress.
#[derive(Clone, Debug)]
struct Writing {
    batch: Batch,
    stage: Stage,
    /// The link that the batch follows, once it is known.
    link: Option<Link>,
}

#[derive(Clone, Debug)]
enum Stage {
    /// Waits until this request of a superblock update is durable.
    Superblock(u64),
    /// No operation of the batch is pending: the next entries are written at once, or as soon as
    /// there is a spare segment for them.
    Entries,
    /// Waits for a read of the header before the batch's first entry.
    Link,
    /// Waits for the operations of a flush.
    Flush { flush: Flush, entries: usize, operations: Vec<OperationId> },
}

/// Returns the size of a segment in bytes, given those found at the opening.
fn segment_bytes(sizes: &BTreeMap<u64, u64>, config: &StorageConfig, number: u64) -> u64 {
    sizes.get(&number).copied().unwrap_or(config.segment_bytes)
}

impl Log {
    pub(crate) fn new(identity: Identity, config: &StorageConfig, start: LogStart) -> Log {
        Log {
            identity,
            config: config.clone(),
            index: start.index,
            spare_segments: start.spare_segments,
            reads: PendingReads::new(identity, config),
            repairs: Repairs::new(identity),
            sizes: BTreeMap::new(),
            queue: WriteQueue::default(),
            writing: None,
            segment: None,
            next_seq: start.next_seq,
            acknowledged: start.acknowledged,
            obsolete: VecDeque::new(),
            removing: None,
        }
    }

    pub(crate) fn acknowledged(&self) -> FlushSeq {
        self.acknowledged
    }

    /// Returns the last durable flush and its place; `None` if the log has no segment.
    pub(crate) fn floor(&self) -> Option<Floor> {
        let (segment, _) = self.index.end_of_headers()?;
        Some(Floor { seq: self.acknowledged, place: Some((segment, self.index.last().id.index)) })
    }

    /// Returns true if no batch is queued or being written.
    pub(crate) fn is_idle(&self) -> bool {
        self.writing.is_none() && self.queue.is_empty()
    }

    /// Returns true if the batch being written waits for a spare segment.
    pub(crate) fn waits_for_segment(&self) -> bool {
        let waits = |writing: &Writing| {
            matches!(writing.stage, Stage::Entries) && !writing.batch.entries.is_empty()
        };
        self.writing.as_ref().is_some_and(waits)
    }

    /// Drops the batch that waits for a spare segment, if one does, and those after it: none of
    /// their writes is reported as durable.
    pub(crate) fn drop_unwritable(&mut self) {
        if self.waits_for_segment() {
            (self.writing, self.queue) = (None, WriteQueue::default());
        }
    }

    /// Takes every step that is possible, and reports the writes that are durable.
    pub(crate) fn advance(
        &mut self,
        updater: &mut SuperblockUpdater,
        operations: &mut Operations,
        persisted: &mut Vec<WriteId>,
    ) {
        self.check();
        loop {
            if self.writing.is_none() {
                let Some(batch) = self.queue.pop() else { return };
                let stage = self.request_superblock(&batch, updater);
                let mut writing = Writing { batch, stage, link: None };
                if matches!(writing.stage, Stage::Entries) {
                    report_durable(&mut writing, Index::ZERO, persisted);
                }
                self.writing = Some(writing);
            }
            let writing = self.writing.as_mut().expect("a batch is being written");
            match writing.stage {
                Stage::Superblock(request) => {
                    if !updater.is_durable(request) {
                        return;
                    }
                    writing.stage = Stage::Entries;
                    if let Some(meta) = writing.batch.install.take() {
                        self.index.restart(Link::anchor(meta.last));
                    }
                    report_durable(writing, Index::ZERO, persisted);
                }
                Stage::Entries if writing.batch.entries.is_empty() => {
                    assert!(writing.batch.writes.is_empty(), "every write has been reported");
                    self.writing = None;
                }
                Stage::Entries => {
                    // The operations go out first; headers of later entries are computed while they
                    // run.
                    let _ = self.ensure_link(operations) && self.flush(operations);
                    return;
                }
                Stage::Flush { .. } => return self.chain_ahead(),
                Stage::Link => return,
            }
        }
    }

    /// Requests the superblock update of a batch, and returns the stage that follows.
    fn request_superblock(&self, batch: &Batch, updater: &mut SuperblockUpdater) -> Stage {
        if batch.hard_state.is_none() && batch.install.is_none() {
            return Stage::Entries;
        }
        let next_seq = self.next_seq;
        Stage::Superblock(updater.request(|superblock| {
            superblock.hard_state = batch.hard_state.unwrap_or(superblock.hard_state);
            superblock.committed = superblock.committed.max(batch.committed);
            if let Some(meta) = &batch.install {
                superblock.snapshot = SnapshotMeta::clone(meta);
                superblock.log_start = next_seq;
            }
        }))
    }

    /// Returns true if the link before the batch's first entry is known; otherwise begins to read
    /// it.
    fn ensure_link(&mut self, operations: &mut Operations) -> bool {
        let writing = self.writing.as_mut().expect("a batch is being written");
        let first = &writing.batch.entries[0];
        let (prev, base, last) = (first.id.index.previous(), self.index.base(), self.index.last());
        assert!(prev >= base.id.index, "contract: entries at or before the base are not replaced");
        assert!(prev <= last.id.index, "contract: entries follow the log's last");
        let known = writing.link.filter(|link| link.id.index == prev);
        let known = known.or_else(|| [last, base].into_iter().find(|link| link.id.index == prev));
        writing.link = known;
        if known.is_none() {
            writing.stage = Stage::Link;
            let position = self.index.locate(prev);
            let position = position.expect("an entry between base and last is in the log");
            self.reads.begin(Purpose::Link, position, prev, prev, operations);
        }
        known.is_some()
    }

    /// Handles the link of the entry before the batch's first, which has been read.
    pub(crate) fn on_link(&mut self, link: Link) {
        let writing = self.writing.as_mut().expect("a link is read for the batch being written");
        assert!(matches!(writing.stage, Stage::Link), "the batch waits for the link");
        let next = writing.batch.entries.front().map(|entry| entry.id.index);
        assert_eq!(next, Some(link.id.index.next()), "the batch follows the link");
        (writing.link, writing.stage) = (Some(link), Stage::Entries);
    }

    /// Handles a segment that was compacted before the link in it could be read. The batch then
    /// begins right after the base of the log, whose link is known.
    pub(crate) fn on_link_compacted(&mut self) {
        let writing = self.writing.as_mut().expect("a link is read for the batch being written");
        assert!(matches!(writing.stage, Stage::Link), "the batch waits for the link");
        writing.stage = Stage::Entries;
    }

    /// Begins the next flush of the batch; returns false if no segment has room for it.
    fn flush(&mut self, operations: &mut Operations) -> bool {
        let writing = self.writing.as_mut().expect("a batch is being written");
        let batch = &mut writing.batch;
        let bodies = batch.entries.iter().map(|entry| entry.payload.bytes());
        let entries = match batch.single_flush {
            true => batch.entries.len(),
            false => self.config.entries_per_flush(bodies.clone()),
        };
        assert!((1..=ENTRIES_MAX).contains(&entries), "a header block has room for the entries");
        let body_bytes: usize = bodies.take(entries).map(|bytes| RECORD_BYTES + bytes).sum();
        let block_framed = framed_bytes(Block::payload_bytes(entries)) as u64;
        let body_framed = framed_bytes(body_bytes) as u64;
        let fits = |(start, end): &(u64, u64)| start + block_framed + body_framed <= *end;
        let room = self.segment.and_then(|segment| self.index.free_space(segment.number));
        let (start, end) = match room.filter(fits) {
            Some(room) => room,
            None => {
                self.segment = self
                    .spare_segments
                    .take()
                    .map(|number| NodeSegment::new(self.identity, number));
                let Some(segment) = self.segment else { return false };
                let used = self.index.end_of_headers().map(|(number, _)| number);
                assert!(used < Some(segment.number), "a new segment comes after the used ones");
                (0, self.config.segment_bytes)
            }
        };
        assert!(fits(&(start, end)), "an empty segment has room for a flush");
        let segment = self.segment.expect("a segment is in use");
        let prev = writing.link.take().expect("the caller checked that the link is known");
        let body_start = end - body_framed;
        assert!(start + block_framed <= body_start, "the zones of a segment do not overlap");
        assert!(self.next_seq <= FlushSeq::MAX, "a start can read the number of the flush");
        assert!(prev.id.term <= batch.entries[0].id.term, "terms in a log never decrease");
        let block = Block {
            entries: u32::try_from(entries).expect("a flush has at most ENTRIES_MAX entries"),
            identity: self.identity,
            segment: segment.number,
            seq: self.next_seq,
            prev,
            committed: batch.committed,
            watermark: prev.id.index,
            body_offset: body_start,
            body_bytes: body_bytes as u64,
        };
        batch.chain(prev, entries);
        let last = batch.headers[entries - 1].link;
        assert_eq!(last.id, batch.entries[entries - 1].id, "a header is that of its entry");
        let (headers, bodies) = frame(&block, start, segment, batch);
        let file = segment.file();
        let operations = [
            FileAction::Write { file, offset: start, bytes: headers },
            FileAction::Write { file, offset: body_start, bytes: bodies },
            FileAction::Sync { file },
        ]
        .map(|action| operations.request(Owner::Log, Lane::Log, action));
        let (header, seq) = ((start, start + block_framed), self.next_seq);
        let flush = Flush { segment: segment.number, seq, prev, last, header, body_start };
        writing.stage = Stage::Flush { flush, entries, operations: operations.to_vec() };
        self.next_seq = seq.next();
        true
    }

    /// Computes the headers of the entries that come after the flush under way.
    fn chain_ahead(&mut self) {
        let Some(Writing { batch, stage: Stage::Flush { flush, entries, .. }, .. }) =
            &mut self.writing
        else {
            return;
        };
        if batch.entries.len() == *entries {
            self.queue.chain(flush.last);
        } else {
            batch.chain(flush.prev, batch.entries.len());
        }
    }

    /// Returns true if the operation belongs to the flush under way.
    pub(crate) fn has(&self, id: OperationId) -> bool {
        match self.writing.as_ref().map(|writing| &writing.stage) {
            Some(Stage::Flush { operations, .. }) => operations.contains(&id),
            _ => false,
        }
    }

    /// Handles the completion of an operation of the flush under way; returns the flush once it is
    /// durable.
    pub(crate) fn flushed(
        &mut self,
        id: OperationId,
        persisted: &mut Vec<WriteId>,
    ) -> Option<Flush> {
        let writing = self
            .writing
            .as_mut()
            .expect("the caller checked that the operation belongs to a flush");
        let Stage::Flush { flush, entries, operations } = &mut writing.stage else {
            unreachable!("the caller checked that a flush is under way")
        };
        operations.retain(|other| *other != id);
        if !operations.is_empty() {
            return None;
        }
        let flush = *flush;
        assert_eq!(flush.seq, self.acknowledged.next(), "flushes become durable in their order");
        self.index.append(&flush);
        self.acknowledged = flush.seq;
        writing.batch.drop_durable(*entries, flush.last);
        writing.stage = Stage::Entries;
        report_durable(writing, flush.last.id.index, persisted);
        assert_eq!(self.index.last(), flush.last, "the log ends with the last durable flush");
        self.check();
        Some(flush)
    }

    /// Compacts the log through `through` in whole segments.
    pub(crate) fn compact(&mut self, through: Index, operations: &mut Operations) {
        self.check();
        self.obsolete.extend(self.index.compact(through));
        self.remove_obsolete(operations);
    }

    /// Returns the size of a segment in bytes.
    pub(crate) fn segment_bytes(&self, number: u64) -> u64 {
        segment_bytes(&self.sizes, &self.config, number)
    }

    /// Continues with the requested repairs. Returns the outcome of each that has ended, and adds
    /// the reads that ended without a result to `ended_reads`.
    pub(crate) fn advance_repairs(
        &mut self,
        superblock: &Superblock,
        operations: &mut Operations,
        ended_reads: &mut Vec<Purpose>,
    ) -> Vec<RepairOutcome> {
        let mut ended = Vec::new();
        loop {
            let (floor, index) = (self.floor().unwrap_or_default(), &self.index);
            let (sizes, config) = (&self.sizes, &self.config);
            let size = |number| (number, segment_bytes(sizes, config, number));
            let directory = || Directory {
                copies: Vec::new(),
                superblock: superblock.clone(),
                lone_copy: None,
                floor,
                segments: index.segments().map(size).collect(),
            };
            match self.repairs.advance(index, directory, operations) {
                Some(outcome) => {
                    // A read that waits for a later rebuild of the segment is resumed after that.
                    if let RepairOutcome::Headers(segment, _) = outcome
                        && !self.repairs.awaits_headers(segment)
                    {
                        ended_reads.extend(self.reads.resume(segment, &self.index, operations));
                    }
                    ended.push(outcome);
                }
                None => return ended,
            }
            self.remove_obsolete(operations);
        }
    }

    /// Removes obsolete segments that no read needs. Each removal is made durable before the next
    /// one is requested, so that neither a crash nor a failed removal leaves a gap.
    pub(crate) fn remove_obsolete(&mut self, operations: &mut Operations) {
        if self.removing.is_some() || self.repairs.is_running() {
            return;
        }
        if let Some(segment) = self.obsolete.pop_front_if(|first| !self.reads.needs(*first)) {
            let in_use = self.segment.is_some_and(|used| used.number == segment);
            assert!(!in_use, "the segment in use is not removed");
            let file = FileName::Segment(segment);
            operations.request(Owner::Log, Lane::Bulk, FileAction::Remove { file });
            let sync = operations.request(Owner::Log, Lane::Bulk, FileAction::SyncDirectory);
            self.removing = Some(sync);
        }
    }

    /// Handles the completion of a removal or of its sync; returns true if a segment is durably
    /// removed.
    pub(crate) fn removed(&mut self, id: OperationId, operations: &mut Operations) -> bool {
        if self.removing != Some(id) {
            return false;
        }
        self.removing = None;
        self.remove_obsolete(operations);
        true
    }

    /// Whether the log uses the segment, or still has to remove it.
    pub(crate) fn uses(&self, number: u64) -> bool {
        self.removing.is_some()
            || self.obsolete.contains(&number)
            || self.segment.is_some_and(|segment| segment.number == number)
            || self.index.segments().any(|used| used == number)
            || self.spare_segments.has_segment(number)
    }

    /// Panics if a batch waits although nothing is under way that would end its wait.
    pub(crate) fn assert_progress(&self) {
        assert!(self.writing.is_some() || self.queue.is_empty(), "the next batch begins at once");
        let waits = |writing: &Writing| matches!(writing.stage, Stage::Link);
        let waits = self.writing.as_ref().is_some_and(waits);
        assert!(!waits || self.reads.reads_link(), "the link that a batch waits for is read");
    }

    /// Panics if the parts of the log contradict one another.
    fn check(&self) {
        let mut next = self.acknowledged.next();
        if let Some(Writing { batch, stage, link }) = &self.writing {
            batch.check();
            let is_next = matches!(stage, Stage::Entries);
            assert!(link.is_none() || is_next, "only a batch that can be written keeps its link");
            if let Stage::Flush { flush, operations, entries } = stage {
                assert_eq!(flush.seq, next, "one flush at a time is under way");
                assert!(!operations.is_empty(), "a flush waits for its operations");
                assert!(*entries <= batch.headers.len(), "the batch has the headers of its flush");
                let in_use = self.segment.map(|segment| segment.number);
                assert_eq!(in_use, Some(flush.segment), "the flush goes to the segment in use");
                next = next.next();
            }
        }
        assert_eq!(self.next_seq, next, "flush numbers have no gap");
        if let Some(segment) = self.segment {
            let last = self.index.end_of_headers().map(|(number, _)| number);
            assert!(last <= Some(segment.number), "the segment in use is the last one");
            let spare = self.spare_segments.first();
            assert!(spare.is_none_or(|spare| spare > segment.number), "spare segments are later");
        }
        debug_assert!(
            self.index.segments().all(|segment| !self.obsolete.contains(&segment)),
            "no segment of the log is obsolete"
        );
    }

    /// Removes segments that hold no flush of the log.
    pub(crate) fn remove(&mut self, segments: Vec<u64>, operations: &mut Operations) {
        self.obsolete.extend(segments);
        self.remove_obsolete(operations);
    }
}

/// Reports the writes of the batch whose entries are durable through `durable`.
fn report_durable(writing: &mut Writing, durable: Index, persisted: &mut Vec<WriteId>) {
    let writes = &mut writing.batch.writes;
    while let Some((id, _)) = writes.pop_front_if(|(_, last)| *last <= durable) {
        persisted.push(id);
    }
}

/// Returns the sectors of a flush of the batch's first entries: the header block at `start`, and
/// the bodies.
fn frame(block: &Block, start: u64, segment: NodeSegment, batch: &Batch) -> (Vec<u8>, Vec<u8>) {
    let body_bytes = usize::try_from(block.body_bytes).expect("a flush fits into memory");
    let mut headers = Framer::new(segment.headers, start, block.bytes());
    let mut bodies = Framer::new(segment.bodies, block.body_offset, body_bytes);
    headers.push(&block.encode(segment.salt));
    let entries = batch.headers.iter().zip(&batch.entries).take(block.entries as usize);
    for (header, entry) in entries {
        headers.push(&header.bytes);
        bodies.push(&header.bytes);
        bodies.push(&body_of(entry));
    }
    (headers.finish(), bodies.finish())
}
