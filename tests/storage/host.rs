//! A store on a simulated disk, whose operations are executed one at a time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use quorate::storage::{
    ClusterId, Completion, Disk, DiskError, Event, FetchId, FileAction, FileName, Identity, Lane,
    OpenError, OpenedStorage, Operation, SnapshotConfig, SnapshotEvent, Storage, StorageConfig,
};
use quorate::types::{
    Command, Entry, EntryId, HardState, Incarnation, Index, Membership, NodeId, Payload,
    SnapshotMeta, Term, Write, WriteId,
};
use quorate_sim::disk::SimDisk;

pub(crate) const CLUSTER: ClusterId = ClusterId(0xc1);
pub(crate) const NODE: NodeId = NodeId(3);

/// Small segments, so that a few writes fill one.
pub(crate) fn config() -> StorageConfig {
    StorageConfig {
        snapshots: SnapshotConfig::default(),
        segment_bytes: 32 << 10,
        spare_segments: 3,
        command_bytes_max: 4 << 10,
        flush_bytes_max: 8 << 10,
        read_bytes_max: 12 << 10,
        tail_bytes_max: 1 << 10,
    }
}

pub(crate) fn identity() -> Identity {
    Identity { cluster: CLUSTER, node: NODE, incarnation: Incarnation(7) }
}

pub(crate) fn membership() -> Membership {
    Membership::new([NodeId(1), NodeId(2), NODE])
}

/// Returns a no-op, a command or, at each fourth index, a membership.
pub(crate) fn entry(term: u64, index: u64) -> Entry {
    match index % 4 {
        3 => membership_entry(term, index),
        _ => sized_entry(term, index, (index % 5) as usize * 40),
    }
}

/// Returns a membership with a learner whose id encodes term and index.
pub(crate) fn membership_entry(term: u64, index: u64) -> Entry {
    let learner = NodeId(1000 * (term + 1) + index);
    let payload = Payload::Membership(membership().with_learners([learner]));
    Entry { id: EntryId::new(Term(term), Index(index)), payload }
}

/// Returns an entry whose command repeats its term and index; with 0 bytes it is a no-op.
pub(crate) fn sized_entry(term: u64, index: u64, bytes: usize) -> Entry {
    let id = EntryId::new(Term(term), Index(index));
    let text = format!("{index}@{term} ");
    let payload = match bytes {
        0 => Payload::Noop,
        _ => Payload::Command(Command::from(text.repeat(bytes).as_bytes()[..bytes].to_vec())),
    };
    Entry { id, payload }
}

/// Returns the number at `offset`.
pub(crate) fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    let number = bytes[offset..].first_chunk().expect("the number is there");
    u64::from_le_bytes(*number)
}

/// Returns a write without entries.
pub(crate) fn bare(id: u64) -> Write {
    let (committed, entries) = (Index(0), Vec::new());
    Write { id: WriteId(id), hard_state: None, committed, install: None, entries: entries.into() }
}

/// Returns a write of entries of one term.
pub(crate) fn write(id: u64, term: u64, indices: std::ops::RangeInclusive<u64>) -> Write {
    let entries = indices.map(|index| entry(term, index)).collect();
    Write { entries, ..bare(id) }
}

pub(crate) fn hard_state(term: u64, vote: u64) -> HardState {
    HardState::new(Term(term), Some(NodeId(vote)))
}

pub(crate) fn snapshot(term: u64, index: u64) -> SnapshotMeta {
    SnapshotMeta::empty(EntryId::new(Term(term), Index(index)), membership())
}

/// Returns a disk with a formatted directory.
pub(crate) fn formatted() -> SimDisk {
    let mut disk = SimDisk::default();
    Storage::format(&mut disk, identity(), &membership(), &config()).expect("a new directory");
    disk
}

/// A running store and its disk.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) storage: Storage,
    pub(crate) disk: SimDisk,
    /// The operations of each lane that were requested and are not executed yet.
    log: VecDeque<Operation>,
    bulk: VecDeque<Operation>,
    /// Whether the bulk lane is executed first.
    pub(crate) bulk_first: bool,
    /// The events other than disk operations.
    pub(crate) events: Vec<Event>,
    /// The last write that was reported durable when a flush was marked, by the number of the
    /// flush.
    pub(crate) marked: BTreeMap<u64, WriteId>,
}

