//! A store with a disk under it, whose operations are carried out one at a time.

use std::collections::{BTreeSet, VecDeque};

use quorate::storage::{
    ClusterId, Completion, Disk, DiskError, Event, FetchId, FileAction, Identity, Lane, OpenError,
    Opened, Operation, SnapshotConfig, Storage, StorageConfig,
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
        segments_ahead: 3,
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

/// A no-op, a command or, each fourth time, a membership.
pub(crate) fn entry(term: u64, index: u64) -> Entry {
    match index % 4 {
        3 => membership_entry(term, index),
        _ => sized_entry(term, index, (index % 5) as usize * 40),
    }
}

/// A membership with a learner whose id tells term and index.
pub(crate) fn membership_entry(term: u64, index: u64) -> Entry {
    let learner = NodeId(1000 * (term + 1) + index);
    let payload = Payload::Membership(membership().with_learners([learner]));
    Entry { id: EntryId::new(Term(term), Index(index)), payload }
}

/// An entry whose bytes tell its term and index; without any it is a no-op.
pub(crate) fn sized_entry(term: u64, index: u64, bytes: usize) -> Entry {
    let id = EntryId::new(Term(term), Index(index));
    let text = format!("{index}@{term} ");
    let payload = match bytes {
        0 => Payload::Noop,
        _ => Payload::Command(Command::from(text.repeat(bytes).as_bytes()[..bytes].to_vec())),
    };
    Entry { id, payload }
}

/// A write without entries.
pub(crate) fn bare(id: u64) -> Write {
    let (committed, entries) = (Index(0), Vec::new());
    Write { id: WriteId(id), hard_state: None, committed, install: None, entries }
}

/// A write of entries of one term.
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

/// A formatted disk.
pub(crate) fn formatted() -> SimDisk {
    let mut disk = SimDisk::default();
    Storage::format(&mut disk, identity(), &membership(), &config()).expect("a new directory");
    disk
}

/// A store that runs, and its disk.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(crate) storage: Storage,
    pub(crate) disk: SimDisk,
    /// Operations asked for and not carried out.
    log: VecDeque<Operation>,
    bulk: VecDeque<Operation>,
    /// Whether the bulk lane is the quicker one.
    pub(crate) bulk_first: bool,
    /// What was reported, operations apart.
    pub(crate) events: Vec<Event>,
}

impl Host {
    pub(crate) fn open(disk: SimDisk) -> Result<(Host, Opened), OpenError> {
        Host::open_with(disk, &config())
    }

    pub(crate) fn open_with(
        mut disk: SimDisk,
        config: &StorageConfig,
    ) -> Result<(Host, Opened), OpenError> {
        let (storage, opened) = Storage::open(&mut disk, CLUSTER, NODE, config)?;
        let (log, bulk, events) = (VecDeque::new(), VecDeque::new(), Vec::new());
        Ok((Host { storage, disk, log, bulk, bulk_first: false, events }, opened))
    }

    /// A store that has been started on a new disk.
    pub(crate) fn fresh() -> Host {
        let (mut host, _) = Host::open(formatted()).expect("a formatted directory opens");
        host.act(Storage::start);
        host
    }

    /// Lets the store do something, and sorts what it wants.
    pub(crate) fn act(&mut self, act: impl FnOnce(&mut Storage, &mut Vec<Event>)) {
        let mut events = Vec::new();
        act(&mut self.storage, &mut events);
        for event in events {
            match event {
                Event::Disk(operation) if operation.lane == Lane::Log => {
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

    /// The next operation, if one is left.
    fn next(&mut self) -> Option<Operation> {
        match self.bulk_first {
            true => self.bulk.pop_front().or_else(|| self.log.pop_front()),
            false => self.log.pop_front().or_else(|| self.bulk.pop_front()),
        }
    }

    /// Carries one operation out and reports it; false if there is none.
    pub(crate) fn step(&mut self) -> bool {
        let Some(operation) = self.next() else { return false };
        let result = self.disk.execute(&operation.action);
        self.complete(Completion { id: operation.id, result });
        true
    }

    /// Carries one operation out, which is never reported.
    pub(crate) fn step_silently(&mut self) -> bool {
        let Some(operation) = self.next() else { return false };
        // Nobody learns whether it failed.
        drop(self.disk.execute(&operation.action));
        true
    }

    /// Lets the next operation fail, a write after its first sectors; false if there is none.
    pub(crate) fn fail(&mut self) -> bool {
        let Some(operation) = self.next() else { return false };
        self.write_in_part(&operation.action);
        let result = Err(DiskError::Failed("it fails".to_owned()));
        self.complete(Completion { id: operation.id, result });
        true
    }

    /// Carries one operation out, a write in part, which is never reported.
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

    /// The last write that was reported.
    pub(crate) fn persisted(&self) -> WriteId {
        let persisted = self.events.iter().filter_map(|event| match event {
            Event::Persisted(id) => Some(*id),
            _ => None,
        });
        persisted.max().unwrap_or_default()
    }

    /// Every entry from `first` to `last`, by as many fetches as it takes.
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

    /// The whole log.
    pub(crate) fn log(&mut self) -> Vec<Entry> {
        let (base, last) = (self.storage.base().index, self.storage.last().index);
        self.fetch(base.next(), last)
    }

    /// The power fails: of what is not synced, the places in `kept` survive.
    pub(crate) fn crash(mut self, kept: &BTreeSet<usize>) -> SimDisk {
        let mut place = 0;
        self.disk.crash(quorate_sim::disk::ChangeOrder::PerFile, |_| {
            place += 1;
            kept.contains(&(place - 1))
        });
        self.disk
    }
}
