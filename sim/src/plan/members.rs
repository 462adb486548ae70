//! Draws what the operator asks for: changes of the membership, transfers, and what befalls them.

use quorate::types::{Address, Change, NodeId};

use crate::fault::Fault;
use crate::plan::draw::{Planner, planned_faults};
use crate::plan::{Keep, Occasion, Trigger, Verb, Who};
use crate::time::SimTime;

impl Planner<'_> {
    /// A change, and in the midst of it another, or a fault, or a new leader.
    pub(super) fn churn(&mut self) {
        let at = self.moment();
        let change = self.change();
        self.push(at, Verb::Change(Who::Leader, change));
        let to = at.after(self.settings.config.election_timeout_max * 10);
        for _ in 0..self.draw.between(0, 2) {
            let nth = self.draw.between(1, 6) as u32;
            let later = self.delay();
            let moved = Occasion::next(Trigger::ChangesMembership, at, to);
            let who = *self.draw.pick(&[Who::It, Who::Leader, Who::Other]);
            let verb = match self.draw.below(6) {
                0 => Verb::Change(Who::Leader, self.change()),
                1 => Verb::GiveUp(Who::Leader),
                2 => Verb::Transfer(Who::Leader, self.heir()),
                _ => {
                    let faults = self.settings.faults.iter();
                    let kinds = [Fault::Crash, Fault::Partition, Fault::Pause, Fault::Stop];
                    let kinds: Vec<Fault> = faults.filter(|fault| kinds.contains(fault)).collect();
                    let fault = kinds.get(self.draw.below(kinds.len().max(1) as u64) as usize);
                    self.verb(*fault.unwrap_or(&Fault::Transfer), who)
                }
            };
            self.push_on(Occasion { nth, later, ..moved }, verb);
        }
        let timeout = self.settings.config.election_timeout_max;
        let next = at.after(timeout * self.draw.between(1, 16) as u32 / 4);
        let verb = match self.draw.below(4) {
            0 => Verb::GiveUp(Who::Leader),
            _ => Verb::Change(Who::Leader, self.change()),
        };
        self.push(next, verb);
    }

    /// Something happens while the founders meet, and often one of them comes late.
    pub(super) fn dawn(&mut self) {
        if self.settings.faults.has(Fault::Wipe) && self.draw.chance(400) {
            return self.false_dawn();
        }
        let heartbeat = self.settings.config.heartbeat_interval;
        let start = SimTime::default();
        let at = start.after(heartbeat * self.draw.below(41) as u32 / 4);
        let who = Who::Node(self.voter());
        let kinds = planned_faults(self.settings);
        let fault = *self.draw.pick(&kinds);
        let verb = self.verb(fault, who);
        if self.draw.chance(400) {
            let (nth, times) = (self.draw.between(1, 3) as u32, self.draw.between(1, 2) as u32);
            let next = Occasion::next(Trigger::InstallsSnapshot, start, at.after(heartbeat * 40));
            let (by, later) = (self.perhaps_node(), self.delay());
            self.push_on(Occasion { by, nth, times, later, ..next }, verb);
        } else {
            self.push(at, verb);
        }
        if self.settings.faults.has(Fault::Partition) && self.draw.chance(300) {
            let late = Verb::Isolate(Who::Node(self.voter()), heartbeat * 20);
            self.push(start, late);
        }
    }

    /// A founder loses its disk when some have met it, and comes back with another at about the
    /// time when the last founder comes, whom they have waited for.
    fn false_dawn(&mut self) {
        let heartbeat = self.settings.config.heartbeat_interval;
        let start = SimTime::default();
        let quarters = self.draw.between(4, 32);
        let lost_at = self.draw.between(1, quarters);
        let back_at = quarters + self.draw.below(12);
        let span = |quarters: u64| heartbeat * quarters as u32 / 4;
        let last = self.voter();
        let loser = self.voter_after(last);
        let late = Verb::Crash(Who::Node(last), Keep::None, span(quarters));
        self.push(start, late);
        let wipe = Verb::Wipe(Who::Node(loser), span(back_at - lost_at));
        self.push(start.after(span(lost_at)), wipe);
    }

    /// A node loses its disk; the operator takes its vote, and gives it back. Something may happen
    /// in between.
    pub(super) fn replace(&mut self) {
        let (at, node, down) = (self.moment(), self.node(), self.downtime());
        self.push(at, Verb::Wipe(Who::Node(node), down));
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
            self.push(when, Verb::Change(Who::Leader, change));
        }
        if self.draw.chance(300) {
            let again = when.after(timeout * self.draw.between(0, 8) as u32 / 4);
            let verb = Verb::Wipe(Who::Node(node), self.downtime());
            self.push(again, verb);
        }
    }

    /// Half of the nodes do not hear the other half; the leader is in either.
    pub(super) fn halves(&mut self) {
        let voters = u64::from(self.settings.voters);
        let first = if self.draw.chance(500) { Who::Leader } else { Who::Node(self.voter()) };
        let mut side = vec![first];
        let start = self.draw.below(voters);
        let others = (0..voters / 2 - 1).map(|at| Who::Node(NodeId((start + at) % voters + 1)));
        side.extend(others);
        let lasting = self.lasting() * 2;
        let split = Verb::Split(side, lasting);
        if self.draw.chance(500) {
            let at = self.moment();
            self.push(at, split);
        } else {
            let triggers = [Trigger::ChangesMembership, Trigger::BecomesLeader];
            let any_time = self.any_time(triggers[0]);
            let trigger = *self.draw.pick(&triggers);
            let nth = self.draw.between(1, 4) as u32;
            self.push_on(Occasion { trigger, nth, ..any_time }, split);
        }
    }

    /// The leader, mostly: nobody else can do what the operator wants.
    pub(super) fn whom_to_ask(&mut self, who: Who) -> Who {
        if self.draw.chance(800) { Who::Leader } else { who }
    }

    /// Who is to lead: a certain node, or the best.
    pub(super) fn heir(&mut self) -> Option<NodeId> {
        let node = self.node();
        self.draw.chance(600).then_some(node)
    }

    /// Something that is to be different about the membership.
    pub(super) fn change(&mut self) -> Change {
        let (one, other) = (self.node(), self.node());
        match self.draw.below(16) {
            0..=2 => Change::new().voter(one),
            3 | 4 => Change::new().remove(one),
            5 | 6 if one != other => Change::new().voter(one).remove(other),
            7 => Change::new().learner(one),
            8 => Change::new().priority(one, *self.draw.pick(&[255, 0, 101, 100])),
            9 => {
                let host = self.draw.below(100);
                let address = Address::new(&format!("host-{host}")).expect("it is short");
                Change::new().address(one, address)
            }
            10 => Change::new().casting(self.draw.chance(800).then_some(one)),
            11 => Change::new().suspend(one),
            12 | 13 => self.anew(),
            _ => self.several(),
        }
    }

    /// So many nodes vote from now on, whoever did before.
    fn anew(&mut self) -> Change {
        let nodes = u64::from(self.settings.nodes());
        let count = self.draw.between(1, nodes.min(7));
        let start = self.draw.below(nodes);
        (0..count).fold(Change::new(), |change, at| change.voter(NodeId((start + at) % nodes + 1)))
    }

    /// Several nodes become this and that.
    fn several(&mut self) -> Change {
        let mut change = Change::new();
        let mut named = Vec::new();
        for _ in 0..self.draw.between(2, 4) {
            let (node, kind) = (self.node(), self.draw.below(4));
            if named.contains(&node) {
                continue;
            }
            named.push(node);
            change = match kind {
                0 | 1 => change.voter(node),
                2 => change.remove(node),
                _ => change.learner(node),
            };
        }
        change
    }
}
