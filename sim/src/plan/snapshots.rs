//! Draws faults of nodes that take a snapshot or send one: reads of the source fail, and the disk
//! of a node with a slow state machine is full.

use crate::faults::{Call, FailedCall, FullDisk, NodeSelector, SlowApply};
use crate::plan::planner::Planner;
use crate::plan::{Trigger, TriggerCondition};

/// A node that sends a snapshot cannot read one of the next parts.
pub(super) fn unreadable_source(planner: &mut Planner<'_>) {
    let node = planner.any_or_one_node();
    let nth = planner.draw.between(1, 6) as u32;
    let times = planner.draw.between(1, 4) as u32;
    let sends = TriggerCondition { node, nth, times, ..planner.any_time(Trigger::SendsPart) };
    let after = *planner.draw.pick(&[0, 0, 1]);
    let fails = FailedCall { call: Call::Read, node: NodeSelector::It, after, sectors: 0 };
    planner.push_on(sends, fails);
}

/// A node with a slow state machine takes a snapshot, and its disk becomes full while it writes the
/// first parts, so that it gives the snapshot up while it waits for the next part.
pub(super) fn full_disk_during_snapshot(planner: &mut Planner<'_>) {
    let node = planner.any_or_one_node();
    let times = planner.draw.between(1, 3) as u32;
    let takes = TriggerCondition { node, times, ..planner.any_time(Trigger::TakesSnapshot) };
    let (by, duration) = (planner.draw.extra_time(), planner.draw.fault_duration());
    planner.push_on(takes, SlowApply { node: NodeSelector::It, by, duration });
    let nth = planner.draw.between(1, 4) as u32;
    let free = *planner.draw.pick(&[0, 512, 4096]);
    let writes = TriggerCondition { trigger: Trigger::WritesSnapshot, nth, ..takes };
    planner.push_on(writes, FullDisk { node: NodeSelector::It, free, duration });
}
