//! Errors that say nothing about the bytes on the disk: a missing resource and a missing
//! permission. Neither is taken for damage, and the first does not stop a running store.

use std::collections::VecDeque;

use tempfile::TempDir;

use super::identity;
use crate::storage::config::StorageConfig;
use crate::storage::disk::{Completion, Disk, DiskError, FileAction, FileName, Operation};
use crate::storage::error::{ErrorCause, OpenError};
use crate::storage::file_disk::FileDisk;
use crate::storage::identity::Identity;
use crate::storage::inspection::Inspection;
use crate::storage::reader::FetchId;
use crate::storage::snapshots::{AbandonReason, SnapshotConfig, SnapshotEvent, SnapshotReader};
use crate::storage::store::{Event, Storage};
use crate::types::{
    Command, Entry, EntryId, HardState, Index, Membership, NodeId, Payload, SnapshotMeta,
    SnapshotPart, Term, Write, WriteId,
};

const LAST: u64 = 12;

fn config() -> StorageConfig {
    StorageConfig {
        snapshots: SnapshotConfig { chunk_bytes: 512, ..SnapshotConfig::default() },
        segment_bytes: 32 << 10,
        spare_segments: 2,
        command_bytes_max: 4 << 10,
        flush_bytes_max: 8 << 10,
        read_bytes_max: 12 << 10,
        tail_bytes_max: 1 << 10,
    }
}

fn membership() -> Membership {
    Membership::new([1, 2, 3].map(NodeId))
}

fn entry(index: u64) -> Entry {
    let payload = match index % 3 {
        0 => Payload::Membership(membership().with_learners([NodeId(100 + index)])),
        _ => Payload::Command(Command::from(vec![index as u8; 900])),
    };
    Entry { id: EntryId::new(Term(1), Index(index)), payload }
}

fn exhausted() -> DiskError {
    DiskError::Exhausted("cannot open log-1: too many open files".to_owned())
}

fn denied() -> DiskError {
    DiskError::Environment("cannot open log-1: no permission".to_owned())
}

/// A disk of which some reads fail, and that counts its changes.
struct Faulty {
    disk: FileDisk,
    /// The reads and listings so far.
    reads: u32,
    /// The numbers of the reads that fail, and their error.
    fails: (std::ops::Range<u32>, DiskError),
    changes: u32,
}

impl Faulty {
    fn new(disk: &FileDisk, fails: std::ops::Range<u32>, error: DiskError) -> Faulty {
        Faulty { disk: disk.clone(), reads: 0, fails: (fails, error), changes: 0 }
    }

    fn read(&mut self) -> Result<(), DiskError> {
        self.reads += 1;
        let (fails, error) = &self.fails;
        if fails.contains(&(self.reads - 1)) { Err(error.clone()) } else { Ok(()) }
    }
}

impl Disk for Faulty {
    fn list(&mut self) -> Result<Vec<(FileName, u64)>, DiskError> {
        self.read()?;
        self.disk.list()
    }

    fn execute(&mut self, action: &FileAction) -> Result<Vec<u8>, DiskError> {
        match action {
            FileAction::Read { .. } => self.read()?,
            FileAction::DropCache { .. } => {}
            _ => self.changes += 1,
        }
        self.disk.execute(action)
    }
}

/// A running store, whose operations are executed in order.
struct Host {
    storage: Storage,
    disk: Faulty,
    waiting: VecDeque<Operation>,
    events: Vec<Event>,
}

impl Host {
    fn open(mut disk: Faulty) -> Result<Host, OpenError> {
        let Identity { cluster, node, .. } = identity();
        let (storage, _) = Storage::open(&mut disk, cluster, node, &config())?;
        let (waiting, events) = (VecDeque::new(), Vec::new());
        let mut host = Host { storage, disk, waiting, events };
        host.act(Storage::start);
        host.settle();
        Ok(host)
    }

    /// Opens the directory, and lets the reads fail from now on.
    fn open_then_fail(disk: &FileDisk, fails: std::ops::Range<u32>, error: DiskError) -> Host {
        let mut host = Host::open(Faulty::new(disk, 0..0, error.clone())).expect("it opens");
        (host.disk.reads, host.disk.fails) = (0, (fails, error));
        host
    }

    fn act(&mut self, act: impl FnOnce(&mut Storage, &mut Vec<Event>)) {
        let mut events = Vec::new();
        act(&mut self.storage, &mut events);
        for event in events {
            match event {
                Event::Disk(operation) => self.waiting.push_back(operation),
                other => self.events.push(other),
            }
        }
    }

