//! Carrying out what a node wants, action by action.

use std::time::Duration;

use quorate::raft::{Action, Consumer, RoleName, Status};
use quorate::types::{AppendOutcome, Body, Entry, Index, Message, Write};

use crate::choice::{Key, Kind};
use crate::coverage::Spot;
use crate::fault::Fault;
use crate::observe::Seen;
use crate::plan::{Keep, Trigger};
use crate::witness::Witness;
use crate::world::World;
use crate::world::node::Place;
use crate::world::queue::Event;

const MILLION: u64 = 1_000_000;

impl World {
    /// Carries out the actions of one step: now, or late if the driver lags, or not all of them
    /// if the node crashes on the way.
    pub(super) fn carry_all(
        &mut self,
        place: Place,
        before: &Status,
        actions: &mut Vec<Action>,
        witness: &mut Witness,
    ) {
        let node = &self.nodes[place.0 as usize];
        let Some(running) = node.running.as_deref() else { return };
        let (incarnation, counter) = (node.incarnation, running.counts.steps);
        let (status, lagging) = (running.status, !running.backlog.is_empty());
        if status.committed > before.committed
            && self.pull(
                Trigger::AdvancesCommit,
                place,
                status.leader.and_then(|id| self.place(id)),
                witness,
            )
        {
            witness.reach(Spot::CrashBetweenActions);
            return;
        }
        if actions.is_empty() {
            return;
        }
        let key = |kind| Key { node: place.0 + 1, incarnation, counter, ..Kind::key(kind) };
        if self.settings.faults.has(Fault::Reorder) && actions.len() > 1 {
            self.shuffle(actions, key(Kind::Order));
        }
        let late = self.choices.chance(key(Kind::Lag), self.settings.lag_permille);
        if late || lagging {
            if late {
                witness.fault(Fault::Lag, Some(status.role));
            }
            self.put_off(place, incarnation, actions);
            return;
        }
        let torn = self.torn_at(key(Kind::Boundary), actions.len());
        for (number, action) in actions.drain(..).enumerate() {
            if torn == Some(number) {
                witness.reach(Spot::CrashBetweenActions);
                let down = self.settings.config.election_timeout_min / 2;
                self.crash(place, Keep::Part, down, witness);
            }
            if self.nodes[place.0 as usize].incarnation != incarnation {
                return;
            }
            self.carry(place, action, witness);
        }
    }

    /// Before which of a step's actions the node crashes, if it does.
    fn torn_at(&self, key: Key, actions: usize) -> Option<usize> {
        let ppm = self.settings.torn_step_ppm;
        if ppm == 0 || self.choices.choose(key, MILLION) < MILLION - ppm {
            return None;
        }
        let key = Key { kind: Kind::BoundaryPlace, ..key };
        Some(self.choices.choose(key, actions as u64) as usize)
    }

    /// Puts the actions of one step into another order that a driver is free to choose: those of
    /// the disk and of the state machine stay in order among themselves.
    fn shuffle(&self, actions: &mut [Action], key: Key) {
        match self.choices.choose(key, 8) {
            5 => actions.sort_by_key(|action| matches!(action, Action::Persist(_))),
            6 => actions.sort_by_key(|action| !matches!(action, Action::Persist(_))),
            7 => actions.sort_by_key(|action| !matches!(action, Action::Send(_))),
            _ => {}
        }
    }

    /// The driver lags: it carries these out one by one, later.
    fn put_off(&mut self, place: Place, incarnation: u16, actions: &mut Vec<Action>) {
        let Some(running) = self.nodes[place.0 as usize].running.as_deref_mut() else { return };
        let idle = running.backlog.is_empty();
        running.backlog.extend(actions.drain(..));
        if idle {
            self.schedule_carry(place, incarnation);
        }
    }

