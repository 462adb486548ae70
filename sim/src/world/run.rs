//! The part of a run that every owner of state (network, cluster, load) may use, besides the
//! state that it owns.

use crate::observe::Observation;
use crate::observer::Observer;
use crate::settings::Settings;
use crate::values::choice::Choices;
use crate::values::time::SimTime;
use crate::workload::AnyWorkload;
use crate::world::scheduler::Scheduler;

/// The decisions made before the run, its time and future events, and its observer.
pub(crate) struct Run {
    pub(crate) setup: Setup,
    pub(crate) scheduler: Scheduler,
    pub(crate) observer: Observer,
}

/// Everything that decides a run besides its plan. No choice depends on an earlier one, so all
/// owners of state may draw from the same `choices`.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) settings: Settings,
    pub(crate) workload: AnyWorkload,
    pub(crate) choices: Choices,
}

impl Run {
    /// Passes an observation to the observer, at the current time.
    pub(crate) fn observe(&mut self, observation: Observation<'_>) {
        self.observer.observe(self.scheduler.now(), observation);
    }
}

impl Setup {
    /// Returns the end of the fault phase, at which faults without an end of their own are repaired
    /// in the core.
    pub(crate) fn fault_phase_end(&self) -> SimTime {
        SimTime::default().after(self.settings.fault_phase)
    }
}
