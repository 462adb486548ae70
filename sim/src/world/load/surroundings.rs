//! The parts of a run that the load reads, and those that its effects change.

use crate::observer::Observer;
use crate::world::cluster::Cluster;
use crate::world::recovery::Recovery;
use crate::world::run::Setup;
use crate::world::scheduler::Scheduler;

/// The run around the load.
pub(crate) struct Surroundings<'a> {
    pub(crate) setup: &'a Setup,
    pub(crate) cluster: &'a Cluster,
    pub(crate) recovery: &'a Recovery,
    pub(crate) scheduler: &'a mut Scheduler,
    pub(crate) observer: &'a mut Observer,
}
