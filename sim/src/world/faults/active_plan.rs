//! The plan during a run: armed operations, delayed ones, and active faults.

use std::time::Duration;

use quorate::types::NodeId;

use crate::faults::{Fault, Lasting, NodeSelector, SelectLinks};
use crate::observer::Observer;
use crate::plan::{Op, Plan, Trigger, When};
use crate::values::time::SimTime;
use crate::world::cluster::Cluster;
use crate::world::cluster::node::Node;
use crate::world::network::links::Links;
use crate::world::place::Place;
use crate::world::scheduler::{Event, PlanEvent, Scheduler};

/// The plan during a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct ActivePlan {
    pub(super) plan: Plan,
    armed: Vec<ArmedOp>,
    /// One bit for each trigger that an armed operation waits for.
    triggers: u32,
    delayed: Vec<DelayedOp>,
    /// Each effect, with the operation that started it.
    effects: Vec<(Effect, u32)>,
    /// The operation that was executed last.
    current_op: u32,
}

/// An operation that waits for its trigger.
#[derive(Clone, Copy, Debug)]
struct ArmedOp {
    op: u32,
    matches: u32,
    fired: u32,
}

/// A triggered operation that waits for its delay.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DelayedOp {
    pub(crate) op: u32,
    pub(crate) it: Place,
    pub(crate) other: Option<Place>,
}

impl ActivePlan {
    /// Starts an operation of the plan, and returns it.
    pub(crate) fn start_op(&mut self, op: u32) -> &Op {
        self.current_op = op;
        self.op(op)
    }

    /// Returns an operation of the plan.
    pub(crate) fn op(&self, op: u32) -> &Op {
        &self.plan.ops[op as usize]
    }

    /// Schedules each operation for the time at which it is executed or armed.
    pub(crate) fn schedule(&self, scheduler: &mut Scheduler) {
        for (at, op) in self.plan.ops.iter().map(|op| op.when.earliest()).zip(0..) {
            scheduler.at(at, Event::Plan(PlanEvent::Due, op));
        }
    }

    /// Arms an operation, which then waits for its trigger.
    pub(crate) fn arm(&mut self, op: u32) {
        if let When::On(condition) = self.op(op).when {
            self.triggers |= bit(condition.trigger);
            self.armed.push(ArmedOp { op, matches: 0, fired: 0 });
        }
    }

    /// Disarms every operation, so that no trigger fires any more.
    pub(crate) fn disarm(&mut self) {
        self.armed.clear();
        self.triggers = 0;
    }

    /// Returns true if an armed operation waits for any trigger.
    pub(crate) fn awaits_triggers(&self) -> bool {
        self.triggers != 0
    }

    /// Returns true if an armed operation waits for `trigger`.
    pub(crate) fn is_awaited(&self, trigger: Trigger) -> bool {
        self.triggers & bit(trigger) != 0
    }

    /// Returns the operations that fire because node `it` met the trigger `seen`, each with its
    /// delay.
    pub(crate) fn fired(
        &mut self,
        seen: Trigger,
        it: NodeId,
        now: SimTime,
    ) -> Vec<(u32, Duration)> {
        let ActivePlan { plan, armed, .. } = self;
        let mut fired = Vec::new();
        for waiting in &mut *armed {
            let When::On(condition) = plan.ops[waiting.op as usize].when else { continue };
            let elsewhere = condition.node.is_some_and(|by| by != it);
            if condition.trigger != seen || elsewhere || now > condition.to {
                continue;
            }
            waiting.matches += 1;
            if waiting.matches >= condition.nth {
                waiting.fired += 1;
                fired.push((waiting.op, condition.delay));
            }
        }
        armed.retain(|waiting| match plan.ops[waiting.op as usize].when {
            When::On(condition) => waiting.fired < condition.times && now <= condition.to,
            When::At(_) => false,
        });
        let waits = armed.iter().map(|waiting| match plan.ops[waiting.op as usize].when {
            When::On(condition) => bit(condition.trigger),
            When::At(_) => 0,
        });
        self.triggers = waits.fold(0, |all, one| all | one);
        fired
    }

    /// Stores a triggered operation until its delay is over.
    pub(crate) fn delay(&mut self, op: DelayedOp, delay: Duration, scheduler: &mut Scheduler) {
        let number = self.delayed.len() as u32;
        self.delayed.push(op);
        scheduler.after(delay, Event::Plan(PlanEvent::Delayed, number));
    }

    /// Returns a delayed operation.
    pub(crate) fn delayed(&self, number: u32) -> DelayedOp {
        self.delayed[number as usize]
    }

    /// Begins the effect of a fault, and schedules its end, or its next step if it has several.
    pub(crate) fn begin(&mut self, effect: Effect, duration: Duration, scheduler: &mut Scheduler) {
        let number = self.effects.len() as u32;
        self.effects.push((effect, self.current_op));
        let event = match effect {
            Effect::PollingReads { .. } => PlanEvent::PollRead,
            Effect::Flapping { .. } => PlanEvent::Flap,
            Effect::Blocked(_)
            | Effect::OnNode(..)
            | Effect::RollbackPending(..)
            | Effect::Passing => {
                return scheduler.after(duration, Event::Plan(PlanEvent::End, number));
            }
        };
        scheduler.at_once(Event::Plan(event, number));
    }

