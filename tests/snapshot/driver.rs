//! Arbitrary bytes in place of a snapshot file, or of the parts that a peer sends.

use std::collections::VecDeque;
use std::io::Read;
use std::sync::OnceLock;

use quorate::storage::{
    ClusterId, Completion, Disk, DiskError, Event, FileAction, FileName, Identity, PartOutcome,
    SnapshotConfig, SnapshotReader, Storage, StorageConfig,
};
use quorate::types::{
    EntryId, Incarnation, Index, Membership, NodeId, Root, SnapshotMeta, SnapshotPart, Term,
};

use super::fixture_text;

const CLUSTER: ClusterId = ClusterId(u128::from_le_bytes(*b"the test cluster"));
const NODE: NodeId = NodeId(1);
const HEADER_BYTES: usize = 4096;
const MANIFEST_AT: usize = 8192;
/// The maximum size of a manifest at the receiver, in bytes.
const MANIFEST_BYTES_MAX: u32 = 64 << 10;

/// Returns a valid snapshot file; `docs/FORMAT.md` has its layout.
fn golden() -> &'static [u8] {
    static GOLDEN: OnceLock<Vec<u8>> = OnceLock::new();
    GOLDEN.get_or_init(|| {
        let text = include_str!("../data/formats/snapshot-1.txt");
        fixture_text::value_in(text, "content-1100").expect("the fixtures have this value")
    })
}

/// Returns the description of the golden file.
fn meta() -> SnapshotMeta {
    let root: [u8; 32] = golden()[64..96].try_into().expect("the header has a root");
    let bytes = u64::from_le_bytes(golden()[48..56].try_into().expect("and a size"));
    let membership = Membership::new([1, 2, 3].map(NodeId))
        .joint_with([1, 2].map(NodeId))
        .with_learners([NodeId(9)]);
    let last = EntryId::new(Term(3), Index(70));
    SnapshotMeta { last, membership, bytes, root: Root(root) }
}

/// Uses the bytes as a file, as changes to a valid file, and as the parts from a peer.
pub(crate) fn drive(bytes: &[u8]) {
    read(bytes.to_vec());
    read(changed(bytes));
    receive(bytes);
    receive(&changed(bytes)[MANIFEST_AT.min(changed(bytes).len())..]);
}

/// Returns the golden file with one byte changed for every three of `bytes`, which are the place
/// and the new value. A place beyond the file truncates it at the place of the previous change.
fn changed(bytes: &[u8]) -> Vec<u8> {
    let mut file = golden().to_vec();
    let mut end = file.len();
    for change in bytes.chunks_exact(3) {
        let place = usize::from(u16::from_le_bytes([change[0], change[1]]));
        match file.get_mut(place) {
            Some(byte) => (*byte, end) = (change[2], place),
            None => file.truncate(end),
        }
    }
    file
}

/// Asserts that the snapshot is read completely and correctly, or that an error comes before any
/// wrong byte.
fn read(file: Vec<u8>) {
    let meta = meta();
    let content = &golden()[HEADER_BYTES..HEADER_BYTES + meta.bytes as usize];
    let is_whole = file == golden();
    let mut disk = OneFile { file, largest_read: 0 };
    let mut read = Vec::new();
    let result = SnapshotReader::open(&mut disk, CLUSTER, &meta)
        .map_err(|failure| failure.to_string())
        .and_then(|mut reader| reader.read_to_end(&mut read).map_err(|error| error.to_string()));
    match result {
        Ok(_) => assert_eq!(read, content, "the content is correct"),
        Err(error) => {
            assert!(content.starts_with(&read), "the content before the damage is correct");
            assert!(!is_whole, "a valid file is accepted: {error}");
            assert!(error.starts_with("snapshot-0000000000000046 at "), "{error}");
        }
    }
    assert!(disk.largest_read <= 1 << 20, "memory is bounded");
}

/// Asserts that only the manifest with the root hash, and its chunks, are accepted.
fn receive(bytes: &[u8]) {
    let mut node = Receiver::new();
    let meta = meta();
    node.act(|storage, events| assert!(storage.receive_snapshot(&meta, events)));
    let pieces = bytes.chunks(512);
    for (number, piece) in (0..).zip(pieces) {
        for part in [SnapshotPart::Manifest(number), SnapshotPart::Chunk(number)] {
            let mut outcome = PartOutcome::NotNeeded;
            node.act(|storage, events| {
                outcome = storage.receive_part(meta.root, part, piece, events);
            });
            if outcome == PartOutcome::Accepted && matches!(part, SnapshotPart::Manifest(0)) {
                let whole = piece.len() < 512;
                assert!(
                    !whole || piece == &golden()[MANIFEST_AT..],
                    "only the manifest with the root hash"
                );
            }
        }
    }
    let (_, wanted) = node.storage.parts_to_request().expect("no chunk has come");
    assert!(wanted.len() <= node.window, "the requested parts are bounded");
}

