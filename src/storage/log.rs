//! The log on disk: one flush at a time, each with everything that waited for it.

use std::collections::VecDeque;

use crate::storage::ahead::Ahead;
use crate::storage::batch::{Batch, Queue};
use crate::storage::block::{Block, FlushSeq, Link, RECORD_BYTES, body_of};
use crate::storage::config::StorageConfig;
use crate::storage::disk::{FileAction, FileName, Lane, OperationId};
use crate::storage::identity::Identity;
use crate::storage::index::{Flush, LogIndex};
use crate::storage::keeper::Keeper;
use crate::storage::operations::{Operations, Owner};
use crate::storage::reader::{Purpose, Reads};
use crate::storage::sector::{Framer, framed_bytes};
use crate::storage::segment::NodeSegment;
use crate::types::{Index, SnapshotMeta, WriteId};

/// What recovery found, and an appending log begins with.
#[derive(Clone, Debug)]
pub(crate) struct LogStart {
    pub(crate) index: LogIndex,
    pub(crate) next_seq: FlushSeq,
    pub(crate) acknowledged: FlushSeq,
    pub(crate) ahead: Ahead,
}

/// The segments, and the batch on its way into them.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    identity: Identity,
    config: StorageConfig,
    pub(crate) index: LogIndex,
    pub(crate) ahead: Ahead,
    pub(crate) reads: Reads,
    pub(crate) queue: Queue,
    writing: Option<Writing>,
    /// The segment in use; none before the first flush of a start.
    segment: Option<NodeSegment>,
    next_seq: FlushSeq,
    /// The last flush that is durable.
    acknowledged: FlushSeq,
    /// Segments to be removed once nothing is read from them.
    forgotten: VecDeque<u64>,
    /// Makes the removal under way durable.
    removing: Option<OperationId>,
}

/// The batch on its way, and how far it is.
#[derive(Clone, Debug)]
struct Writing {
    batch: Batch,
    stage: Stage,
    /// What the batch follows, once it is known.
    link: Option<Link>,
}

#[derive(Clone, Debug)]
enum Stage {
    /// Waits for this request to the superblock.
    Superblock(u64),
    /// Entries are to be written.
    Entries,
    /// Waits for the header of the entry before the first.
    Link,
    /// Waits for these operations.
    Flush { flush: Flush, entries: usize, operations: Vec<OperationId> },
}

impl Log {
    pub(crate) fn new(identity: Identity, config: &StorageConfig, start: LogStart) -> Log {
        Log {
            identity,
            config: config.clone(),
            index: start.index,
            ahead: start.ahead,
            reads: Reads::new(identity, config),
            queue: Queue::default(),
            writing: None,
            segment: None,
            next_seq: start.next_seq,
            acknowledged: start.acknowledged,
            forgotten: VecDeque::new(),
            removing: None,
        }
    }

    pub(crate) fn acknowledged(&self) -> FlushSeq {
        self.acknowledged
    }

    /// Whether nothing waits and nothing is on its way.
    pub(crate) fn is_idle(&self) -> bool {
        self.writing.is_none() && self.queue.is_empty()
    }

    /// Takes the next steps that wait for nothing, and reports the writes that are durable.
    pub(crate) fn advance(
        &mut self,
        keeper: &mut Keeper,
        operations: &mut Operations,
        persisted: &mut Vec<WriteId>,
    ) {
        loop {
            if self.writing.is_none() {
                let Some(batch) = self.queue.pop() else { return };
                let stage = self.request(&batch, keeper);
                let mut writing = Writing { batch, stage, link: None };
                if matches!(writing.stage, Stage::Entries) {
                    report(&mut writing, Index::ZERO, persisted);
                }
                self.writing = Some(writing);
            }
            let writing = self.writing.as_mut().expect("a batch is on its way");
            match writing.stage {
                Stage::Superblock(request) => {
                    if !keeper.has(request) {
                        return;
                    }
                    writing.stage = Stage::Entries;
                    if let Some(meta) = writing.batch.install.take() {
                        self.index.restart(Link::anchor(meta.last));
                    }
                    report(writing, Index::ZERO, persisted);
                }
                Stage::Entries if writing.batch.entries.is_empty() => {
                    assert!(writing.batch.writes.is_empty(), "every write has been reported");
                    self.writing = None;
                }
                Stage::Entries => {
                    // What is asked for leaves at once: nothing is prepared before it has.
                    let _ = self.link(operations) && self.flush(operations);
                    return;
                }
                Stage::Flush { .. } => return self.chain_ahead(),
                Stage::Link => return,
            }
        }
    }

    /// Asks for the superblock's part of a batch.
    fn request(&self, batch: &Batch, keeper: &mut Keeper) -> Stage {
        if batch.hard_state.is_none() && batch.install.is_none() {
            return Stage::Entries;
        }
        let next_seq = self.next_seq;
        Stage::Superblock(keeper.ask(|superblock| {
            superblock.hard_state = batch.hard_state.unwrap_or(superblock.hard_state);
            superblock.committed = superblock.committed.max(batch.committed);
            if let Some(meta) = &batch.install {
                superblock.snapshot = SnapshotMeta::clone(meta);
                superblock.log_start = next_seq;
            }
        }))
    }