    fn settle(&mut self) {
        while let Some(Operation { id, action, .. }) = self.waiting.pop_front() {
            let result = self.disk.execute(&action);
            self.act(|storage, events| storage.completed(Completion { id, result }, events));
        }
    }

    fn persist(&mut self, index: u64) {
        let write = Write {
            id: WriteId(index),
            hard_state: (index == 1).then(|| HardState::new(Term(1), Some(NodeId(1)))),
            committed: Index(0),
            install: None,
            entries: [entry(index)].into(),
        };
        self.act(|storage, events| storage.persist(write, events));
        self.settle();
    }

    fn take_snapshot(&mut self, index: u64) -> SnapshotMeta {
        let last = EntryId::new(Term(1), Index(index));
        self.act(|storage, events| {
            assert!(storage.take_snapshot(last, membership(), events));
        });
        self.settle();
        for _ in 0..3 {
            self.act(|storage, events| storage.write_snapshot(vec![index as u8; 512], events));
            self.settle();
        }
        self.act(Storage::end_snapshot);
        self.settle();
        let Some(Event::Snapshot(SnapshotEvent::Taken(meta))) = self.events.pop() else {
            panic!("the snapshot was not taken: {:?}", self.events)
        };
        self.act(|storage, events| storage.set_snapshot(meta.clone(), events));
        self.settle();
        meta
    }
}

/// Returns a directory with several segments and two snapshots.
fn sample() -> (TempDir, FileDisk, SnapshotMeta) {
    let directory = tempfile::tempdir().expect("a directory");
    let mut disk = FileDisk::open(directory.path()).expect("it opens");
    Storage::format(&mut disk, identity(), &membership(), &config()).expect("it is empty");
    let mut host = Host::open(Faulty::new(&disk, 0..0, denied())).expect("it opens");
    (1..=LAST).for_each(|index| host.persist(index));
    host.take_snapshot(4);
    let meta = host.take_snapshot(7);
    assert!(host.storage.log.index.segments().count() > 2, "some segments are not in use");
    (directory, disk, meta)
}

/// The lengths of the failures: one read, all of its repetitions, and all reads.
const LENGTHS: [u32; 3] = [1, 20, u32::MAX / 2];

#[test]
fn no_read_of_a_start_is_taken_for_damage_without_a_fault_of_the_disk() {
    let (_directory, disk, _) = sample();
    let open = |fails, error| {
        let mut faulty = Faulty::new(&disk, fails, error);
        let Identity { cluster, node, .. } = identity();
        let opened = Storage::open(&mut faulty, cluster, node, &config());
        (opened.map(|(_, opened)| opened), faulty)
    };
    let (expected, undisturbed) = open(0..0, denied());
    let expected = expected.expect("it opens");
    assert_eq!((expected.last.index, &expected.damaged[..]), (Index(LAST), &[][..]));
    for (error, cause) in
        [(exhausted(), ErrorCause::Exhausted), (denied(), ErrorCause::Environment)]
    {
        for (first, length) in
            (0..undisturbed.reads).flat_map(|first| LENGTHS.map(|length| (first, length)))
        {
            match open(first..first + length, error.clone()).0 {
                Ok(opened) => {
                    assert_eq!((length, cause), (1, ErrorCause::Exhausted), "read {first}");
                    assert_eq!(opened.last, expected.last);
                    assert_eq!(opened.snapshot, expected.snapshot);
                    assert!(opened.damaged.is_empty() && opened.lost_end.is_none());
                }
                Err(OpenError::Failed(failure)) => {
                    assert_eq!(failure.cause, cause, "read {first}: {failure}");
                    let text = failure.to_string();
                    assert!(text.contains("cannot open log-1: "), "{text}");
                    assert!(!text.contains("empty directory"), "no advice to wipe: {text}");
                }
                Err(other) => panic!("read {first}: {other}"),
            }
        }
    }
    let (opened, _) = open(0..0, denied());
    assert_eq!(opened.expect("nothing was damaged").last, expected.last);
}

#[test]
fn a_start_that_cannot_read_its_directory_writes_nothing() {
    let (_directory, disk, _) = sample();
    // The reads before the first change; each later one verifies a write.
    for first in 0.. {
        let mut faulty = Faulty::new(&disk, first..u32::MAX, denied());
        let Identity { cluster, node, .. } = identity();
        let opened = Storage::open_if(&mut faulty, cluster, node, &config(), &mut |_| {
            panic!("nothing is damaged")
        });
        assert!(opened.is_err(), "read {first} is needed");
        if faulty.changes > 0 {
            assert!(first > 20, "{first} reads");
            return;
        }
    }
}

