//! The reached states of nodes, and the result of each event in them, computed once and cached.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use quorate::raft::Input;
use quorate::types::{Body, Message, MessageTopic, NodeId, Tag, Term};

use crate::checks::{Checks, Facts};
use crate::events::{BoundedKind, Event, Move};
use crate::intern::Interned;
use crate::network::Network;
use crate::node::{Commit, Node, NodeEvent, StepResult, proposal};
use crate::scope::{Scope, Start};
use crate::search::NextWorld;
use crate::world::World;

/// The result of an event for a node.
#[derive(Clone, Debug)]
enum MoveOutcome {
    /// The node reaches this state, sends these messages and makes these commits.
    Reached { state: u32, messages: Vec<u32>, commits: Vec<Commit> },
    /// The node would reach a term beyond the bound.
    BeyondBounds,
    /// The step violates a safety property: the property, and how.
    Violation(String),
}

/// The reached states of nodes, and the cached results of events.
#[derive(Debug)]
pub(crate) struct Moves {
    pub(crate) scope: Scope,
    nodes: Interned<Node>,
    facts: Vec<Facts>,
    pub(crate) network: Network,
    pub(crate) checks: Checks,
    computed: Vec<MoveOutcome>,
    /// The number of the result of each move in each state.
    outcomes: HashMap<(u32, u32), u32, FixedState>,
}

impl Moves {
    /// Creates the cache, and the world in which the exploration starts.
    pub(crate) fn new(scope: Scope) -> Result<(Moves, World), String> {
        let mut moves = Moves {
            checks: Checks::new(&scope),
            scope,
            nodes: Interned::new(),
            facts: Vec::new(),
            network: Network::new(),
            computed: Vec::new(),
            outcomes: HashMap::default(),
        };
        let mut world = World { history: Checks::NOTHING, ..World::default() };
        for id in 1..=moves.scope.nodes {
            let node = Node::fresh(&moves.scope, NodeId(id));
            world.states.push(moves.state(node)?);
        }
        if moves.scope.start == Start::Leader {
            moves.elect(&mut world)?;
        }
        Ok((moves, world))
    }

    pub(crate) fn node(&self, state: u32) -> &Node {
        self.nodes.get(state)
    }

    /// Returns the numbers of distinct node states and of distinct messages.
    pub(crate) fn sizes(&self) -> (usize, usize) {
        (self.nodes.len(), self.network.len())
    }

    /// Lets n1 campaign, and delivers and flushes everything until the cluster is idle.
    fn elect(&mut self, world: &mut World) -> Result<(), String> {
        let mut event = Event { place: 0, kind: Move::Timeout };
        let mut next = World::default();
        loop {
            self.next(world, event, &mut next)?;
            core::mem::swap(world, &mut next);
            let write = (0..world.states.len()).find(|place| self.fact(world, *place).writes);
            event = match (write, world.in_flight.first()) {
                (Some(place), _) => Event { place, kind: Move::Flush },
                (None, Some(message)) => {
                    let place = self.network.receiver(*message);
                    Event { place, kind: Move::Deliver(*message) }
                }
                (None, None) => break,
            };
        }
        world.used = Default::default();
        Ok(())
    }

    fn state(&mut self, node: Node) -> Result<u32, String> {
        let (state, is_new) = self.nodes.number(node);
        if is_new {
            let facts = self.checks.facts(self.nodes.get(state))?;
            self.facts.push(facts);
        }
        Ok(state)
    }

    fn fact(&self, world: &World, place: usize) -> &Facts {
        &self.facts[world.states[place] as usize]
    }