    /// Whether the entry before the batch's first is known; if not, it is read.
    fn link(&mut self, operations: &mut Operations) -> bool {
        let writing = self.writing.as_mut().expect("a batch is on its way");
        let first = &writing.batch.entries[0];
        let (prev, base, last) = (first.id.index.previous(), self.index.base(), self.index.last());
        assert!(prev >= base.id.index, "contract: what is before the log's base stands");
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

    /// The header of the entry before the batch's first has been read.
    pub(crate) fn on_link(&mut self, link: Link) {
        let writing = self.writing.as_mut().expect("a link is read for the batch on its way");
        assert!(matches!(writing.stage, Stage::Link), "the batch waits for it");
        (writing.link, writing.stage) = (Some(link), Stage::Entries);
    }

    /// Begins the next flush of the batch, if there is a segment with room for it.
    fn flush(&mut self, operations: &mut Operations) -> bool {
        let writing = self.writing.as_mut().expect("a batch is on its way");
        let batch = &mut writing.batch;
        let bodies = batch.entries.iter().map(|entry| entry.payload.bytes());
        let entries = match batch.whole {
            true => batch.entries.len(),
            false => self.config.flush_takes(bodies.clone()),
        };
        let body_bytes: usize = bodies.take(entries).map(|bytes| RECORD_BYTES + bytes).sum();
        let block_framed = framed_bytes(Block::payload_bytes(entries)) as u64;
        let body_framed = framed_bytes(body_bytes) as u64;
        let fits = |(start, end): &(u64, u64)| start + block_framed + body_framed <= *end;
        let room = self.segment.and_then(|segment| self.index.room(segment.number));
        let (start, end) = match room.filter(fits) {
            Some(room) => room,
            None => {
                self.segment =
                    self.ahead.take().map(|number| NodeSegment::new(self.identity, number));
                if self.segment.is_none() {
                    return false;
                }
                (0, self.config.segment_bytes)
            }
        };
        assert!(fits(&(start, end)), "an empty segment has room for a flush");
        let segment = self.segment.expect("a segment is in use");
        let prev = writing.link.take().expect("the caller asked whether it is known");
        let body_start = end - body_framed;
        let block = Block {
            entries: u32::try_from(entries).expect("a flush has few entries"),
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
        let (headers, bodies) = frame(&block, start, segment, batch);
        let file = segment.file();
        let operations = [
            FileAction::Write { file, offset: start, bytes: headers },
            FileAction::Write { file, offset: body_start, bytes: bodies },
            FileAction::Sync { file },
        ]
        .map(|action| operations.ask(Owner::Log, Lane::Log, action));
        let (header, seq) = ((start, start + block_framed), self.next_seq);
        let flush = Flush { segment: segment.number, seq, prev, last, header, body_start };
        writing.stage = Stage::Flush { flush, entries, operations: operations.to_vec() };
        self.next_seq = seq.next();
        true
    }

    /// While a flush is on its way, chains what comes after it.
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

    /// Whether the operation is one of the flush under way.
    pub(crate) fn has(&self, id: OperationId) -> bool {
        match self.writing.as_ref().map(|writing| &writing.stage) {
            Some(Stage::Flush { operations, .. }) => operations.contains(&id),
            _ => false,
        }
    }

    /// An operation of the flush under way is done.
    pub(crate) fn flushed(&mut self, id: OperationId, persisted: &mut Vec<WriteId>) {
        let writing = self.writing.as_mut().expect("the caller asked whether it has it");
        let Stage::Flush { flush, entries, operations } = &mut writing.stage else {
            unreachable!("the caller asked whether a flush has it")
        };
        operations.retain(|other| *other != id);
        if !operations.is_empty() {
            return;
        }
        self.index.append(flush);
        self.acknowledged = flush.seq;
        writing.batch.forget(*entries, flush.last);
        let last = flush.last.id.index;
        writing.stage = Stage::Entries;
        report(writing, last, persisted);
    }

    /// Forgets whole segments through `through`.
    pub(crate) fn forget(&mut self, through: Index, operations: &mut Operations) {
        self.forgotten.extend(self.index.forget(through));
        self.remove_forgotten(operations);
    }

    /// Removes what was forgotten, as far as nothing is read from it. Each name is durably gone
    /// before the next removal is asked for: neither a crash nor a failed removal leaves a hole.
    pub(crate) fn remove_forgotten(&mut self, operations: &mut Operations) {
        if self.removing.is_some() {
            return;
        }
        if let Some(segment) = self.forgotten.pop_front_if(|first| !self.reads.needs(*first)) {
            let file = FileName::Segment(segment);
            operations.ask(Owner::Log, Lane::Bulk, FileAction::Remove { file });
            let sync = operations.ask(Owner::Log, Lane::Bulk, FileAction::SyncDirectory);
            self.removing = Some(sync);
        }
    }

    /// A removal, or the sync that makes it durable, is done: true if a segment is durably gone.
    pub(crate) fn removed(&mut self, id: OperationId, operations: &mut Operations) -> bool {
        if self.removing != Some(id) {
            return false;
        }
        self.removing = None;
        self.remove_forgotten(operations);
        true
    }

    /// Segments that hold nothing: they are removed like forgotten ones.
    pub(crate) fn remove(&mut self, segments: Vec<u64>, operations: &mut Operations) {
        self.forgotten.extend(segments);
        self.remove_forgotten(operations);
    }
}

/// Reports the writes of the batch that need no entry after `durable`.
fn report(writing: &mut Writing, durable: Index, persisted: &mut Vec<WriteId>) {
    let writes = &mut writing.batch.writes;
    while let Some((id, _)) = writes.pop_front_if(|(_, last)| *last <= durable) {
        persisted.push(id);
    }
}

/// The sectors of a flush of the batch's first entries: those at `start`, and the bodies'.
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
