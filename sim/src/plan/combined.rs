//! Draws combinations that no other pattern names: any fault at any event, one fault soon after
//! another, and faults that last.

use std::time::Duration;

use crate::faults::{Fault, Faults, LoadSpike, NodeSelector, Verb};
use crate::plan::planner::{Planner, planned_faults};
use crate::plan::{Trigger, TriggerCondition};
use crate::settings::Settings;
use crate::values::time::SimTime;

/// The kinds of faults that a cluster can live with for long: part of the network is missing or
/// bad, or a node is slow.
const LASTING: Faults = Faults::of(&[
    Fault::OneWay,
    Fault::Bridge,
    Fault::Flap,
    Fault::Clog,
    Fault::Partition,
    Fault::SlowDisk,
    Fault::SlowApply,
    Fault::ClockDrift,
]);

/// The number of combinations in 1,000 in which a node gets a burst of requests with the fault.
const BURST_PERMILLE: u64 = 200;

/// Returns the run's fault kinds that can last.
pub(super) fn lasting_faults(settings: &Settings) -> Vec<Fault> {
    settings.faults.iter().filter(|fault| LASTING.has(*fault)).collect()
}

/// Any fault strikes at any event of a node.
pub(super) fn fault_at_any_event(planner: &mut Planner<'_>) {
    let event = any_event(planner);
    let verb = any_fault(planner);
    planner.push_on(event, verb);
    push_burst(planner, event);
}

/// A fault strikes at any event of a node, and another one at the next event of some kind, at the
/// same node or another one.
pub(super) fn fault_after_fault(planner: &mut Planner<'_>) {
    let first = any_event(planner);
    let verb = any_fault(planner);
    planner.push_on(first, verb);
    let (trigger, _) = *planner.draw.pick(Trigger::ALL);
    let within = planner.settings.config.election_timeout_max * planner.draw.between(1, 12) as u32;
    let node = if planner.draw.chance(500) { first.node } else { None };
    let (nth, delay) = (planner.draw.between(1, 3) as u32, planner.delay());
    let (from, to) = (first.from, first.to.after(within));
    let next = TriggerCondition { trigger, node, nth, times: 1, from, to, delay };
    let verb = any_fault(planner);
    planner.push_on(next, verb);
    push_burst(planner, next);
}

/// A fault lasts for a large part of the run, while the cluster works on.
pub(super) fn lasting_fault(planner: &mut Planner<'_>) {
    let kinds = lasting_faults(planner.settings);
    let fault = *planner.draw.pick(&kinds);
    let phase_millis = planner.settings.fault_phase.as_millis() as u64;
    let wait = Duration::from_millis(planner.draw.between(0, phase_millis / 2));
    let duration = planner.settings.fault_phase * planner.draw.between(2, 6) as u32 / 8;
    let node = planner.draw.any_node();
    let verb = Verb::draw_for(&mut planner.draw, fault, node, duration);
    planner.push(SimTime::default().after(wait), verb.expect("lasting faults are planned"));
}

/// Draws an event of any kind, at any node or one node, soon or at any time.
fn any_event(planner: &mut Planner<'_>) -> TriggerCondition {
    let (trigger, _) = *planner.draw.pick(Trigger::ALL);
    let node = planner.any_or_one_node();
    let event = if planner.draw.chance(500) {
        planner.soon_after(trigger)
    } else {
        planner.any_time(trigger)
    };
    let nth = *planner.draw.pick(&[1, 1, 2, 3, 5, 20]);
    let times = planner.draw.between(1, 2) as u32;
    TriggerCondition { node, nth, times, delay: planner.delay(), ..event }
}

/// Draws a fault of any kind that the run allows, for a node that has to do with the event.
fn any_fault(planner: &mut Planner<'_>) -> Verb {
    let kinds = planned_faults(planner.settings);
    let fault = *planner.draw.pick(&kinds);
    let target = *planner.draw.pick(&[
        NodeSelector::It,
        NodeSelector::It,
        NodeSelector::Leader,
        NodeSelector::Other,
    ]);
    planner.verb(fault, target)
}

/// Adds a burst of requests at the same event, in some cases, so that the node has work in hand.
fn push_burst(planner: &mut Planner<'_>, event: TriggerCondition) {
    if planner.settings.faults.has(Fault::LoadSpike) && planner.draw.chance(BURST_PERMILLE) {
        let count = LoadSpike::draw_count(&mut planner.draw);
        planner.push_on(event, LoadSpike::Commands(NodeSelector::Leader, count));
    }
}
