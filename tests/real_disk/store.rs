//! A store on a real directory, and the log that all these tests write: what stands at an index
//! is known from the index alone.

use std::collections::VecDeque;
use std::io::Read;
use std::path::Path;

use quorate::storage::{
    Cause, ClusterId, Completion, Disk, Event, Failure, FetchId, FileDisk, Identity, OpenError,
    Operation, SnapshotConfig, SnapshotEvent, SnapshotReader, Storage, StorageConfig,
};
use quorate::types::{
    Command, Entry, EntryId, HardState, Incarnation, Index, Membership, NodeId, Payload, Term,
    Write, WriteId,
};

const CLUSTER: ClusterId = ClusterId(0x7265_616c);
const NODE: NodeId = NodeId(1);

/// The size of a snapshot's chunk.
const CHUNK: usize = 8 << 10;
/// A snapshot is taken after so many entries.
const ENTRIES_A_SNAPSHOT: u64 = 40;

/// How many entries one write has.
const ENTRIES: u64 = 3;

/// Small segments, so that a short load goes through several.
pub(crate) fn config() -> StorageConfig {
    StorageConfig {
        segment_bytes: 256 << 10,
        command_bytes_max: 16 << 10,
        flush_bytes_max: 64 << 10,
        read_bytes_max: 64 << 10,
        tail_bytes_max: 64 << 10,
        snapshots: SnapshotConfig { chunk_bytes: CHUNK as u32, ..SnapshotConfig::default() },
        ..StorageConfig::default()
    }
}

/// A store that was opened, and its disk.
#[derive(Debug)]
pub(crate) struct Store {
    disk: FileDisk,
    storage: Storage,
    waiting: VecDeque<Operation>,
    term: Term,
    last: Index,
    write: WriteId,
    /// The last index of each write that is not durable yet.
    written: VecDeque<(WriteId, Index)>,
    pub(crate) full: bool,
    /// The last index that was reported durable.
    pub(crate) durable: Index,
    /// The last index of the snapshot in force.
    pub(crate) snapshot: Index,
    /// Where the log of this term begins.
    began: Index,
    /// What is left of the snapshot being taken.
    taking: Option<VecDeque<u8>>,
}

impl Store {
    /// Opens the store, makes it first if there is none, and checks every entry it has.
    pub(crate) fn open(path: &Path, config: &StorageConfig) -> Result<Store, OpenError> {
        let disk_error = |error: quorate::storage::DiskError| {
            OpenError::Failed(Failure {
                file: None,
                offset: 0,
                what: error.to_string(),
                cause: Cause::Unreadable,
            })
        };
        let mut disk = FileDisk::open(path).map_err(disk_error)?;
        let opened = match Storage::open(&mut disk, CLUSTER, NODE, config) {
            Ok(opened) => Ok(opened),
            Err(error) if error == OpenError::NotFormatted || !has_log(&mut disk) => {
                let identity =
                    Identity { cluster: CLUSTER, node: NODE, incarnation: Incarnation(7) };
                let membership = Membership::new([NODE]);
                Storage::format(&mut disk, identity, &membership, config)?;
                Storage::open(&mut disk, CLUSTER, NODE, config)
            }
            Err(error) => Err(error),
        };
        let (storage, opened) = opened?;
        let mut store = Store {
            disk,
            storage,
            waiting: VecDeque::new(),
            term: opened.hard_state.term,
            last: opened.last.index,
            write: WriteId::ZERO,
            written: VecDeque::new(),
            full: false,
            durable: opened.last.index,
            snapshot: opened.snapshot.last.index,
            began: opened.last.index,
            taking: None,
        };
        let mut state = Vec::new();
        let reader = SnapshotReader::open(&mut store.disk, CLUSTER, &opened.snapshot);
        reader?.read_to_end(&mut state).expect("the snapshot in force is whole");
        assert_eq!(state, content(store.snapshot), "and is what was taken");
        let mut events = Vec::new();
        store.storage.start(&mut events);
        store.settle(events)?;
        store.check();
        Ok(store)
    }

    pub(crate) fn term(&self) -> Term {
        self.term
    }

    /// Every entry is there and is what it must be.
    fn check(&mut self) {
        let (mut next, last) = (self.storage.base().index.next(), self.last);
        while next <= last {
            let mut events = Vec::new();
            self.storage.fetch(FetchId(1), next, last, 64 << 10, &mut events);
            let events = self.settle(events).expect("the log can be read");
            let entries = events.into_iter().find_map(|event| match event {
                Event::Fetched { entries, .. } => Some(entries),
                _ => None,
            });
            for entry in entries.expect("a fetch is answered") {
                assert_eq!((entry.id.index, &entry.payload), (next, &payload(next)));
                next = next.next();
            }
        }
    }

    /// Begins a new term: from now on it is voted in.
    pub(crate) fn begin_term(&mut self) -> Result<(), OpenError> {
        self.term = self.term.next();
        self.persist(Some(HardState::new(self.term, Some(NODE))), Vec::new())
    }

