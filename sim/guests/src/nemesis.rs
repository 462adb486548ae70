//! The plan during a run: operations that wait for their time, their trigger or their delay, and
//! changes of links that are to be undone.

use std::time::Duration;

use quorate_sim::faults::Verb;
use quorate_sim::plan::{Op, Plan, Trigger, When};
use quorate_sim::values::time::SimTime;

use crate::guest::NodeId;

/// The operations of a plan, by their positions in it.
#[derive(Debug)]
pub(crate) struct Nemesis {
    ops: Vec<Op>,
    armed: Vec<Armed>,
    /// The links that operations have blocked, by the number of the block.
    blocks: Vec<Block>,
}

/// An operation that waits for its trigger.
#[derive(Debug)]
struct Armed {
    op: usize,
    matches: u32,
    fired: u32,
}

/// Links that an operation has changed, as pairs of places.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) links: Vec<(usize, usize)>,
    /// The period and the end of links that flap.
    pub(crate) flaps: Option<(Duration, SimTime)>,
    pub(crate) is_blocked: bool,
}

impl Nemesis {
    pub(crate) fn new(plan: Plan) -> Nemesis {
        Nemesis { ops: plan.ops, armed: Vec::new(), blocks: Vec::new() }
    }

    /// Returns the time at which each operation is carried out or armed.
    pub(crate) fn times(&self) -> Vec<SimTime> {
        self.ops.iter().map(|op| op.when.earliest()).collect()
    }

    /// Returns the verb of an operation that is due now; one with a trigger is armed instead.
    pub(crate) fn due(&mut self, op: usize) -> Option<Verb> {
        if let When::On(_) = self.ops[op].when {
            self.armed.push(Armed { op, matches: 0, fired: 0 });
            return None;
        }
        Some(self.verb(op))
    }

    pub(crate) fn verb(&self, op: usize) -> Verb {
        self.ops[op].verb.clone()
    }

    /// Returns the operations that a node fires now, each with its delay.
    pub(crate) fn fired(
        &mut self,
        trigger: Trigger,
        node: NodeId,
        now: SimTime,
    ) -> Vec<(usize, Duration)> {
        let Nemesis { ops, armed, .. } = self;
        let mut fired = Vec::new();
        armed.retain_mut(|waiting| {
            let When::On(condition) = ops[waiting.op].when else { return false };
            let matches = condition.trigger == trigger
                && condition.node.is_none_or(|it| it == node)
                && now <= condition.to;
            waiting.matches += u32::from(matches);
            if matches && waiting.matches >= condition.nth {
                waiting.fired += 1;
                fired.push((waiting.op, condition.delay));
            }
            waiting.fired < condition.times && now <= condition.to
        });
        fired
    }

    /// Remembers changed links, and returns the number of the change.
    pub(crate) fn remember(&mut self, block: Block) -> usize {
        self.blocks.push(block);
        self.blocks.len() - 1
    }

    pub(crate) fn block(&mut self, number: usize) -> &mut Block {
        &mut self.blocks[number]
    }

    /// Disarms the operations that wait for their triggers.
    pub(crate) fn end(&mut self) {
        self.armed.clear();
    }
}
