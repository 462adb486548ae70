//! The parts of a run that the load reads, and those that its effects change.

use crate::observer::Observer;
use crate::world::cluster::Cluster;
use crate::world::recovery::stabilization::Stabilization;
use crate::world::run::Setup;
use crate::world::scheduler::Scheduler;

/// The run around the load.
pub(crate) struct Surroundings<'a> {
    pub(crate) setup: &'a Setup,
    pub(crate) cluster: &'a Cluster,
    /// The goals of the stabilization phase; none in the fault phase.
    pub(crate) stabilization: Option<&'a Stabilization>,
    pub(crate) scheduler: &'a mut Scheduler,
    pub(crate) observer: &'a mut Observer,
}

impl Surroundings<'_> {
    /// Returns true until the stabilization phase begins.
    pub(super) fn in_fault_phase(&self) -> bool {
        self.stabilization.is_none()
    }
}
