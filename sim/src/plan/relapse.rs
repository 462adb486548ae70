//! Draws a node that falls again as soon as it is back.

use std::time::Duration;

use crate::fault::Fault;
use crate::plan::draw::Planner;
use crate::plan::{Keep, Op, Trigger, Verb, When, Who};

impl Planner<'_> {
    /// A node crashes in the middle of a write, and falls again soon after it has started: by a
    /// crash, or in good order. Reads may reach it in between.
    pub(super) fn relapse(&mut self) {
        let trigger = *self.draw.pick(&[
            Trigger::SubmitsEntries,
            Trigger::BeginsSegment,
            Trigger::UpdatesSuperblock,
            Trigger::CutsLog,
        ]);
        let node = self.node();
        let (by, from, nth) = (Some(node), self.moment(), self.draw.between(1, 4) as u32);
        let to = from.after(self.settings.config.election_timeout_max * 10);
        let when = When::On { from, to, trigger, by, nth, times: 1, later: Duration::ZERO };
        let keep = *self.draw.pick(&[Keep::Part, Keep::None, Keep::Part]);
        let down = self.settings.latency.most;
        self.ops.push(Op { when, verb: Verb::Crash(Who::It, keep, down) });
        let (times, later) = (self.draw.between(1, 3) as u32, self.delay());
        let trigger = Trigger::Starts;
        let when = When::On { from, to, trigger, by, nth: 1, times, later };
        let stops = self.settings.faults.has(Fault::Stop) && self.draw.chance(600);
        let verb = self.verb(if stops { Fault::Stop } else { Fault::Crash }, Who::It);
        self.ops.push(Op { when, verb });
        if self.settings.faults.has(Fault::Surge) && self.draw.chance(500) {
            let (period, lasting) = (self.settings.latency.most / 2, self.lasting());
            let verb = Verb::Consult(Who::Node(node), period, lasting * 4);
            self.ops.push(Op { when: When::At(from), verb });
        }
    }
}