#[test]
fn an_inspection_that_cannot_read_a_directory_reports_no_damage() {
    let (_directory, disk, _) = sample();
    let inspect = |fails, error| {
        let mut faulty = Faulty::new(&disk, fails, error);
        let found = Inspection::open(&mut faulty, &config());
        let found =
            found.and_then(|found| Ok((found.damaged_older_snapshots(&mut faulty)?, found)));
        (found, faulty.reads)
    };
    let (found, reads) = inspect(0..0, denied());
    assert!(found.is_ok_and(|(older, found)| older.is_empty() && found.damage.is_none()));
    for first in 0..reads {
        for error in [exhausted(), denied()] {
            let (found, _) = inspect(first..u32::MAX, error);
            let Err(OpenError::Failed(failure)) = &found else { panic!("read {first}: {found:?}") };
            assert_eq!(failure.cause, ErrorCause::Unreadable, "read {first}: {failure}");
        }
    }
}

/// Something that a running store reads for.
type Act = fn(&mut Host, &SnapshotMeta);

fn fetch(host: &mut Host, _: &SnapshotMeta) {
    host.act(|storage, events| {
        storage.fetch(FetchId(1), Index(1), Index(LAST), 20_000, events);
    });
}

fn scrub(host: &mut Host, _: &SnapshotMeta) {
    loop {
        host.act(|storage, events| storage.scrub(u64::MAX, events));
        host.settle();
        if !matches!(host.events.last(), Some(Event::Scrubbed { pass_ended: false, .. })) {
            return;
        }
    }
}

fn update_superblock(host: &mut Host, _: &SnapshotMeta) {
    host.act(|storage, events| storage.set_quarantined(true, events));
}

fn serve(host: &mut Host, meta: &SnapshotMeta) {
    host.act(|storage, events| storage.serve_part(meta.root, SnapshotPart::Chunk(1), events));
}

fn repair(host: &mut Host, _: &SnapshotMeta) {
    host.act(|storage, events| storage.repair(vec![entry(1), entry(2)], events));
}

fn replace(host: &mut Host, _: &SnapshotMeta) {
    // The header before the replaced entries has to be read.
    let write = Write {
        id: WriteId(99),
        hard_state: None,
        committed: Index(0),
        install: None,
        entries: [entry(9)].into(),
    };
    host.act(|storage, events| storage.persist(write, events));
}

const ACTS: [(&str, Act); 6] = [
    ("fetch", fetch),
    ("scrub", scrub),
    ("update", update_superblock),
    ("serve", serve),
    ("repair", repair),
    ("replace", replace),
];

#[test]
fn a_running_store_repeats_reads_that_lack_a_resource() {
    for (name, act) in ACTS {
        let run = |fails| {
            let (directory, disk, meta) = sample();
            let mut host = Host::open_then_fail(&disk, fails, exhausted());
            host.events.clear();
            act(&mut host, &meta);
            host.settle();
            (directory, host)
        };
        let (_directory, undisturbed) = run(0..0);
        let expected = undisturbed.events;
        assert!(!expected.is_empty() || name == "update", "{name}");
        assert!(undisturbed.disk.reads > 0, "{name} reads");
        for first in 0..undisturbed.disk.reads {
            let (_directory, mut host) = run(first..u32::MAX);
            let begin = host.events.len() - 1;
            let Event::Exhausted(Some(error)) = &host.events[begin] else {
                panic!("{name}, read {first}: {:?}", host.events)
            };
            assert_eq!(error.cause, ErrorCause::Exhausted, "{name}");
            // It is still missing.
            for _ in 0..3 {
                host.act(Storage::retry);
                assert!(!host.waiting.is_empty(), "{name}: the read is repeated");
                host.settle();
            }
            assert_eq!(host.events.len() - 1, begin, "it was reported: {:?}", host.events);
            host.disk.fails.0 = 0..0;
            host.act(Storage::retry);
            host.settle();
            let over = host.events.iter().position(|event| *event == Event::Exhausted(None));
            host.events.remove(over.expect("the end is reported"));
            host.events.remove(begin);
            assert!(expected.starts_with(&host.events), "{name}: {:?}", host.events);
            assert!(name == "scrub" || host.events == expected, "{name}: {:?}", host.events);
        }
    }
}

#[test]
fn a_running_store_stops_where_something_else_than_the_disk_prevents_a_read() {
    for (name, act) in ACTS {
        let (_directory, disk, meta) = sample();
        let mut host = Host::open_then_fail(&disk, 0..u32::MAX, denied());
        host.events.clear();
        act(&mut host, &meta);
        host.settle();
        let [Event::Failed(failure)] = &host.events[..] else {
            panic!("{name}: {:?}", host.events)
        };
        assert_eq!(failure.cause, ErrorCause::Environment, "{name}");
        assert!(failure.to_string().contains("no permission; the node has stopped"), "{failure}");
    }
}