    fn schedule_carry(&mut self, place: Place, incarnation: u16) {
        let Some(running) = self.nodes[place.0 as usize].running.as_deref_mut() else { return };
        running.counts.carried += 1;
        let counter = running.counts.carried;
        let key = Key { node: place.0 + 1, incarnation, counter, ..Kind::LagDelay.key() };
        let longest = self.settings.latency.most.as_nanos() as u64 / 4;
        let at = self.now.after(Duration::from_nanos(self.choices.choose(key, longest + 1)));
        self.queue.push(at, Event::Carry { node: place.0, incarnation });
    }

    /// A lagging driver carries out its next action.
    pub(super) fn carry_next(&mut self, place: Place, incarnation: u16, witness: &mut Witness) {
        let Some(running) = self.nodes[place.0 as usize].started_as(incarnation) else { return };
        let Some(action) = running.backlog.pop_front() else { return };
        if !running.backlog.is_empty() {
            self.schedule_carry(place, incarnation);
        }
        self.carry(place, action, witness);
    }

    /// Carries out one action of a running node.
    fn carry(&mut self, place: Place, action: Action, witness: &mut Witness) {
        let now = self.now;
        let Some(running) = self.nodes[place.0 as usize].running.as_deref_mut() else { return };
        witness.action(now, &running.status, &action);
        match action {
            Action::Send(message) => self.send(place, message, witness),
            Action::Persist(write) => self.persist(place, write, witness),
            Action::Apply(entries) => self.apply(place, entries),
            Action::Fetch { consumer, first, last, bytes_max } => {
                let range = (first, last, bytes_max);
                self.fetch(place, consumer, range, witness);
            }
            Action::Committed { tag, id } => {
                running.answered(tag);
                self.client_commits(tag, place, id, witness);
            }
            Action::Rejected { tag, reason } => {
                running.answered(tag);
                self.client_is_rejected(tag, reason, witness);
            }
            Action::Unknown { tag, .. } => {
                running.answered(tag);
                witness.reach(Spot::UnknownByStepDown);
                self.client_loses(tag, witness);
            }
            Action::ReadReady { tag, index } => {
                running.answered(tag);
                let machine = running.machine;
                self.client_reads(tag, place, index, machine, witness);
            }
            Action::RoleChanged { role, .. } => self.role_changed(place, role, witness),
            _ => {}
        }
    }

    fn role_changed(&mut self, place: Place, role: RoleName, witness: &mut Witness) {
        match role {
            RoleName::Leader => {
                self.pull(Trigger::BecomesLeader, place, None, witness);
            }
            RoleName::Candidate => {
                self.pull(Trigger::BecomesCandidate, place, None, witness);
            }
            RoleName::PreCandidate => {
                self.pull(Trigger::BecomesPreCandidate, place, None, witness);
            }
            RoleName::Follower => {}
        }
    }

    fn persist(&mut self, place: Place, write: Write, witness: &mut Witness) {
        if self.pull(Trigger::AboutToSubmit, place, None, witness) {
            witness.reach(Spot::CrashBeforeSubmit);
            return;
        }
        let now = self.now;
        let vote = write.hard_state.and_then(|hard_state| hard_state.vote);
        let entries = !write.entries.is_empty();
        let cut = write.entries.first().map(|first| first.id.index);
        self.fold(write.id.0 << 16 ^ write.entries.len() as u64);
        witness.see(now, Seen::Submitted { node: place.id(), write: &write });
        let node = &mut self.nodes[place.0 as usize];
        let longest = Index(node.disk.log().len() as u64);
        let cut = cut.filter(|first| *first <= longest);
        if let Some(first) = cut {
            witness.truncates(longest.0 - first.0 + 1);
        }
        node.disk.submit(write);
        let leader = node.running.as_ref().and_then(|running| running.status.leader);
        self.start_flush(place);
        if let Some(candidate) = vote
            && self.pull(Trigger::SubmitsVote, place, self.place(candidate), witness)
        {
            return;
        }
        let leader = leader.and_then(|id| self.place(id));
        if cut.is_some() && self.pull(Trigger::CutsLog, place, leader, witness) {
            return;
        }
        if entries {
            self.pull(Trigger::SubmitsEntries, place, leader, witness);
        }
    }

