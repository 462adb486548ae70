//! Faults of links: those that block them, let them flap, or clog them.

use std::time::Duration;

use crate::plan::{NodeSelector, Verb};
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
    let links = |chosen: &dyn Fn(Place, Place) -> bool| Links::between(places.clone(), chosen);
    Some(match verb {
        Verb::Isolate(node, _) => {
            let place = targets.of(*node)?;
            links(&|from, to| from == place || to == place)
        }
        Verb::BlockInbound(node, _) => {
            let place = targets.of(*node)?;
            links(&|_, to| to == place)
        }
        Verb::BlockOutbound(node, _) => {
            let place = targets.of(*node)?;
            links(&|from, _| from == place)
        }
        Verb::Strand(node, with, _) => {
            let (place, ally) = (targets.of(*node)?, targets.of(*with)?);
            links(&|from, to| (from == place && to != ally) || (to == place && from != ally))
        }
        Verb::Cut(from, to, _) => {
            let (from, to) = (targets.of(*from)?, targets.of(*to)?);
            links(&|one, other| one == from && other == to)
        }
        Verb::Split(side, _) => {
            let side: Vec<Place> = side.iter().filter_map(|node| targets.of(*node)).collect();
            links(&|from, to| side.contains(&from) != side.contains(&to))
        }
        Verb::Only(pairs, _) => links(&|from, to| {
            let pair = |one: Place, other: Place| pairs.contains(&(one.id(), other.id()));
            !pair(from, to) && !pair(to, from)
        }),
        Verb::Crash(..)
        | Verb::Wipe(..)
        | Verb::RollBack(..)
        | Verb::Stop(..)
        | Verb::LoadSpike(..)
        | Verb::PollReads(..)
        | Verb::Pause(..)
        | Verb::Flap(..)
        | Verb::Clog(..)
        | Verb::ClockDrift(..)
        | Verb::ClockStep(..)
        | Verb::SlowDisk(..)
        | Verb::SlowApply(..)
        | Verb::Misroute(..)
        | Verb::Replay(..)
        | Verb::Campaign(_)
        | Verb::FailCall(..)
        | Verb::FillDisk(..)
        | Verb::StallDisk(..)
        | Verb::Corrupt(..)
        | Verb::MisdirectWrite(..)
        | Verb::LoseWrite(..)
        | Verb::Change(..)
        | Verb::CancelChange(_)
        | Verb::Transfer(..)
        | Verb::MachineFault(..)
        | Verb::Request(_) => return None,
    })
}

/// Returns the effect of links that go down and up again, if there are two nodes.
pub(crate) fn flap(
    one: Place,
    another: NodeSelector,
    (period, duration): (Duration, Duration),
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
