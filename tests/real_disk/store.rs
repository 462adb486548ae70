//! A store on a real directory, and the log that the tests write. The contents at an index are a
//! function of the index.

use std::collections::VecDeque;
use std::io::Read;
use std::path::Path;

use quorate::storage::{
    ClusterId, Completion, Disk, ErrorCause, Event, FetchId, FileDisk, Identity, OpenError,
    Operation, SnapshotConfig, SnapshotEvent, SnapshotReader, Storage, StorageConfig, StorageError,
};
use quorate::types::{
    Command, Entry, EntryId, HardState, Incarnation, Index, Membership, NodeId, Payload, Term,
    Write, WriteId,
};

const CLUSTER: ClusterId = ClusterId(0x7265_616c);
const NODE: NodeId = NodeId(1);

/// The size of a snapshot chunk, in bytes.
const CHUNK: usize = 8 << 10;
/// The number of entries after which a snapshot is taken.
const ENTRIES_PER_SNAPSHOT: u64 = 40;

/// The number of entries of one write.
const ENTRIES_PER_WRITE: u64 = 3;

/// Returns a configuration with small segments, so that a short load uses several.
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

/// An open store with its disk.
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
    /// The last index that was reported as durable.
    pub(crate) durable: Index,
    /// The last index of the current snapshot.
    pub(crate) snapshot: Index,
    /// The last index before the current term.
    term_start: Index,
    /// The remaining bytes of the snapshot that is being written.
    snapshot_bytes: Option<VecDeque<u8>>,
}

