//! The world of one run: nodes, disks, clocks, the network, clients and the plan, advanced one
//! event at a time.
//!
//! Each piece of state has one owner, which gets everything else that it needs as arguments: the
//! cluster, the network, the load, the faults, the goals of the stabilization phase, and the run
//! with its scheduler. The world has one of each and dispatches the events. Its methods call one
//! another in one direction: from `dispatch` through `stabilizing` and `steps` to `outputs` and
//! `strikes`.
//!
//! Each output of a node is executed separately, so a crash can fall between any two. The world
//! reports everything to an [`Observer`], and asks it only what to report and whether the run may
//! continue, so a run is the same whether or not it is observed.

mod cluster;
mod dispatch;
mod drill;
mod faults;
mod goals;
mod load;
mod network;
mod outputs;
mod place;
mod recovery;
mod run;
mod scheduler;
mod slots;
mod stabilizing;
mod steps;
mod strikes;
#[cfg(test)]
mod tests;

use std::time::Duration;

use quorate::machine::Digest;
use quorate::replica::Output;

use crate::observer::Observer;
use crate::plan::Plan;
use crate::settings::Settings;
use crate::values::choice::Choices;
use crate::workload::AnyWorkload;
use crate::world::cluster::Cluster;
use crate::world::cluster::processes::StepResults;
use crate::world::faults::Faults;
use crate::world::load::Load;
use crate::world::load::Surroundings;
pub(crate) use crate::world::network::Network;
pub(crate) use crate::world::place::Place;
#[cfg(all(feature = "cli", unix))]
pub(crate) use crate::world::place::Start;
use crate::world::recovery::stabilization::Stabilization;
pub(crate) use crate::world::run::Run;
use crate::world::run::Setup;
use crate::world::scheduler::Event;
use crate::world::scheduler::Scheduler;

/// A cluster and its environment.
pub(crate) struct World {
    pub(crate) run: Run,
    pub(crate) cluster: Cluster,
    network: Network,
    pub(crate) load: Load,
    faults: Faults,
    /// The goals of the stabilization phase; none in the fault phase.
    stabilization: Option<Stabilization>,
    ended: bool,
    results: StepResults,
}

impl World {
    /// Returns the world at the start, in which every node is about to start for the first time.
    pub(crate) fn new(
        settings: Settings,
        workload: AnyWorkload,
        plan: Plan,
        choices: Choices,
        observer: Observer,
    ) -> World {
        let setup = Setup { settings, workload, choices };
        let mut world = World {
            cluster: Cluster::new(&setup),
            network: Network::new(setup.settings.nodes().into()),
            load: Load::new(&setup.settings),
            faults: Faults::new(plan),
            stabilization: None,
            ended: false,
            results: StepResults::default(),
            run: Run { setup, scheduler: Scheduler::default(), observer },
        };
        let World { run: Run { setup, scheduler, .. }, cluster, load, faults, .. } = &mut world;
        for place in cluster.places() {
            scheduler.at_once(Event::Restart { place, start_number: 1 });
        }
        for micros in setup.choices.reseeds() {
            scheduler.after(Duration::from_micros(micros.into()), Event::Reseed { micros });
        }
        faults.plan.schedule(scheduler);
        load.schedule_clients(setup, scheduler);
        scheduler.at(setup.fault_phase_end(), Event::Stabilize);
        world
    }

    /// Returns true until the stabilization phase begins.
    fn in_fault_phase(&self) -> bool {
        self.stabilization.is_none()
    }

    /// Returns true if a node that is down or paused may come back; in the stabilization phase only
    /// core nodes do.
    fn may_recover(&self, place: Place) -> bool {
        self.stabilization.as_ref().is_none_or(|stabilization| stabilization.core.contains(&place))
    }

    /// Returns the load, and the run around it.
    fn load_and_surroundings(&mut self) -> (&mut Load, Surroundings<'_>) {
        let World { run: Run { setup, scheduler, observer }, cluster, load, stabilization, .. } =
            self;
        let stabilization = stabilization.as_ref();
        (load, Surroundings { setup, cluster, stabilization, scheduler, observer })
    }

    /// Delivers a reply to a client.
    fn reply(&mut self, at: Place, reply: &Output, state: Option<Digest>) {
        let (load, mut run) = self.load_and_surroundings();
        if let Some(probed) = load.reply(at, reply, state, &mut run)
            && let Some(stabilization) = &mut self.stabilization
        {
            stabilization.note_probe(probed);
        }
    }
}
