//! Clock faults: drift, forward steps, and clocks that stop while their process is paused.

use std::time::Duration;

use crate::fault::Fault;
use crate::observe::Observation;
use crate::world::cluster::node::Node;
use crate::world::faults::effect::Effect;
use crate::world::run::Run;

/// Makes the clock run fast by `ppm` parts per million, or slow if negative.
pub(super) fn drift(node: &mut Node, ppm: i32, run: &mut Run<'_>) -> Effect {
    note_bound(node, ppm.unsigned_abs(), run);
    node.change_clock(run.scheduler, |clock, now| clock.drift(now, ppm));
    Effect::Drifting(node.place)
}

/// Steps the clock forward.
pub(super) fn step(node: &mut Node, by: Duration, run: &mut Run<'_>) {
    note_bound(node, u32::MAX, run);
    node.change_clock(run.scheduler, |clock, now| clock.step(now, by));
    run.observer.fault(Fault::ClockStep, node.role());
}

/// Stops the clock of a paused process, in runs in which clocks stop.
pub(super) fn stop(node: &mut Node, run: &mut Run<'_>) {
    if run.setup.settings.clocks.stop_while_paused {
        node.stop_clock(run.scheduler.now());
        note_bound(node, u32::MAX, run);
    }
}

/// Records a clock error in parts per million that exceeds the bound of the leases.
fn note_bound(node: &Node, ppm: u32, run: &mut Run<'_>) {
    if run.setup.settings.config.lease.is_some_and(|lease| ppm > lease.drift_ppm) {
        let node = node.place.id();
        run.observer.observe(run.scheduler.now(), Observation::ClockBoundExceeded { node });
    }
}
