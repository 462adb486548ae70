//! Draws schedules around the end of a lease: reads that depend on it, and elections that could
//! overlap it.

use std::time::Duration;

use quorate::types::NodeId;

use crate::faults::{
    Campaign, ClockDrift, Crash, Fault, KeptWrites, LoadSpike, NodeSelector, OneWay, Partition,
    Transfer, Verb,
};
use crate::plan::draw::Planner;
use crate::plan::{Trigger, TriggerCondition};
use crate::time::SimTime;

impl Planner<'_> {
    /// Clients read in quick succession at a node that may hold a lease while the lease ends:
    /// clocks are as far apart as allowed, the leader is isolated or transfers its leadership, and
    /// others campaign.
    pub(super) fn lease_expiry(&mut self) {
        let config = &self.settings.config;
        let (vote_lease, heartbeat) = (config.election_timeout_min, config.heartbeat_interval);
        let (at, faults) = (self.any_moment(), self.settings.faults);
        let kind = self.draw.below(6);
        let is_plain = kind > 2;
        let duration = vote_lease * 5;
        if faults.has(Fault::ClockDrift) && (is_plain || self.draw.chance(700)) {
            self.skew_clocks(at, duration);
        }
        let holder = NodeSelector::Node(self.draw.voter());
        let at_leader = is_plain || self.draw.chance(700);
        let reader = if at_leader { NodeSelector::Leader } else { holder };
        let period = (vote_lease / 100).max(Duration::from_millis(1));
        self.push(at, LoadSpike::PollReads(reader, period, duration));
        let end = at.after(heartbeat * self.draw.between(4, 12) as u32 / 4);
        match kind {
            0 if faults.has(Fault::Transfer) => {
                let duration = vote_lease * 2;
                return self.transfer_then_cut(
                    end,
                    duration,
                    Partition::Isolate(NodeSelector::Leader, duration),
                );
            }
            1 if faults.has(Fault::Crash) => {
                self.push(end, Partition::Isolate(NodeSelector::Leader, vote_lease * 2));
                self.crash_others(end);
            }
            2 => {
                self.push(end, OneWay::Cut(NodeSelector::Leader, holder, vote_lease));
                self.push(end, LoadSpike::Commands(NodeSelector::Leader, 10));
                return;
            }
            _ => self.push(end, Partition::Isolate(NodeSelector::Leader, vote_lease * 2)),
        }
        // A restarted node has lost its vote lease and may vote at once; other voters vote once it
        // ends.
        let soonest = if is_plain { 55 } else { 0 };
        let rival = NodeSelector::Node(self.draw.voter());
        for _ in 0..16 {
            let when = end.after(vote_lease * self.draw.between(soonest, 115) as u32 / 100);
            self.push(when, Campaign { node: rival });
        }
    }

    /// The leader transfers its leadership, and hears nothing from the target: when the target
    /// becomes a candidate within this time, `cut` isolates the leader.
    pub(super) fn transfer_then_cut(
        &mut self,
        at: SimTime,
        within: Duration,
        cut: impl Into<Verb>,
    ) {
        let successor = Some(self.draw.voter()).filter(|_| self.draw.chance(500));
        self.push(at, Transfer { node: NodeSelector::Leader, to: successor });
        self.push_on(TriggerCondition::next(Trigger::BecomesCandidate, at, at.after(within)), cut);
    }

    /// Makes the leader's clock run as slow as allowed, and all other clocks as fast.
    fn skew_clocks(&mut self, at: SimTime, duration: Duration) {
        let most = self.settings.clocks.drift_ppm_max as i32;
        for node in 1..=self.settings.nodes() {
            let node = NodeSelector::Node(NodeId(node.into()));
            self.push(at, ClockDrift { node, ppm: most, duration });
        }
        self.push(at, ClockDrift { node: NodeSelector::Leader, ppm: -most, duration });
    }

    /// All voters crash except one, possibly the leader, and restart at once.
    fn crash_others(&mut self, at: SimTime) {
        let spared = self.draw.voter();
        let down = self.settings.latency.max;
        for voter in (1..=self.settings.voters).map(|number| NodeId(number.into())) {
            if voter != spared {
                self.push(
                    at,
                    Crash { node: NodeSelector::Node(voter), keep: KeptWrites::Part, down },
                );
            }
        }
    }
}
