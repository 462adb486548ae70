//! Passes every start and input of the cores to a function, which can take the same steps.

use quorate::raft::Raft;
use quorate::replica::Note;
use quorate::types::{Instant, NodeId};

use crate::observe::{CoreInput, CoreSink};
use crate::observer::Observer;
use crate::values::time::SimTime;

impl Observer {
    /// Sets the function that receives every start and input of the cores.
    pub(crate) fn set_core_sink(&mut self, sink: Option<CoreSink>) {
        self.cores = sink;
    }

    /// Passes on the core of a node that starts.
    pub(crate) fn core_starts(&self, now: SimTime, node: NodeId, raft: &Raft) {
        if let Some(sink) = &self.cores {
            sink(now, node, CoreInput::Starts(raft));
        }
    }

    /// Passes on the inputs that the core of a node took at `own` by the node's clock.
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
