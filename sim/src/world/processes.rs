//! Starts, crashes, shutdowns, pauses and resumptions of nodes.

use std::time::Duration;

use quorate::machine::StateMachine;
use quorate::replica::{NoteFilter, OpenError, Replica};
use quorate::storage::{self, ClusterId, Identity};
use quorate::types::Membership;

use crate::choice::{Key, Kind};
use crate::coverage::Spot;
use crate::fault::Fault;
use crate::observe::Observation;
use crate::observer::Observer;
use crate::plan::{KeptWrites, Trigger};
use crate::settings::Settings;
use crate::sim_machine::SimMachine;
use crate::workload::Workload;
use crate::world::World;
use crate::world::logged_membership::LoggedMembership;
use crate::world::node::Running;
use crate::world::operator::Operator;
use crate::world::outputs::NEEDED_NOTES;
use crate::world::place::Place;
use crate::world::scheduler::EventKind;
use crate::world::scheduler::queue::Event;

/// The cluster id of every run.
const CLUSTER: ClusterId = ClusterId(0x51);

impl World {
    /// Starts a node that is down.
    pub(super) fn restart(&mut self, place: Place, start_number: u16, observer: &mut Observer) {
        let now = self.scheduler.now();
        let node = &self.nodes[place.0 as usize];
        if node.running.is_some() || node.start_number != start_number || node.start_refused {
            return;
        }
        let mut replica = match self.open(place, start_number) {
            Ok(replica) => replica,
            Err(error) => return self.refuses_to_start(place, &error, observer),
        };
        replica.node.record_notes(Some(if observer.is_traced() {
            NoteFilter::ALL
        } else {
            NEEDED_NOTES
        }));
        self.count_disk_faults(place, observer);
        let running = Running::new(replica);
        let (status, log) = (running.status, running.node.raft().log());
        let raft = running.node.raft();
        let (index, membership) = (raft.log().membership_index(), raft.membership().clone());
        self.note_bootstrap(place, index, &membership, observer);
        self.taint.started(place.id(), status.snapshot);
        self.nodes[place.0 as usize].last_membership = LoggedMembership { index, membership };
        let seen = Observation::Started {
            node: place.id(),
            membership: running.node.raft().membership(),
            status: &status,
            log,
            state: running.worker.machine().results(),
        };
        observer.observe(now, seen);
        let node = &mut self.nodes[place.0 as usize];
        let downtime = now.since(node.down_since);
        let tail = log.last().index.0 + 1 - log.tail_first().0;
        let entries = log.last().index.0 - log.base().index.0;
        observer.started(&status, (entries, tail), start_number, downtime);
        observer.reach_if(std::mem::take(&mut node.stopped_cleanly), Spot::RestartClean);
        let machine = running.worker.machine();
        let ahead = machine.user().applied() > machine.applied().index;
        observer.reach_if(ahead, Spot::RestartMachineAhead);
        node.running = Some(Box::new(running));
        self.scheduler.count(EventKind::Start, u64::from(place.0));
        self.begin_node(place, observer);
        if start_number > 1 {
            self.fire_trigger(Trigger::Restarts, place, None, observer);
        }
    }

    /// Opens a node's directory, and formats it first if it is new.
    fn open(&mut self, place: Place, start_number: u16) -> Result<Replica<SimMachine>, OpenError> {
        let now = self.scheduler.now();
        let key = |kind| Key { node: place.0 + 1, start_number, ..Kind::key(kind) };
        let config = self.settings.replica(place.id());
        let seed = self.choices.choose(key(Kind::Boot), u64::MAX);
        let node = &mut self.nodes[place.0 as usize];
        let machine = self.workload.machine();
        let subject = match self.settings.machine_checkpoint_every {
            None => SimMachine::new(machine),
            Some(each) => SimMachine::durable(machine, each, node.machine_checkpoint.clone()),
        };
        if !node.formatted {
            let incarnation = Settings::incarnation(place.id(), node.disks_lost);
            let identity = Identity { cluster: CLUSTER, node: place.id(), incarnation };
            let membership = match node.disks_lost {
                0 => self.settings.formatted(),
                _ => Membership::default(),
            };
            Replica::<SimMachine>::create(&mut node.disk, identity, &membership, &config)?;
            node.formatted = true;
        }
        // A new process reads the durable data, not the cache.
        node.disk.forget_cache();
        let own = node.clock.read(now);
        let replica = Replica::open(&mut node.disk, CLUSTER, subject, config, seed, own)?;
        // The opened superblock proves that the last flush was completed.
        node.disk.acknowledge_head();
        Ok(replica)
    }

