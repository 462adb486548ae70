//! How nodes start, crash, pause and go on, and what their disks and state machines report.

use std::time::Duration;

use quorate::raft::{Input, Raft};
use quorate::types::WriteId;

use crate::choice::{Key, Kind};
use crate::coverage::Spot;
use crate::fault::Fault;
use crate::observe::Seen;
use crate::plan::{Keep, Trigger};
use crate::witness::Witness;
use crate::world::disk::Kept;
use crate::world::node::{Node, Place, Running};
use crate::world::queue::Event;
use crate::world::{EventKind, World};

impl World {
    /// Starts a node that is down.
    pub(super) fn restart(&mut self, place: Place, incarnation: u16, witness: &mut Witness) {
        let now = self.now;
        let node = &mut self.nodes[place.0 as usize];
        if node.running.is_some() || node.incarnation != incarnation {
            return;
        }
        let key = |kind| Key { node: place.0 + 1, incarnation, ..Kind::key(kind) };
        let log = node.disk.log().len();
        let tail = tail_length(self.choices.choose(key(Kind::Tail), 256), log);
        let membership = self.settings.membership();
        let restored = node.disk.restore(membership.clone(), tail);
        let seed = self.choices.choose(key(Kind::Boot), u64::MAX);
        let mut config = self.settings.config.clone();
        config.id = place.id();
        let raft = Raft::new(config, restored, seed, node.clock.read(now));
        let raft = raft.unwrap_or_else(|error| panic!("{} cannot start: {error}", place.id()));
        let (hard_state, committed) = (node.disk.hard_state(), node.disk.committed());
        let running = Running::new(raft);
        let log = node.disk.log();
        let seen =
            Seen::Started { node: place.id(), membership: &membership, hard_state, committed, log };
        witness.see(now, seen);
        let downtime = now.since(node.down_since);
        witness.started(&running.status, log.len(), tail, incarnation, downtime);
        node.running = Some(Box::new(running));
        self.count_event(EventKind::Start, u64::from(place.0));
        self.rearm(place);
        if incarnation > 1 {
            self.pull(Trigger::Starts, place, None, witness);
        }
    }

    /// Crashes a node that runs, whatever it is doing; false if it is down. It starts again after
    /// `down`.
    pub(super) fn crash(
        &mut self,
        place: Place,
        keep: Keep,
        down: Duration,
        witness: &mut Witness,
    ) -> bool {
        let now = self.now;
        let node = &mut self.nodes[place.0 as usize];
        let Some(running) = node.running.take() else { return false };
        let incarnation = node.incarnation;
        let parts = node.disk.parts_unflushed();
        let lost = match keep {
            Keep::All => 0,
            Keep::None => parts,
            Keep::Part => {
                let key = Key { node: place.0 + 1, incarnation, ..Kind::Keep.key() };
                self.choices.choose(key, parts + 1)
            }
        };
        let kept = if lost == 0 { Kept::All } else { Kept::Parts(parts - lost) };
        let pending = node.disk.durable() > running.reported;
        witness.crashed(&running.status, parts, parts - lost, pending, running.batch.is_some());
        witness.fault(Fault::Crash, Some(running.status.role));
        for write in node.disk.crash(kept) {
            witness.see(now, Seen::Durable { node: place.id(), write: &write });
        }
        node.held = None;
        node.incarnation += 1;
        node.down_since = now;
        witness.see(now, Seen::Crashed { node: place.id() });
        let again = Event::Restart { node: place.0, incarnation: incarnation + 1 };
        self.queue.push(now.after(down), again);
        self.count_event(EventKind::Crash, u64::from(place.0) << 32 ^ lost);
        if !running.unanswered.is_empty() {
            witness.reach(Spot::UnknownByCrash);
        }
        for tag in running.unanswered {
            self.client_loses(tag, witness);
        }
        true
    }

    /// Stops a process for a while; false if it is down or stands still already.
    pub(super) fn pause(&mut self, place: Place, lasting: Duration) -> bool {
        let node = &mut self.nodes[place.0 as usize];
        if node.running.is_none() || node.held.is_some() {
            return false;
        }
        node.held = Some(Vec::new());
        node.pause += 1;
        let resume = Event::Resume { node: place.0, pause: node.pause };
        self.queue.push(self.now.after(lasting), resume);
        true
    }

    /// Lets a process go on: it gets at once what it missed, as it came or sorted by where it came
    /// from, as a driver may look at its timers, its clients and its peers in any order.
    pub(super) fn resume(&mut self, place: Place, pause: u16) {
        let node = &mut self.nodes[place.0 as usize];
        if node.pause != pause {
            return;
        }
        let mut held = node.held.take().unwrap_or_default();
        let (node, counter) = (place.0 + 1, u32::from(pause));
        let is_timer = |event: &Event| matches!(event, Event::Wake { .. });
        let is_request = |event: &Event| matches!(event, Event::Request { .. });
        match self.choices.choose(Key { node, counter, ..Kind::Resume.key() }, 4) {
            1 => held.sort_by_key(|event| !is_timer(event)),
            2 => held.sort_by_key(|event| is_timer(event)),
            3 => held.sort_by_key(|event| (is_timer(event), !is_request(event))),
            _ => {}
        }
        for event in held {
            self.queue.push(self.now, event);
        }
    }