    /// Collects all events that can happen next.
    pub(crate) fn events(&self, world: &World, events: &mut Vec<Event>) {
        events.clear();
        let (bounds, used) = (&self.scope.bounds, world.used);
        for message in &world.in_flight {
            let place = self.network.receiver(*message);
            if self.fact(world, place).is_down {
                continue;
            }
            events.push(Event { place, kind: Move::Deliver(*message) });
            if used.of(BoundedKind::Repeat) < bounds.repeats {
                events.push(Event { place, kind: Move::Repeat(*message) });
            }
        }
        for place in 0..world.states.len() {
            let facts = self.fact(world, place);
            let mut add = |kind: Move| events.push(Event { place, kind });
            if self.may_pass_time(world, place) {
                add(Move::TimePasses);
            }
            if facts.is_down {
                if used.of(BoundedKind::Timeout) < bounds.timeouts {
                    add(Move::Start);
                }
                continue;
            }
            let leads = facts.leads();
            if self.may_time_out(world, place) {
                add(Move::Timeout);
            }
            if facts.writes {
                add(Move::Flush);
            }
            if used.of(BoundedKind::Crash) < bounds.crashes {
                (0..facts.crash_parts).for_each(|parts| add(Move::Crash(parts)));
            }
            if leads {
                if used.of(BoundedKind::Propose) < bounds.proposals {
                    add(Move::Propose);
                }
                if used.of(BoundedKind::Change) < bounds.changes {
                    let changes = self.scope.changes.len() as u32;
                    (0..changes).for_each(|change| add(Move::Change(change)));
                }
                if used.of(BoundedKind::Transfer) < bounds.transfers {
                    let others = (1..=self.scope.nodes as u32).filter(|id| *id != place as u32 + 1);
                    others.for_each(|to| add(Move::Transfer(to)));
                }
            }
        }
    }

    /// Returns true if the clock may step the node now. With last survivors, a node that is not due
    /// is stepped only if it leads, for a further heartbeat, and due leaders are stepped before all
    /// other due nodes.
    fn may_time_out(&self, world: &World, place: usize) -> bool {
        let (bounds, used, facts) = (&self.scope.bounds, world.used, self.fact(world, place));
        let leads_and_is_due = |place| {
            let facts = self.fact(world, place);
            facts.leads() && facts.is_due
        };
        if self.scope.last_survivor && (facts.is_due || !facts.leads()) {
            let first = (0..world.states.len()).find(|place| leads_and_is_due(*place));
            return facts.is_due && first.is_none_or(|first| first == place);
        }
        let (counted, max) = if facts.leads() {
            (BoundedKind::Heartbeat, bounds.heartbeats.unwrap_or(0))
        } else {
            (BoundedKind::Timeout, bounds.timeouts)
        };
        let is_first =
            self.scope.start == Start::FirstCandidate && used.of(BoundedKind::Timeout) == 0;
        used.of(counted) < max && (place == 0 || !is_first)
    }

    /// Returns true if time may pass. Where all clocks run at the same rate, an event of n1 stands
    /// for the clocks of all nodes. With last survivors time passes only when all messages to
    /// running nodes have arrived and no node is due, because no message takes longer and no node
    /// pauses.
    fn may_pass_time(&self, world: &World, place: usize) -> bool {
        if world.used.of(BoundedKind::TimePasses) >= self.scope.bounds.time_steps {
            return false;
        }
        let alike = self.scope.leases.any() || self.scope.last_survivor;
        let up = |message: &u32| !self.fact(world, self.network.receiver(*message)).is_down;
        let waits = || {
            let due = (0..world.states.len()).any(|place| self.fact(world, place).is_due);
            due || world.in_flight.iter().any(up)
        };
        (place == 0 || !alike) && !(self.scope.last_survivor && waits())
    }

    /// Overwrites `next` with the result of the event in `world`, including the delivery of every
    /// message that takes no time. Fails if a safety property is violated.
    pub(crate) fn next(
        &mut self,
        world: &World,
        event: Event,
        next: &mut World,
    ) -> Result<NextWorld, String> {
        let mut reached = self.apply_alone(world, event, next)?;
        let mut after = World::default();
        while reached == NextWorld::Reached
            && let Some(event) = self.immediate_delivery(next)
        {
            reached = self.apply_alone(next, event, &mut after)?;
            core::mem::swap(next, &mut after);
        }
        Ok(reached)
    }

