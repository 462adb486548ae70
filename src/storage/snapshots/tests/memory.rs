//! A disk of memory that forgets in a crash what was not synced, and a node's snapshots on it.

use std::collections::{BTreeMap, VecDeque};
use std::io::Read;

use crate::storage::disk::{Disk, DiskError, FileAction, FileName, OperationId};
use crate::storage::failure::Failure;
use crate::storage::identity::ClusterId;
use crate::storage::operations::{Operations, Owner};
use crate::storage::snapshots::{SnapshotConfig, SnapshotEvent, SnapshotReader, Snapshots};
use crate::types::{EntryId, Index, Membership, NodeId, Part, Root, SnapshotMeta, Term};

pub(super) const CLUSTER: ClusterId = ClusterId(u128::from_le_bytes(*b"the test cluster"));

pub(super) const CONFIG: SnapshotConfig = SnapshotConfig {
    chunk_bytes: 512,
    window: 3,
    sync_chunks: 2,
    serving_max: 2,
    manifest_bytes_max: 4096,
};

/// What of the things not synced a crash leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    Nothing,
    Names,
    Contents,
    /// Names, and every other sector.
    EvenSectors,
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

/// Files by number; names now and as the directory has them durably.
#[derive(Clone, Debug, Default)]
pub(super) struct MemoryDisk {
    contents: Vec<Content>,
    names: BTreeMap<FileName, usize>,
    durable_names: BTreeMap<FileName, usize>,
    /// Which coming action fails, counted from 0, and how.
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

    fn carry_out(&mut self, action: &FileAction) -> Result<Vec<u8>, DiskError> {
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
            FileAction::Rename { from, to } => {
                self.content(*from)?;
                let number = self.names.remove(from).expect("it was just looked at");
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
            _ => self.carry_out(action),
        }
    }
}

/// The snapshots of one node and its disk.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) disk: MemoryDisk,
    pub(super) snapshots: Snapshots,
    pub(super) operations: Operations,
    pub(super) in_force: SnapshotMeta,
    pub(super) events: VecDeque<SnapshotEvent>,
    /// What ended the node.
    pub(super) failure: Option<Failure>,
    /// How many more operations are carried out before the node stands still.
    pub(super) fuel: usize,
}

impl Node {
    pub(super) fn open(mut disk: MemoryDisk, in_force: SnapshotMeta) -> Result<Node, Failure> {
        let opened = Snapshots::open(&mut disk, CLUSTER, &in_force, CONFIG)?;
        assert_eq!(opened.damage, None, "the snapshot in force is whole");
        let (operations, events) = (Operations::default(), VecDeque::new());
        let snapshots = opened.snapshots;
        let (failure, fuel) = (None, usize::MAX);
        Ok(Node { disk, snapshots, operations, in_force, events, failure, fuel })
    }

    pub(super) fn new() -> Node {
        Node::open(MemoryDisk::default(), SnapshotMeta::default()).expect("empty is no damage")
    }

    /// Crashes and starts again.
    pub(super) fn restarted(mut self, kept: Kept) -> Node {
        self.disk.crash(kept);
        Node::open(self.disk, self.in_force).expect("what is in force is durable")
    }

    /// Carries out what is asked for, and all that follows. False once the fuel is used up, or
    /// after a failure.
    pub(super) fn settle(&mut self) -> bool {
        loop {
            let asked: Vec<_> = self.operations.take().collect();
            if asked.is_empty() {
                self.events.extend(self.snapshots.take_events());
                return self.failure.is_none();
            }
            for operation in asked {
                if self.fuel == 0 || self.failure.is_some() {
                    return false;
                }
                self.fuel -= 1;
                let result = self.disk.execute(&operation.action);
                self.complete(operation.id, result);
            }
        }
    }

    fn complete(&mut self, id: OperationId, result: Result<Vec<u8>, DiskError>) {
        let (owner, file, offset) = self.operations.done(id);
        assert_eq!(owner, Owner::Snapshots);
        if self.failure.is_none() {
            let operations = &mut self.operations;
            let completed = self.snapshots.complete(operations, id, (file, offset), result);
            self.failure = completed.err();
        }
    }

    /// Takes a snapshot until it ends one way or the other; None once the fuel is used up.
    pub(super) fn take(&mut self, last: EntryId, content: &[u8]) -> Option<SnapshotEvent> {
        assert!(self.snapshots.begin(&mut self.operations, last, membership()));
        let mut chunks = content.chunks(CONFIG.chunk_bytes as usize);
        loop {
            if !self.settle() {
                return None;
            }
            match self.events.pop_front().expect("taking goes on until it ends") {
                SnapshotEvent::ChunkWanted => match chunks.next() {
                    Some(chunk) => self.snapshots.chunk(&mut self.operations, chunk.to_vec()),
                    None => self.snapshots.end(&mut self.operations),
                },
                event => return Some(event),
            }
        }
    }

    /// Takes a snapshot and puts it in force.
    pub(super) fn take_in_force(&mut self, last: EntryId, content: &[u8]) -> SnapshotMeta {
        let taken = self.take(last, content);
        let Some(SnapshotEvent::Taken(meta)) = taken else { panic!("not taken: {taken:?}") };
        self.put_in_force(&meta);
        assert!(self.settle());
        meta
    }

    pub(super) fn put_in_force(&mut self, meta: &SnapshotMeta) {
        self.in_force = meta.clone();
        self.snapshots.put_in_force(&mut self.operations, meta);
    }

    /// What is served for a part.
    pub(super) fn served(&mut self, root: Root, part: Part) -> Vec<SnapshotEvent> {
        self.snapshots.serve(&mut self.operations, root, part);
        assert!(self.settle());
        self.events.drain(..).collect()
    }

    pub(super) fn part(&mut self, root: Root, part: Part) -> Vec<u8> {
        match self.served(root, part).as_slice() {
            [SnapshotEvent::Part { bytes, .. }] => bytes.to_vec(),
            other => panic!("{part} is served: {other:?}"),
        }
    }

    /// Receives `meta` from `sender` until it ends; None once the fuel is used up. Counts the
    /// parts that came.
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
            let (root, wanted) = self.snapshots.wanted().expect("it is being received");
            assert!(!wanted.is_empty() && wanted.len() <= CONFIG.window as usize);
            for part in wanted {
                let bytes = sender.part(root, part);
                self.snapshots.part(&mut self.operations, root, part, &bytes);
                *parts += 1;
            }
        }
    }

    pub(super) fn content(&mut self, meta: &SnapshotMeta) -> Vec<u8> {
        let mut content = Vec::new();
        let reader = SnapshotReader::open(&mut self.disk, CLUSTER, meta);
        reader.expect("the snapshot is whole").read_to_end(&mut content).expect("and readable");
        content
    }
}

pub(super) fn membership() -> Membership {
    Membership::new([1, 2, 3].map(NodeId)).joint_with([1, 2].map(NodeId)).with_learners([NodeId(9)])
}

pub(super) fn id(index: u64) -> EntryId {
    EntryId::new(Term(1 + index / 100), Index(index))
}

/// Content whose every chunk differs.
pub(super) fn content(bytes: usize, seed: u8) -> Vec<u8> {
    (0..bytes).map(|at| (at / 512) as u8 ^ (at % 7) as u8 ^ seed).collect()
}

#[test]
fn this_disk_keeps_the_contract() {
    crate::storage::contract::check_disk(MemoryDisk::default);
}
