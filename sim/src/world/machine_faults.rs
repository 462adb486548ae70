//! Machine faults: errors of state machines, always fewer than a majority could confirm.

use quorate::raft::{RoleName, Status};
use quorate::replica::{ComparisonResult, Output};

use crate::choice::{Key, Kind};
use crate::coverage::Spot;
use crate::fault::Fault;
use crate::observe::Observation;
use crate::observer::Observer;
use crate::plan::MachineFault;
use crate::world::World;
use crate::world::place::Place;

impl World {
    /// Makes a node's state machine fail with its next command, unless too many may then be wrong.
    pub(super) fn inject_machine_fault(
        &mut self,
        place: Place,
        fault: MachineFault,
        observer: &mut Observer,
    ) {
        let voters = self.committed_membership.membership.incoming().len();
        let node = &mut self.nodes[place.0 as usize];
        let few = 2 * (self.taint.others(place.id()) + 1) < voters;
        let (Some(running), true) = (&node.running, few) else { return };
        self.taint.add_fault(place.id());
        let key = Key {
            node: place.0 + 1,
            counter: self.taint.fault_count(),
            ..Kind::MachineFault.key()
        };
        running.worker.machine().user().fail_next(fault, self.choices.choose(key, u64::MAX));
        observer.fault(Fault::MachineFault, node.role());
        observer.observe(self.scheduler.now(), Observation::MachineFault { node: place.id() });
    }

    /// Records whether a leader finds in this step that its state machine has diverged.
    pub(super) fn note_leader_quarantine(
        before: &Status,
        outputs: &[Output],
        observer: &mut Observer,
    ) {
        let wrong = |output: &Output| {
            matches!(output, Output::StateCompared(ComparisonResult::Diverged { .. }))
        };
        let led = before.role == RoleName::Leader;
        observer.reach_if(led && outputs.iter().any(wrong), Spot::LeaderQuarantined);
    }

    /// Records the result of a comparison of state machines.
    pub(super) fn state_compared(
        &mut self,
        place: Place,
        result: ComparisonResult,
        observer: &mut Observer,
    ) {
        observer.reach(match result {
            ComparisonResult::Consistent { .. } => Spot::ResultsAgreed,
            ComparisonResult::Unavailable { .. } => Spot::ResultsUnavailable,
            ComparisonResult::Inconclusive { .. } | ComparisonResult::NoMajority { .. } => {
                Spot::ResultsInconclusive
            }
            ComparisonResult::Diverged { .. } => Spot::NodeQuarantined,
            ComparisonResult::Rebuilt { .. } => Spot::NodeRebuilt,
        });
        observer
            .observe(self.scheduler.now(), Observation::StateCompared { node: place.id(), result });
    }

    /// Returns true if two nodes with the same log have different states.
    pub(super) fn states_differ(&self, one: Place, other: Place) -> bool {
        let digest = |place: Place| {
            let running = self.nodes[place.0 as usize].running.as_deref()?;
            running.worker.machine().digest().ok().flatten()
        };
        !self.taint.is_too_many()
            && digest(one).zip(digest(other)).is_some_and(|(one, other)| one != other)
    }

    /// Returns true if a state machine has failed in the run.
    pub(super) fn has_machine_faults(&self) -> bool {
        self.taint.fault_count() > 0
    }
}
