//! The decisions made before a run: its settings, its workload and its random choices.

use crate::settings::Settings;
use crate::values::choice::Choices;
use crate::values::time::SimTime;
use crate::workload::AnyWorkload;

/// Everything that decides a run besides its plan. No choice depends on an earlier one, so all may
/// share it.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) settings: Settings,
    pub(super) workload: AnyWorkload,
    pub(super) choices: Choices,
}

impl Setup {
    /// Returns the end of the fault phase, at which faults without an end of their own are repaired
    /// in the core.
    pub(super) fn fault_phase_end(&self) -> SimTime {
        SimTime::default().after(self.settings.fault_phase)
    }
}
