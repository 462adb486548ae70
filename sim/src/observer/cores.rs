//! The cores of the nodes, shown to a sink that takes the same steps.

use quorate::raft::Raft;
use quorate::replica::Note;
use quorate::types::{Instant, NodeId};

use crate::observe::{CoreInput, CoreSink};
use crate::observer::Observer;
use crate::values::time::SimTime;

impl Observer {
    /// Shows everything that the cores take to `sink`.
    pub(crate) fn show_cores(&mut self, sink: Option<CoreSink>) {
        self.cores = sink;
    }

    /// Shows the core of a node that starts.
    pub(crate) fn core_starts(&self, now: SimTime, node: NodeId, raft: &Raft) {
        if let Some(sink) = &self.cores {
            sink(now, node, CoreInput::Starts(raft));
        }
    }

    /// Shows the inputs that the core of a node took at `own` by the node's clock.
    pub(crate) fn core_takes(&self, now: SimTime, node: NodeId, own: Instant, notes: &[Note]) {
        let Some(sink) = &self.cores else { return };
        for note in notes {
            if let Note::RaftInput(input) = note {
                sink(now, node, CoreInput::Takes { now: own, input });
            }
        }
    }

    /// Whether every input and action of the nodes is observed.
    pub(crate) fn needs_all_notes(&self) -> bool {
        self.trace.is_some() || self.cores.is_some()
    }

    /// Whether the run is traced.
    pub(crate) fn is_traced(&self) -> bool {
        self.trace.is_some()
    }
}