    /// Appends a few entries.
    pub(crate) fn append(&mut self) -> Result<(), OpenError> {
        let first = self.last.0 + 1;
        let entries = (first..first + ENTRIES).map(|index| Entry {
            id: EntryId::new(self.term, Index(index)),
            payload: payload(Index(index)),
        });
        let entries = entries.collect();
        self.last = Index(self.last.0 + ENTRIES);
        self.persist(None, entries)
    }

    fn persist(
        &mut self,
        hard_state: Option<HardState>,
        entries: Vec<Entry>,
    ) -> Result<(), OpenError> {
        self.write = self.write.next();
        self.written.push_back((self.write, self.last));
        let committed = Index::ZERO;
        let write = Write { id: self.write, hard_state, committed, install: None, entries };
        let mut events = Vec::new();
        self.storage.persist(write, &mut events);
        self.note(events).map(drop)
    }

    /// Begins to take a snapshot of all that is durable, if it is time for one.
    pub(crate) fn take_snapshot(&mut self) -> Result<(), OpenError> {
        let is_time = self.durable.0 >= self.snapshot.0 + ENTRIES_A_SNAPSHOT;
        if self.taking.is_some() || !is_time || self.durable <= self.began {
            return Ok(());
        }
        let last = EntryId::new(self.term, self.durable);
        let mut events = Vec::new();
        let begun = self.storage.take_snapshot(last, Membership::new([NODE]), &mut events);
        assert!(begun, "no other is being taken, and none is newer");
        self.taking = Some(content(self.durable).into());
        self.note(events).map(drop)
    }

    /// Something became of the snapshot being taken.
    fn on_snapshot(&mut self, event: SnapshotEvent, events: &mut Vec<Event>) {
        match event {
            SnapshotEvent::ChunkWanted => {
                let left = self.taking.as_mut().expect("a snapshot is being taken");
                let count = left.len().min(CHUNK);
                let chunk: Vec<u8> = left.drain(..count).collect();
                match count {
                    0 => self.storage.end_snapshot(events),
                    _ => self.storage.write_snapshot(chunk, events),
                }
            }
            SnapshotEvent::Taken(meta) => self.storage.set_snapshot(meta, events),
            other => panic!("nothing else is asked for: {other:?}"),
        }
    }

    /// There may be room again.
    pub(crate) fn retry_space(&mut self) -> Result<(), OpenError> {
        let mut events = Vec::new();
        self.storage.retry_space(&mut events);
        self.settle(events).map(drop)
    }

    /// How many writes are not durable yet.
    pub(crate) fn outstanding(&self) -> usize {
        self.written.len()
    }

    /// Carries one operation out, if one waits.
    pub(crate) fn step(&mut self) -> Result<bool, OpenError> {
        let Some(Operation { id, action, .. }) = self.waiting.pop_front() else {
            return Ok(false);
        };
        let result = self.disk.execute(&action);
        let mut events = Vec::new();
        self.storage.completed(Completion { id, result }, &mut events);
        self.note(events)?;
        Ok(true)
    }

    /// Carries out all that waits, and gives what was fetched.
    fn settle(&mut self, events: Vec<Event>) -> Result<Vec<Event>, OpenError> {
        let mut others = self.note(events)?;
        while let Some(Operation { id, action, .. }) = self.waiting.pop_front() {
            let result = self.disk.execute(&action);
            let mut events = Vec::new();
            self.storage.completed(Completion { id, result }, &mut events);
            others.extend(self.note(events)?);
        }
        Ok(others)
    }

    fn note(&mut self, events: Vec<Event>) -> Result<Vec<Event>, OpenError> {
        let mut others = Vec::new();
        let mut events = VecDeque::from(events);
        while let Some(event) = events.pop_front() {
            let mut more = Vec::new();
            match event {
                Event::Disk(operation) => self.waiting.push_back(operation),
                Event::Persisted(id) => {
                    while let Some((_, last)) = self.written.pop_front_if(|(w, _)| *w <= id) {
                        self.durable = last;
                    }
                }
                Event::Full(full) => self.full = full,
                Event::Snapshot(event) => self.on_snapshot(event, &mut more),
                Event::SnapshotRecorded(meta) => {
                    (self.snapshot, self.taking) = (meta.last.index, None);
                    let previous = self.storage.previous_snapshot();
                    self.storage.forget(previous, &mut more);
                }
                Event::Failed(failure) => return Err(failure.into()),
                other => others.push(other),
            }
            events.extend(more);
        }
        Ok(others)
    }
}

/// Whether anything beside the superblock is there: then nothing may be formatted.
fn has_log(disk: &mut FileDisk) -> bool {
    disk.list().map_or(true, |files| files.len() > 1)
}

/// The state after `index`: up to 100 KiB; nothing at the beginning.
fn content(index: Index) -> Vec<u8> {
    (0..index.0 * 7919 % 100_000).map(|at| (index.0 * 13 + at * 11) as u8).collect()
}

/// What stands at `index`: up to 3 KiB that nothing else has.
fn payload(index: Index) -> Payload {
    let bytes = index.0 * 7919 % 3000;
    let content: Vec<u8> = (0..bytes).map(|at| (index.0 * 31 + at * 7) as u8).collect();
    Payload::Command(Command::from(content))
}
