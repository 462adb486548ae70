//! Draws a node that goes down again as soon as it is back.

use crate::faults::{Crash, Fault, KeptWrites, LoadSpike, NodeSelector};
use crate::plan::planner::Planner;
use crate::plan::{Trigger, TriggerCondition};

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
