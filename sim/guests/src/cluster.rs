//! A cluster of guests, which advances one event at a time: nodes take inputs, and their effects
//! are carried out one by one.

use std::collections::VecDeque;
use std::time::Duration;

use quorate_sim::faults::KeptWrites;
use quorate_sim::link::Link;
use quorate_sim::observe::TraceSink;
use quorate_sim::observe::outcome::Tally;
use quorate_sim::plan::Trigger;
use quorate_sim::run::Case;
use quorate_sim::settings::Settings;
use quorate_sim::values::choice::{Choices, Key, Kind};
use quorate_sim::values::digest::{mix, of_bytes};

use crate::checks::{Checked, Checks, violated};
use crate::clients::Clients;
use crate::disk::{Bytes, Entry, Snapshot, Write};
use crate::guest::{Effect, Effects, Execution, Guest, Member, NodeId, ReadReply};
use crate::machine::{Machine, Operation};
use crate::nemesis::Nemesis;
use crate::node::{Input, Node};
use crate::schedule::Schedule;

/// The ticks of a node's clock between two heartbeats.
const HEARTBEAT_TICKS: u32 = 2;

/// A future event. An event that a restart of its node cancels names the number of the node's
/// start.
#[derive(Debug)]
pub(crate) enum Event<M> {
    Tick { place: usize, start: u32 },
    Arrive { place: usize, from: NodeId, session: u32, message: M },
    Synced { place: usize, start: u32, writes: usize },
    Restart { place: usize },
    Resume { place: usize, start: u32 },
    Due { op: usize },
    Delayed { op: usize, it: usize },
    Unblock { block: usize },
    Flap { block: usize },
    DriftEnds { place: usize },
    SlowDiskEnds { place: usize, by: Duration },
    Client { client: u16 },
    Expire { operation: u64 },
    PollRead { place: usize, period: Duration, times: u32 },
    Heal,
    Probe,
}

/// The cluster, its network, its clients and its checks.
pub(crate) struct Cluster<G: Guest> {
    pub(crate) settings: Settings,
    pub(crate) choices: Choices,
    pub(crate) schedule: Schedule<Event<G::Message>>,
    pub(crate) nodes: Vec<Node<G>>,
    pub(crate) links: Vec<Link>,
    /// The number of sessions of each link that have ended.
    pub(crate) sessions: Vec<u32>,
    pub(crate) nemesis: Nemesis,
    pub(crate) clients: Clients,
    pub(crate) checks: Checks,
    pub(crate) stabilization: Option<Stabilization>,
    pub(crate) tally: Tally,
    pub(crate) digest: u64,
    trace: Option<TraceSink>,
}

/// The phase after all faults, in which the cluster must make progress.
#[derive(Debug, Default)]
pub(crate) struct Stabilization {
    /// The operations that show progress, in the order in which they started.
    pub(crate) probes: Vec<u64>,
    pub(crate) is_over: bool,
}

impl<G: Guest> Cluster<G> {
    pub(crate) fn new(case: &Case, trace: Option<TraceSink>) -> Cluster<G> {
        let Case { seed, settings, plan, overrides } = case.clone();
        let nodes = usize::from(settings.voters);
        let mut cluster = Cluster {
            choices: Choices::new(seed, overrides),
            schedule: Schedule::new(),
            nodes: (1..=nodes as u64).map(|id| Node::new(NodeId(id))).collect(),
            links: vec![Link::default(); nodes * nodes],
            sessions: vec![0; nodes * nodes],
            nemesis: Nemesis::new(plan),
            clients: Clients::default(),
            checks: Checks::default(),
            stabilization: None,
            tally: Tally::default(),
            digest: 0,
            trace,
            settings,
        };
        for (op, at) in cluster.nemesis.times().into_iter().enumerate() {
            cluster.schedule.at(at, Event::Due { op });
        }
        for client in 0..cluster.settings.clients {
            cluster.schedule.after(Duration::ZERO, Event::Client { client });
        }
        cluster.schedule.after(cluster.settings.fault_phase, Event::Heal);
        cluster
    }