/// The distance between copies of the superblock, in bytes.
pub(crate) const COPY_STRIDE: u64 = 1 << 20;

impl Host {
    pub(crate) fn open(disk: SimDisk) -> Result<(Host, OpenedStorage), OpenError> {
        Host::open_with(disk, &config())
    }

    pub(crate) fn open_with(
        mut disk: SimDisk,
        config: &StorageConfig,
    ) -> Result<(Host, OpenedStorage), OpenError> {
        let (storage, opened) = Storage::open(&mut disk, CLUSTER, NODE, config)?;
        let (log, bulk, events) = (VecDeque::new(), VecDeque::new(), Vec::new());
        let marked = BTreeMap::new();
        Ok((Host { storage, disk, log, bulk, bulk_first: false, events, marked }, opened))
    }

    /// Returns a started store on a new disk.
    pub(crate) fn fresh() -> Host {
        let (mut host, _) = Host::open(formatted()).expect("a formatted directory opens");
        host.act(Storage::start);
        host
    }

    /// Returns a started store with nine durable and reported entries of term 1, in flushes of
    /// three.
    pub(crate) fn with_nine() -> Host {
        let mut host = Host::fresh();
        host.persist(Write { hard_state: Some(hard_state(1, 1)), ..bare(1) });
        for id in 0..3 {
            host.persist(write(id + 2, 1, id * 3 + 1..=id * 3 + 3));
            host.settle();
        }
        host
    }

    /// Makes entries of term 0 durable, each in a flush of its own.
    pub(crate) fn flush_each(&mut self, indices: std::ops::RangeInclusive<u64>) {
        for index in indices {
            self.persist(write(index, 0, index..=index));
            self.settle();
        }
    }

    /// Makes `meta` the current snapshot.
    pub(crate) fn set_snapshot(&mut self, meta: &SnapshotMeta) {
        self.act(|storage, events| storage.set_snapshot(meta.clone(), events));
        self.settle();
    }

    /// Takes a snapshot that ends at `index`, and makes it the current one.
    pub(crate) fn take_snapshot(&mut self, index: u64) -> SnapshotMeta {
        self.take_snapshot_of(index, [vec![7; 100]])
    }

    /// Takes a snapshot with these chunks that ends at `index`, and makes it the current one.
    pub(crate) fn take_snapshot_of(
        &mut self,
        index: u64,
        chunks: impl IntoIterator<Item = Vec<u8>>,
    ) -> SnapshotMeta {
        let last = EntryId::new(Term(1), Index(index));
        let mut begun = false;
        self.act(|storage, events| begun = storage.take_snapshot(last, membership(), events));
        assert!(begun);
        self.settle();
        for chunk in chunks {
            self.act(|storage, events| storage.write_snapshot(chunk, events));
            self.settle();
        }
        self.act(Storage::end_snapshot);
        self.settle();
        let taken = self.events.iter().rev().find_map(|event| match event {
            Event::Snapshot(SnapshotEvent::Taken(meta)) => Some(meta.clone()),
            _ => None,
        });
        let meta = taken.unwrap_or_else(|| panic!("the snapshot was not taken: {:?}", self.events));
        self.set_snapshot(&meta);
        meta
    }

    /// Compacts a copy of the store after each number of further steps, and calls `check` with the
    /// copy once it has executed its operations. Returns the number of copies.
    pub(crate) fn compact_at_each_step(
        &mut self,
        through: Index,
        mut check: impl FnMut(Host),
    ) -> usize {
        for copies in 1.. {
            let mut compacted = self.clone();
            compacted.act(|storage, events| storage.compact(through, events));
            compacted.settle();
            compacted.assert_not_failed();
            check(compacted);
            if !self.step() {
                return copies;
            }
        }
        unreachable!("the steps end")
    }

    /// Panics if the store has failed.
    pub(crate) fn assert_not_failed(&self) {
        let failed = self.events.iter().find(|event| matches!(event, Event::Failed(_)));
        assert_eq!(failed, None, "the disk works");
    }

