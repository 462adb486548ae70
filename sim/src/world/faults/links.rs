//! Faults of links: those that block them, let them flap, or clog them.

use std::time::Duration;

use crate::faults::{NodeSelector, Verb};
use crate::world::cluster::Cluster;
use crate::world::faults::effect::Effect;
use crate::world::faults::targets::Targets;
use crate::world::network::Network;
use crate::world::network::links::Links;
use crate::world::place::Place;
use crate::world::run::Run;
use crate::world::scheduler::Scheduler;

/// Returns the links that the operation blocks until it ends, if it is such a fault and its nodes
/// are known.
pub(crate) fn blocked_by(
    verb: &Verb,
    targets: &Targets,
    places: impl Iterator<Item = Place> + Clone,
) -> Option<Links> {
    let resolve = |node| targets.of(node).map(Place::id);
    let blocked = match verb {
        Verb::Partition(partition) => partition.blocks(&resolve),
        Verb::OneWay(one_way) => one_way.blocks(&resolve),
        Verb::Bridge(bridge) => bridge.blocks(&resolve),
        Verb::Crash(_)
        | Verb::Stop(_)
        | Verb::Pause(_)
        | Verb::Wipe(_)
        | Verb::Rollback(_)
        | Verb::Flap(_)
        | Verb::Clog(_)
        | Verb::ClockDrift(_)
        | Verb::ClockStep(_)
        | Verb::SlowDisk(_)
        | Verb::SlowApply(_)
        | Verb::Misroute(_)
        | Verb::Replay(_)
        | Verb::Campaign(_)
        | Verb::LoadSpike(_)
        | Verb::FailedCall(_)
        | Verb::FullDisk(_)
        | Verb::StalledDisk(_)
        | Verb::BitRot(_)
        | Verb::MisdirectedWrite(_)
        | Verb::LostWrite(_)
        | Verb::MembershipChange(_)
        | Verb::Transfer(_)
        | Verb::FaultyMachine(_)
        | Verb::ScriptedRequest(_) => None,
    };
    blocked
        .map(|blocked| Links::between(places, |from: Place, to: Place| blocked(from.id(), to.id())))
}

/// Returns the effect of links that go down and up again, if there are two nodes.
pub(crate) fn flap(
    one: Place,
    another: NodeSelector,
    period: Duration,
    duration: Duration,
    targets: &Targets,
    scheduler: &Scheduler,
) -> Option<Effect> {
    let another = targets.of(another).filter(|another| *another != one)?;
    let links = Links::one(one, another).and(Links::one(another, one));
    let until = scheduler.now().after(duration);
    Some(Effect::Flapping { links, period, until, down: false })
}

/// Holds back all messages from the node; they arrive together at the end.
pub(crate) fn clog(
    place: Place,
    duration: Duration,
    cluster: &Cluster,
    network: &mut Network,
    run: &mut Run<'_>,
) {
    let links = Links::between(cluster.places(), |from, _| from == place);
    let until = run.scheduler.now().after(duration).min(run.setup.fault_phase_end());
    network.clog(links, until);
}
