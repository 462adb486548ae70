//! The abstract states of a run, for the search strategy that is guided by them.

use quorate::types::NodeId;

use crate::observer::Observer;
use crate::observer::guided::{AbstractStates, RunPoint};
use crate::values::time::SimTime;

impl Observer {
    /// Starts to record the abstract states of the nodes.
    pub(crate) fn record_shapes(&mut self) {
        self.shapes = Some(Default::default());
    }

    /// Whether abstract states are recorded.
    pub(crate) fn records_shapes(&self) -> bool {
        self.shapes.is_some()
    }

    /// Records the abstract state of a node after its step.
    pub(crate) fn shape_seen(&mut self, now: SimTime, node: NodeId, shape: u64) {
        if let Some((shapes, last)) = &mut self.shapes
            && *last != shape
        {
            *last = shape;
            shapes.entry(shape).or_insert(RunPoint { at: now, node });
        }
    }

    /// Takes the abstract states of the run.
    pub(crate) fn take_shapes(&mut self) -> AbstractStates {
        self.shapes.take().unwrap_or_default().0
    }
}
