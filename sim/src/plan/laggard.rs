//! Draws a node that falls behind again and again, and needs newer and newer snapshots.

use std::time::Duration;

use crate::fault::Fault;
use crate::plan::draw::Planner;
use crate::plan::{Op, Trigger, Verb, When, Who};
use crate::time::SimTime;

/// Up to how many entries between two snapshots a node that is cut off for a while needs one.
pub(super) const ENTRIES_MAX: u64 = 60;
/// How often the node falls behind, once it starts over from the first.
const ROUNDS: u32 = 3;

impl Planner<'_> {
    /// A node is cut off, in rounds, while the others are asked for a lot. Its state machine takes
    /// long to start over from the first snapshot that this makes it need.
    pub(super) fn laggard(&mut self) {
        let at = self.moment();
        let who = self.voter();
        let apart = self.settings.config.election_timeout_max * self.draw.between(4, 12) as u32 / 2;
        let (trigger, by) = (Trigger::InstallsSnapshot, Some(who));
        let (from, to) = (at, at.after(apart * 4));
        let when = When::On { from, to, trigger, by, nth: 1, times: 1, later: Duration::ZERO };
        // It is done with that when the storm is over.
        let left = SimTime::default().after(self.settings.storm).since(to);
        let by = left.min(apart * (2 * ROUNDS));
        let slow = Verb::SlowApply(Who::It, by, self.settings.flush.most * 8);
        self.ops.push(Op { when, verb: slow });
        for round in 0..=ROUNDS {
            let at = at.after(apart * (2 * round));
            self.ops.push(Op { when: When::At(at), verb: Verb::Isolate(Who::Node(who), apart) });
            if self.settings.faults.has(Fault::Surge) {
                let (when, count) = (When::At(at.after(apart / 2)), self.surge());
                self.ops.push(Op { when, verb: Verb::Surge(Who::Leader, count) });
            }
        }
    }
}
