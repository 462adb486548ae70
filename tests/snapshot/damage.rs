//! A node whose current snapshot is damaged starts from the previous one, if the log reaches back
//! to it.

use std::io::Read;
use std::path::{Path, PathBuf};

use quorate::storage::{
    ClusterId, Completion, Disk, Event, FileDisk, FileName, Identity, OpenedStorage, SnapshotEvent,
    SnapshotReader, Storage, StorageConfig, StorageError,
};
use quorate::types::{
    Entry, EntryId, HardState, Incarnation, Index, Membership, NodeId, Payload, SnapshotMeta, Term,
    Write, WriteId,
};

const CLUSTER: ClusterId = ClusterId(5);
const NODE: NodeId = NodeId(2);

fn config() -> StorageConfig {
    StorageConfig {
        segment_bytes: 64 << 10,
        command_bytes_max: 4 << 10,
        flush_bytes_max: 16 << 10,
        read_bytes_max: 16 << 10,
        ..StorageConfig::default()
    }
}

fn id(index: u64) -> EntryId {
    EntryId::new(Term(1), Index(index))
}

/// Returns the membership in the log at this index.
fn membership_at(index: u64) -> Payload {
    Payload::Membership(Membership::new([NODE, NodeId(100 + index)]))
}

/// A store with its disk, which keeps all events other than disk operations.
struct Node {
    disk: FileDisk,
    storage: Storage,
    snapshot: SnapshotMeta,
    snapshot_damage: Option<StorageError>,
    memberships: Vec<(Index, Membership)>,
    events: Vec<Event>,
}

impl Node {
    fn open(path: &Path) -> Result<Node, String> {
        let mut disk = FileDisk::open(path).map_err(|error| error.to_string())?;
        let opened = Storage::open(&mut disk, CLUSTER, NODE, &config());
        let (mut storage, opened) = opened.map_err(|error| error.to_string())?;
        let mut events = Vec::new();
        storage.start(&mut events);
        let OpenedStorage { snapshot, snapshot_damage, memberships, .. } = opened;
        let mut node =
            Node { disk, storage, snapshot, snapshot_damage, memberships, events: Vec::new() };
        node.settle(events);
        Ok(node)
    }

    fn settle(&mut self, mut events: Vec<Event>) {
        while !events.is_empty() {
            for event in std::mem::take(&mut events) {
                let Event::Disk(operation) = event else {
                    self.events.push(event);
                    continue;
                };
                let result = self.disk.execute(&operation.action);
                self.storage.completed(Completion { id: operation.id, result }, &mut events);
            }
        }
    }

    fn append(&mut self, write: u64, entries: std::ops::RangeInclusive<u64>) {
        let entry = |index| {
            let changes = index % 3 == 0;
            let payload = if changes { membership_at(index) } else { Payload::Noop };
            Entry { id: id(index), payload }
        };
        let write = Write {
            id: WriteId(write),
            hard_state: Some(HardState::new(Term(1), None)),
            committed: Index(*entries.start() - 1),
            install: None,
            entries: entries.map(entry).collect(),
        };
        let mut events = Vec::new();
        self.storage.persist(write, &mut events);
        self.settle(events);
    }

    /// Takes a snapshot of `content`, which is less than a chunk, and records it.
    fn take_snapshot(&mut self, last: EntryId, content: &[u8]) {
        let membership = Membership::new([NODE]);
        let mut events = Vec::new();
        assert!(self.storage.take_snapshot(last, membership, &mut events));
        self.settle(std::mem::take(&mut events));
        self.storage.write_snapshot(content.to_vec(), &mut events);
        self.settle(std::mem::take(&mut events));
        self.storage.end_snapshot(&mut events);
        self.settle(std::mem::take(&mut events));
        let taken = self.events.drain(..).find_map(|event| match event {
            Event::Snapshot(SnapshotEvent::Taken(meta)) => Some(meta),
            _ => None,
        });
        self.storage.set_snapshot(taken.expect("it is taken"), &mut events);
        self.settle(events);
    }

    /// Returns true if the memberships in the log after the snapshot are at these indices.
    fn has_memberships(&self, indices: &[u64]) -> bool {
        let at = |index: &u64| (Index(*index), membership_at(*index));
        let found = self.memberships.iter().cloned();
        found.map(|(index, is)| (index, Payload::Membership(is))).eq(indices.iter().map(at))
    }