#[test]
fn the_creation_of_a_segment_waits_for_a_resource() {
    let (_directory, disk, _) = sample();
    let mut host = Host::open_then_fail(&disk, 0..0, exhausted());
    host.events.clear();
    let mut index = LAST;
    let create = loop {
        index += 1;
        let write = Write {
            id: WriteId(index),
            hard_state: None,
            committed: Index(0),
            install: None,
            entries: [entry(index)].into(),
        };
        host.act(|storage, events| storage.persist(write, events));
        let creates = |it: &Operation| matches!(it.action, FileAction::Create { .. });
        if let Some(place) = host.waiting.iter().position(creates) {
            break host.waiting.remove(place).expect("it is there");
        }
        host.settle();
    };
    let completion = Completion { id: create.id, result: Err(exhausted()) };
    host.act(|storage, events| storage.completed(completion, events));
    host.settle();
    let is_lack = |event: &&Event| matches!(event, Event::Exhausted(_));
    let lacks: Vec<_> = host.events.iter().filter(is_lack).cloned().collect();
    assert!(matches!(lacks[..], [Event::Exhausted(Some(_))]), "{:?}", host.events);
    assert!(!host.events.contains(&Event::Full(true)), "the disk is not full");
    host.act(Storage::retry);
    host.settle();
    assert_eq!(host.events.last(), Some(&Event::Exhausted(None)));
    assert_eq!(host.storage.last().index, Index(index));
}

#[test]
fn a_snapshot_whose_file_cannot_be_created_for_lack_of_a_resource_is_abandoned() {
    let (_directory, disk, _) = sample();
    let mut host = Host::open_then_fail(&disk, 0..0, exhausted());
    host.events.clear();
    let last = EntryId::new(Term(1), Index(9));
    host.act(|storage, events| assert!(storage.take_snapshot(last, membership(), events)));
    let create = host.waiting.pop_front().expect("the file is created first");
    let completion = Completion { id: create.id, result: Err(exhausted()) };
    host.act(|storage, events| storage.completed(completion, events));
    host.settle();
    let [Event::Snapshot(SnapshotEvent::Abandoned { reason, .. })] = &host.events[..] else {
        panic!("{:?}", host.events)
    };
    assert!(matches!(reason, AbandonReason::Exhausted(_)), "{reason}");
    assert_eq!(reason.to_string().matches("stopped").count(), 0, "{reason}");
    host.take_snapshot(9);
}

#[test]
fn a_write_that_lacks_a_resource_stops_the_store() {
    let (_directory, disk, _) = sample();
    let mut host = Host::open_then_fail(&disk, 0..0, exhausted());
    host.events.clear();
    let write = Write {
        id: WriteId(99),
        hard_state: None,
        committed: Index(0),
        install: None,
        entries: [entry(LAST + 1)].into(),
    };
    host.act(|storage, events| storage.persist(write, events));
    let first = host.waiting.pop_front().expect("the headers are written");
    let completion = Completion { id: first.id, result: Err(exhausted()) };
    host.act(|storage, events| storage.completed(completion, events));
    let [Event::Failed(failure)] = &host.events[..] else { panic!("{:?}", host.events) };
    assert_eq!(failure.cause, ErrorCause::Exhausted);
}

#[test]
fn the_reader_of_a_snapshot_distinguishes_a_missing_resource_from_damage() {
    use std::io::Read;

    let (_directory, disk, meta) = sample();
    let cluster = identity().cluster;
    for (error, cause) in
        [(exhausted(), ErrorCause::Exhausted), (denied(), ErrorCause::Environment)]
    {
        for first in 0..10 {
            let mut faulty = Faulty::new(&disk, first..u32::MAX, error.clone());
            let mut bytes = Vec::new();
            let failure = match SnapshotReader::open(&mut faulty, cluster, &meta) {
                Err(failure) => failure,
                Ok(mut reader) => match reader.read_to_end(&mut bytes) {
                    Ok(_) => {
                        assert!(first > 3, "{first} reads");
                        continue;
                    }
                    Err(error) => {
                        assert_ne!(error.kind(), std::io::ErrorKind::InvalidData);
                        reader.take_obstacle().expect("the disk is not at fault")
                    }
                },
            };
            assert_eq!(failure.cause, cause, "read {first}: {failure}");
        }
    }
}
