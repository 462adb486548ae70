//! The world of one run: nodes, disks, clocks, the network, clients and the plan, advanced one
//! event at a time.
//!
//! Each piece of state has one owner, a folder that takes what else it needs by argument: the
//! scheduler, the cluster, the network, the load, the faults, and the recovery. The world has one
//! of each and dispatches the events. Its methods call one another in one direction: from
//! `dispatch` through `stabilizing` and `steps` to `outputs` and `strikes`.
//!
//! Each output of a node is executed separately, so a crash can fall between any two. The world
//! reports everything to an [`Observer`] and never asks it anything, so a run is the same whether
//! or not it is observed.

mod cluster;
mod dispatch;
mod faults;
mod goals;
mod load;
mod network;
mod outputs;
mod place;
mod recovery;
mod run;
mod scheduler;
mod setup;
mod stabilizing;
mod steps;
mod strikes;
#[cfg(test)]
mod tests;

use std::time::Duration;

use quorate::raft::{PeerStatus, RoleName};
use quorate::types::{NodeId, Tag};

use crate::observe::outcome::ScriptedResults;
use crate::observer::Observer;
use crate::plan::Plan;
use crate::settings::Settings;
use crate::values::choice::Choices;
use crate::values::time::SimTime;
use crate::workload::AnyWorkload;
use crate::world::cluster::Cluster;
use crate::world::cluster::steps::StepResults;
use crate::world::faults::Faults;
use crate::world::load::Load;
use crate::world::load::replies::ClientReply;
use crate::world::load::surroundings::Surroundings;
pub(crate) use crate::world::network::Network;
#[cfg(feature = "cli")]
pub(crate) use crate::world::network::Sender;
#[cfg(feature = "cli")]
pub(crate) use crate::world::place::Place;
use crate::world::recovery::Recovery;
use crate::world::run::Run;
use crate::world::scheduler::Scheduler;
use crate::world::scheduler::queue::Event;
use crate::world::setup::Setup;

/// A cluster and its environment. A clone continues exactly as the original would.
#[derive(Clone, Debug)]
pub(crate) struct World {
    setup: Setup,
    scheduler: Scheduler,
    cluster: Cluster,
    network: Network,
    load: Load,
    faults: Faults,
    recovery: Recovery,
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
    ) -> World {
        let setup = Setup { settings, workload, choices };
        let mut world = World {
            scheduler: Scheduler::default(),
            cluster: Cluster::new(&setup),
            network: Network::new(setup.settings.nodes().into()),
            load: Load::new(&setup.settings),
            faults: Faults::new(plan),
            recovery: Recovery::default(),
            ended: false,
            results: StepResults::default(),
            setup,
        };
        let World { setup, scheduler, cluster, load, faults, .. } = &mut world;
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

    /// Makes every disk lie about flushes from now on: a planted bug that the checks must find.
    pub(crate) fn plant_canary(&mut self) {
        self.cluster.plant_canary();
    }

    /// Returns the current time, and the number of events so far.
    pub(crate) fn position(&self) -> (SimTime, u64) {
        (self.scheduler.now(), self.scheduler.events())
    }

    /// Returns the peer status of each leader.
    pub(crate) fn peers(&self) -> Vec<(NodeId, Vec<PeerStatus>)> {
        let running = self.cluster.nodes().filter_map(|node| node.running());
        let leaders = running.filter(|running| running.status().role == RoleName::Leader);
        leaders.map(|running| (running.status().id, running.peers())).collect()
    }

    /// Returns a hash over all events so far.
    pub(crate) fn digest(&self) -> u64 {
        self.scheduler.digest()
    }

    /// Returns the reason why time does not advance, or hardly does, if that is so.
    pub(crate) fn stalled(&self) -> Option<String> {
        self.scheduler.stalled()
    }

    /// Returns the outcomes of scripted requests, and the leaders over time.
    pub(crate) fn scripted_results(&self) -> ScriptedResults {
        self.load.scripted_results()
    }

    /// Returns the cluster, and the run around it.
    fn cluster_and_run<'a>(&'a mut self, observer: &'a mut Observer) -> (&'a mut Cluster, Run<'a>) {
        let World { setup, scheduler, cluster, .. } = self;
        (cluster, Run { setup, scheduler, observer })
    }

    /// Returns the load, and the run around it.
    fn load_and_surroundings<'a>(
        &'a mut self,
        observer: &'a mut Observer,
    ) -> (&'a mut Load, Surroundings<'a>) {
        let World { setup, scheduler, cluster, load, recovery, .. } = self;
        (load, Surroundings { setup, cluster, recovery, scheduler, observer })
    }

    /// Delivers a reply to a client.
    fn reply(&mut self, tag: Tag, reply: ClientReply<'_>, observer: &mut Observer) {
        let (load, mut run) = self.load_and_surroundings(observer);
        if let Some(probed) = load.reply(tag, reply, &mut run) {
            self.recovery.note_probe(probed);
        }
    }
}
