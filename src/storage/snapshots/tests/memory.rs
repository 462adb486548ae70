//! An in-memory disk that loses unsynced changes in a crash, and the snapshots of a node on it.

use std::collections::{BTreeMap, VecDeque};
use std::io::Read;

use crate::storage::disk::{Disk, DiskError, FileAction, FileName, OperationId};
use crate::storage::error::StorageError;
use crate::storage::identity::ClusterId;
use crate::storage::operations::{Operations, Owner};
use crate::storage::snapshots::scrubbing::SnapshotScrubPlace;
use crate::storage::snapshots::{SnapshotConfig, SnapshotEvent, SnapshotReader, Snapshots};
use crate::types::{EntryId, Index, Membership, NodeId, Root, SnapshotMeta, SnapshotPart, Term};

pub(super) const CLUSTER: ClusterId = ClusterId(u128::from_le_bytes(*b"the test cluster"));

pub(super) const CONFIG: SnapshotConfig = SnapshotConfig {
    chunk_bytes: 512,
    window: 3,
    sync_chunks: 2,
    serving_max: 2,
    manifest_bytes_max: 4096,
};

/// The unsynced changes that a crash keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    Nothing,
    Names,
    Contents,
    /// Names, and the sectors with an even number.
    EvenSectors,
    /// Names, and the sectors with an odd number.
    OddSectors,
    Everything,
}

pub(super) const CRASHES: [Kept; 6] = [
    Kept::Nothing,
    Kept::Names,
    Kept::Contents,
    Kept::EvenSectors,
    Kept::OddSectors,
    Kept::Everything,
];

#[derive(Clone, Debug, Default)]
struct Content {
    now: Vec<u8>,
    durable: Vec<u8>,
}

/// Files by number, with their present and their durable names.
#[derive(Clone, Debug, Default)]
pub(super) struct MemoryDisk {
    contents: Vec<Content>,
    names: BTreeMap<FileName, usize>,
    durable_names: BTreeMap<FileName, usize>,
    /// The action that fails, counted from 0, and its error.
    pub(super) fails: Option<(usize, DiskError)>,
    pub(super) actions: Vec<String>,
}

impl MemoryDisk {
    pub(super) fn crash(&mut self, kept: Kept) {
        if !matches!(kept, Kept::Nothing | Kept::Contents) {
            self.durable_names.clone_from(&self.names);
        }
        self.names.clone_from(&self.durable_names);
        for content in &mut self.contents {
            let end = content.now.len().max(content.durable.len());
            let keeps = |sector: usize| match kept {
                Kept::Nothing | Kept::Names => false,
                Kept::Contents | Kept::Everything => true,
                Kept::EvenSectors => sector.is_multiple_of(2),
                Kept::OddSectors => !sector.is_multiple_of(2),
            };
            let kept_end = if keeps(end / 512) { end } else { content.durable.len() };
            let byte = |at: usize| {
                let from = if keeps(at / 512) { &content.now } else { &content.durable };
                from.get(at).copied().unwrap_or(0)
            };
            content.durable = (0..kept_end).map(byte).collect();
            content.now.clone_from(&content.durable);
        }
    }

    pub(super) fn bytes(&mut self, file: FileName) -> &mut Vec<u8> {
        &mut self.contents[self.names[&file]].now
    }

    pub(super) fn files(&self) -> Vec<FileName> {
        self.names.keys().copied().collect()
    }

    fn content(&mut self, file: FileName) -> Result<&mut Content, DiskError> {
        let number = self.names.get(&file).ok_or(DiskError::Failed("no such file".to_owned()))?;
        Ok(&mut self.contents[*number])
    }

