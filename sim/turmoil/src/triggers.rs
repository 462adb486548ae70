//! The operations of a scenario that wait for an event at a node.

use std::time::Duration;

use quorate::raft::RoleName;
use quorate::types::{NodeId, Term};
use quorate_sim::faults::Verb;
use quorate_sim::plan::{Op, Trigger, TriggerCondition, When};

use crate::world::State;

/// The triggers that exist here: the others are events inside a node.
pub(crate) const TRIGGERS: [Trigger; 5] = [
    Trigger::Restarts,
    Trigger::GoesDown,
    Trigger::BecomesLeader,
    Trigger::BecomesPreCandidate,
    Trigger::BecomesCandidate,
];

/// The operations with triggers, and what their nodes did so far.
pub(crate) struct Triggers {
    armed: Vec<Armed>,
    seen: Vec<Seen>,
    /// The operations that wait for their delay: the time, and the node that met the trigger.
    fired: Vec<(Duration, Verb, NodeId)>,
}

/// An operation with a trigger.
struct Armed {
    condition: TriggerCondition,
    verb: Verb,
    matches: u32,
    fired: u32,
}

/// The last known state of a node.
#[derive(Clone, Copy, Default)]
struct Seen {
    starts: u32,
    ends: u32,
    role: Option<(RoleName, Term)>,
}

impl Triggers {
    pub(crate) fn new(ops: &[Op], nodes: usize) -> Triggers {
        let armed = ops.iter().filter_map(|op| match op.when {
            When::On(condition) => {
                Some(Armed { condition, verb: op.verb.clone(), matches: 0, fired: 0 })
            }
            When::At(_) => None,
        });
        Triggers { armed: armed.collect(), seen: vec![Seen::default(); nodes], fired: Vec::new() }
    }

    /// Returns the operations that are due, each with the node that met its trigger.
    pub(crate) fn due(&mut self, state: &State, now: Duration) -> Vec<(Verb, NodeId)> {
        for (at, node) in state.nodes.iter().enumerate() {
            let role = node.handle.as_ref().map(|handle| {
                let leadership = *handle.leadership().borrow();
                (leadership.role, leadership.term)
            });
            let seen = Seen { starts: node.starts, ends: node.ends, role };
            let before = std::mem::replace(&mut self.seen[at], seen);
            let id = NodeId(at as u64 + 1);
            if seen.ends > before.ends {
                self.fire(Trigger::GoesDown, id, now);
            }
            if seen.starts > before.starts && seen.starts > 1 {
                self.fire(Trigger::Restarts, id, now);
            }
            if let Some((role, _)) = role.filter(|_| role != before.role) {
                match role {
                    RoleName::Leader => self.fire(Trigger::BecomesLeader, id, now),
                    RoleName::PreCandidate => self.fire(Trigger::BecomesPreCandidate, id, now),
                    RoleName::Candidate => self.fire(Trigger::BecomesCandidate, id, now),
                    RoleName::Follower => {}
                }
            }
        }
        let is_due = |(at, _, _): &mut (Duration, Verb, NodeId)| *at <= now;
        self.fired.extract_if(.., is_due).map(|(_, verb, node)| (verb, node)).collect()
    }

    /// Removes all operations.
    pub(crate) fn clear(&mut self) {
        self.armed.clear();
        self.fired.clear();
    }

    fn fire(&mut self, trigger: Trigger, node: NodeId, now: Duration) {
        for armed in &mut self.armed {
            let condition = &armed.condition;
            let (from, to) = (condition.from.0, condition.to.0);
            let is_met = condition.trigger == trigger
                && condition.node.is_none_or(|watched| watched == node)
                && (u128::from(from)..=u128::from(to)).contains(&now.as_nanos());
            armed.matches += u32::from(is_met);
            if is_met && armed.matches >= condition.nth && armed.fired < condition.times {
                armed.fired += 1;
                self.fired.push((now + condition.delay, armed.verb.clone(), node));
            }
        }
    }
}
