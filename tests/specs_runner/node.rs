//! One node of a script's cluster: the Raft core, its clock, its disk and its state machine.

use std::collections::VecDeque;

use quorate::raft::{Action, Config, Input, Raft, Status};
use quorate::types::{Index, Instant, NodeId, SnapshotMeta};

use super::disk::{Disk, Image};

/// One node; `raft` is `None` while it is down.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) clock: Instant,
    pub(crate) disk: Disk,
    /// Writes wait for the command `flush`.
    pub(crate) manual_disk: bool,
    /// Batches for the state machine wait for the command `apply`.
    pub(crate) manual_apply: bool,
    raft: Option<Raft>,
    starts: u64,
    /// The batches that are not applied yet, by their last index.
    batches: VecDeque<Index>,
    /// The snapshots that the node requested since it started.
    requested_snapshots: Vec<SnapshotMeta>,
}

impl Node {
    /// Returns a node that is down, at time zero, with an empty disk.
    pub(crate) fn new(id: NodeId) -> Node {
        Node {
            id,
            clock: Instant::ZERO,
            disk: Disk::default(),
            manual_disk: false,
            manual_apply: false,
            raft: None,
            starts: 0,
            batches: VecDeque::new(),
            requested_snapshots: Vec::new(),
        }
    }

    /// Starts the node from its disk. Every start of every node has its own seed.
    pub(crate) fn start(&mut self, mut config: Config, seed: u64) -> Result<(), String> {
        self.starts += 1;
        config.id = self.id;
        let seed = seed.wrapping_mul(1_000_003) ^ (self.id.0 << 16) ^ self.starts;
        let restored = self.disk.image.restored();
        let raft = Raft::new(config, restored, seed, self.clock);
        self.raft = Some(raft.map_err(|error| format!("{} does not start: {error}", self.id))?);
        Ok(())
    }

    /// Replaces the disk; the next start reads `image`.
    pub(crate) fn replace_disk(&mut self, image: Image) {
        self.lose_memory();
        self.disk = Disk::new(image);
    }

    /// Drops the memory and the writes that are not durable. Returns the number of lost writes.
    pub(crate) fn crash(&mut self) -> usize {
        self.lose_memory();
        self.disk.lose()
    }

    fn lose_memory(&mut self) {
        self.raft = None;
        self.batches.clear();
        self.requested_snapshots.clear();
    }

    /// The Raft core; `None` while the node is down.
    pub(crate) fn raft(&self) -> Option<&Raft> {
        self.raft.as_ref()
    }

    /// The core's status; `None` while the node is down.
    pub(crate) fn status(&self) -> Option<Status> {
        self.raft.as_ref().map(Raft::status)
    }

    /// Passes one input to the core and returns its actions.
    pub(crate) fn step(&mut self, input: Input) -> Result<Vec<Action>, String> {
        let raft = self.raft.as_mut().ok_or_else(|| format!("{} is down", self.id))?;
        let mut actions = Vec::new();
        raft.step(self.clock, input, &mut actions);
        Ok(actions)
    }

    /// Carries out an action that the disk answers at once, and returns the answers.
    pub(crate) fn answer_from_disk(&mut self, action: Action) -> Result<Vec<Input>, String> {
        let image = &mut self.disk.image;
        match action {
            Action::Fetch { consumer, first, last, bytes_max } => {
                let entries = image.entries(first, last, bytes_max);
                let entries = entries.map_err(|why| format!("{} {why}", self.id))?;
                let meets_damage = image.damaged.range(first..=last).next().is_some();
                let damaged = meets_damage.then(|| Input::Damaged(image.damaged_entries()));
                Ok(damaged
                    .into_iter()
                    .chain([Input::Fetched { consumer, entries: entries.into() }])
                    .collect())
            }
            Action::Repair(entries) => Ok(vec![Input::Repaired(image.repair(&entries))]),
            Action::AdoptSnapshot(meta) => {
                let base = meta.last;
                image.take_snapshot(meta.clone(), base);
                Ok(vec![Input::SnapshotTaken { meta, base: base.index }])
            }
            other => Err(format!("{} has no disk for {other}", self.id)),
        }
    }

    /// Queues a batch, or a snapshot, that ends at `last` for the state machine.
    pub(crate) fn begin_apply(&mut self, last: Index) {
        self.batches.push_back(last);
    }

    /// Applies the oldest batch and returns its last index, if there is one.
    pub(crate) fn apply(&mut self) -> Option<Index> {
        self.batches.pop_front()
    }

    /// Records that the node requested a snapshot.
    pub(crate) fn request_snapshot(&mut self, meta: SnapshotMeta) {
        self.requested_snapshots.push(meta);
    }

    /// Returns the requested snapshot that ends at `last`, or the last one requested.
    pub(crate) fn receive(&self, last: Option<Index>) -> Option<SnapshotMeta> {
        let fits = |meta: &&SnapshotMeta| last.is_none_or(|last| last == meta.last.index);
        self.requested_snapshots.iter().rev().find(fits).cloned()
    }
}
