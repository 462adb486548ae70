//! The faults of a run: its plan, the faults that are active, and what the cluster has lost by
//! them. Each family of faults has a file with its effects.

pub(super) mod active_plan;
pub(super) mod effect;
pub(super) mod machine;
pub(super) mod misroute;
pub(super) mod node_faults;
pub(super) mod targets;

use crate::machine::taint::Taint;
use crate::observer::Observer;
use crate::plan::Plan;
use crate::world::faults::active_plan::ActivePlan;

/// The faults of a run.
#[derive(Clone, Debug)]
pub(super) struct Faults {
    pub(super) plan: ActivePlan,
    /// The state machines that may be wrong.
    pub(super) taint: Taint,
    /// A node lost durable state that safety depends on: from then on the run only must not panic.
    safety_lost: bool,
}

impl Faults {
    /// Returns the faults at the start of a run.
    pub(super) fn new(plan: Plan) -> Faults {
        Faults { plan: ActivePlan::new(plan), taint: Taint::default(), safety_lost: false }
    }

    /// Disables the safety checks, because more disks are lost than the cluster can survive.
    pub(super) fn lose_safety(&mut self, observer: &mut Observer) {
        observer.disable_checks();
        self.safety_lost = true;
    }

    /// Returns true if more disks are lost than the cluster can survive.
    pub(super) fn is_safety_lost(&self) -> bool {
        self.safety_lost
    }
}
