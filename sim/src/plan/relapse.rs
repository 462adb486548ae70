//! Draws a node that falls again as soon as it is back.

use crate::fault::Fault;
use crate::plan::draw::Planner;
use crate::plan::{Keep, Occasion, Trigger, Verb, Who};

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
        let writes = Occasion { by: Some(node), ..self.soon(trigger) };
        let nth = self.draw.between(1, 4) as u32;
        let keep = *self.draw.pick(&[Keep::Part, Keep::None, Keep::Part]);
        let crash = Verb::Crash(Who::It, keep, self.settings.latency.most);
        self.push_on(Occasion { nth, ..writes }, crash);
        let (times, later) = (self.draw.between(1, 3) as u32, self.delay());
        let stops = self.settings.faults.has(Fault::Stop) && self.draw.chance(600);
        let verb = self.verb(if stops { Fault::Stop } else { Fault::Crash }, Who::It);
        self.push_on(Occasion { trigger: Trigger::Starts, times, later, ..writes }, verb);
        if self.settings.faults.has(Fault::Surge) && self.draw.chance(500) {
            let (period, lasting) = (self.settings.latency.most / 2, self.lasting());
            let verb = Verb::Consult(Who::Node(node), period, lasting * 4);
            self.push(writes.from, verb);
        }
    }
}