    /// Returns the effect with this number.
    pub(crate) fn effect(&mut self, number: u32) -> &mut Effect {
        &mut self.effects[number as usize].0
    }

    /// Returns the operation that started the effect.
    pub(crate) fn began(&self, number: u32) -> u32 {
        self.effects[number as usize].1
    }
}

fn bit(trigger: Trigger) -> u32 {
    1 << trigger as u8
}

/// The effect of a fault that lasts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Effect {
    /// The links that are blocked.
    Blocked(Links),
    /// Links that go down and up again.
    Flapping { links: Links, period: Duration, until: SimTime, down: bool },
    /// A node with a fault that lasts.
    OnNode(Place, Lasting),
    /// A node at which a client reads repeatedly.
    PollingReads { place: Place, period: Duration, until: SimTime },
    /// A copy of a disk, by its number, that will replace the disk; the node is then down for this
    /// duration.
    RollbackPending(Place, u16, Duration),
    /// A fault whose end needs no action: the node or the network ends it.
    Passing,
}

impl Effect {
    /// Returns true if the fault affects the node; `cluster` has all nodes.
    fn affects(&self, place: Place, cluster: &Cluster) -> bool {
        match *self {
            Effect::Blocked(links) | Effect::Flapping { links, .. } => {
                cluster.places().any(|other| links.has(place, other) || links.has(other, place))
            }
            Effect::OnNode(affected, _)
            | Effect::PollingReads { place: affected, .. }
            | Effect::RollbackPending(affected, ..) => affected == place,
            Effect::Passing => false,
        }
    }

    /// Counts a fault that takes effect, and the roles of the affected nodes.
    pub(crate) fn count(&self, fault: Fault, cluster: &Cluster, observer: &mut Observer) {
        let affected = cluster.nodes().filter(|node| self.affects(node.place, cluster));
        observer.fault_of_many(fault, affected.filter_map(Node::role));
    }
}

/// The nodes that selectors stand for when an operation is executed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Targets {
    nodes: usize,
    /// The node that met the trigger.
    pub(crate) it: Option<Place>,
    other: Option<Place>,
    leader: Option<Place>,
}

impl Targets {
    /// Returns the nodes of an operation, with the node that met its trigger and that node's peer.
    pub(crate) fn new(cluster: &Cluster, it: Option<Place>, other: Option<Place>) -> Targets {
        Targets { nodes: cluster.len(), it, other: other.or(it), leader: cluster.leader() }
    }

    /// Returns the place of the selected node, if there is one.
    pub(crate) fn of(&self, node: NodeSelector) -> Option<Place> {
        match node {
            NodeSelector::Node(id) => Place::of(id, self.nodes),
            NodeSelector::It => self.it,
            NodeSelector::Other => self.other,
            NodeSelector::Leader => self.leader,
        }
    }

    /// Returns the selected links, if their nodes are known.
    pub(crate) fn links(&self, select: &SelectLinks<'_>) -> Option<Links> {
        let selected = select(&|node| self.of(node).map(Place::id))?;
        let places = (0..self.nodes).map(|place| Place(place as u8));
        Some(Links::between(places, |from, to| selected(from.id(), to.id())))
    }
}

#[cfg(test)]
mod tests {
    use crate::faults::{Crash, KeptWrites};
    use crate::plan::TriggerCondition;

    use super::*;

    fn plan(by: Option<NodeId>, nth: u32, times: u32) -> ActivePlan {
        let vote = TriggerCondition::next(Trigger::SubmitsVote, SimTime(10), SimTime(90));
        let when = When::On(TriggerCondition { node: by, nth, times, ..vote });
        let verb =
            Crash { node: NodeSelector::It, keep: KeptWrites::None, down: Duration::ZERO }.into();
        let mut plan =
            ActivePlan { plan: Plan { ops: vec![Op { when, verb }] }, ..ActivePlan::default() };
        let mut scheduler = Scheduler::default();
        plan.schedule(&mut scheduler);
        assert_eq!(scheduler.next(), SimTime(10));
        plan.arm(0);
        plan
    }

    fn fires(plan: &mut ActivePlan, trigger: Trigger, it: u64, now: u64) -> bool {
        !plan.fired(trigger, NodeId(it), SimTime(now)).is_empty()
    }

    #[test]
    fn an_operation_fires_at_its_trigger_and_node_only() {
        let mut plan = plan(Some(NodeId(3)), 1, 1);
        assert!(!fires(&mut plan, Trigger::SubmitsEntries, 3, 20));
        assert!(!fires(&mut plan, Trigger::SubmitsVote, 2, 20));
        assert!(fires(&mut plan, Trigger::SubmitsVote, 3, 20));
        assert!(!plan.is_awaited(Trigger::SubmitsVote), "it fires only once");
    }

    #[test]
    fn an_operation_counts_its_matches_and_its_firings() {
        let mut plan = plan(None, 2, 2);
        let fired: Vec<bool> =
            (20..24).map(|now| fires(&mut plan, Trigger::SubmitsVote, 1, now)).collect();
        assert_eq!(fired, [false, true, true, false]);
    }

    #[test]
    fn an_operation_fires_no_later_than_it_may() {
        let mut plan = plan(None, 1, 1);
        assert!(!fires(&mut plan, Trigger::SubmitsVote, 1, 91));
        assert!(!plan.is_awaited(Trigger::SubmitsVote));
    }
}
