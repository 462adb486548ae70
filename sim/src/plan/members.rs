//! Draws the operator's requests: membership changes and transfers, with faults among them.

use quorate::types::{Change, NodeId};

use crate::faults::{
    Crash, Fault, KeptWrites, MembershipChange, NodeSelector, Partition, Transfer, Verb, Wipe,
};
use crate::plan::draw::{Planner, planned_faults};
use crate::plan::{Trigger, TriggerCondition};
use crate::time::SimTime;

impl Planner<'_> {
    /// A membership change, followed during its course by another one, a fault or a transfer.
    pub(super) fn membership_churn(&mut self) {
        let at = self.any_moment();
        let change = self.leader_change();
        self.push(at, change);
        let to = at.after(self.settings.config.election_timeout_max * 10);
        for _ in 0..self.draw.between(0, 2) {
            let nth = self.draw.between(1, 6) as u32;
            let delay = self.delay();
            let moved = TriggerCondition::next(Trigger::ChangesMembership, at, to);
            let target =
                *self.draw.pick(&[NodeSelector::It, NodeSelector::Leader, NodeSelector::Other]);
            let verb: Verb = match self.draw.below(6) {
                0 => self.leader_change(),
                1 => MembershipChange::Cancel(NodeSelector::Leader).into(),
                2 => {
                    let to = Transfer::draw_next_leader(&mut self.draw);
                    Transfer { node: NodeSelector::Leader, to }.into()
                }
                _ => {
                    let faults = self.settings.faults.iter();
                    let kinds = [Fault::Crash, Fault::Partition, Fault::Pause, Fault::Stop];
                    let kinds: Vec<Fault> = faults.filter(|fault| kinds.contains(fault)).collect();
                    let fault = kinds.get(self.draw.below(kinds.len().max(1) as u64) as usize);
                    self.verb(*fault.unwrap_or(&Fault::Transfer), target)
                }
            };
            self.push_on(TriggerCondition { nth, delay, ..moved }, verb);
        }
        let timeout = self.settings.config.election_timeout_max;
        let next = at.after(timeout * self.draw.between(1, 16) as u32 / 4);
        let verb = match self.draw.below(4) {
            0 => MembershipChange::Cancel(NodeSelector::Leader).into(),
            _ => self.leader_change(),
        };
        self.push(next, verb);
    }

    /// Draws a membership change for the leader.
    fn leader_change(&mut self) -> Verb {
        let change = MembershipChange::draw_edits(&mut self.draw);
        MembershipChange::Change(NodeSelector::Leader, change).into()
    }

    /// A fault during bootstrap; often one of the bootstrap peers starts late.
    pub(super) fn fault_during_bootstrap(&mut self) {
        if self.settings.faults.has(Fault::Wipe) && self.draw.chance(400) {
            return self.disk_lost_during_bootstrap();
        }
        let heartbeat = self.settings.config.heartbeat_interval;
        let start = SimTime::default();
        let at = start.after(heartbeat * self.draw.below(41) as u32 / 4);
        let target = NodeSelector::Node(self.draw.voter());
        let kinds = planned_faults(self.settings);
        let fault = *self.draw.pick(&kinds);
        let verb = self.verb(fault, target);
        if self.draw.chance(400) {
            let (nth, times) = (self.draw.between(1, 3) as u32, self.draw.between(1, 2) as u32);
            let next =
                TriggerCondition::next(Trigger::InstallsSnapshot, start, at.after(heartbeat * 40));
            let (node, delay) = (self.any_or_one_node(), self.delay());
            self.push_on(TriggerCondition { node, nth, times, delay, ..next }, verb);
        } else {
            self.push(at, verb);
        }
        if self.settings.faults.has(Fault::Partition) && self.draw.chance(300) {
            let late = Partition::Isolate(NodeSelector::Node(self.draw.voter()), heartbeat * 20);
            self.push(start, late);
        }
    }

    /// A bootstrap peer loses its disk after others have seen it, and returns with a new disk at
    /// about the time when the last bootstrap peer starts, for which the others have waited.
    fn disk_lost_during_bootstrap(&mut self) {
        let heartbeat = self.settings.config.heartbeat_interval;
        let start = SimTime::default();
        let quarters = self.draw.between(4, 32);
        let lost_at = self.draw.between(1, quarters);
        let back_at = quarters + self.draw.below(12);
        let span = |quarters: u64| heartbeat * quarters as u32 / 4;
        let last = self.draw.voter();
        let loser = self.voter_after(last);
        let (node, down) = (NodeSelector::Node(last), span(quarters));
        self.push(start, Crash { node, keep: KeptWrites::None, down });
        let wipe = Wipe { node: NodeSelector::Node(loser), down: span(back_at - lost_at) };
        self.push(start.after(span(lost_at)), wipe);
    }

    /// A node loses its disk; the operator takes its vote, and later restores it. The node may lose
    /// its disk again.
    pub(super) fn replace_disk(&mut self) {
        let (at, node, down) = (self.any_moment(), self.draw.node(), self.draw.downtime());
        self.push(at, Wipe { node: NodeSelector::Node(node), down });
        if !self.settings.faults.has(Fault::Change) {
            return;
        }
        let timeout = self.settings.config.election_timeout_max;
        let mut when = at;
        let out = match self.draw.below(3) {
            0 => Change::new().remove(node),
            1 => Change::new().learner(node),
            _ => Change::new().suspend(node),
        };
        for change in [out, Change::new().voter(node), Change::new().voter(node)] {
            when = when.after(timeout * self.draw.between(2, 12) as u32 / 4);
            self.push(when, MembershipChange::Change(NodeSelector::Leader, change));
        }
        if self.draw.chance(300) {
            let again = when.after(timeout * self.draw.between(0, 8) as u32 / 4);
            let verb = Wipe { node: NodeSelector::Node(node), down: self.draw.downtime() };
            self.push(again, verb);
        }
    }

    /// A partition into two halves; the leader is in either one.
    pub(super) fn split_in_halves(&mut self) {
        let voters = u64::from(self.settings.voters);
        let first = if self.draw.chance(500) {
            NodeSelector::Leader
        } else {
            NodeSelector::Node(self.draw.voter())
        };
        let mut side = vec![first];
        let start = self.draw.below(voters);
        let others =
            (0..voters / 2 - 1).map(|at| NodeSelector::Node(NodeId((start + at) % voters + 1)));
        side.extend(others);
        let duration = self.draw.fault_duration() * 2;
        let split = Partition::Split(side, duration);
        if self.draw.chance(500) {
            let at = self.any_moment();
            self.push(at, split);
        } else {
            let triggers = [Trigger::ChangesMembership, Trigger::BecomesLeader];
            let any_time = self.any_time(triggers[0]);
            let trigger = *self.draw.pick(&triggers);
            let nth = self.draw.between(1, 4) as u32;
            self.push_on(TriggerCondition { trigger, nth, ..any_time }, split);
        }
    }
}
