//! Draws the ends of leases: who rests on one, and who is elected when it should be over.

use std::time::Duration;

use quorate::types::NodeId;

use crate::fault::Fault;
use crate::plan::draw::Planner;
use crate::plan::{Keep, Occasion, Trigger, Verb, Who};
use crate::time::SimTime;

impl Planner<'_> {
    /// Reads come to who may rest on a lease, one soon after the other, while it ends: the clocks
    /// are as far apart as they may be, the leader is cut off or hands over, and others campaign.
    pub(super) fn tenancy(&mut self) {
        let config = &self.settings.config;
        let (promise, heartbeat) = (config.election_timeout_min, config.heartbeat_interval);
        let (at, faults) = (self.moment(), self.settings.faults);
        let kind = self.draw.below(6);
        let is_plain = kind > 2;
        let lasting = promise * 5;
        if faults.has(Fault::Drift) && (is_plain || self.draw.chance(700)) {
            self.part_clocks(at, lasting);
        }
        let borrower = Who::Node(self.voter());
        let at_leader = is_plain || self.draw.chance(700);
        let reader = if at_leader { Who::Leader } else { borrower };
        let period = (promise / 100).max(Duration::from_millis(1));
        self.push(at, Verb::Consult(reader, period, lasting));
        let end = at.after(heartbeat * self.draw.between(4, 12) as u32 / 4);
        match kind {
            0 if faults.has(Fault::Transfer) => {
                let lasting = promise * 2;
                return self.betray(end, lasting, Verb::Isolate(Who::Leader, lasting));
            }
            1 if faults.has(Fault::Crash) => {
                self.push(end, Verb::Isolate(Who::Leader, promise * 2));
                self.crash_others(end);
            }
            2 => {
                self.push(end, Verb::Cut(Who::Leader, borrower, promise));
                self.push(end, Verb::Surge(Who::Leader, 10));
                return;
            }
            _ => self.push(end, Verb::Isolate(Who::Leader, promise * 2)),
        }
        // Who has forgotten its promise may vote at once, all others only when it is over.
        let soonest = if is_plain { 55 } else { 0 };
        let rival = Who::Node(self.voter());
        for _ in 0..16 {
            let when = end.after(promise * self.draw.between(soonest, 115) as u32 / 100);
            self.push(when, Verb::Campaign(rival));
        }
    }

    /// The leader hands over, and hears nothing of its successor, who is to campaign within so
    /// long: then the leader is cut off.
    pub(super) fn betray(&mut self, at: SimTime, within: Duration, cut: Verb) {
        let successor = Some(self.voter()).filter(|_| self.draw.chance(500));
        self.push(at, Verb::Transfer(Who::Leader, successor));
        self.push_on(Occasion::next(Trigger::BecomesCandidate, at, at.after(within)), cut);
    }

    /// The leader's clock runs as slow as it may, and all others as fast.
    fn part_clocks(&mut self, at: SimTime, lasting: Duration) {
        let most = self.settings.clocks.drift_ppm_max as i32;
        for node in 1..=self.settings.nodes() {
            self.push(at, Verb::Drift(Who::Node(NodeId(node.into())), most, lasting));
        }
        self.push(at, Verb::Drift(Who::Leader, -most, lasting));
    }

    /// All voters crash, save the leader it may be, and start again at once.
    fn crash_others(&mut self, at: SimTime) {
        let spared = self.voter();
        let down = self.settings.latency.most;
        for voter in (1..=self.settings.voters).map(|number| NodeId(number.into())) {
            if voter != spared {
                self.push(at, Verb::Crash(Who::Node(voter), Keep::Part, down));
            }
        }
    }
}