    /// Calls the store, and sorts its events.
    pub(crate) fn act(&mut self, act: impl FnOnce(&mut Storage, &mut Vec<Event>)) {
        let mut events = Vec::new();
        act(&mut self.storage, &mut events);
        for event in events {
            match event {
                Event::Disk(operation) if operation.lane == Lane::Log => {
                    if let FileAction::Write { file: FileName::Superblock, offset, bytes } =
                        &operation.action
                        && !offset.is_multiple_of(COPY_STRIDE)
                    {
                        self.marked.insert(u64_at(bytes, 56), self.persisted());
                    }
                    self.log.push_back(operation);
                }
                Event::Disk(operation) => self.bulk.push_back(operation),
                other => self.events.push(other),
            }
        }
    }

    pub(crate) fn persist(&mut self, write: Write) {
        self.act(|storage, events| storage.persist(write, events));
    }

    /// Returns the next operation, if one is left.
    fn next(&mut self) -> Option<Operation> {
        match self.bulk_first {
            true => self.bulk.pop_front().or_else(|| self.log.pop_front()),
            false => self.log.pop_front().or_else(|| self.bulk.pop_front()),
        }
    }

    /// Executes one operation and reports it; returns false if none is left.
    pub(crate) fn step(&mut self) -> bool {
        let Some(operation) = self.next() else { return false };
        let result = self.disk.execute(&operation.action);
        self.complete(Completion { id: operation.id, result });
        true
    }

    /// Executes one operation without reporting it.
    pub(crate) fn step_silently(&mut self) -> bool {
        let Some(operation) = self.next() else { return false };
        // The result is not reported.
        drop(self.disk.execute(&operation.action));
        true
    }

    /// Fails the next operation, a write after its first sectors; returns false if none is left.
    pub(crate) fn fail(&mut self) -> bool {
        let Some(operation) = self.next() else { return false };
        self.write_in_part(&operation.action);
        let result = Err(DiskError::Failed("it fails".to_owned()));
        self.complete(Completion { id: operation.id, result });
        true
    }

    /// Executes one operation, a write only in part, without reporting it.
    pub(crate) fn step_in_part(&mut self) -> bool {
        let Some(operation) = self.next() else { return false };
        if !self.write_in_part(&operation.action) {
            drop(self.disk.execute(&operation.action));
        }
        true
    }

    fn write_in_part(&mut self, action: &FileAction) -> bool {
        const PART: usize = 3 * 512;
        let FileAction::Write { file, offset, bytes } = action else { return false };
        let bytes = bytes[..bytes.len().min(PART)].to_vec();
        let part = FileAction::Write { file: *file, offset: *offset, bytes };
        drop(self.disk.execute(&part));
        true
    }

    fn complete(&mut self, completion: Completion) {
        self.act(|storage, events| storage.completed(completion, events));
    }

    pub(crate) fn settle(&mut self) {
        while self.step() {}
    }

    /// Returns the last write that was reported durable.
    pub(crate) fn persisted(&self) -> WriteId {
        let persisted = self.events.iter().filter_map(|event| match event {
            Event::Persisted(id) => Some(*id),
            _ => None,
        });
        persisted.max().unwrap_or_default()
    }

    /// Fetches every entry from `first` through `last`.
    pub(crate) fn fetch(&mut self, first: Index, last: Index) -> Vec<Entry> {
        let mut all: Vec<Entry> = Vec::new();
        loop {
            let next = all.last().map_or(first, |entry| entry.id.index.next());
            if next > last {
                return all;
            }
            self.act(|storage, events| storage.fetch(FetchId(1), next, last, 600, events));
            self.settle();
            let fetched = self.events.pop_if(|event| matches!(event, Event::Fetched { .. }));
            let Some(Event::Fetched { id: FetchId(1), entries }) = fetched else {
                panic!("a fetch is answered: {:?}", self.events)
            };
            assert!(!entries.is_empty(), "at least one entry of {next}..={last}");
            all.extend(entries);
        }
    }

    /// Fetches the whole log.
    pub(crate) fn log(&mut self) -> Vec<Entry> {
        let (base, last) = (self.storage.base().index, self.storage.last().index);
        self.fetch(base.next(), last)
    }

    /// Crashes: of the unsynced changes, those with a number in `kept` survive.
    pub(crate) fn crash(mut self, kept: &BTreeSet<usize>) -> SimDisk {
        let mut place = 0;
        self.disk.crash(quorate_sim::disk::ChangeOrder::PerFile, |_| {
            place += 1;
            kept.contains(&(place - 1))
        });
        self.disk
    }
}
