//! The load of a run: its clients, its operator, and its scripted requests.

pub(super) mod clients;
mod hostile;
pub(super) mod operator;
mod replies;
mod scripted;
mod scripted_clients;
mod sending;
mod timers;

use crate::observe::Observation;
use crate::observer::Observer;
use crate::settings::Settings;
use crate::world::cluster::Cluster;
use crate::world::load::clients::Clients;
use crate::world::load::operator::Operator;
use crate::world::load::scripted::ScriptedRequests;
use crate::world::recovery::stabilization::Stabilization;
use crate::world::run::Setup;
use crate::world::scheduler::Scheduler;

/// The clients and the operator of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Load {
    pub(super) clients: Clients,
    pub(crate) scripted: ScriptedRequests,
    pub(super) operator: Operator,
}

impl Load {
    /// Returns the load at the start of a run.
    pub(super) fn new(settings: &Settings) -> Load {
        let clients = Clients::new(settings.clients, settings.hostile_clients);
        Load { clients, ..Load::default() }
    }
}

/// The parts of the run, besides the load itself, that the load uses.
pub(crate) struct Surroundings<'a> {
    pub(crate) setup: &'a Setup,
    pub(crate) cluster: &'a Cluster,
    /// The goals of the stabilization phase; none in the fault phase.
    pub(crate) stabilization: Option<&'a Stabilization>,
    pub(crate) scheduler: &'a mut Scheduler,
    pub(crate) observer: &'a mut Observer,
}

impl Surroundings<'_> {
    /// Passes an observation to the observer, at the current time.
    pub(super) fn observe(&mut self, observation: Observation<'_>) {
        self.observer.observe(self.scheduler.now(), observation);
    }

    /// Returns true until the stabilization phase begins.
    pub(super) fn in_fault_phase(&self) -> bool {
        self.stabilization.is_none()
    }
}
