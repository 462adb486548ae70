//! Draws a node that falls behind repeatedly, and needs newer and newer snapshots.

use crate::faults::{Fault, LoadSpike, NodeSelector, Partition, SlowApply};
use crate::plan::planner::Planner;
use crate::plan::{Trigger, TriggerCondition};
use crate::values::time::SimTime;

/// The number of isolations after the first one, while the node restores a snapshot.
const ROUNDS: u32 = 3;

/// A node is isolated repeatedly while the others get many requests. Its state machine takes
/// long to restore the first snapshot that it needs because of this.
pub(super) fn repeated_snapshot_install(planner: &mut Planner<'_>) {
    let target = planner.draw.voter();
    let apart =
        planner.settings.config.election_timeout_max * planner.draw.between(4, 12) as u32 / 2;
    // The node needs the first snapshot within four isolation periods, and has restored it by
    // the end of the fault phase.
    let end = SimTime::default().after(planner.settings.fault_phase);
    let at = planner.any_moment().min(end.before(apart * 8));
    let (from, to) = (at, at.after(apart * 4));
    let slowness = end.since(to).min(apart * (2 * ROUNDS));
    let first = TriggerCondition::next(Trigger::InstallsSnapshot, from, to);
    let duration = planner.settings.flush.max * 8;
    let slow = SlowApply { node: NodeSelector::It, by: slowness, duration };
    planner.push_on(TriggerCondition { node: Some(target), ..first }, slow);
    for round in 0..=ROUNDS {
        let at = at.after(apart * (2 * round));
        planner.push(at, Partition::Isolate(NodeSelector::Node(target), apart));
        if planner.settings.faults.has(Fault::LoadSpike) {
            let count = LoadSpike::draw_count(&mut planner.draw);
            planner.push(at.after(apart / 2), LoadSpike::Commands(NodeSelector::Leader, count));
        }
    }
}
