//! Draws combinations that no other pattern names: any fault at any event, two faults at events
//! soon after one another, and faults that last.

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

/// The number of combinations in 1,000 in which the leader gets a burst of requests with the fault.
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

/// Two faults, each at an event of any kind, at the same node or at any, within some election
/// timeouts of one another.
pub(super) fn two_faults_at_events(planner: &mut Planner<'_>) {
    let (trigger, _) = *planner.draw.pick(Trigger::ALL);
    let node = planner.any_or_one_node();
    let first = TriggerCondition { node, ..planner.soon_after(trigger) };
    let verb = any_fault(planner);
    planner.push_on(first, verb);
    let timeout = planner.settings.config.election_timeout_max;
    let from = first.from.after(timeout * planner.draw.between(0, 8) as u32 / 4);
    let (trigger, _) = *planner.draw.pick(Trigger::ALL);
    let node = if planner.draw.chance(500) { node } else { None };
    let (nth, delay) = (planner.draw.between(1, 3) as u32, planner.delay());
    let next = TriggerCondition::next(trigger, from, from.after(timeout * 10));
    let second = TriggerCondition { node, nth, delay, ..next };
    let verb = any_fault(planner);
    planner.push_on(second, verb);
    push_burst(planner, second);
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

/// Draws a fault of any kind that the run allows, for the node of the event, the leader, or another
/// node.
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

/// Adds a burst of requests at the same event, in some cases, so that the fault strikes amid work.
fn push_burst(planner: &mut Planner<'_>, event: TriggerCondition) {
    if planner.settings.faults.has(Fault::LoadSpike) && planner.draw.chance(BURST_PERMILLE) {
        let count = LoadSpike::draw_count(&mut planner.draw);
        planner.push_on(event, LoadSpike::Commands(NodeSelector::Leader, count));
    }
}