/// A disk with one snapshot file of arbitrary content.
struct OneFile {
    file: Vec<u8>,
    largest_read: usize,
}

impl Disk for OneFile {
    fn list(&mut self) -> Result<Vec<(FileName, u64)>, DiskError> {
        Ok(vec![(FileName::Snapshot(Index(70)), self.file.len() as u64)])
    }

    fn execute(&mut self, action: &FileAction) -> Result<Vec<u8>, DiskError> {
        let FileAction::Read { offset, bytes, .. } = action else {
            panic!("a reader only reads: {action:?}")
        };
        self.largest_read = self.largest_read.max(*bytes);
        let from = self.file.len().min(usize::try_from(*offset).unwrap_or(usize::MAX));
        let to = self.file.len().min(from.saturating_add(*bytes));
        Ok(self.file[from..to].to_vec())
    }
}

/// A store that receives a snapshot, on a disk of files in memory.
struct Receiver {
    disk: Files,
    storage: Storage,
    window: usize,
}

impl Receiver {
    fn new() -> Receiver {
        let snapshots = SnapshotConfig {
            chunk_bytes: 512,
            manifest_bytes_max: MANIFEST_BYTES_MAX,
            ..SnapshotConfig::default()
        };
        let config = StorageConfig {
            segment_bytes: 32 << 10,
            spare_segments: 1,
            command_bytes_max: 4 << 10,
            flush_bytes_max: 8 << 10,
            read_bytes_max: 12 << 10,
            tail_bytes_max: 1 << 10,
            snapshots,
        };
        let mut disk = Files::default();
        let identity = Identity { cluster: CLUSTER, node: NODE, incarnation: Incarnation(1) };
        let members = Membership::new([NODE]);
        Storage::format(&mut disk, identity, &members, &config).expect("the disk is empty");
        let (storage, _) =
            Storage::open(&mut disk, CLUSTER, NODE, &config).expect("the directory was formatted");
        Receiver { disk, storage, window: snapshots.window as usize }
    }

    fn act(&mut self, act: impl FnOnce(&mut Storage, &mut Vec<Event>)) {
        let mut events = Vec::new();
        act(&mut self.storage, &mut events);
        let mut events = VecDeque::from(events);
        while let Some(event) = events.pop_front() {
            let Event::Disk(operation) = event else { continue };
            let result = self.disk.execute(&operation.action);
            let mut more = Vec::new();
            self.storage.completed(Completion { id: operation.id, result }, &mut more);
            events.extend(more);
        }
    }
}

/// Files in memory, without crashes.
#[derive(Default)]
struct Files(std::collections::BTreeMap<FileName, Vec<u8>>);

impl Disk for Files {
    fn list(&mut self) -> Result<Vec<(FileName, u64)>, DiskError> {
        Ok(self.0.iter().map(|(name, bytes)| (*name, bytes.len() as u64)).collect())
    }

    fn execute(&mut self, action: &FileAction) -> Result<Vec<u8>, DiskError> {
        let missing = || DiskError::Failed("no such file".to_owned());
        match action {
            FileAction::Create { file, bytes } => {
                self.0.insert(*file, vec![0; *bytes as usize]);
            }
            FileAction::Write { file, offset, bytes } => {
                let content = self.0.get_mut(file).ok_or_else(missing)?;
                let (from, to) = (*offset as usize, *offset as usize + bytes.len());
                content.resize(content.len().max(to), 0);
                content[from..to].copy_from_slice(bytes);
            }
            FileAction::Read { file, offset, bytes } => {
                let content = self.0.get(file).ok_or_else(missing)?;
                let from = content.len().min(*offset as usize);
                return Ok(content[from..content.len().min(from + bytes)].to_vec());
            }
            FileAction::Rename { from, to } => {
                let content = self.0.remove(from).ok_or_else(missing)?;
                self.0.insert(*to, content);
            }
            FileAction::Remove { file } => drop(self.0.remove(file)),
            FileAction::Sync { .. } | FileAction::DropCache { .. } | FileAction::SyncDirectory => {}
        }
        Ok(Vec::new())
    }
}

#[test]
fn a_valid_file_is_read_and_its_manifest_accepted() {
    drive(&[]);
    drive(golden());
    receive(&golden()[MANIFEST_AT..]);
    let mut node = Receiver::new();
    node.act(|storage, events| assert!(storage.receive_snapshot(&meta(), events)));
    let manifest = &golden()[MANIFEST_AT..];
    node.act(|storage, events| {
        let outcome =
            storage.receive_part(meta().root, SnapshotPart::Manifest(0), manifest, events);
        assert_eq!(outcome, PartOutcome::Accepted);
    });
    let (_, wanted) = node.storage.parts_to_request().expect("the chunks are to come");
    assert_eq!(wanted, [0, 1, 2].map(SnapshotPart::Chunk));
}