    /// Runs to the end of the stabilization phase, to `events_max` events, or to the first failure.
    pub(crate) fn run(&mut self, events_max: u64) -> Checked {
        for place in 0..self.nodes.len() {
            self.start(place)?;
        }
        while self.tally.events < events_max
            && !self.stabilization.as_ref().is_some_and(|phase| phase.is_over)
            && let Some(event) = self.schedule.next()
        {
            self.tally.events += 1;
            self.tally.simulated = Duration::from_nanos(self.schedule.now().0);
            self.checks.advance(self.schedule.now());
            self.digest = mix(self.digest, self.schedule.now().0);
            self.handle(event)?;
        }
        match self.clients.contradiction() {
            Some(reason) => Err(violated("S20", self.schedule.now(), reason)),
            None => Ok(()),
        }
    }

    fn handle(&mut self, event: Event<G::Message>) -> Checked {
        match event {
            Event::Tick { place, start } => self.tick(place, start),
            Event::Arrive { place, from, session, message } => {
                let link = (from.0 as usize - 1) * self.nodes.len() + place;
                if G::SESSIONS && session != self.sessions[link] {
                    return Ok(());
                }
                self.input(place, Input::Message(from, message))
            }
            Event::Synced { place, start, writes } if self.nodes[place].runs(start) => {
                self.nodes[place].is_syncing = false;
                self.nodes[place].disk.sync(writes);
                self.fire(Trigger::CompletesFlush, place)?;
                self.proceed(place)
            }
            Event::Restart { place } => self.start(place),
            Event::Resume { place, start } if self.nodes[place].runs(start) => {
                self.nodes[place].end_pause();
                self.proceed(place)
            }
            Event::Synced { .. } | Event::Resume { .. } => Ok(()),
            Event::Client { client } => self.client(client),
            Event::Expire { operation } => self.expire(operation),
            Event::Probe => self.probe(),
            event => self.handle_fault(event),
        }
    }

    pub(crate) fn key(&self, kind: Kind, place: usize, counter: u32) -> Key {
        let start_number = self.nodes[place].start;
        Key { node: place as u8 + 1, start_number, counter, ..kind.key() }
    }

    /// Returns the node that leads in the highest term, if any node leads.
    pub(crate) fn leader(&self) -> Option<usize> {
        let leads = |place: &usize| {
            let node = &self.nodes[*place];
            node.core.is_some() && node.status.leads
        };
        let leaders = (0..self.nodes.len()).filter(leads);
        leaders.max_by_key(|place| self.nodes[*place].status.term)
    }

    pub(crate) fn trace(&self, place: usize, text: impl FnOnce() -> String) {
        if let Some(trace) = &self.trace {
            let (node, now) = (&self.nodes[place], self.schedule.now());
            let role = match (&node.core, node.status.leads) {
                (None, _) => "down",
                (_, true) => "leader",
                (_, false) => "follower",
            };
            let (term, applied) = (node.status.term, node.applied);
            trace(&format!("{now}  {}  {role:<8}  t{term}  {applied}  {}", node.id, text()));
        }
    }

