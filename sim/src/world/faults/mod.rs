//! The faults of a run: its plan, the faults that are active, and the damage that they have done.

pub(super) mod active_plan;
pub(super) mod machine;
mod misroute;
pub(super) mod node_faults;
pub(super) mod versions;

use crate::faults::{Fault, LinkFault, Simulated, Verb};
use crate::machine::taint::Taint;
use crate::observer::Observer;
use crate::plan::Plan;
use crate::world::cluster::Cluster;
use crate::world::faults::active_plan::ActivePlan;
use crate::world::faults::active_plan::Effect;
use crate::world::network::Network;
use crate::world::network::links::Links;
use crate::world::place::Place;
use crate::world::run::Run;
use crate::world::scheduler::{Event, PlanEvent};

/// The faults of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    pub(super) plan: ActivePlan,
    /// The state machines that may be wrong.
    pub(super) taint: Taint,
    /// Whether durable state that safety depends on is lost: the checks are off from then on.
    pub(super) safety_lost: bool,
}

impl Faults {
    /// Returns the faults at the start of a run.
    pub(super) fn new(plan: Plan) -> Faults {
        let mut faults = Faults::default();
        faults.plan.plan = plan;
        faults
    }

    /// Turns off the checks for the rest of the run, because more disks are lost than the cluster
    /// can survive, or a disk was rolled back without a mark.
    pub(super) fn lose_safety(&mut self, observer: &mut Observer) {
        observer.disable_checks();
        self.safety_lost = true;
    }

    /// Applies a fault of the plan to links.
    pub(super) fn strike_links(
        &mut self,
        verb: &Verb,
        fault: LinkFault,
        links: Links,
        cluster: &Cluster,
        network: &mut Network,
        run: &mut Run,
    ) {
        let until = run.scheduler.now().after(verb.duration().unwrap_or_default());
        match fault {
            LinkFault::Block => {
                network.block(links);
                self.begin(verb, Effect::Blocked(links), cluster, run);
            }
            LinkFault::Flap(period) if links != Links::default() => {
                let flapping = Effect::Flapping { links, period, until, down: false };
                self.plan.begin(flapping, period, &mut run.scheduler);
            }
            LinkFault::Flap(_) => {}
            LinkFault::Clog => {
                network.clog(links, until.min(run.setup.fault_phase_end()));
                self.begin_passing(verb, run);
            }
        }
    }

    /// Applies a fault of the plan that only a simulated node can have, not a real process.
    pub(super) fn strike_simulated(
        &mut self,
        verb: &Verb,
        place: Place,
        strike: &Simulated<'_>,
        cluster: &mut Cluster,
        network: &mut Network,
        run: &mut Run,
    ) {
        let may_damage = match strike {
            Simulated::Damage(_) => cluster.may_damage(place),
            Simulated::DamageEntries(_) => cluster.may_damage_entries(place),
            _ => false,
        };
        let node = &mut cluster[place];
        match *strike {
            Simulated::Misroute(count) => misroute::misroute(node, count, network, run),
            Simulated::Replay(count) => misroute::replay(node, count, network, run),
            Simulated::MachineFault(fault) => {
                machine::strike(cluster, place, fault, &mut self.taint, run);
            }
            // The world restarts the node.
            Simulated::Install(_) => {}
            Simulated::Lasting(lasting) => {
                if node_faults::begin(node, lasting, run) {
                    self.begin(verb, Effect::OnNode(place, lasting), cluster, run);
                }
            }
            Simulated::Campaign
            | Simulated::ClockStep(_)
            | Simulated::StalledDisk(_)
            | Simulated::FailedCall(..)
            | Simulated::Damage(_)
            | Simulated::DamageEntries(_) => {
                if node_faults::strike(node, strike, may_damage, run)
                    && let Some(fault) = verb.fault()
                {
                    run.observer.fault(fault, node.role());
                    if matches!(strike, Simulated::StalledDisk(_)) {
                        self.begin_passing(verb, run);
                    }
                }
            }
        }
    }

    /// Records a fault that the node or the network ends, and schedules the report of its end.
    fn begin_passing(&mut self, verb: &Verb, run: &mut Run) {
        let duration = verb.duration().unwrap_or_default();
        self.plan.begin(Effect::Passing, duration, &mut run.scheduler);
    }

    /// Counts a lasting fault, and begins its effect.
    pub(super) fn begin(&mut self, verb: &Verb, effect: Effect, cluster: &Cluster, run: &mut Run) {
        if let Some(fault) = verb.fault() {
            effect.count(fault, cluster, &mut run.observer);
        }
        self.plan.begin(effect, verb.duration().unwrap_or_default(), &mut run.scheduler);
    }

    /// Blocks or unblocks flapping links, in turn. At the end of the fault the links are unblocked.
    pub(super) fn flap(
        &mut self,
        number: u32,
        cluster: &Cluster,
        network: &mut Network,
        run: &mut Run,
    ) {
        let effect = *self.plan.effect(number);
        let Effect::Flapping { links, period, until, down } = effect else { return };
        let now = run.scheduler.now();
        if down || now >= until {
            if down {
                network.unblock(links);
            }
            if now >= until {
                run.observer.plan_op_ends(now, self.plan.began(number));
                return;
            }
        } else {
            network.block(links);
            effect.count(Fault::Flap, cluster, &mut run.observer);
        }
        *self.plan.effect(number) = Effect::Flapping { links, period, until, down: !down };
        run.scheduler.at(now.after(period).min(until), Event::Plan(PlanEvent::Flap, number));
    }
}