    /// Returns the delivery of a message that takes no time, if one is in flight: with last
    /// survivors, of a heartbeat, a reply to one, or `TakeoverAllowed`.
    pub(crate) fn immediate_delivery(&self, world: &World) -> Option<Event> {
        let takes_none = |message: &u32| {
            let body = &self.network.get(*message).body;
            body.topic() == MessageTopic::Heartbeat || *body == Body::TakeoverAllowed
        };
        let place = |message: &u32| self.network.receiver(*message);
        let up = |message: &u32| !self.fact(world, place(message)).is_down;
        let mut in_flight = world.in_flight.iter().filter(|_| self.scope.last_survivor);
        let message = in_flight.find(|message| takes_none(message) && up(message))?;
        Some(Event { place: place(message), kind: Move::Deliver(*message) })
    }

    /// Overwrites `next` with the result of the event alone in `world`.
    fn apply_alone(
        &mut self,
        world: &World,
        event: Event,
        next: &mut World,
    ) -> Result<NextWorld, String> {
        let before = world.states[event.place];
        let kind = match event.kind {
            Move::Repeat(message) => Move::Deliver(message),
            other => other,
        };
        let known = self.outcomes.get(&(before, kind.code())).copied();
        let known = known.unwrap_or_else(|| self.compute(before, kind));
        let (state, messages, commits) = match &self.computed[known as usize] {
            MoveOutcome::Reached { state, messages, commits } => (*state, messages, commits),
            MoveOutcome::BeyondBounds => return Ok(NextWorld::BeyondBounds),
            MoveOutcome::Violation(violation) => return Err(violation.clone()),
        };
        next.history = world.history;
        next.states.clone_from(&world.states);
        next.in_flight.clone_from(&world.in_flight);
        next.states[event.place] = state;
        let facts = &self.facts[before as usize];
        next.used = bounded_kind(&self.scope, event, facts)
            .map_or(world.used, |counted| world.used.and(counted));
        if let Move::Deliver(message) = event.kind {
            let at =
                next.in_flight.binary_search(&message).expect("a delivered message is in flight");
            next.in_flight.remove(at);
        }
        let commits = commits.clone();
        let sent = messages.clone();
        self.update_in_flight(world, event.place, sent, next);
        if next == world {
            return Ok(NextWorld::Same);
        }
        if event.kind == Move::TimePasses && (self.scope.leases.any() || self.scope.last_survivor) {
            self.pass_time_for_others(next)?;
        }
        if matches!(event.kind, Move::Crash(_)) && self.scope.last_survivor {
            // Messages to the node are lost. Messages from it may be dropped, too, because the
            // paths in which they arrive before the crash are explored as well.
            let concerns = |message: u32| {
                let from = self.network.get(message).from.0 as usize - 1;
                [from, self.network.receiver(message)].contains(&event.place)
            };
            next.in_flight.retain(|message| !concerns(*message));
        }
        next.history = self.checks.check(
            world.history,
            &next.states,
            &self.facts,
            event.place,
            before,
            &commits,
        )?;
        let leases = self.scope.leases.any();
        let mut states = next.states.iter().filter(|_| leases);
        states
            .try_for_each(|it| self.checks.check_reads(next.history, &self.facts[*it as usize]))?;
        Ok(NextWorld::Reached)
    }

    /// Removes the messages that the node at `place` ignores in its new state, and adds the
    /// `sent` messages.
    fn update_in_flight(&mut self, world: &World, place: usize, sent: Vec<u32>, next: &mut World) {
        let state = next.states[place];
        for message in &world.in_flight {
            if self.network.receiver(*message) == place
                && self.is_ignored(state, *message)
                && let Ok(at) = next.in_flight.binary_search(message)
            {
                next.in_flight.remove(at);
            }
        }
        for message in sent {
            let receiver = next.states[self.network.receiver(message)];
            if next.in_flight.len() < self.scope.bounds.in_flight
                && let Err(at) = next.in_flight.binary_search(&message)
                && !self.facts[receiver as usize].is_down
                && !self.is_ignored(receiver, message)
            {
                next.in_flight.insert(at, message);
            }
        }
    }

    /// Advances the clocks of the other nodes like the clock of n1. No node sends a message then,
    /// because time passes without a step.
    fn pass_time_for_others(&mut self, world: &mut World) -> Result<(), String> {
        for place in 1..world.states.len() {
            let key = (world.states[place], Move::TimePasses.code());
            let known = self.outcomes.get(&key).copied();
            let known = known.unwrap_or_else(|| self.compute(key.0, Move::TimePasses));
            match &self.computed[known as usize] {
                MoveOutcome::Reached { state, .. } => world.states[place] = *state,
                MoveOutcome::BeyondBounds => unreachable!("passing time raises no term"),
                MoveOutcome::Violation(violation) => return Err(violation.clone()),
            }
        }
        Ok(())
    }