    /// Starts a node that is down.
    pub(crate) fn start(&mut self, place: usize) -> Checked {
        if self.nodes[place].core.is_some() {
            return Ok(());
        }
        self.nodes[place].start += 1;
        self.draw_build(place);
        let config = &self.settings.config;
        let tick = config.heartbeat_interval / HEARTBEAT_TICKS;
        let ticks = |time: Duration| (time.as_nanos() / tick.as_nanos().max(1)) as u32;
        let least = ticks(config.election_timeout_min).max(HEARTBEAT_TICKS + 1);
        let member = Member {
            id: self.nodes[place].id,
            nodes: self.nodes.iter().map(|node| node.id).collect(),
            heartbeat_ticks: HEARTBEAT_TICKS,
            election_ticks: (least, ticks(config.election_timeout_max).max(least + 1)),
            pre_vote: config.pre_vote,
            check_quorum: config.check_quorum,
            build: self.nodes[place].build,
            seed: self.choices.bits(self.key(Kind::Boot, place, 0)),
        };
        let mut effects = Effects::default();
        let mut core = G::start(&member, self.nodes[place].disk.durable());
        core.take_effects(&mut effects);
        let node = &mut self.nodes[place];
        node.status = core.status();
        node.core = Some(core);
        node.effects.extend(effects.0);
        let start = node.start;
        let build = G::BUILDS[node.build];
        self.trace(place, || format!("starts {build}, start {start} of its disk"));
        self.schedule.after(tick, Event::Tick { place, start });
        if start > 1 {
            self.fire(Trigger::Restarts, place)?;
            for peer in 0..self.nodes.len() {
                self.reconnect(place, peer)?;
            }
        }
        self.proceed(place)
    }

    /// Draws the build of a node's start.
    fn draw_build(&mut self, place: usize) {
        let drawn = self.choices.choose(self.key(Kind::Build, place, 0), G::BUILDS.len() as u64);
        let node = &mut self.nodes[place];
        let build = G::oldest_build(node.disk.durable()).max(drawn as usize);
        let before = std::mem::replace(&mut node.build, build);
        if node.start > 1 && before != node.build {
            let name = if before < node.build { "upgrade" } else { "rollback" };
            *self.tally.faults.entry(name).or_default() += 1;
        }
    }

    /// Ends the process of a node, which then has only its disk.
    pub(crate) fn crash(&mut self, place: usize, keep: KeptWrites) -> Checked {
        if self.nodes[place].core.is_none() {
            return Ok(());
        }
        let unsynced = self.nodes[place].disk.unsynced();
        let kept = match keep {
            KeptWrites::None => 0,
            KeptWrites::All => unsynced,
            KeptWrites::Part => {
                let key = self.key(Kind::KeptWrites, place, 0);
                self.choices.choose(key, unsynced as u64 + 1) as usize
            }
        };
        self.trace(place, || format!("crashes and keeps {kept} of {unsynced} writes"));
        self.nodes[place].crash(kept);
        for peer in 0..self.nodes.len() {
            self.end_session(place, peer);
        }
        self.fire(Trigger::GoesDown, place)
    }

    /// Ends the session between two nodes: with [`Guest::SESSIONS`], no message sent before arrives
    /// any more.
    pub(crate) fn end_session(&mut self, one: usize, other: usize) {
        let count = self.nodes.len();
        self.sessions[one * count + other] += 1;
        self.sessions[other * count + one] += 1;
    }

    fn tick(&mut self, place: usize, start: u32) -> Checked {
        if !self.nodes[place].runs(start) {
            return Ok(());
        }
        let nominal = self.settings.config.heartbeat_interval / HEARTBEAT_TICKS;
        self.schedule.after(self.nodes[place].tick(nominal), Event::Tick { place, start });
        // A node that is busy or paused sees one tick for all that passed meanwhile.
        let waits = self.nodes[place].inbox.iter().any(|input| matches!(input, Input::Tick));
        if waits { Ok(()) } else { self.input(place, Input::Tick) }
    }

    /// Gives a node an input, which it takes once it has carried out all earlier effects.
    pub(crate) fn input(&mut self, place: usize, input: Input<G::Message>) -> Checked {
        if self.nodes[place].core.is_none() {
            if let Input::Operation(operation) = input {
                self.clients.decline(operation);
                self.next_operation(operation);
            }
            return Ok(());
        }
        self.nodes[place].inbox.push_back(input);
        self.proceed(place)
    }

    /// Lets a node continue until it waits for its disk, or has nothing to do. Does nothing inside
    /// another such call for the node, because that call continues.
    fn proceed(&mut self, place: usize) -> Checked {
        if std::mem::replace(&mut self.nodes[place].is_busy, true) {
            return Ok(());
        }
        let result = self.work(place);
        self.nodes[place].is_busy = false;
        result
    }