    fn content(&mut self) -> Vec<u8> {
        let mut content = Vec::new();
        let reader = SnapshotReader::open(&mut self.disk, CLUSTER, &self.snapshot);
        reader.expect("it is whole").read_to_end(&mut content).expect("and readable");
        content
    }
}

/// Returns a directory with snapshots at 4 and 8, and a log of ten entries.
fn with_two() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a directory for a test");
    let path = folder.path().join("node");
    let mut disk = FileDisk::open(&path).expect("a new directory");
    let identity = Identity { cluster: CLUSTER, node: NODE, incarnation: Incarnation(1) };
    Storage::format(&mut disk, identity, &Membership::new([NODE]), &config()).expect("it is new");
    drop(disk);
    let mut node = Node::open(&path).expect("the directory was formatted");
    node.append(1, 1..=10);
    node.take_snapshot(id(4), b"four");
    node.take_snapshot(id(8), b"eight");
    assert_eq!(node.storage.previous_snapshot(), Index(4));
    (folder, path)
}

fn file(path: &Path, index: u64) -> PathBuf {
    path.join(FileName::Snapshot(Index(index)).to_string())
}

fn damage(path: &Path) {
    let mut bytes = std::fs::read(path).expect("the file is there");
    bytes[4096] ^= 1;
    std::fs::write(path, bytes).expect("and writable");
}

/// Asserts that the node starts from the older snapshot, until a newer one is recorded.
fn assert_starts_from_the_older(path: &Path) {
    for _ in 0..2 {
        let mut node = Node::open(path).expect("the older snapshot and the log are intact");
        assert_eq!(node.snapshot.last, id(4));
        assert_eq!(node.content(), b"four");
        assert!(node.has_memberships(&[6, 9]), "{:?}", node.memberships);
        assert!(node.storage.base() <= id(4), "the log reaches back");
    }
    let mut node = Node::open(path).expect("as before");
    assert_eq!(node.storage.snapshot().last, id(4), "the older one is the current one");
    node.take_snapshot(id(7), b"seven");
    drop(node);
    let mut node = Node::open(path).expect("one that ends before the unreadable one is recorded");
    assert_eq!((node.snapshot.last, node.content()), (id(7), b"seven".to_vec()));
    node.take_snapshot(id(10), b"ten");
    assert!(file(path, 7).exists(), "the last two intact ones are kept");
    drop(node);
    let mut node = Node::open(path).expect("the newest is whole");
    assert_eq!((node.snapshot.last, node.content()), (id(10), b"ten".to_vec()));
}

#[test]
fn a_damaged_snapshot_is_replaced_by_the_previous_one() {
    let (_folder, path) = with_two();
    let mut whole = Node::open(&path).expect("all is whole");
    assert_eq!(whole.content(), b"eight");
    assert!(whole.has_memberships(&[9]), "{:?}", whole.memberships);
    drop(whole);
    damage(&file(&path, 8));
    assert_starts_from_the_older(&path);
    assert!(file(&path, 8).exists(), "a damaged file is kept");
}

#[test]
fn a_missing_snapshot_is_replaced_by_the_previous_one() {
    let (_folder, path) = with_two();
    std::fs::remove_file(file(&path, 8)).expect("the file exists");
    assert_starts_from_the_older(&path);
}

#[test]
fn without_an_intact_snapshot_the_node_needs_one_from_a_peer() {
    let (_folder, path) = with_two();
    damage(&file(&path, 4));
    let node = Node::open(&path).expect("the current one is intact");
    assert_eq!(node.snapshot_damage, None);
    drop(node);
    damage(&file(&path, 8));
    let mut disk = FileDisk::open(&path).expect("it exists");
    let opened = Storage::open_if(&mut disk, CLUSTER, NODE, &config(), &mut |opened| {
        assert_eq!((opened.snapshot.last, opened.last), (id(8), id(10)));
        false
    });
    let error = opened.map(drop).expect_err("a node alone cannot start").to_string();
    assert!(error.starts_with("snapshot-0000000000000008 at 4096: chunk 0"), "{error}");
    drop(disk);
    let mut node = Node::open(&path).expect("a node with peers starts");
    assert!(node.snapshot_damage.is_some());
    assert_eq!([4, 8].map(|index| file(&path, index).exists()), [true, true]);
    node.take_snapshot(id(10), b"ten");
    drop(node);
    let mut node = Node::open(&path).expect("the newest is whole");
    assert_eq!((node.snapshot_damage.take(), node.content()), (None, b"ten".to_vec()));
}