    /// Returns true if the message counts as lost: the node ignores it in this state, and
    /// delivering it has indeed no effect.
    fn is_ignored(&mut self, state: u32, message: u32) -> bool {
        let election_state = self.facts[state as usize].election_state;
        if !election_state.ignores(self.network.get(message)) {
            return false;
        }
        let kind = Move::Deliver(message);
        let known = self.outcomes.get(&(state, kind.code())).copied();
        let known = known.unwrap_or_else(|| self.compute(state, kind));
        matches!(
            &self.computed[known as usize],
            MoveOutcome::Reached { state: to, messages, .. } if *to == state && messages.is_empty()
        )
    }

    /// Computes and caches the result of the move in the state.
    fn compute(&mut self, from: u32, kind: Move) -> u32 {
        let moved = self.step_node(from, kind);
        let computed = moved.and_then(|StepResult { node, messages, commits, .. }| {
            if node.raft.status().term > Term(self.scope.bounds.term) {
                return Ok(MoveOutcome::BeyondBounds);
            }
            let state = self.state(node)?;
            let carried = |message: &Message| {
                self.scope.bounds.heartbeats.is_some()
                    || !matches!(message.body, Body::Heartbeat { .. })
            };
            let messages: Vec<Message> = messages.into_iter().filter(carried).collect();
            let messages = messages.into_iter().map(|message| self.network.number(message));
            Ok(MoveOutcome::Reached { state, messages: messages.collect(), commits })
        });
        let number =
            u32::try_from(self.computed.len()).expect("memory is exhausted before u32 overflows");
        self.computed.push(computed.unwrap_or_else(MoveOutcome::Violation));
        self.outcomes.insert((from, kind.code()), number);
        number
    }

    /// Steps the node itself, without the cache.
    pub(crate) fn step_node(&self, state: u32, kind: Move) -> Result<StepResult, String> {
        let node_event = match kind {
            Move::Deliver(message) | Move::Repeat(message) => {
                NodeEvent::Input(Input::Message(self.network.get(message).clone()))
            }
            Move::Timeout => NodeEvent::Timeout,
            Move::TimePasses => NodeEvent::TimePasses,
            Move::Start => NodeEvent::Start,
            Move::Flush => NodeEvent::Flush,
            Move::Crash(parts) => NodeEvent::Crash { parts },
            Move::Propose => NodeEvent::Input(proposal()),
            Move::Change(change) => {
                let change = self.scope.changes[change as usize].clone();
                NodeEvent::Input(Input::ChangeMembership { tag: Tag(2), change })
            }
            Move::Transfer(to) => {
                let to = Some(NodeId(u64::from(to)));
                NodeEvent::Input(Input::TransferLeadership { tag: Tag(3), to })
            }
        };
        self.nodes.get(state).apply(&self.scope, &node_event)
    }
}

/// Returns the bound that limits the event, if there is one.
fn bounded_kind(scope: &Scope, event: Event, facts: &Facts) -> Option<BoundedKind> {
    match event.kind {
        Move::Deliver(_) | Move::Flush => None,
        Move::Start => Some(BoundedKind::Timeout),
        Move::Repeat(_) => Some(BoundedKind::Repeat),
        // With last survivors nodes do not pause, so a due node is always stepped.
        Move::Timeout if scope.last_survivor && facts.is_due => None,
        Move::Timeout if facts.leads() => Some(BoundedKind::Heartbeat),
        Move::Timeout => Some(BoundedKind::Timeout),
        Move::TimePasses => Some(BoundedKind::TimePasses),
        Move::Crash(_) => Some(BoundedKind::Crash),
        Move::Propose => Some(BoundedKind::Propose),
        Move::Change(_) => Some(BoundedKind::Change),
        Move::Transfer(_) => Some(BoundedKind::Transfer),
    }
}
