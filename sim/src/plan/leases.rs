//! Draws schedules around the end of a lease: reads that depend on it, and elections that could
//! overlap it.

use std::time::Duration;

use quorate::types::NodeId;

use crate::faults::{
    Campaign, ClockDrift, Crash, Fault, KeptWrites, LoadSpike, NodeSelector, OneWay, Partition,
    Transfer, Verb,
};
use crate::plan::planner::Planner;
use crate::plan::{Trigger, TriggerCondition};
use crate::values::time::SimTime;

/// Clients read in quick succession at a node that may hold a lease while the lease ends:
/// clocks are as far apart as allowed, the leader is isolated or transfers its leadership, and
/// others campaign.
pub(super) fn lease_expiry(planner: &mut Planner<'_>) {
    let config = &planner.settings.config;
    let (vote_lease, heartbeat) = (config.election_timeout_min, config.heartbeat_interval);
    let (at, faults) = (planner.any_moment(), planner.settings.faults);
    let kind = planner.draw.below(6);
    let is_plain = kind > 2;
    let duration = vote_lease * 5;
    if faults.has(Fault::ClockDrift) && (is_plain || planner.draw.chance(700)) {
        skew_clocks(planner, at, duration);
    }
    let holder = NodeSelector::Node(planner.draw.voter());
    let at_leader = is_plain || planner.draw.chance(700);
    let reader = if at_leader { NodeSelector::Leader } else { holder };
    let period = (vote_lease / 100).max(Duration::from_millis(1));
    planner.push(at, LoadSpike::PollReads(reader, period, duration));
    let end = at.after(heartbeat * planner.draw.between(4, 12) as u32 / 4);
    match kind {
        0 if faults.has(Fault::Transfer) => {
            let duration = vote_lease * 2;
            return transfer_then_cut(
                planner,
                end,
                duration,
                Partition::Isolate(NodeSelector::Leader, duration),
            );
        }
        1 if faults.has(Fault::Crash) => {
            planner.push(end, Partition::Isolate(NodeSelector::Leader, vote_lease * 2));
            crash_others(planner, end);
        }
        2 => {
            planner.push(end, OneWay::Cut(NodeSelector::Leader, holder, vote_lease));
            planner.push(end, LoadSpike::Commands(NodeSelector::Leader, 10));
            return;
        }
        _ => planner.push(end, Partition::Isolate(NodeSelector::Leader, vote_lease * 2)),
    }
    // A vote lease is durable, so a restarted voter keeps it. The campaigns after the restarts
    // may begin at once, because a voter that had lost its lease would vote then; the other
    // campaigns begin in the second half of the leases, or shortly after them.
    let soonest = if is_plain { 55 } else { 0 };
    let rival = NodeSelector::Node(planner.draw.voter());
    for _ in 0..16 {
        let when = end.after(vote_lease * planner.draw.between(soonest, 115) as u32 / 100);
        planner.push(when, Campaign { node: rival });
    }
}

/// The leader transfers its leadership. When a node becomes a candidate within this time, `cut`
/// keeps the leader from hearing of the new term.
pub(super) fn transfer_then_cut(
    planner: &mut Planner<'_>,
    at: SimTime,
    within: Duration,
    cut: impl Into<Verb>,
) {
    let successor = Some(planner.draw.voter()).filter(|_| planner.draw.chance(500));
    planner.push(at, Transfer { node: NodeSelector::Leader, to: successor });
    planner.push_on(TriggerCondition::next(Trigger::BecomesCandidate, at, at.after(within)), cut);
}

/// Makes the leader's clock run as slow as allowed, and all other clocks as fast.
fn skew_clocks(planner: &mut Planner<'_>, at: SimTime, duration: Duration) {
    let most = planner.settings.clocks.drift_ppm_max as i32;
    for node in 1..=planner.settings.nodes() {
        let node = NodeSelector::Node(NodeId(node.into()));
        planner.push(at, ClockDrift { node, ppm: most, duration });
    }
    planner.push(at, ClockDrift { node: NodeSelector::Leader, ppm: -most, duration });
}

/// All voters crash except one, possibly the leader, and restart at once.
fn crash_others(planner: &mut Planner<'_>, at: SimTime) {
    let spared = planner.draw.voter();
    let down = planner.settings.latency.max;
    for voter in (1..=planner.settings.voters).map(|number| NodeId(number.into())) {
        if voter != spared {
            let node = NodeSelector::Node(voter);
            planner.push(at, Crash { node, keep: KeptWrites::Part, down });
        }
    }
}
