//! Draws a node that falls behind again and again, and needs newer and newer snapshots.

use crate::fault::Fault;
use crate::plan::draw::Planner;
use crate::plan::{Occasion, Trigger, Verb, Who};
use crate::time::SimTime;

/// How often the node falls behind, once it starts over from the first.
const ROUNDS: u32 = 3;

impl Planner<'_> {
    /// A node is cut off, in rounds, while the others are asked for a lot. Its state machine takes
    /// long to start over from the first snapshot that this makes it need.
    pub(super) fn laggard(&mut self) {
        let who = self.voter();
        let apart = self.settings.config.election_timeout_max * self.draw.between(4, 12) as u32 / 2;
        // It needs a first snapshot within four times as long, and is done with that, and with the
        // slow restart, when the storm is over.
        let end = SimTime::default().after(self.settings.storm);
        let at = self.moment().min(end.before(apart * 8));
        let (from, to) = (at, at.after(apart * 4));
        let slowness = end.since(to).min(apart * (2 * ROUNDS));
        let first = Occasion::next(Trigger::InstallsSnapshot, from, to);
        let slow = Verb::SlowApply(Who::It, slowness, self.settings.flush.most * 8);
        self.push_on(Occasion { by: Some(who), ..first }, slow);
        for round in 0..=ROUNDS {
            let at = at.after(apart * (2 * round));
            self.push(at, Verb::Isolate(Who::Node(who), apart));
            if self.settings.faults.has(Fault::Surge) {
                let count = self.surge();
                self.push(at.after(apart / 2), Verb::Surge(Who::Leader, count));
            }
        }
    }
}
