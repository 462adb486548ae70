//! Draws the loss of entries: on one node after another, each of which must be repaired before the
//! next one is struck.

use crate::faults::{
    Crash, DamagedBody, Fault, KeptWrites, LoadSpike, LostWrite, NodeSelector, SlowApply,
};
use crate::plan::planner::Planner;
use crate::plan::{Trigger, TriggerCondition};

/// One node after another loses entries, and most of them restart then, so that they notice the
/// loss.
pub(super) fn damage_in_turn(planner: &mut Planner<'_>) {
    let apart = planner.settings.config.election_timeout_max * planner.draw.between(2, 12) as u32;
    let mut at = planner.any_moment();
    for _ in 0..planner.draw.between(2, 5) {
        let any_node = planner.draw.any_node();
        let node = *planner.draw.pick(&[any_node, NodeSelector::Leader]);
        planner.push(at, DamagedBody { node });
        if planner.draw.chance(700) {
            let (keep, down) = (KeptWrites::Part, planner.draw.downtime());
            let delay = planner.delay();
            planner.push(at.after(delay), Crash { node, keep, down });
        }
        at = at.after(apart);
    }
}

/// A node loses entries right when its role changes, it restarts, installs a snapshot, changes the
/// membership or commits.
pub(super) fn damage_at_role_change(planner: &mut Planner<'_>) {
    let trigger = *planner.draw.pick(&[
        Trigger::BecomesLeader,
        Trigger::BecomesCandidate,
        Trigger::Restarts,
        Trigger::InstallsSnapshot,
        Trigger::ChangesMembership,
        Trigger::AdvancesCommit,
    ]);
    let times = planner.draw.between(1, 3) as u32;
    let nth = planner.draw.between(1, 4) as u32;
    let any_time = planner.any_time(trigger);
    let target = *planner.draw.pick(&[NodeSelector::It, NodeSelector::It, NodeSelector::Leader]);
    planner.push_on(TriggerCondition { nth, times, ..any_time }, DamagedBody { node: target });
}

/// A node that applies slowly loses entries and does not notice the loss, while the others take
/// snapshots of them and compact their logs. When it restarts, only a snapshot can replace the
/// entries.
pub(super) fn damage_slow_node(planner: &mut Planner<'_>) {
    let timeout = planner.settings.config.election_timeout_max;
    let (at, node) = (planner.any_moment(), NodeSelector::Node(planner.draw.node()));
    let (by, duration) = (timeout * 4, timeout * planner.draw.between(6, 12) as u32);
    planner.push(at, SlowApply { node, by, duration });
    planner.push(at.after(timeout), DamagedBody { node });
    if planner.settings.faults.has(Fault::LoadSpike) {
        for place in 0..4 {
            let count = LoadSpike::draw_count(&mut planner.draw);
            let then = at.after(timeout / 2 * (place + 1));
            planner.push(then, LoadSpike::Commands(NodeSelector::Leader, count));
        }
    }
    let (keep, down) = (KeptWrites::All, planner.settings.latency.max);
    planner.push(at.after(duration * 3 / 4), Crash { node, keep, down });
}

/// A node loses entries and restarts, so that it notices the loss. Its disk then loses one of the
/// next writes, mostly one by which the node repairs its log.
pub(super) fn lost_write_of_repair(planner: &mut Planner<'_>) {
    let (at, node) = (planner.any_moment(), planner.draw.node());
    planner.push(at, DamagedBody { node: NodeSelector::Node(node) });
    let (keep, down) = (KeptWrites::All, planner.settings.latency.max);
    let crash = Crash { node: NodeSelector::Node(node), keep, down };
    planner.push(at.after(planner.settings.latency.max), crash);
    let to = at.after(planner.settings.config.election_timeout_max * 4);
    let delay = planner.settings.latency.max * *planner.draw.pick(&[1, 2, 4, 8]);
    let restarts = TriggerCondition::next(Trigger::Restarts, at, to);
    let after = *planner.draw.pick(&[0, 0, 1, 2]);
    let lost = LostWrite { node: NodeSelector::It, after };
    planner.push_on(TriggerCondition { node: Some(node), delay, ..restarts }, lost);
}

/// A node that is down loses entries.
pub(super) fn damage_while_down(planner: &mut Planner<'_>) {
    let goes_down = planner.any_time(Trigger::GoesDown);
    let nth = planner.draw.between(1, 3) as u32;
    let verb = planner.verb(Fault::DamagedBody, NodeSelector::It);
    planner.push_on(TriggerCondition { nth, ..goes_down }, verb);
}
