//! Every state of a node that was reached, and what each event makes of it: found out once, and
//! known from then on.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use quorate::raft::Input;
use quorate::types::{Body, Message, NodeId, Tag, Term};

use crate::events::{Counted, Event, Move};
use crate::intern::Interned;
use crate::judge::{Facts, Judge};
use crate::network::Network;
use crate::node::{Commit, Moved, Node, Told, proposal};
use crate::scope::{Scope, Start};
use crate::world::World;

/// What an event makes of a node.
#[derive(Clone, Debug)]
enum Outcome {
    /// Another state, and messages.
    To { state: u32, messages: Vec<u32>, commits: Vec<Commit> },
    /// A term beyond the bound.
    Beyond,
    /// Something that must not be.
    Wrong(String),
}

/// What an event makes of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another world.
    Reached,
    /// The same one.
    Same,
    /// One beyond the bounds.
    Beyond,
}

/// Every state of a node that was reached, and what events made of them.
#[derive(Debug)]
pub(crate) struct Moves {
    pub(crate) scope: Scope,
    nodes: Interned<Node>,
    facts: Vec<Facts>,
    pub(crate) network: Network,
    pub(crate) judge: Judge,
    found: Vec<Outcome>,
    /// The number of what each move makes of each state.
    outcomes: HashMap<(u32, u32), u32, FixedState>,
}

impl Moves {
    /// Nothing is known yet but where the exploration starts.
    pub(crate) fn new(scope: Scope) -> Result<(Moves, World), String> {
        let mut moves = Moves {
            judge: Judge::new(&scope),
            scope,
            nodes: Interned::new(),
            facts: Vec::new(),
            network: Network::new(),
            found: Vec::new(),
            outcomes: HashMap::default(),
        };
        let mut world = World { history: Judge::NOTHING, ..World::default() };
        for id in 1..=moves.scope.nodes {
            let node = Node::fresh(&moves.scope, NodeId(id));
            world.states.push(moves.state(node)?);
        }
        if moves.scope.start == Start::Led {
            moves.elect(&mut world)?;
        }
        Ok((moves, world))
    }

    pub(crate) fn node(&self, state: u32) -> &Node {
        self.nodes.get(state)
    }

    /// How many states of nodes and messages were told apart.
    pub(crate) fn sizes(&self) -> (usize, usize) {
        (self.nodes.len(), self.network.len())
    }

    /// Lets n1 campaign, and everything arrive and become durable until all is quiet.
    fn elect(&mut self, world: &mut World) -> Result<(), String> {
        let mut event = Event { place: 0, what: Move::Timeout };
        let mut next = World::default();
        loop {
            self.next(world, event, &mut next)?;
            core::mem::swap(world, &mut next);
            let write = (0..world.states.len()).find(|place| self.fact(world, *place).writes);
            event = match (write, world.flight.first()) {
                (Some(place), _) => Event { place, what: Move::Flush },
                (None, Some(message)) => {
                    let place = self.network.receiver(*message);
                    Event { place, what: Move::Deliver(*message) }
                }
                (None, None) => break,
            };
        }
        world.spent = Default::default();
        Ok(())
    }

    fn state(&mut self, node: Node) -> Result<u32, String> {
        let (state, is_new) = self.nodes.number(node);
        if is_new {
            let facts = self.judge.facts(self.nodes.get(state))?;
            self.facts.push(facts);
        }
        Ok(state)
    }

    fn fact(&self, world: &World, place: usize) -> &Facts {
        &self.facts[world.states[place] as usize]
    }