    fn work(&mut self, place: usize) -> Checked {
        while self.nodes[place].is_ready() {
            if self.nodes[place].crash_after == Some(0) {
                self.crash(place, KeptWrites::Part)?;
                let down = self.settings.config.election_timeout_max;
                self.schedule.after(down, Event::Restart { place });
                return Ok(());
            }
            if let Some(effect) = self.nodes[place].effects.pop_front() {
                let node = &mut self.nodes[place];
                node.crash_after = node.crash_after.map(|effects| effects - 1);
                self.carry_out(place, effect)?;
                continue;
            }
            self.settle(place)?;
            if self.nodes[place].inbox.is_empty() {
                break;
            }
            self.take_inputs(place)?;
        }
        Ok(())
    }

    /// Checks the status of a node that has carried out all effects.
    fn settle(&mut self, place: usize) -> Checked {
        let node = &mut self.nodes[place];
        let before = std::mem::replace(&mut node.settled, node.status);
        self.checks.status(node.id, before, node.status, node.disk.latest())
    }

    /// Lets a node take all waiting inputs at once, as a driver does after it was busy.
    fn take_inputs(&mut self, place: usize) -> Checked {
        let node = &mut self.nodes[place];
        let Some(core) = &mut node.core else { return Ok(()) };
        let mut declined = Vec::new();
        for input in std::mem::take(&mut node.inbox) {
            match input {
                Input::Tick => core.tick(),
                Input::Message(from, message) => core.receive(from, message),
                Input::Reconnected(peer) => core.reconnected(peer),
                Input::Compact(snapshot) => core.compact(snapshot),
                Input::Operation(number) => {
                    let Some(request) = self.clients.request(number) else { continue };
                    let Operation { is_read, .. } = request.operation;
                    let reply = if is_read { core.read(number) } else { ReadReply::Unsupported };
                    let is_taken = match reply {
                        ReadReply::Unsupported => {
                            core.propose(&request.operation.command(self.settings.command_bytes))
                        }
                        ReadReply::Accepted => true,
                        ReadReply::Declined => false,
                    };
                    declined.extend((!is_taken).then_some(number));
                }
            }
        }
        let mut effects = Effects::default();
        core.take_effects(&mut effects);
        let before = std::mem::replace(&mut node.status, core.status());
        let status = node.status;
        node.effects = VecDeque::from(effects.0);
        node.handicap.steps += 1;
        self.digest = mix(self.digest, status.term << 8 | place as u64);
        for number in declined {
            self.clients.decline(number);
            self.next_operation(number);
        }
        if status.leads && (!before.leads || before.term < status.term) {
            self.tally.elections += 1;
            self.trace(place, || "becomes leader".to_owned());
            self.fire(Trigger::BecomesLeader, place)?;
        }
        self.tear(place);
        Ok(())
    }

    /// Draws whether the node crashes between two effects of this step.
    fn tear(&mut self, place: usize) {
        let effects = self.nodes[place].effects.len() as u64;
        let rate = self.settings.torn_step_ppm;
        if effects < 2 || rate == 0 || self.stabilization.is_some() {
            return;
        }
        let counter = self.nodes[place].handicap.steps;
        let drawn = self.choices.choose(self.key(Kind::TornStep, place, counter), 1_000_000);
        if drawn >= 1_000_000 - rate {
            let key = self.key(Kind::TornStepPlace, place, counter);
            let effect = self.choices.choose(key, effects) as usize;
            self.nodes[place].crash_after = Some(effect);
            *self.tally.faults.entry("crash").or_default() += 1;
        }
    }