    fn apply(&mut self, action: &FileAction) -> Result<Vec<u8>, DiskError> {
        match action {
            FileAction::Create { file, bytes } => {
                let zeros = vec![0; *bytes as usize];
                self.names.insert(*file, self.contents.len());
                self.contents.push(Content { now: zeros.clone(), durable: zeros });
            }
            FileAction::Write { file, offset, bytes } => {
                let content = &mut self.content(*file)?.now;
                let (from, to) = (*offset as usize, *offset as usize + bytes.len());
                if !bytes.is_empty() {
                    content.resize(content.len().max(to), 0);
                    content[from..to].copy_from_slice(bytes);
                }
            }
            FileAction::Sync { file } => {
                let content = self.content(*file)?;
                content.durable.clone_from(&content.now);
            }
            FileAction::Read { file, offset, bytes } => {
                let content = &self.content(*file)?.now;
                let from = content.len().min(usize::try_from(*offset).unwrap_or(usize::MAX));
                let to = content.len().min(from.saturating_add(*bytes));
                return Ok(content[from..to].to_vec());
            }
            FileAction::DropCache { file } => drop(self.content(*file)?),
            FileAction::Rename { from, to } => {
                self.content(*from)?;
                let number = self.names.remove(from).expect("the file exists");
                self.names.insert(*to, number);
            }
            FileAction::Remove { file } => drop(self.names.remove(file)),
            FileAction::SyncDirectory => self.durable_names.clone_from(&self.names),
        }
        Ok(Vec::new())
    }
}

impl Disk for MemoryDisk {
    fn list(&mut self) -> Result<Vec<(FileName, u64)>, DiskError> {
        let size = |number: &usize| self.contents[*number].now.len() as u64;
        Ok(self.names.iter().map(|(name, number)| (*name, size(number))).collect())
    }

    fn execute(&mut self, action: &FileAction) -> Result<Vec<u8>, DiskError> {
        let number = self.actions.len();
        self.actions.push(format!("{action:?}"));
        match &self.fails {
            Some((at, error)) if *at == number => Err(error.clone()),
            _ => self.apply(action),
        }
    }
}

/// The snapshots of one node, and its disk.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) disk: MemoryDisk,
    pub(super) snapshots: Snapshots,
    pub(super) operations: Operations,
    pub(super) current: SnapshotMeta,
    pub(super) events: VecDeque<SnapshotEvent>,
    /// The error that stopped the node.
    pub(super) failure: Option<StorageError>,
    /// The number of operations that are still executed before the node stops as in a crash.
    pub(super) operations_left: usize,
}

impl Node {
    pub(super) fn open(mut disk: MemoryDisk, current: SnapshotMeta) -> Result<Node, StorageError> {
        let opened = Snapshots::open(&mut disk, CLUSTER, &current, Index::ZERO, CONFIG)?;
        assert_eq!(opened.damage, None, "the current snapshot is intact");
        let (operations, events) = (Operations::default(), VecDeque::new());
        let snapshots = opened.snapshots;
        let (failure, operations_left) = (None, usize::MAX);
        Ok(Node { disk, snapshots, operations, current, events, failure, operations_left })
    }

    pub(super) fn new() -> Node {
        Node::open(MemoryDisk::default(), SnapshotMeta::default())
            .expect("an empty directory opens")
    }

    /// Crashes and starts again.
    pub(super) fn restarted(mut self, kept: Kept) -> Node {
        self.disk.crash(kept);
        Node::open(self.disk, self.current).expect("the current snapshot is durable")
    }

    /// Executes the requested operations and all that follow from them. Returns false after an
    /// error, or once `operations_left` is 0.
    pub(super) fn settle(&mut self) -> bool {
        loop {
            let requested: Vec<_> = self.operations.take().collect();
            if requested.is_empty() {
                self.events.extend(self.snapshots.take_events());
                return self.failure.is_none();
            }
            for operation in requested {
                if self.operations_left == 0 || self.failure.is_some() {
                    return false;
                }
                self.operations_left -= 1;
                let result = self.disk.execute(&operation.action);
                self.complete(operation.id, result);
            }
        }
    }

    fn complete(&mut self, id: OperationId, result: Result<Vec<u8>, DiskError>) {
        let (owner, file, offset) = self.operations.complete(id);
        if owner == Owner::Cache {
            return;
        }
        assert_eq!(owner, Owner::Snapshots);
        if self.failure.is_none() {
            let operations = &mut self.operations;
            let completed = self.snapshots.complete(operations, id, file, offset, result);
            self.failure = completed.err();
        }
    }

