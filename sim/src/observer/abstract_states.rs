//! The abstract states of a run, for the search strategy that is guided by them.

use quorate::types::NodeId;

use crate::observer::Observer;
use crate::observer::guided::{AbstractStates, RunPoint};
use crate::values::time::SimTime;

impl Observer {
    /// Starts to record the abstract states of the nodes.
    pub(crate) fn record_abstract_states(&mut self) {
        self.abstract_states = Some(Default::default());
    }

    /// Whether abstract states are recorded.
    pub(crate) fn records_abstract_states(&self) -> bool {
        self.abstract_states.is_some()
    }

    /// Records the abstract state of a node after its step.
    pub(crate) fn abstract_state_seen(&mut self, now: SimTime, node: NodeId, state: u64) {
        if let Some((abstract_states, last)) = &mut self.abstract_states
            && *last != state
        {
            *last = state;
            abstract_states.entry(state).or_insert(RunPoint { at: now, node });
        }
    }

    /// Takes the abstract states of the run.
    pub(crate) fn take_abstract_states(&mut self) -> AbstractStates {
        self.abstract_states.take().unwrap_or_default().0
    }
}