    fn carry_out(&mut self, place: usize, effect: Effect<G::Message>) -> Checked {
        match effect {
            Effect::Write(write) => self.write(place, write),
            Effect::Sync => {
                let node = &mut self.nodes[place];
                let (start, writes) = (node.start, node.disk.unsynced());
                if writes > 0 {
                    node.is_syncing = true;
                    let counter = node.handicap.steps;
                    let extra = node.handicap.sync;
                    let key = self.key(Kind::Flush, place, counter);
                    let time = self.choices.within(key, self.settings.flush) + extra;
                    self.schedule.after(time, Event::Synced { place, start, writes });
                }
                Ok(())
            }
            Effect::Send(to, message) => self.send(place, to, message),
            Effect::Apply(index, entry) => {
                let (command, outcome) = (entry.command.clone(), Bytes::from([]));
                self.apply(place, index, entry, Execution { command, outcome })
            }
            Effect::Execute(index, entry, execution) => self.apply(place, index, entry, execution),
            Effect::Restore(snapshot) => self.restore(place, snapshot),
            Effect::Answer(read) => {
                self.trace(place, || format!("answers read #{read}"));
                if let Some(request) = self.clients.request(read) {
                    let value = self.nodes[place].machine.value(request.operation.register);
                    self.reply(read, value);
                }
                Ok(())
            }
        }
    }

    fn write(&mut self, place: usize, write: Write) -> Checked {
        self.fire(Trigger::AboutToWrite, place)?;
        if self.nodes[place].core.is_none() {
            return Ok(());
        }
        self.trace(place, || format!("writes {write:?}"));
        let node = &mut self.nodes[place];
        self.checks.write(node.id, node.disk.latest(), &write)?;
        let trigger = match &write {
            Write::Term(_, Some(_)) => Some(Trigger::SubmitsVote),
            Write::Append(after, _) if *after < node.disk.latest().last() => {
                Some(Trigger::TruncatesLog)
            }
            Write::Append(..) => Some(Trigger::SubmitsEntries),
            Write::Compact(_) => Some(Trigger::TakesSnapshot),
            _ => None,
        };
        node.disk.write(write);
        trigger.map_or(Ok(()), |trigger| self.fire(trigger, place))
    }

    fn send(&mut self, place: usize, to: NodeId, message: G::Message) -> Checked {
        let from = self.nodes[place].id;
        let statement = G::statement(from, to, &message);
        self.checks.send(from, statement, self.nodes[place].disk.durable())?;
        let count = self.nodes.len();
        let receiver = (to.0 as usize).checked_sub(1).filter(|receiver| *receiver < count);
        let receiver = receiver.unwrap_or_else(|| panic!("{from} sends a message to {to}"));
        self.tally.messages += 1;
        let key = Key { peer: receiver as u16 + 1, ..self.key(Kind::Latency, place, 0) };
        let now = self.schedule.now();
        let link = &mut self.links[place * count + receiver];
        let sent = link.transmit(key, now, &self.choices, &self.settings);
        for fault in sent.faults.into_iter().flatten() {
            *self.tally.faults.entry(fault.name()).or_default() += 1;
        }
        self.trace(place, || {
            let lost = if sent.arrival.is_none() { " (lost)" } else { "" };
            format!("-> {to}{lost} {message:?}")
        });
        for at in [sent.copy, sent.arrival].into_iter().flatten() {
            let (session, message) = (self.sessions[place * count + receiver], message.clone());
            self.schedule.at(at, Event::Arrive { place: receiver, from, session, message });
        }
        Ok(())
    }

    fn apply(&mut self, place: usize, index: u64, entry: Entry, execution: Execution) -> Checked {
        let node = &self.nodes[place];
        let (by, applied) = ((node.id, node.status.term), node.applied);
        let disks = self.nodes.iter().map(|node| node.disk.durable());
        self.checks.apply(by, applied, (index, &entry, &execution), disks)?;
        self.trace(place, || format!("applies {index}@t{}", entry.term));
        self.digest = mix(self.digest, mix(index, of_bytes(&entry.command)));
        let node = &mut self.nodes[place];
        node.applied = index;
        let asked = (place, node.start);
        node.machine.execute(&execution.command);
        if let Some(Operation { number, register, .. }) = Operation::of(&execution.command)
            && self.clients.request(number).is_some_and(|request| request.asked == asked)
        {
            let value = node.machine.value(register);
            self.reply(number, value);
        }
        self.tally.entries_committed = self.checks.committed().len() as u64;
        if index.is_multiple_of(self.settings.snapshot_entries.max(1)) {
            let node = &mut self.nodes[place];
            let (term, state) = (entry.term, node.machine.encode());
            // The core compacts to the latest snapshot of a batch.
            node.inbox.retain(|input| !matches!(input, Input::Compact(_)));
            node.inbox.push_front(Input::Compact(Snapshot { index, term, state }));
        }
        self.fire(Trigger::AdvancesCommit, place)
    }