impl Store {
    /// Opens the store, and checks every entry. Formats the directory first if it was never
    /// formatted completely.
    pub(crate) fn open(path: &Path, config: &StorageConfig) -> Result<Store, OpenError> {
        let disk_error = |error: quorate::storage::DiskError| {
            OpenError::Failed(StorageError {
                file: None,
                offset: 0,
                message: error.to_string(),
                cause: ErrorCause::Unreadable,
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
            term_start: opened.last.index,
            snapshot_bytes: None,
        };
        let mut state = Vec::new();
        let reader = SnapshotReader::open(&mut store.disk, CLUSTER, &opened.snapshot);
        reader?.read_to_end(&mut state).expect("the current snapshot is complete");
        assert_eq!(state, content(store.snapshot), "the snapshot has the expected contents");
        let mut events = Vec::new();
        store.storage.start(&mut events);
        store.run_all(events)?;
        store.check();
        Ok(store)
    }

    pub(crate) fn term(&self) -> Term {
        self.term
    }

    /// Checks the contents of every entry.
    fn check(&mut self) {
        let (mut next, last) = (self.storage.base().index.next(), self.last);
        while next <= last {
            let mut events = Vec::new();
            self.storage.fetch(FetchId(1), next, last, 64 << 10, &mut events);
            let events = self.run_all(events).expect("the log can be read");
            let entries = events.into_iter().find_map(|event| match event {
                Event::Fetched { entries, .. } => Some(entries),
                _ => None,
            });
            for entry in entries.expect("the fetch returns entries") {
                assert_eq!((entry.id.index, &entry.payload), (next, &payload(next)));
                next = next.next();
            }
        }
    }

    /// Begins a new term, in which this node has voted for itself.
    pub(crate) fn begin_term(&mut self) -> Result<(), OpenError> {
        self.term = self.term.next();
        self.persist(Some(HardState::new(self.term, Some(NODE))), Vec::new())
    }

    /// Appends the entries of one write.
    pub(crate) fn append(&mut self) -> Result<(), OpenError> {
        let first = self.last.0 + 1;
        let entries = (first..first + ENTRIES_PER_WRITE).map(|index| Entry {
            id: EntryId::new(self.term, Index(index)),
            payload: payload(Index(index)),
        });
        let entries = entries.collect();
        self.last = Index(self.last.0 + ENTRIES_PER_WRITE);
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
        let write =
            Write { id: self.write, hard_state, committed, install: None, entries: entries.into() };
        let mut events = Vec::new();
        self.storage.persist(write, &mut events);
        self.handle_events(events).map(drop)
    }

    /// Starts a snapshot of all durable entries, if one is due.
    pub(crate) fn take_snapshot(&mut self) -> Result<(), OpenError> {
        let is_time = self.durable.0 >= self.snapshot.0 + ENTRIES_PER_SNAPSHOT;
        if self.snapshot_bytes.is_some() || !is_time || self.durable <= self.term_start {
            return Ok(());
        }
        let last = EntryId::new(self.term, self.durable);
        let mut events = Vec::new();
        let started = self.storage.take_snapshot(last, Membership::new([NODE]), &mut events);
        assert!(started, "no snapshot is being taken, and none is newer");
        self.snapshot_bytes = Some(content(self.durable).into());
        self.handle_events(events).map(drop)
    }

    /// Handles an event of the snapshot that is being written.
    fn on_snapshot(&mut self, event: SnapshotEvent, events: &mut Vec<Event>) {
        match event {
            SnapshotEvent::ReadyForChunk => {
                let remaining = self.snapshot_bytes.as_mut().expect("a snapshot is being written");
                let count = remaining.len().min(CHUNK);
                let chunk: Vec<u8> = remaining.drain(..count).collect();
                match count {
                    0 => self.storage.end_snapshot(events),
                    _ => self.storage.write_snapshot(chunk, events),
                }
            }
            SnapshotEvent::Taken(meta) => self.storage.set_snapshot(meta, events),
            other => panic!("unexpected snapshot event: {other:?}"),
        }
    }

    /// Retries the writes that failed because the disk was full.
    pub(crate) fn retry_space(&mut self) -> Result<(), OpenError> {
        let mut events = Vec::new();
        self.storage.retry(&mut events);
        self.run_all(events).map(drop)
    }

    /// Returns the number of writes that are not durable yet.
    pub(crate) fn outstanding(&self) -> usize {
        self.written.len()
    }

    /// Executes one queued operation; returns false if there is none.
    pub(crate) fn step(&mut self) -> Result<bool, OpenError> {
        let Some(Operation { id, action, .. }) = self.waiting.pop_front() else {
            return Ok(false);
        };
        let result = self.disk.execute(&action);
        let mut events = Vec::new();
        self.storage.completed(Completion { id, result }, &mut events);
        self.handle_events(events)?;
        Ok(true)
    }

    /// Executes all queued operations, and returns the remaining events.
    fn run_all(&mut self, events: Vec<Event>) -> Result<Vec<Event>, OpenError> {
        let mut others = self.handle_events(events)?;
        while let Some(Operation { id, action, .. }) = self.waiting.pop_front() {
            let result = self.disk.execute(&action);
            let mut events = Vec::new();
            self.storage.completed(Completion { id, result }, &mut events);
            others.extend(self.handle_events(events)?);
        }
        Ok(others)
    }

    fn handle_events(&mut self, events: Vec<Event>) -> Result<Vec<Event>, OpenError> {
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
                    (self.snapshot, self.snapshot_bytes) = (meta.last.index, None);
                    let previous = self.storage.previous_snapshot();
                    self.storage.compact(previous, &mut more);
                }
                Event::Failed(failure) => return Err(failure.into()),
                other => others.push(other),
            }
            events.extend(more);
        }
        Ok(others)
    }
}

/// Whether the directory contains more than the superblock: then it must not be formatted.
fn has_log(disk: &mut FileDisk) -> bool {
    disk.list().map_or(true, |files| files.len() > 1)
}

/// Returns the state at `index`, up to 100 KiB; empty at the start.
fn content(index: Index) -> Vec<u8> {
    (0..index.0 * 7919 % 100_000).map(|offset| (index.0 * 13 + offset * 11) as u8).collect()
}

/// Returns the payload at `index`, up to 3 KiB; those of neighbouring indices differ.
fn payload(index: Index) -> Payload {
    let bytes = index.0 * 7919 % 3000;
    let content: Vec<u8> = (0..bytes).map(|offset| (index.0 * 31 + offset * 7) as u8).collect();
    Payload::Command(Command::from(content))
}
