//! Draws hard election schedules: rival candidates, and leaders that come and go with uncommitted
//! entries.

use std::time::Duration;

use crate::faults::{
    Bridge, Campaign, Crash, Fault, KeptWrites, LoadSpike, NodeSelector, OneWay, Partition, Verb,
};
use crate::plan::leases;
use crate::plan::planner::Planner;
use crate::plan::{Trigger, TriggerCondition};
use crate::values::time::SimTime;

/// Two nodes campaign at once, and voters crash: before a vote is durable, or right after they have
/// sent a vote or an acknowledgement of entries.
pub(super) fn two_candidates(planner: &mut Planner<'_>) {
    let at = planner.any_moment();
    let first = planner.draw.voter();
    let second = planner.voter_after(first);
    for candidate in [first, second] {
        planner.push(at, Campaign { node: NodeSelector::Node(candidate) });
    }
    if planner.settings.faults.has(Fault::Crash) {
        let trigger = *planner.draw.pick(&[Trigger::SubmitsVote, Trigger::Acknowledges]);
        let times = planner.draw.between(1, 2) as u32;
        let to = at.after(planner.settings.config.election_timeout_max * 2);
        let down = planner.settings.latency.max * planner.draw.between(0, 4) as u32;
        let next = TriggerCondition::next(trigger, at, to);
        planner.push_on(
            TriggerCondition { times, ..next },
            Crash { node: NodeSelector::It, keep: KeptWrites::None, down },
        );
    }
}

/// Leaders keep their links with one voter only, crash, and return. With more than three voters, a
/// minority then has their last entries: figure 8 of the paper (Raft §5.4.2).
pub(super) fn figure_8(planner: &mut Planner<'_>) {
    let timeout = planner.settings.config.election_timeout_max;
    let at = planner.any_moment();
    let ally = planner.draw.voter();
    let strand = Bridge::Strand(NodeSelector::Leader, NodeSelector::Node(ally), timeout * 2);
    planner.push(at, strand);
    let crash_at = at.after(timeout * planner.draw.between(1, 4) as u32 / 4);
    let down = timeout * planner.draw.between(2, 6) as u32 / 2;
    let crash = |down| Crash { node: NodeSelector::Leader, keep: KeptWrites::All, down };
    planner.push(crash_at, crash(down));
    let times = planner.draw.between(1, 3) as u32;
    let to = crash_at.after(timeout * 6);
    let trigger = *planner.draw.pick(&[Trigger::SubmitsEntries, Trigger::BecomesLeader]);
    let delay = planner.delay();
    let next = TriggerCondition::next(trigger, crash_at, to);
    let verb: Verb = match planner.draw.below(3) {
        0 => OneWay::BlockOutbound(NodeSelector::Leader, timeout).into(),
        1 => crash(timeout * 2).into(),
        _ => {
            let ally = NodeSelector::Node(planner.draw.voter());
            Bridge::Strand(NodeSelector::Leader, ally, timeout).into()
        }
    };
    planner.push_on(TriggerCondition { times, delay, ..next }, verb);
    let last = TriggerCondition::next(Trigger::AdvancesCommit, crash_at, to);
    planner.push_on(TriggerCondition { delay, ..last }, crash(timeout * 2));
}

/// A leader with a long log tail is isolated, for longer or shorter than an election takes. The
/// next two leaders get fewer requests, so a snapshot of their logs may end inside the first
/// leader's tail.
pub(super) fn leader_isolation(planner: &mut Planner<'_>) {
    let at = planner.any_moment();
    let timeout = planner.settings.config.election_timeout_max;
    let duration = timeout * planner.draw.between(4, 16) as u32 / 4;
    planner.push(at, Partition::Isolate(NodeSelector::Leader, duration));
    let count = LoadSpike::draw_count(&mut planner.draw);
    planner.push(at, LoadSpike::Commands(NodeSelector::Leader, count));
    push_on_new_leaders(
        planner,
        at,
        duration,
        LoadSpike::Commands(NodeSelector::It, count * 2 / 3),
    );
}

/// A leader keeps its link with one follower only, and clients read at that follower all the
/// time, while the others campaign and get many requests: the old leader's read index may be
/// stale. Or the leader has started a transfer first, so that the voters do not withhold their
/// votes, and loses the other links when the target becomes a candidate.
pub(super) fn reads_at_follower_of_stranded_leader(planner: &mut Planner<'_>) {
    let timeout = planner.settings.config.election_timeout_max;
    let (at, ally) = (planner.any_moment(), NodeSelector::Node(planner.draw.node()));
    let strand = Bridge::Strand(NodeSelector::Leader, ally, timeout * 3);
    if planner.settings.faults.has(Fault::Transfer) && planner.draw.chance(500) {
        leases::transfer_then_cut(planner, at, timeout, strand);
    } else {
        planner.push(at, strand);
    }
    planner.push(at, LoadSpike::PollReads(ally, timeout / 64, timeout * 3));
    let rivals = if planner.settings.faults.has(Fault::Campaign) { 4 } else { 0 };
    for place in 0..rivals {
        let rival = NodeSelector::Node(planner.draw.voter());
        let at = at.after(timeout * (place + 1) / 4);
        planner.push(at, Campaign { node: rival });
    }
    push_on_new_leaders(planner, at, timeout * 4, LoadSpike::Commands(NodeSelector::It, 10));
}

/// Adds `verb` for the next two nodes that become leader within the duration `within` after `from`.
fn push_on_new_leaders(
    planner: &mut Planner<'_>,
    from: SimTime,
    within: Duration,
    verb: LoadSpike,
) {
    let next = TriggerCondition::next(Trigger::BecomesLeader, from, from.after(within));
    planner.push_on(TriggerCondition { times: 2, ..next }, verb);
}