    fn send(&mut self, place: Place, message: Message, witness: &mut Witness) {
        let now = self.now;
        witness.see(now, Seen::Sent { message: &message });
        let Some(to) = self.place(message.to) else { return };
        let promise = is_promise(&message);
        let beat = matches!(message.body, Body::Heartbeat { .. });
        self.fold((message.body.name().len() as u64) << 32 ^ message.to.0 << 24 ^ message.term.0);
        let incarnation = self.nodes[place.0 as usize].incarnation;
        let link = (place, to);
        let fate = self.network.decide(now, link, incarnation, &self.choices, &self.settings);
        let role = self.nodes[to.0 as usize].role();
        fate.met.into_iter().flatten().for_each(|fault| witness.fault(fault, role));
        if self.settings.faults.has(Fault::Replay) {
            self.network.remember(&message);
        }
        if let Some(at) = fate.copy {
            let slot = self.network.dispatch(message.clone());
            self.queue.push(at, Event::Arrive { slot });
        }
        if let Some(at) = fate.arrival {
            let slot = self.network.dispatch(message);
            self.queue.push(at, Event::Arrive { slot });
        }
        if promise {
            self.pull(Trigger::Promises, place, Some(to), witness);
        } else if beat {
            self.pull(Trigger::Beats, place, Some(to), witness);
        }
    }

    fn apply(&mut self, place: Place, entries: Vec<Entry>) {
        let lasts = self.work_time(place);
        let node = &mut self.nodes[place.0 as usize];
        let incarnation = node.incarnation;
        let Some(running) = node.running.as_deref_mut() else { return };
        assert!(running.batch.is_none(), "{} wants two batches applied at once", place.id());
        running.batch = Some(entries);
        self.queue.push(self.now.after(lasts), Event::Worked { node: place.0, incarnation });
    }

    fn fetch(
        &mut self,
        place: Place,
        consumer: Consumer,
        (first, last, bytes_max): (Index, Index, usize),
        witness: &mut Witness,
    ) {
        let lasts = self.work_time(place);
        let node = &mut self.nodes[place.0 as usize];
        let incarnation = node.incarnation;
        let Some(running) = node.running.as_deref_mut() else { return };
        let counter = running.counts.works;
        let asked = last.0 - first.0 + 1;
        let key = Key { node: place.0 + 1, incarnation, counter, ..Kind::Short.key() };
        let given = asked - self.choices.choose(key, asked);
        let entries = within_bytes(node.disk.read(first, given), bytes_max).to_vec();
        assert!(!entries.is_empty(), "{} fetches {first}, which is not durable", place.id());
        witness.fetched(consumer, given < asked, incarnation);
        let slot = running.keep_fetched(consumer, entries);
        let event = Event::Fetched { node: place.0, incarnation, slot };
        self.queue.push(self.now.after(lasts), event);
    }

    /// The place of node `id`, if it is one of the world's.
    pub(super) fn place(&self, id: quorate::types::NodeId) -> Option<Place> {
        Place::of(id, self.nodes.len())
    }
}

/// As many of the entries as have at most `bytes_max` bytes, and at least one.
fn within_bytes(entries: &[Entry], bytes_max: usize) -> &[Entry] {
    let mut bytes = 0;
    let fits = entries.iter().take_while(|entry| {
        bytes += entry.bytes();
        bytes <= bytes_max
    });
    let count = fits.count().max(1).min(entries.len());
    &entries[..count]
}

/// Whether another node will rely on what the message says.
fn is_promise(message: &Message) -> bool {
    matches!(
        message.body,
        Body::RequestVoteReply { granted: true }
            | Body::AppendEntriesReply(AppendOutcome::Accepted { .. })
    )
}
