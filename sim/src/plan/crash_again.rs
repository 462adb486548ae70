//! Draws a node that goes down again as soon as it is back.

use crate::faults::{Crash, Fault, KeptWrites, LoadSpike, NodeSelector};
use crate::plan::draw::Planner;
use crate::plan::{Trigger, TriggerCondition};

impl Planner<'_> {
    /// A node crashes during a write, and goes down again soon after its restart, by a crash or a
    /// clean shutdown. Reads may reach it in between.
    pub(super) fn crash_again_after_restart(&mut self) {
        let trigger = *self.draw.pick(&[
            Trigger::SubmitsEntries,
            Trigger::BeginsSegment,
            Trigger::UpdatesSuperblock,
            Trigger::TruncatesLog,
        ]);
        let node = self.draw.node();
        let writes = TriggerCondition { node: Some(node), ..self.soon_after(trigger) };
        let nth = self.draw.between(1, 4) as u32;
        let keep = *self.draw.pick(&[KeptWrites::Part, KeptWrites::None, KeptWrites::Part]);
        let crash = Crash { node: NodeSelector::It, keep, down: self.settings.latency.max };
        self.push_on(TriggerCondition { nth, ..writes }, crash);
        let (times, delay) = (self.draw.between(1, 3) as u32, self.delay());
        let stops = self.settings.faults.has(Fault::Stop) && self.draw.chance(600);
        let verb = self.verb(if stops { Fault::Stop } else { Fault::Crash }, NodeSelector::It);
        self.push_on(TriggerCondition { trigger: Trigger::Restarts, times, delay, ..writes }, verb);
        if self.settings.faults.has(Fault::LoadSpike) && self.draw.chance(500) {
            let (period, duration) = (self.settings.latency.max / 2, self.draw.fault_duration());
            let verb = LoadSpike::PollReads(NodeSelector::Node(node), period, duration * 4);
            self.push(writes.from, verb);
        }
    }
}
