//! One node of a script's cluster: the core, its clock, its disk and its state machine.

use std::collections::VecDeque;

use quorate::raft::{Action, Config, Input, Raft, Status};
use quorate::types::{Index, Instant, NodeId, SnapshotMeta};

use super::disk::{Disk, Image};

/// One node; `raft` is absent while it is down.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) clock: Instant,
    pub(crate) disk: Disk,
    /// Whether writes wait for `flush`.
    pub(crate) manual_disk: bool,
    /// Whether batches for the state machine wait for `apply`.
    pub(crate) manual_apply: bool,
    raft: Option<Raft>,
    boots: u64,
    /// What was handed to the state machine and is not applied yet: the last index of each batch.
    batches: VecDeque<Index>,
    /// The snapshots it asked for since it started.
    wanted: Vec<SnapshotMeta>,
}

impl Node {
    /// A node that is down, at time zero, with an empty disk.
    pub(crate) fn new(id: NodeId) -> Node {
        Node {
            id,
            clock: Instant::ZERO,
            disk: Disk::default(),
            manual_disk: false,
            manual_apply: false,
            raft: None,
            boots: 0,
            batches: VecDeque::new(),
            wanted: Vec::new(),
        }
    }

    /// Starts from what the disk holds. Each start of each node has a seed of its own.
    pub(crate) fn start(&mut self, mut config: Config, seed: u64) -> Result<(), String> {
        self.boots += 1;
        config.id = self.id;
        let seed = seed.wrapping_mul(1_000_003) ^ (self.id.0 << 16) ^ self.boots;
        let restored = self.disk.image.restored();
        let raft = Raft::new(config, restored, seed, self.clock);
        self.raft = Some(raft.map_err(|error| format!("{} does not start: {error}", self.id))?);
        Ok(())
    }

    /// Replaces the disk; the next start finds `image`.
    pub(crate) fn replace_disk(&mut self, image: Image) {
        self.forget();
        self.disk = Disk::new(image);
    }

    /// Loses the memory and every write that is not durable; says how many those were.
    pub(crate) fn crash(&mut self) -> usize {
        self.forget();
        self.disk.lose()
    }

    fn forget(&mut self) {
        self.raft = None;
        self.batches.clear();
        self.wanted.clear();
    }

    /// The core, unless the node is down.
    pub(crate) fn raft(&self) -> Option<&Raft> {
        self.raft.as_ref()
    }

    /// The core's state, unless the node is down.
    pub(crate) fn status(&self) -> Option<Status> {
        self.raft.as_ref().map(Raft::status)
    }

    /// Gives the core one input.
    pub(crate) fn step(&mut self, input: Input) -> Result<Vec<Action>, String> {
        let raft = self.raft.as_mut().ok_or_else(|| format!("{} is down", self.id))?;
        let mut actions = Vec::new();
        raft.step(self.clock, input, &mut actions);
        Ok(actions)
    }

    /// Takes a batch for the state machine, or a snapshot, that ends at `last`.
    pub(crate) fn hand_over(&mut self, last: Index) {
        self.batches.push_back(last);
    }

    /// Applies the oldest batch and names its last index, if there was one.
    pub(crate) fn apply(&mut self) -> Option<Index> {
        self.batches.pop_front()
    }

    /// Wants a snapshot.
    pub(crate) fn want(&mut self, meta: SnapshotMeta) {
        self.wanted.push(meta);
    }

    /// The snapshot that ends at `last`, or the one it asked for last, is here.
    pub(crate) fn receive(&self, last: Option<Index>) -> Option<SnapshotMeta> {
        let fits = |meta: &&SnapshotMeta| last.is_none_or(|last| last == meta.last.index);
        self.wanted.iter().rev().find(fits).cloned()
    }
}