    fn restore(&mut self, place: usize, snapshot: Snapshot) -> Checked {
        let Snapshot { index, state, .. } = snapshot;
        let node = self.nodes[place].id;
        let now = self.schedule.now();
        let mut expected = Machine::default();
        let before = self.checks.committed().iter().take(index as usize);
        before.for_each(|committed| expected.execute(&committed.execution.command));
        let found = Machine::decode(&state);
        if self.checks.committed().len() < index as usize || found.as_ref() != Some(&expected) {
            let text = format!(
                "{node} restores a state at {index} that is not the state of the committed log"
            );
            return Err(violated("S25", now, text));
        }
        if index < self.nodes[place].applied {
            let text = format!("{node} restores {index} after it has applied later entries");
            return Err(violated("S15", now, text));
        }
        self.trace(place, || format!("restores the snapshot at {index}"));
        (self.nodes[place].machine, self.nodes[place].applied) = (expected, index);
        self.fire(Trigger::RestoresSnapshot, place)
    }

    /// Sends the result of an operation to its client.
    fn reply(&mut self, number: u64, value: u64) {
        self.digest = mix(self.digest, mix(number, value));
        self.clients.reply(number, value);
        self.tally.operations_checked = self.clients.replies;
        self.next_operation(number);
    }
}

#[cfg(test)]
mod tests {
    use quorate_sim::run::RunOptions;
    use quorate_sim::values::time::SimTime;

    use super::*;
    use crate::adapters::tiny::Tiny;
    use crate::case;

    #[test]
    fn each_fault_lasts_until_its_own_end() {
        let text = "nodes 3\n\
                    at 1s pause n1 for 1s\n\
                    at 1500ms pause n1 for 2s\n\
                    at 1s clock drift n2 +300ppm for 1s\n\
                    at 1500ms clock drift n2 -500ppm for 2s\n\
                    at 1s slow disk n3 by 5ms for 1s\n\
                    at 1500ms slow disk n3 by 7ms for 2s\n\
                    at 1500ms flap n2-n3 every 1s for 500ms\n";
        let scenario =
            case::read::<Tiny>(text, &RunOptions::default()).expect("the scenario is valid");
        let mut cluster = Cluster::<Tiny>::new(&scenario.case, None);
        for place in 0..3 {
            cluster.start(place).expect("no check fails");
        }
        let expected = [
            (1_200, true, 300, 5, true),
            (1_700, true, -500, 12, false),
            (2_300, true, -500, 7, true),
            (4_000, false, 0, 0, true),
        ];
        for (millis, paused, ppm, sync, is_open) in expected {
            let time = SimTime::default().after(Duration::from_millis(millis));
            while cluster.schedule.now() < time {
                let event = cluster.schedule.next().expect("clocks tick");
                cluster.handle(event).expect("no check fails");
            }
            let [first, second, third] = &cluster.nodes[..] else { panic!("three nodes") };
            assert_eq!(first.pauses > 0, paused, "after {millis} ms");
            assert_eq!(second.handicap.clock_ppm, ppm, "after {millis} ms");
            assert_eq!(third.handicap.sync, Duration::from_millis(sync), "after {millis} ms");
            assert_eq!(cluster.links[3 + 2].is_open(), is_open, "after {millis} ms");
        }
    }
}