    /// Starts a flush if there is something to flush and none is under way.
    pub(super) fn start_flush(&mut self, place: Place) {
        let node = &mut self.nodes[place.0 as usize];
        if !node.disk.start_flush(self.settings.flush_writes_max.into()) {
            return;
        }
        let incarnation = node.incarnation;
        let Some(running) = node.running.as_deref_mut() else { return };
        running.counts.flushes += 1;
        let counter = running.counts.flushes;
        let key = Key { node: place.0 + 1, incarnation, counter, ..Kind::Flush.key() };
        let lasts = self.choices.within(key, self.settings.flush) + node.flush_delay;
        self.queue.push(self.now.after(lasts), Event::Flushed { node: place.0, incarnation });
    }

    /// A flush is done: its writes are durable, and the node hears of it at once or later.
    pub(super) fn flushed(&mut self, place: Place, incarnation: u16, witness: &mut Witness) {
        let now = self.now;
        let node = &mut self.nodes[place.0 as usize];
        let Some(running) = node.started_as(incarnation) else { return };
        let counter = running.counts.flushes;
        let mut writes = 0;
        while let Some(write) = node.disk.finish_flush() {
            witness.see(now, Seen::Durable { node: place.id(), write: &write });
            writes += 1;
        }
        if writes > 1 {
            witness.reach(Spot::GroupFlush);
        }
        let durable = node.disk.durable();
        let late = node.held.is_some();
        self.count_event(EventKind::Flush, u64::from(place.0) << 56 ^ durable.0);
        if self.pull(Trigger::Flushes, place, None, witness) {
            return;
        }
        self.start_flush(place);
        let key = Key { node: place.0 + 1, incarnation, counter, ..Kind::Report.key() };
        if late || self.choices.chance(key, 150) {
            let key = Key { kind: Kind::ReportDelay, ..key };
            let at = now.after(self.choices.within(key, self.settings.report));
            self.queue.push(at, Event::Reported { node: place.0, incarnation });
        } else {
            self.reported(place, incarnation, witness);
        }
    }

    /// A node hears of all that is durable by now.
    pub(super) fn reported(&mut self, place: Place, incarnation: u16, witness: &mut Witness) {
        let node = &mut self.nodes[place.0 as usize];
        let durable = node.disk.durable();
        let Some(running) = node.started_as(incarnation) else { return };
        if durable == running.reported || durable == WriteId::ZERO {
            return;
        }
        running.reported = durable;
        self.step(place, Input::Persisted(durable), witness);
    }

    /// A state machine is done with its batch.
    pub(super) fn worked(&mut self, place: Place, incarnation: u16, witness: &mut Witness) {
        let now = self.now;
        let Some(running) = self.nodes[place.0 as usize].started_as(incarnation) else { return };
        let Some(batch) = running.batch.take() else { return };
        running.machine.apply(&batch);
        let applied = running.machine.applied;
        witness.see(now, Seen::Applied { node: place.id(), entries: &batch });
        self.step(place, Input::Applied(applied), witness);
    }

    /// Entries have been read from the disk.
    pub(super) fn fetched(
        &mut self,
        place: Place,
        incarnation: u16,
        slot: u16,
        witness: &mut Witness,
    ) {
        let Some(running) = self.nodes[place.0 as usize].started_as(incarnation) else { return };
        let Some((consumer, entries)) = running.fetches[slot as usize].take() else { return };
        self.step(place, Input::Fetched { consumer, entries }, witness);
    }

    /// When the work that a node's state machine, or a read of its disk, starts now is done.
    pub(super) fn work_time(&mut self, place: Place) -> Duration {
        let node = &mut self.nodes[place.0 as usize];
        let Node { incarnation, work_delay, .. } = *node;
        let Some(running) = node.running.as_deref_mut() else { return Duration::ZERO };
        running.counts.works += 1;
        let counter = running.counts.works;
        let key = Key { node: place.0 + 1, incarnation, counter, ..Kind::Work.key() };
        self.choices.within(key, self.settings.work) + work_delay
    }
}

/// How many entries a restarted node has in hand, for a `choice` below 256: the benign one is all
/// of a log that is not long, the others are spread over everything down to none.
fn tail_length(choice: u64, log: usize) -> usize {
    const LONG: usize = 512;
    match choice {
        0..64 => log.min(LONG),
        64..128 => 0,
        _ => log.min(LONG) * (choice as usize - 128) / 128,
    }
}
