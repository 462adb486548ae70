//! Draws the operator's requests: membership changes and transfers, with faults among them.

use quorate::types::{Change, NodeId};

use crate::faults::{
    Crash, Fault, KeptWrites, MembershipChange, NodeSelector, Partition, Transfer, Verb, Wipe,
};
use crate::plan::planner::{Planner, planned_faults};
use crate::plan::{Trigger, TriggerCondition};
use crate::values::time::SimTime;

/// A membership change, followed during its course by other changes, cancellations, transfers or
/// faults.
pub(super) fn membership_churn(planner: &mut Planner<'_>) {
    let at = planner.any_moment();
    let change = leader_change(planner);
    planner.push(at, change);
    let to = at.after(planner.settings.config.election_timeout_max * 10);
    for _ in 0..planner.draw.between(0, 2) {
        let nth = planner.draw.between(1, 6) as u32;
        let delay = planner.delay();
        let moved = TriggerCondition::next(Trigger::ChangesMembership, at, to);
        let target =
            *planner.draw.pick(&[NodeSelector::It, NodeSelector::Leader, NodeSelector::Other]);
        let verb: Verb = match planner.draw.below(6) {
            0 => leader_change(planner),
            1 => MembershipChange::Cancel(NodeSelector::Leader).into(),
            2 => {
                let to = Transfer::draw_next_leader(&mut planner.draw);
                Transfer { node: NodeSelector::Leader, to }.into()
            }
            _ => {
                let faults = planner.settings.faults.iter();
                let kinds = [Fault::Crash, Fault::Partition, Fault::Pause, Fault::Stop];
                let kinds: Vec<Fault> = faults.filter(|fault| kinds.contains(fault)).collect();
                let fault = kinds.get(planner.draw.below(kinds.len().max(1) as u64) as usize);
                planner.verb(*fault.unwrap_or(&Fault::Transfer), target)
            }
        };
        planner.push_on(TriggerCondition { nth, delay, ..moved }, verb);
    }
    let timeout = planner.settings.config.election_timeout_max;
    let next = at.after(timeout * planner.draw.between(1, 16) as u32 / 4);
    let verb = match planner.draw.below(4) {
        0 => MembershipChange::Cancel(NodeSelector::Leader).into(),
        _ => leader_change(planner),
    };
    planner.push(next, verb);
}

/// A node that is to become a voter is isolated, so that its change stays in flight. The leader is
/// isolated, too, and asked to cancel the change: it steps down before it can commit the
/// cancellation.
pub(super) fn cancel_at_isolated_leader(planner: &mut Planner<'_>) {
    let timeout = planner.settings.config.election_timeout_max;
    let (at, spare) = (planner.any_moment(), NodeId(planner.settings.nodes().into()));
    planner.push(at, Partition::Isolate(NodeSelector::Node(spare), timeout * 4));
    let change = MembershipChange::Change(NodeSelector::Leader, Change::new().voter(spare));
    planner.push(at, change);
    let delay = planner.settings.latency.max * planner.draw.between(2, 10) as u32;
    let staged = TriggerCondition::next(Trigger::ChangesMembership, at, at.after(timeout));
    let staged = TriggerCondition { delay, ..staged };
    planner.push_on(staged, Partition::Isolate(NodeSelector::It, timeout * 2));
    planner.push_on(staged, MembershipChange::Cancel(NodeSelector::It));
}

/// Draws a membership change for the leader.
fn leader_change(planner: &mut Planner<'_>) -> Verb {
    let change = MembershipChange::draw_edits(&mut planner.draw);
    MembershipChange::Change(NodeSelector::Leader, change).into()
}