    /// Everything that can happen next.
    pub(crate) fn events(&self, world: &World, events: &mut Vec<Event>) {
        events.clear();
        let (bounds, spent) = (&self.scope.bounds, world.spent);
        for message in &world.flight {
            let place = self.network.receiver(*message);
            if self.fact(world, place).is_down {
                continue;
            }
            events.push(Event { place, what: Move::Deliver(*message) });
            if spent.of(Counted::Repeat) < bounds.repeats {
                events.push(Event { place, what: Move::Repeat(*message) });
            }
        }
        for place in 0..world.states.len() {
            let facts = self.fact(world, place);
            let mut add = |what: Move| events.push(Event { place, what });
            if self.may_lapse(world, place) {
                add(Move::Lapse);
            }
            if facts.is_down {
                if spent.of(Counted::Timeout) < bounds.timeouts {
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
            if spent.of(Counted::Crash) < bounds.crashes {
                (0..facts.crash_parts).for_each(|parts| add(Move::Crash(parts)));
            }
            if leads {
                if spent.of(Counted::Propose) < bounds.proposals {
                    add(Move::Propose);
                }
                if spent.of(Counted::Change) < bounds.changes {
                    let changes = self.scope.changes.len() as u32;
                    (0..changes).for_each(|change| add(Move::Change(change)));
                }
                if spent.of(Counted::Transfer) < bounds.transfers {
                    let others = (1..=self.scope.nodes as u32).filter(|id| *id != place as u32 + 1);
                    others.for_each(|to| add(Move::Transfer(to)));
                }
            }
        }
    }

    /// Whether the node may be told of the time: where survivors go on, only if it is due, and
    /// leaders first, but for a leader's further heartbeats.
    fn may_time_out(&self, world: &World, place: usize) -> bool {
        let (bounds, spent, facts) = (&self.scope.bounds, world.spent, self.fact(world, place));
        let leads_and_is_due = |place| {
            let facts = self.fact(world, place);
            facts.leads() && facts.is_due
        };
        if self.scope.survives && (facts.is_due || !facts.leads()) {
            let first = (0..world.states.len()).find(|place| leads_and_is_due(*place));
            return facts.is_due && first.is_none_or(|first| first == place);
        }
        let (counted, max) = if facts.leads() {
            (Counted::Heartbeat, bounds.heartbeats.unwrap_or(0))
        } else {
            (Counted::Timeout, bounds.timeouts)
        };
        let is_first = self.scope.start == Start::First && spent.of(Counted::Timeout) == 0;
        spent.of(counted) < max && (place == 0 || !is_first)
    }

    /// Whether time may pass. Where all clocks run alike it does so for all, with n1; and where
    /// survivors go on, only once all that is said to nodes that are up was heard, and nobody is
    /// due: no message takes longer, and nobody stands still.
    fn may_lapse(&self, world: &World, place: usize) -> bool {
        if world.spent.of(Counted::Lapse) >= self.scope.bounds.lapses {
            return false;
        }
        let alike = self.scope.leases.any() || self.scope.survives;
        let up = |message: &u32| !self.fact(world, self.network.receiver(*message)).is_down;
        let waits = || {
            let due = (0..world.states.len()).any(|place| self.fact(world, place).is_due);
            due || world.flight.iter().any(up)
        };
        (place == 0 || !alike) && !(self.scope.survives && waits())
    }

    /// Puts what the event makes of `world` in the place of `next`, and then every message that
    /// takes no time. An error says what must not be.
    pub(crate) fn next(
        &mut self,
        world: &World,
        event: Event,
        next: &mut World,
    ) -> Result<Next, String> {
        let mut reached = self.one(world, event, next)?;
        let mut after = World::default();
        while reached == Next::Reached
            && let Some(event) = self.at_once(next)
        {
            reached = self.one(next, event, &mut after)?;
            core::mem::swap(next, &mut after);
        }
        Ok(reached)
    }

    /// A message that takes no time: where survivors go on, a heartbeat and what belongs to it.
    pub(crate) fn at_once(&self, world: &World) -> Option<Event> {
        let takes_none = |message: &u32| {
            let body = &self.network.get(*message).body;
            matches!(body, Body::Heartbeat(_) | Body::HeartbeatReply { .. } | Body::Counted)
        };
        let place = |message: &u32| self.network.receiver(*message);
        let up = |message: &u32| !self.fact(world, place(message)).is_down;
        let mut flight = world.flight.iter().filter(|_| self.scope.survives);
        let message = flight.find(|message| takes_none(message) && up(message))?;
        Some(Event { place: place(message), what: Move::Deliver(*message) })
    }

    /// Puts what the event alone makes of `world` in the place of `next`.
    fn one(&mut self, world: &World, event: Event, next: &mut World) -> Result<Next, String> {
        let state = world.states[event.place];
        let what = match event.what {
            Move::Repeat(message) => Move::Deliver(message),
            other => other,
        };
        let key = (state, what.code());
        let known = self.outcomes.get(&key).copied();
        let known = known.unwrap_or_else(|| self.find_out(state, what));
        let before = state;
        let (state, messages, commits) = match &self.found[known as usize] {
            Outcome::To { state, messages, commits } => (*state, messages, commits),
            Outcome::Beyond => return Ok(Next::Beyond),
            Outcome::Wrong(what) => return Err(what.clone()),
        };
        next.spent = world.spent;
        next.history = world.history;
        next.states.clone_from(&world.states);
        next.flight.clone_from(&world.flight);
        next.states[event.place] = state;
        let facts = &self.facts[world.states[event.place] as usize];
        next.spent = counted(&self.scope, event, facts)
            .map_or(world.spent, |counted| world.spent.and(counted));
        if let Move::Deliver(message) = event.what {
            let at = next.flight.binary_search(&message).expect("what arrives is on its way");
            next.flight.remove(at);
        }
        let commits = commits.clone();
        let sent = messages.clone();
        for message in &world.flight {
            if self.network.receiver(*message) == event.place
                && self.is_past(state, *message)
                && let Ok(at) = next.flight.binary_search(message)
            {
                next.flight.remove(at);
            }
        }
        for message in sent {
            let receiver = next.states[self.network.receiver(message)];
            if next.flight.len() < self.scope.bounds.flight
                && let Err(at) = next.flight.binary_search(&message)
                && !self.facts[receiver as usize].is_down
                && !self.is_past(receiver, message)
            {
                next.flight.insert(at, message);
            }
        }
        if next == world {
            return Ok(Next::Same);
        }
        if event.what == Move::Lapse && (self.scope.leases.any() || self.scope.survives) {
            self.lapse_others(next)?;
        }
        if matches!(event.what, Move::Crash(_)) && self.scope.survives {
            // What it said may have arrived before; what it was told, it has forgotten.
            let concerns = |message: u32| {
                let from = self.network.get(message).from.0 as usize - 1;
                [from, self.network.receiver(message)].contains(&event.place)
            };
            next.flight.retain(|message| !concerns(*message));
        }
        let moved = (event.place, before);
        next.history =
            self.judge.judge(world.history, &next.states, &self.facts, moved, &commits)?;
        let leases = self.scope.leases.any();
        let mut states = next.states.iter().filter(|_| leases);
        states.try_for_each(|it| self.judge.answers(next.history, &self.facts[*it as usize]))?;
        Ok(Next::Reached)
    }

    /// What has passed for n1 passes for all. Time alone makes nobody say anything.
    fn lapse_others(&mut self, world: &mut World) -> Result<(), String> {
        for place in 1..world.states.len() {
            let key = (world.states[place], Move::Lapse.code());
            let known = self.outcomes.get(&key).copied();
            let known = known.unwrap_or_else(|| self.find_out(key.0, Move::Lapse));
            match &self.found[known as usize] {
                Outcome::To { state, .. } => world.states[place] = *state,
                Outcome::Beyond => unreachable!("time raises no term"),
                Outcome::Wrong(what) => return Err(what.clone()),
            }
        }
        Ok(())
    }

    /// Whether the message can be taken for lost: it is past for the node in this state, and the
    /// node indeed makes nothing of it.
    fn is_past(&mut self, state: u32, message: u32) -> bool {
        let standing = self.facts[state as usize].standing;
        if !standing.is_past(self.network.get(message)) {
            return false;
        }
        let what = Move::Deliver(message);
        let known = self.outcomes.get(&(state, what.code())).copied();
        let known = known.unwrap_or_else(|| self.find_out(state, what));
        matches!(
            &self.found[known as usize],
            Outcome::To { state: to, messages, .. } if *to == state && messages.is_empty()
        )
    }

    /// Finds out what the move makes of the state, and remembers it.
    fn find_out(&mut self, from: u32, what: Move) -> u32 {
        let moved = self.moved(from, what);
        let found = moved.and_then(|Moved { node, messages, commits, .. }| {
            if node.raft.status().term > Term(self.scope.bounds.term) {
                return Ok(Outcome::Beyond);
            }
            let state = self.state(node)?;
            let carried = |message: &Message| {
                self.scope.bounds.heartbeats.is_some()
                    || !matches!(message.body, Body::Heartbeat { .. })
            };
            let messages: Vec<Message> = messages.into_iter().filter(carried).collect();
            let messages = messages.into_iter().map(|message| self.network.number(message));
            Ok(Outcome::To { state, messages: messages.collect(), commits })
        });
        let number = u32::try_from(self.found.len()).expect("memory ends before that");
        self.found.push(found.unwrap_or_else(Outcome::Wrong));
        self.outcomes.insert((from, what.code()), number);
        number
    }

    /// Moves the node itself.
    pub(crate) fn moved(&self, state: u32, what: Move) -> Result<Moved, String> {
        let told = match what {
            Move::Deliver(message) | Move::Repeat(message) => {
                Told::Input(Input::Message(self.network.get(message).clone()))
            }
            Move::Timeout => Told::Timeout,
            Move::Lapse => Told::Lapse,
            Move::Start => Told::Start,
            Move::Flush => Told::Flush,
            Move::Crash(parts) => Told::Crash { parts },
            Move::Propose => Told::Input(proposal()),
            Move::Change(change) => {
                let change = self.scope.changes[change as usize].clone();
                Told::Input(Input::ChangeMembership { tag: Tag(2), change })
            }
            Move::Transfer(to) => {
                let to = Some(NodeId(u64::from(to)));
                Told::Input(Input::Transfer { tag: Tag(3), to })
            }
        };
        self.nodes.get(state).told(&self.scope, &told)
    }
}

/// What the event is counted as.
fn counted(scope: &Scope, event: Event, facts: &Facts) -> Option<Counted> {
    match event.what {
        Move::Deliver(_) | Move::Flush => None,
        Move::Start => Some(Counted::Timeout),
        Move::Repeat(_) => Some(Counted::Repeat),
        // Nobody stands still: where that is so, it is no choice.
        Move::Timeout if scope.survives && facts.is_due => None,
        Move::Timeout if facts.leads() => Some(Counted::Heartbeat),
        Move::Timeout => Some(Counted::Timeout),
        Move::Lapse => Some(Counted::Lapse),
        Move::Crash(_) => Some(Counted::Crash),
        Move::Propose => Some(Counted::Propose),
        Move::Change(_) => Some(Counted::Change),
        Move::Transfer(_) => Some(Counted::Transfer),
    }
}