    /// A node refuses to start. It may do so if a fault destroyed durable data; if its disk is full
    /// or has just failed, it starts again later.
    fn refuses_to_start(&mut self, place: Place, error: &OpenError, observer: &mut Observer) {
        let failed = self.count_disk_faults(place, observer);
        let node = &mut self.nodes[place.0 as usize];
        let full =
            *error == OpenError::Storage(storage::OpenError::Full) && node.full_disk_faults > 0;
        if failed || full {
            let again = Event::Restart { place: place, start_number: node.start_number };
            observer.start_deferred(self.scheduler.now(), place.id(), error);
            let down = self.settings.config.election_timeout_max;
            return self.scheduler.after(down, again);
        }
        node.start_refused = true;
        let (node, damaged, why) = (place.id(), node.damaged, &error.to_string()[..]);
        observer.start_refused(self.scheduler.now(), node, error);
        observer
            .observe(self.scheduler.now(), Observation::StartFailed { node, damaged, reason: why });
    }

    /// Crashes a running node. It restarts after `down`.
    pub(super) fn crash(
        &mut self,
        place: Place,
        keep: KeptWrites,
        down: Duration,
        observer: &mut Observer,
    ) {
        let role = self.nodes[place.0 as usize].role();
        if self.end_process(place, keep, down, observer) {
            observer.fault(Fault::Crash, role);
        }
    }

    /// Ends the process of a node that has shut down cleanly. It restarts after its downtime.
    pub(super) fn close_node(&mut self, place: Place, observer: &mut Observer) {
        let node = &mut self.nodes[place.0 as usize];
        let down = std::mem::take(&mut node.stop_downtime);
        // The superblock written at the shutdown proves that the last flush was completed.
        node.disk.acknowledge_head();
        node.stopped_cleanly = true;
        self.end_process(place, KeptWrites::All, down, observer);
    }

    /// Ends the process of a node, which loses its memory; returns false if the node is down.
    pub(super) fn end_process(
        &mut self,
        place: Place,
        keep: KeptWrites,
        down: Duration,
        observer: &mut Observer,
    ) -> bool {
        let now = self.scheduler.now();
        let node = &mut self.nodes[place.0 as usize];
        let Some(running) = node.running.take() else { return false };
        let start_number = node.start_number;
        self.note_leader();
        let unreported = running.reports.iter().any(|reports| !reports.is_empty());
        let (pending, lost) = self.lose_power(place, &running, keep, observer);
        let applying = !running.work.is_empty();
        running.note_comparisons(observer);
        observer.crashed(&running.status, pending, pending - lost, unreported, applying);
        let node = &mut self.nodes[place.0 as usize];
        node.machine_checkpoint = running.worker.machine().user().checkpoint();
        node.held = None;
        node.start_number += 1;
        node.down_since = now;
        observer.observe(now, Observation::Crashed { node: place.id() });
        let again = Event::Restart { place: place, start_number: start_number + 1 };
        self.scheduler.after(down, again);
        self.scheduler.count(EventKind::Crash, u64::from(place.0) << 32 ^ lost as u64);
        if !running.unanswered.is_empty() {
            observer.reach(Spot::UnknownByCrash);
        }
        for tag in running.unanswered {
            if Operator::owns_tag(tag) {
                self.operator.finish(tag);
            } else {
                self.client_outcome_unknown(tag, observer);
            }
        }
        self.fire_trigger(Trigger::GoesDown, place, None, observer);
        true
    }

    /// Pauses a process; returns false if it is down or paused already.
    pub(super) fn pause(&mut self, place: Place, duration: Duration) -> bool {
        let node = &mut self.nodes[place.0 as usize];
        if node.running.is_none() || node.held.is_some() {
            return false;
        }
        node.held = Some(Vec::new());
        node.pause += 1;
        let resume = Event::Resume { place: place, pause: node.pause };
        self.scheduler.after(duration, resume);
        true
    }

    /// Resumes a process. It gets at once the events that it missed, in their order or sorted by
    /// source, because a driver may look at its timers, its clients and its peers in any order.
    pub(super) fn resume(&mut self, place: Place, pause: u16, observer: &mut Observer) {
        let node = &mut self.nodes[place.0 as usize];
        if node.pause != pause {
            return;
        }
        let held = node.held.take();
        if held.is_some() {
            observer.resumes(self.scheduler.now(), place.id());
        }
        let mut held = held.unwrap_or_default();
        if node.clock.is_stopped() {
            node.clock.recover(self.scheduler.now());
            self.rearm(place);
        }
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
            self.scheduler.at_once(event);
        }
    }
}
