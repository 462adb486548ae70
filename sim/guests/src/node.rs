//! One node of a cluster: its core, its disk, its waiting inputs and effects, and its state
//! machine.

use std::collections::VecDeque;
use std::time::Duration;

use crate::disk::{CachedDisk, Snapshot};
use crate::guest::{Effect, Guest, NodeId, Status};
use crate::machine::Machine;

/// An input that waits for its node.
#[derive(Debug)]
pub(crate) enum Input<M> {
    /// A tick of the node's clock.
    Tick,
    /// A message from the node with this id arrives.
    Message(NodeId, M),
    /// A client asks for an operation.
    Operation(u64),
    /// The state machine has applied many entries.
    Compact(Snapshot),
    /// A peer can be reached again.
    Reconnected(NodeId),
}

/// A node, which runs or is down.
pub(crate) struct Node<G: Guest> {
    pub(crate) id: NodeId,
    /// The core, if the node runs.
    pub(crate) core: Option<G>,
    /// The number of the current start, or of the last one.
    pub(crate) start: u32,
    /// The build of the current start, or of the last one.
    pub(crate) build: usize,
    pub(crate) disk: CachedDisk,
    /// The effects that are not carried out yet.
    pub(crate) effects: VecDeque<Effect<G::Message>>,
    pub(crate) inbox: VecDeque<Input<G::Message>>,
    /// Whether the node waits for its disk.
    pub(crate) is_syncing: bool,
    /// The number of pauses that have not ended.
    pub(crate) pauses: u32,
    /// Whether an effect is being carried out, or an input taken.
    pub(crate) is_busy: bool,
    /// The status after the last input.
    pub(crate) status: Status,
    /// The status after the last input whose effects have all been carried out.
    pub(crate) settled: Status,
    pub(crate) machine: Machine,
    /// The index of the last applied entry.
    pub(crate) applied: u64,
    /// The number of effects after which the node crashes.
    pub(crate) crash_after: Option<usize>,
    pub(crate) handicap: Handicap,
}

/// The delays and the clock error that faults give a node, and the number of its steps.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Handicap {
    /// The error of its clock, in parts per million: that of the last drift that began.
    pub(crate) clock_ppm: i32,
    /// The number of drifts of the clock that have not ended.
    pub(crate) drifts: u32,
    /// The additional time of a sync, summed over all active faults.
    pub(crate) sync: Duration,
    /// The number of steps so far, which is part of the key of each random choice.
    pub(crate) steps: u32,
}

impl Handicap {
    pub(crate) fn begin_drift(&mut self, ppm: i32) {
        self.clock_ppm = ppm;
        self.drifts += 1;
    }

    /// Ends one drift. The last one restores the exact clock.
    pub(crate) fn end_drift(&mut self) {
        self.drifts -= 1;
        if self.drifts == 0 {
            self.clock_ppm = 0;
        }
    }
}

impl<G: Guest> Node<G> {
    pub(crate) fn new(id: NodeId) -> Node<G> {
        Node {
            id,
            core: None,
            start: 0,
            build: 0,
            disk: CachedDisk::default(),
            effects: VecDeque::new(),
            inbox: VecDeque::new(),
            is_syncing: false,
            pauses: 0,
            is_busy: false,
            status: Status::default(),
            settled: Status::default(),
            machine: Machine::default(),
            applied: 0,
            crash_after: None,
            handicap: Handicap::default(),
        }
    }

    /// Returns whether the process of this start still runs.
    pub(crate) fn runs(&self, start: u32) -> bool {
        self.core.is_some() && self.start == start
    }

    /// Returns whether the node can take its next input or carry out its next effect.
    pub(crate) fn is_ready(&self) -> bool {
        self.core.is_some() && !self.is_syncing && self.pauses == 0
    }

    /// Ends one pause; the pauses of a node are over at its restart and in the stabilization phase.
    pub(crate) fn end_pause(&mut self) {
        self.pauses = self.pauses.saturating_sub(1);
    }

    /// Loses everything but the disk, of which the first `kept` cached writes survive.
    pub(crate) fn crash(&mut self, kept: usize) {
        self.disk.crash(kept);
        let (id, start, build) = (self.id, self.start, self.build);
        let disk = std::mem::take(&mut self.disk);
        let handicap = self.handicap;
        *self = Node { start, build, disk, handicap, ..Node::new(id) };
    }

    /// Returns the time between two ticks.
    pub(crate) fn tick(&self, nominal: Duration) -> Duration {
        let ppm = i64::from(self.handicap.clock_ppm) + 1_000_000;
        nominal * 1_000_000 / u32::try_from(ppm).unwrap_or(1_000_000)
    }
}
