//! How nodes start, crash, pause and go on.

use std::time::Duration;

use quorate::machine::StateMachine;
use quorate::replica::{OpenError, Replica, Watch};
use quorate::storage::{self, ClusterId, Identity};
use quorate::types::Membership;

use crate::choice::{Key, Kind};
use crate::coverage::Spot;
use crate::fault::Fault;
use crate::observe::Seen;
use crate::plan::{Keep, Trigger};
use crate::settings::Settings;
use crate::subject::Subject;
use crate::witness::Witness;
use crate::workload::Workload;
use crate::world::carry::NEEDED;
use crate::world::node::{Place, Running};
use crate::world::operator::Operator;
use crate::world::queue::Event;
use crate::world::standing::Standing;
use crate::world::{EventKind, World};

/// The cluster of every run.
const CLUSTER: ClusterId = ClusterId(0x51);

impl World {
    /// Starts a node that is down.
    pub(super) fn restart(&mut self, place: Place, incarnation: u16, witness: &mut Witness) {
        let now = self.now;
        let node = &self.nodes[place.0 as usize];
        if node.running.is_some() || node.incarnation != incarnation || node.refuses {
            return;
        }
        let mut replica = match self.open(place, incarnation) {
            Ok(replica) => replica,
            Err(error) => return self.refuses_to_start(place, &error, witness),
        };
        replica.node.watch(Some(if witness.is_traced() { Watch::ALL } else { NEEDED }));
        self.meet_disk_faults(place, witness);
        let running = Running::new(replica);
        let (status, log) = (running.status, running.node.raft().log());
        let raft = running.node.raft();
        let (index, membership) = (raft.log().membership_index(), raft.membership().clone());
        self.note_founding(place, index, &membership, witness);
        self.taint.started(place.id(), status.snapshot);
        self.nodes[place.0 as usize].standing = Standing { index, membership };
        let seen = Seen::Started {
            node: place.id(),
            membership: running.node.raft().membership(),
            status: &status,
            log,
            state: running.worker.machine().results(),
        };
        witness.see(now, seen);
        let node = &mut self.nodes[place.0 as usize];
        let downtime = now.since(node.down_since);
        let tail = log.last().index.0 + 1 - log.tail_first().0;
        let entries = log.last().index.0 - log.base().index.0;
        witness.started(&status, (entries, tail), incarnation, downtime);
        witness.reach_if(std::mem::take(&mut node.closed), Spot::RestartClean);
        let machine = running.worker.machine();
        let ahead = machine.user().applied() > machine.applied().index;
        witness.reach_if(ahead, Spot::RestartMachineAhead);
        node.running = Some(Box::new(running));
        self.count_event(EventKind::Start, u64::from(place.0));
        self.begin(place, witness);
        if incarnation > 1 {
            self.pull(Trigger::Starts, place, None, witness);
        }
    }

    /// Opens a node's directory; at its first start, makes it.
    fn open(&mut self, place: Place, incarnation: u16) -> Result<Replica<Subject>, OpenError> {
        let now = self.now;
        let key = |kind| Key { node: place.0 + 1, incarnation, ..Kind::key(kind) };
        let config = self.settings.replica(place.id());
        let seed = self.choices.choose(key(Kind::Boot), u64::MAX);
        let node = &mut self.nodes[place.0 as usize];
        let machine = self.workload.machine();
        let subject = match self.settings.machine_keeps_each {
            None => Subject::new(machine),
            Some(each) => Subject::durable(machine, each, node.kept.clone()),
        };
        if !node.formatted {
            let incarnation = Settings::incarnation(place.id(), node.lost);
            let identity = Identity { cluster: CLUSTER, node: place.id(), incarnation };
            let membership = match node.lost {
                0 => self.settings.formatted(),
                _ => Membership::default(),
            };
            Replica::<Subject>::create(&mut node.disk, identity, &membership, &config)?;
            node.formatted = true;
        }
        // A process that starts reads what the disk has, not what the cache believes.
        node.disk.forget_cache();
        let own = node.clock.read(now);
        let replica = Replica::open(&mut node.disk, CLUSTER, subject, config, seed, own)?;
        // The superblock has what was found.
        node.disk.acknowledge_head();
        Ok(replica)
    }

    /// A node may refuse to start only where a fault destroyed what was durable; or for now, where
    /// its disk is full or has just failed.
    fn refuses_to_start(&mut self, place: Place, error: &OpenError, witness: &mut Witness) {
        let failed = self.meet_disk_faults(place, witness);
        let node = &mut self.nodes[place.0 as usize];
        let full = *error == OpenError::Storage(storage::OpenError::Full) && node.fills > 0;
        if failed || full {
            let again = Event::Restart { node: place.0, incarnation: node.incarnation };
            witness.refuses_for_now(self.now, place.id(), error);
            let down = self.settings.config.election_timeout_max;
            return self.queue.push(self.now.after(down), again);
        }
        node.refuses = true;
        let (node, damaged, why) = (place.id(), node.damaged, &error.to_string()[..]);
        witness.refuses(self.now, node, error);
        witness.see(self.now, Seen::Refused { node, damaged, why });
    }

    /// Crashes a node that runs, whatever it is doing. It starts again after `down`.
    pub(super) fn crash(
        &mut self,
        place: Place,
        keep: Keep,
        down: Duration,
        witness: &mut Witness,
    ) {
        let role = self.nodes[place.0 as usize].role();
        if self.end_process(place, keep, down, witness) {
            witness.fault(Fault::Crash, role);
        }
    }

    /// A node has stopped in good order. It starts again after a while.
    pub(super) fn closed(&mut self, place: Place, witness: &mut Witness) {
        let node = &mut self.nodes[place.0 as usize];
        let down = std::mem::take(&mut node.stops_for);
        // The superblock says so.
        node.disk.acknowledge_head();
        node.closed = true;
        self.end_process(place, Keep::All, down, witness);
    }

    /// Ends the process of a node, which loses its memory; false if it is down.
    pub(super) fn end_process(
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
        self.note_reign();
        let unreported = running.reports.iter().any(|reports| !reports.is_empty());
        let (pending, lost) = self.lose_power(place, &running, keep, witness);
        let applying = !running.work.is_empty();
        running.note_comparisons(witness);
        witness.crashed(&running.status, pending, pending - lost, unreported, applying);
        let node = &mut self.nodes[place.0 as usize];
        node.kept = running.worker.machine().user().kept();
        node.held = None;
        node.incarnation += 1;
        node.down_since = now;
        witness.see(now, Seen::Crashed { node: place.id() });
        let again = Event::Restart { node: place.0, incarnation: incarnation + 1 };
        self.queue.push(now.after(down), again);
        self.count_event(EventKind::Crash, u64::from(place.0) << 32 ^ lost as u64);
        if !running.unanswered.is_empty() {
            witness.reach(Spot::UnknownByCrash);
        }
        for tag in running.unanswered {
            if Operator::owns(tag) {
                self.operator.hears(tag);
            } else {
                self.client_loses(tag, witness);
            }
        }
        self.pull(Trigger::Falls, place, None, witness);
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
    pub(super) fn resume(&mut self, place: Place, pause: u16, witness: &mut Witness) {
        let node = &mut self.nodes[place.0 as usize];
        if node.pause != pause {
            return;
        }
        let held = node.held.take();
        if held.is_some() {
            witness.resumes(self.now, place.id());
        }
        let mut held = held.unwrap_or_default();
        if node.clock.stands_still() {
            node.clock.recover(self.now);
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
            self.queue.push(self.now, event);
        }
    }
}
