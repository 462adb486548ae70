//! Draws the hard returns of a node: it goes down again as soon as it is back, it falls behind
//! repeatedly and needs newer and newer snapshots, or it returns with an older copy of its disk.

use quorate::types::NodeId;

use crate::faults::{
    Crash, Fault, KeptWrites, LoadSpike, NodeSelector, Partition, Rollback, SlowApply,
};
use crate::plan::planner::Planner;
use crate::plan::{Trigger, TriggerCondition};
use crate::values::time::SimTime;

/// A node crashes during a write, and goes down again soon after its restart, by a crash or a
/// clean shutdown. Reads may reach it in between.
pub(super) fn crash_again_after_restart(planner: &mut Planner<'_>) {
    let trigger = *planner.draw.pick(&[
        Trigger::SubmitsEntries,
        Trigger::BeginsSegment,
        Trigger::UpdatesSuperblock,
        Trigger::TruncatesLog,
    ]);
    let node = planner.draw.node();
    let writes = TriggerCondition { node: Some(node), ..planner.soon_after(trigger) };
    let nth = planner.draw.between(1, 4) as u32;
    let keep = *planner.draw.pick(&[KeptWrites::Part, KeptWrites::None, KeptWrites::Part]);
    let crash = Crash { node: NodeSelector::It, keep, down: planner.settings.latency.max };
    planner.push_on(TriggerCondition { nth, ..writes }, crash);
    let (times, delay) = (planner.draw.between(1, 3) as u32, planner.delay());
    let stops = planner.settings.faults.has(Fault::Stop) && planner.draw.chance(600);
    let verb = planner.verb(if stops { Fault::Stop } else { Fault::Crash }, NodeSelector::It);
    planner.push_on(TriggerCondition { trigger: Trigger::Restarts, times, delay, ..writes }, verb);
    if planner.settings.faults.has(Fault::LoadSpike) && planner.draw.chance(500) {
        let (period, duration) = (planner.settings.latency.max / 2, planner.draw.fault_duration());
        let verb = LoadSpike::PollReads(NodeSelector::Node(node), period, duration * 4);
        planner.push(writes.from, verb);
    }
}

/// The number of isolations after the first one, while the node restores a snapshot.
const ROUNDS: u32 = 3;

/// A node is isolated repeatedly while the others get many requests. Its state machine takes long
/// to restore the first snapshot that it needs because of the isolations.
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

/// A minority of the voters is isolated while the others commit entries. One of the others then
/// restarts on a copy of its disk from before the isolation, while the leader is down: if the
/// node's vote counted, it could elect a node of the minority, which lacks those entries.
pub(super) fn rollback_behind_minority(planner: &mut Planner<'_>) {
    let timeout = planner.settings.config.election_timeout_max;
    let (at, node) = (planner.any_moment(), planner.draw.voter());
    let age = timeout * planner.draw.between(2, 8) as u32;
    let down = planner.settings.latency.max * planner.draw.between(1, 8) as u32;
    planner.push(at, Rollback { node: NodeSelector::Node(node), age, down });
    let voters = u64::from(planner.settings.voters);
    for steps in 1..=(voters - 1) / 2 {
        let other = NodeId((node.0 - 1 + steps) % voters + 1);
        planner.push(at, Partition::Isolate(NodeSelector::Node(other), age + down / 2));
    }
    let down = timeout * planner.draw.between(4, 12) as u32;
    let leader = Crash { node: NodeSelector::Leader, keep: KeptWrites::All, down };
    planner.push(at.after(age), leader);
}
