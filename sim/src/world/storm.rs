//! What of the plan waits for its trigger, and which faults last.

use std::time::Duration;

use quorate::types::NodeId;

use crate::plan::{Op, Plan, Trigger, When};
use crate::time::SimTime;
use crate::world::network::Links;
use crate::world::node::Place;

/// The plan at work.
#[derive(Clone, Debug)]
pub(super) struct Storm {
    plan: Plan,
    armed: Vec<Armed>,
    /// One bit for each trigger that some armed operation waits for.
    triggers: u32,
    firings: Vec<Firing>,
    /// Each with the operation that began it.
    effects: Vec<(Effect, u32)>,
    /// The operation that happened last.
    struck: u32,
}

/// An operation that waits for its trigger.
#[derive(Clone, Copy, Debug)]
struct Armed {
    op: u32,
    matches: u32,
    fired: u32,
}

/// A triggered operation that fires a while after its trigger.
#[derive(Clone, Copy, Debug)]
pub(super) struct Firing {
    pub(super) op: u32,
    pub(super) it: Place,
    pub(super) other: Option<Place>,
}

/// A fault that lasts.
#[derive(Clone, Copy, Debug)]
pub(super) enum Effect {
    /// Links that are blocked.
    Blocked(Links),
    /// Links that go down and up again.
    Flapping { links: Links, period: Duration, until: SimTime, down: bool },
    /// A clock that runs fast or slow.
    Drifting(Place),
    /// A disk that takes longer.
    DiskSlowed(Place, Duration),
    /// A state machine that takes longer.
    ApplySlowed(Place, Duration),
    /// A disk without room.
    DiskFilled(Place),
    /// A node at which somebody reads again and again.
    Consulted { place: Place, period: Duration, until: SimTime },
    /// An image of a disk that is about to take the disk's place; the node is down for so long.
    Imaged(Place, Duration),
}

impl Storm {
    pub(super) fn new(plan: Plan) -> Storm {
        Storm {
            plan,
            armed: Vec::new(),
            triggers: 0,
            firings: Vec::new(),
            effects: Vec::new(),
            struck: 0,
        }
    }

    /// One operation of the plan, which happens now.
    pub(super) fn strikes(&mut self, op: u32) -> &Op {
        self.struck = op;
        self.op(op)
    }

    /// One operation of the plan.
    pub(super) fn op(&self, op: u32) -> &Op {
        &self.plan.ops[op as usize]
    }

    /// When each operation happens or begins to wait for its trigger.
    pub(super) fn schedule(&self) -> Vec<(SimTime, u32)> {
        self.plan.ops.iter().map(|op| op.when.begins()).zip(0..).collect()
    }

    /// An operation begins to wait for its trigger.
    pub(super) fn arm(&mut self, op: u32) {
        if let When::On(occasion) = self.op(op).when {
            self.triggers |= bit(occasion.trigger);
            self.armed.push(Armed { op, matches: 0, fired: 0 });
        }
    }

    /// Whether any operation waits for `trigger`.
    pub(super) fn waits_for(&self, trigger: Trigger) -> bool {
        self.triggers & bit(trigger) != 0
    }

    /// The operations that happen because node `it` did what `seen` says, with the time after
    /// which they do.
    pub(super) fn fired(
        &mut self,
        seen: Trigger,
        it: NodeId,
        now: SimTime,
    ) -> Vec<(u32, Duration)> {
        let Storm { plan, armed, .. } = self;
        let mut fired = Vec::new();
        for waiting in &mut *armed {
            let When::On(occasion) = plan.ops[waiting.op as usize].when else { continue };
            let elsewhere = occasion.by.is_some_and(|by| by != it);
            if occasion.trigger != seen || elsewhere || now > occasion.to {
                continue;
            }
            waiting.matches += 1;
            if waiting.matches >= occasion.nth {
                waiting.fired += 1;
                fired.push((waiting.op, occasion.later));
            }
        }
        armed.retain(|waiting| match plan.ops[waiting.op as usize].when {
            When::On(occasion) => waiting.fired < occasion.times && now <= occasion.to,
            When::At(_) => false,
        });
        let waits = armed.iter().map(|waiting| match plan.ops[waiting.op as usize].when {
            When::On(occasion) => bit(occasion.trigger),
            When::At(_) => 0,
        });
        self.triggers = waits.fold(0, |all, one| all | one);
        fired
    }

    /// Puts off an operation that happens some time after its trigger.
    pub(super) fn put_off(&mut self, firing: Firing) -> u32 {
        self.firings.push(firing);
        (self.firings.len() - 1) as u32
    }

    /// An operation that was put off.
    pub(super) fn firing(&self, number: u32) -> Firing {
        self.firings[number as usize]
    }

    /// A fault begins to last.
    pub(super) fn begin(&mut self, effect: Effect) -> u32 {
        self.effects.push((effect, self.struck));
        (self.effects.len() - 1) as u32
    }

    /// A fault that lasts.
    pub(super) fn effect(&mut self, number: u32) -> &mut Effect {
        &mut self.effects[number as usize].0
    }

    /// The operation of the plan that began it.
    pub(super) fn began(&self, number: u32) -> u32 {
        self.effects[number as usize].1
    }
}

fn bit(trigger: Trigger) -> u32 {
    1 << trigger as u8
}

#[cfg(test)]
mod tests {
    use crate::plan::{Keep, Occasion, Verb, Who};

    use super::*;

    fn storm(by: Option<NodeId>, nth: u32, times: u32) -> Storm {
        let vote = Occasion::next(Trigger::SubmitsVote, SimTime(10), SimTime(90));
        let when = When::On(Occasion { by, nth, times, ..vote });
        let verb = Verb::Crash(Who::It, Keep::None, Duration::ZERO);
        let mut storm = Storm::new(Plan { ops: vec![Op { when, verb }] });
        assert_eq!(storm.schedule(), [(SimTime(10), 0)]);
        storm.arm(0);
        storm
    }

    fn fires(storm: &mut Storm, trigger: Trigger, it: u64, now: u64) -> bool {
        !storm.fired(trigger, NodeId(it), SimTime(now)).is_empty()
    }

    #[test]
    fn an_operation_fires_at_its_trigger_and_node_only() {
        let mut storm = storm(Some(NodeId(3)), 1, 1);
        assert!(!fires(&mut storm, Trigger::SubmitsEntries, 3, 20));
        assert!(!fires(&mut storm, Trigger::SubmitsVote, 2, 20));
        assert!(fires(&mut storm, Trigger::SubmitsVote, 3, 20));
        assert!(!storm.waits_for(Trigger::SubmitsVote), "it has fired");
    }

    #[test]
    fn an_operation_counts_its_matches_and_its_firings() {
        let mut storm = storm(None, 2, 2);
        let fired: Vec<bool> =
            (20..24).map(|now| fires(&mut storm, Trigger::SubmitsVote, 1, now)).collect();
        assert_eq!(fired, [false, true, true, false]);
    }

    #[test]
    fn an_operation_fires_no_later_than_it_may() {
        let mut storm = storm(None, 1, 1);
        assert!(!fires(&mut storm, Trigger::SubmitsVote, 1, 91));
        assert!(!storm.waits_for(Trigger::SubmitsVote));
    }
}