    /// Takes a snapshot until it is complete or abandoned; `None` if [`Node::settle`] fails.
    pub(super) fn take(&mut self, last: EntryId, content: &[u8]) -> Option<SnapshotEvent> {
        assert!(self.snapshots.begin(&mut self.operations, last, membership()));
        let mut chunks = content.chunks(CONFIG.chunk_bytes as usize);
        loop {
            if !self.settle() {
                return None;
            }
            match self.events.pop_front().expect("an event follows") {
                SnapshotEvent::ReadyForChunk => match chunks.next() {
                    Some(chunk) => self.snapshots.chunk(&mut self.operations, chunk.to_vec()),
                    None => self.snapshots.end(&mut self.operations),
                },
                event => return Some(event),
            }
        }
    }

    /// Takes a snapshot and makes it the current snapshot.
    pub(super) fn take_current(&mut self, last: EntryId, content: &[u8]) -> SnapshotMeta {
        let taken = self.take(last, content);
        let Some(SnapshotEvent::Taken(meta)) = taken else { panic!("not taken: {taken:?}") };
        self.set_current(&meta);
        assert!(self.settle());
        meta
    }

    pub(super) fn set_current(&mut self, meta: &SnapshotMeta) {
        self.current = meta.clone();
        self.snapshots.set_current(&mut self.operations, meta);
    }

    /// Returns the events that serving a part causes.
    pub(super) fn served(&mut self, root: Root, part: SnapshotPart) -> Vec<SnapshotEvent> {
        self.snapshots.serve(&mut self.operations, root, part);
        assert!(self.settle());
        self.events.drain(..).collect()
    }

    /// Reads all kept snapshots again. Returns the number of bytes, and the events.
    pub(super) fn scrubbed(&mut self) -> (u64, Vec<SnapshotEvent>) {
        let mut bytes = 0;
        self.snapshots.begin_scrub(SnapshotScrubPlace::default());
        while self.snapshots.scrub(&mut self.operations) {
            assert!(self.settle());
            bytes += self.snapshots.take_scrubbed().expect("a piece was read");
        }
        (bytes, self.events.drain(..).collect())
    }

    pub(super) fn part(&mut self, root: Root, part: SnapshotPart) -> Vec<u8> {
        match self.served(root, part).as_slice() {
            [SnapshotEvent::Part { bytes, .. }] => bytes.to_vec(),
            other => panic!("{part} is served: {other:?}"),
        }
    }

    /// Receives `meta` from `sender` until it is complete or abandoned; `None` if [`Node::settle`]
    /// fails. Counts the parts in `parts`.
    pub(super) fn receive(
        &mut self,
        sender: &mut Node,
        meta: &SnapshotMeta,
        parts: &mut usize,
    ) -> Option<SnapshotEvent> {
        assert!(self.snapshots.receive(&mut self.operations, meta));
        loop {
            if !self.settle() {
                return None;
            }
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            let (root, missing) =
                self.snapshots.parts_to_request().expect("the snapshot is being received");
            assert!(!missing.is_empty() && missing.len() <= CONFIG.window as usize);
            for part in missing {
                let bytes = sender.part(root, part);
                self.snapshots.part(&mut self.operations, root, part, &bytes);
                *parts += 1;
            }
        }
    }

    pub(super) fn content(&mut self, meta: &SnapshotMeta) -> Vec<u8> {
        let mut content = Vec::new();
        let reader = SnapshotReader::open(&mut self.disk, CLUSTER, meta);
        reader
            .expect("the snapshot is intact")
            .read_to_end(&mut content)
            .expect("the content is readable");
        content
    }
}

pub(super) fn membership() -> Membership {
    Membership::new([1, 2, 3].map(NodeId)).joint_with([1, 2].map(NodeId)).with_learners([NodeId(9)])
}

pub(super) fn id(index: u64) -> EntryId {
    EntryId::new(Term(1 + index / 100), Index(index))
}

/// Returns content whose chunks differ from one another, up to 256 of them.
pub(super) fn content(bytes: usize, seed: u8) -> Vec<u8> {
    (0..bytes).map(|at| (at / 512) as u8 ^ (at % 7) as u8 ^ seed).collect()
}

#[test]
fn the_memory_disk_fulfils_the_disk_contract() {
    crate::storage::contract::check_disk(MemoryDisk::default);
}