/// A fault during bootstrap. In some runs one of the bootstrap peers is isolated at first, so that
/// it meets the others late.
pub(super) fn fault_during_bootstrap(planner: &mut Planner<'_>) {
    if planner.settings.faults.has(Fault::Wipe) && planner.draw.chance(400) {
        return disk_lost_during_bootstrap(planner);
    }
    let heartbeat = planner.settings.config.heartbeat_interval;
    let start = SimTime::default();
    let at = start.after(heartbeat * planner.draw.below(41) as u32 / 4);
    let target = NodeSelector::Node(planner.draw.voter());
    let kinds = planned_faults(planner.settings);
    let fault = *planner.draw.pick(&kinds);
    let verb = planner.verb(fault, target);
    if planner.draw.chance(400) {
        let (nth, times) = (planner.draw.between(1, 3) as u32, planner.draw.between(1, 2) as u32);
        let next =
            TriggerCondition::next(Trigger::InstallsSnapshot, start, at.after(heartbeat * 40));
        let (node, delay) = (planner.any_or_one_node(), planner.delay());
        planner.push_on(TriggerCondition { node, nth, times, delay, ..next }, verb);
    } else {
        planner.push(at, verb);
    }
    if planner.settings.faults.has(Fault::Partition) && planner.draw.chance(300) {
        let late = Partition::Isolate(NodeSelector::Node(planner.draw.voter()), heartbeat * 20);
        planner.push(start, late);
    }
}

/// A bootstrap peer loses its disk after others have seen it, and returns with a new disk at
/// about the time when the last bootstrap peer starts, for which the others have waited.
fn disk_lost_during_bootstrap(planner: &mut Planner<'_>) {
    let heartbeat = planner.settings.config.heartbeat_interval;
    let start = SimTime::default();
    let quarters = planner.draw.between(4, 32);
    let lost_at = planner.draw.between(1, quarters);
    let back_at = quarters + planner.draw.below(12);
    let span = |quarters: u64| heartbeat * quarters as u32 / 4;
    let last = planner.draw.voter();
    let loser = planner.voter_after(last);
    let (node, down) = (NodeSelector::Node(last), span(quarters));
    planner.push(start, Crash { node, keep: KeptWrites::None, down });
    let wipe = Wipe { node: NodeSelector::Node(loser), down: span(back_at - lost_at) };
    planner.push(start.after(span(lost_at)), wipe);
}

/// A node loses its disk; the operator takes its vote away, and later restores the vote. The node
/// may lose its disk again.
pub(super) fn replace_disk(planner: &mut Planner<'_>) {
    let (at, node, down) = (planner.any_moment(), planner.draw.node(), planner.draw.downtime());
    planner.push(at, Wipe { node: NodeSelector::Node(node), down });
    if !planner.settings.faults.has(Fault::Change) {
        return;
    }
    let timeout = planner.settings.config.election_timeout_max;
    let mut when = at;
    let out = match planner.draw.below(3) {
        0 => Change::new().remove(node),
        1 => Change::new().learner(node),
        _ => Change::new().suspend(node),
    };
    for change in [out, Change::new().voter(node), Change::new().voter(node)] {
        when = when.after(timeout * planner.draw.between(2, 12) as u32 / 4);
        planner.push(when, MembershipChange::Change(NodeSelector::Leader, change));
    }
    if planner.draw.chance(300) {
        let again = when.after(timeout * planner.draw.between(0, 8) as u32 / 4);
        let verb = Wipe { node: NodeSelector::Node(node), down: planner.draw.downtime() };
        planner.push(again, verb);
    }
}

/// A partition into two halves; the leader is in either one. If one node is drawn twice for the
/// first half, that half is smaller.
pub(super) fn split_in_halves(planner: &mut Planner<'_>) {
    let voters = u64::from(planner.settings.voters);
    let first = if planner.draw.chance(500) {
        NodeSelector::Leader
    } else {
        NodeSelector::Node(planner.draw.voter())
    };
    let mut side = vec![first];
    let start = planner.draw.below(voters);
    let others =
        (0..voters / 2 - 1).map(|at| NodeSelector::Node(NodeId((start + at) % voters + 1)));
    side.extend(others);
    let duration = planner.draw.fault_duration() * 2;
    let split = Partition::Split(side, duration);
    if planner.draw.chance(500) {
        let at = planner.any_moment();
        planner.push(at, split);
    } else {
        let triggers = [Trigger::ChangesMembership, Trigger::BecomesLeader];
        let any_time = planner.any_time(triggers[0]);
        let trigger = *planner.draw.pick(&triggers);
        let nth = planner.draw.between(1, 4) as u32;
        planner.push_on(TriggerCondition { trigger, nth, ..any_time }, split);
    }
}
