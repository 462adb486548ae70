//! The starts, the steps and the ends of the nodes' processes.

use std::time::Duration;

use quorate::machine::StateMachine;
use quorate::quorum::is_quorum;
use quorate::raft::Status;
use quorate::replica::{Input, Note, NoteFilter, OpenError, Output, Replica};
use quorate::storage;
use quorate::storage::{ErrorCause, FileName, Identity, Storage, StorageError};
use quorate::types::{Instant, Membership, Message, NodeId, StateVerification, Tag};

use crate::faults::KeptWrites;
use crate::machine::SimMachine;
use crate::observe::Observation;
use crate::observe::coverage::Spot;
use crate::observer::Observer;
use crate::record::NodeWork;
use crate::values::choice::Kind;
use crate::values::time::SimTime;
use crate::workload::Workload;
use crate::world::cluster::Cluster;
use crate::world::cluster::node::LoggedMembership;
use crate::world::cluster::node::{LastExit, Life, Node};
use crate::world::cluster::notes::NEEDED_NOTES;
use crate::world::cluster::power_loss::lose_power;
use crate::world::cluster::running::Running;
use crate::world::place::CLUSTER;
use crate::world::place::Start;
use crate::world::run::{Run, Setup};
use crate::world::scheduler::Event;
use crate::world::scheduler::EventKind;

/// The way in which a process ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exit {
    /// The unflushed writes that survive.
    pub(crate) keep: KeptWrites,
    /// The time until the next start.
    pub(crate) down: Duration,
    /// Whether the process has shut down cleanly.
    pub(crate) cleanly: bool,
}

impl Exit {
    /// Returns the end of a process by a crash.
    pub(crate) fn crash(keep: KeptWrites, down: Duration) -> Exit {
        Exit { keep, down, cleanly: false }
    }
}

/// The requests and messages of a process that outlive it.
pub(crate) struct LeftBehind {
    /// The requests that it has not answered.
    pub(crate) unanswered: Vec<Tag>,
    /// The events that it has not taken, because it was paused.
    pub(crate) missed: Vec<Event>,
}

impl Cluster {
    /// Starts a node that is down. Returns true if it runs now: it may refuse to start.
    pub(crate) fn start(&mut self, start: Start, run: &mut Run) -> bool {
        let (place, now) = (start.place, run.scheduler.now());
        let node = &mut self[place];
        let Life::Down(exit) = node.life else { return false };
        if node.start() != start {
            return false;
        }
        let disk = &node.disk;
        let damaged = disk.is_damaged() || disk.device.has_damaged_sectors() || disk.lost_end;
        let id = place.id();
        run.observer.work_begins(id, || NodeWork::Start);
        let opened = node.open(&run.setup, now);
        run.observer.work_ends();
        let mut replica = match opened {
            Ok(replica) => replica,
            Err(error) => {
                node.fail_to_start(&error, exit, run);
                return false;
            }
        };
        let notes = if run.observer.needs_all_notes() { NoteFilter::ALL } else { NEEDED_NOTES };
        replica.node.record_notes(Some(notes));
        node.count_disk_faults(&mut run.observer);
        let running = Running::new(replica);
        let raft = running.node.raft();
        let (index, membership) = (raft.log().membership_index(), raft.membership().clone());
        self.note_bootstrap(place, index, &membership, run);
        let node = &mut self[place];
        node.last_membership = LoggedMembership { index, membership };
        node.begin(running, exit, damaged, run);
        run.scheduler.count(EventKind::Start, u64::from(place.0));
        true
    }
}

impl Node {
    /// Opens the node's directory, and formats it first if it is new.
    fn open(&mut self, setup: &Setup, now: SimTime) -> Result<Replica<SimMachine>, OpenError> {
        let id = self.place.id();
        let Setup { settings, workload, choices } = setup;
        let config = settings.replica(id);
        let seed = choices.choose(self.start().key(Kind::Boot, 0), u64::MAX);
        let (disk, build) = (&mut self.disk, self.builds.present);
        let machine = workload.machine();
        let machine = match settings.machine_checkpoint_every {
            None => SimMachine::new(machine),
            Some(each) => SimMachine::durable(machine, each, disk.machine_checkpoint.clone()),
        };
        let machine = machine.of_build(build);
        if !disk.formatted {
            let identity =
                Identity { cluster: CLUSTER, node: id, incarnation: disk.incarnation(id) };
            let membership = match disk.disks_lost {
                0 => settings.formatted_at(id),
                _ => Membership::default(),
            };
            Replica::<SimMachine>::create(&mut disk.device, identity, &membership, &config)?;
            disk.formatted = true;
        }
        // A new process reads the durable data, not the cache.
        disk.device.forget_cache();
        let own = self.clock.read(now);
        let replica = Replica::open(&mut disk.device, CLUSTER, machine, config, seed, own)?;
        // The opened superblock proves that the last flush was completed.
        disk.device.acknowledge_head();
        if replica.node.raft().log().damaged_entries() == 0 {
            // A start reads every entry of the log, so the damaged sectors hold none of them.
            disk.device.forget_damaged_sectors();
        }
        Ok(replica)
    }

    /// Handles a failed start: the node starts again later if its disk is full or has just failed.
    /// Otherwise the node refuses to start until its disk is replaced, and the checks learn whether
    /// faults justify the refusal.
    fn fail_to_start(&mut self, error: &OpenError, exit: LastExit, run: &mut Run) {
        let (now, place) = (run.scheduler.now(), self.place);
        let failed = self.count_disk_faults(&mut run.observer);
        let full = *error == OpenError::Storage(storage::OpenError::Full)
            && self.disk.full_disk_faults > 0;
        if failed || full {
            run.observer.start_deferred(now, place.id(), error);
            let down = run.setup.settings.config.election_timeout_max;
            return run.scheduler.after(down, self.restart());
        }
        self.life = Life::StartRefused(exit);
        run.observer.start_refused(now, place.id(), error);
        // No other node can make the only voter certain again, nor give back the end of its log.
        let is_about_loss = self.disk.lost_end && matches!(error, OpenError::Storage(_));
        let is_about_certainty = *error == OpenError::SoleVoter;
        let no_peer_can_help = self.disk.rolled_back
            && (is_about_certainty || is_about_loss)
            && (self.disk.device.has_damaged_sectors() || self.is_sole_quorum(&run.setup));
        let (damaged, reason) =
            (self.disk.is_damaged() || no_peer_can_help, &error.to_string()[..]);
        run.observe(Observation::StartFailed { node: place.id(), damaged, reason });
    }

    /// Returns true if the node alone is a quorum of the last membership on its disk.
    fn is_sole_quorum(&self, setup: &Setup) -> bool {
        let (id, mut disk) = (self.place.id(), self.disk.device.durable_copy());
        let opened = Storage::open(&mut disk, CLUSTER, id, &setup.settings.replica(id).storage);
        opened.is_ok_and(|(_, opened)| is_quorum(opened.membership(), |member| member == id))
    }

    /// Begins the life of a process that has just been opened; `damaged` says whether its disk had
    /// lost data before.
    fn begin(&mut self, running: Running, exit: LastExit, damaged: bool, run: &mut Run) {
        let (now, observer) = (run.scheduler.now(), &mut run.observer);
        let (status, log) = (running.status, running.node.raft().log());
        let machine = running.worker.machine();
        let seen = Observation::Started {
            node: self.place.id(),
            membership: running.node.raft().membership(),
            status: &status,
            log,
            state: machine.results(),
            damaged: damaged || self.disk.is_damaged(),
            quarantined: running.node.verification() == StateVerification::Quarantined
                && running.node.storage().is_quarantined(),
            own_time: self.clock.read(now),
        };
        observer.observe(now, seen);
        observer.core_starts(now, self.place.id(), running.node.raft());
        observer.reach_if(log.damaged_entries() > 0, Spot::RestartDamaged);
        self.disk.rolled_back &= status.is_uncertain;
        self.disk.lost_end = false;
        observer.reach_if(self.disk.rolled_back, Spot::RestartRolledBack);
        let tail = log.last().index.0 + 1 - log.tail_first().0;
        let entries = log.last().index.0 - log.base().index.0;
        observer.started(&status, entries, tail, self.start_number, now.since(exit.at));
        observer.reach_if(exit.cleanly, Spot::RestartClean);
        let ahead = machine.user().applied() > Some(machine.applied().index);
        observer.reach_if(ahead, Spot::RestartMachineAhead);
        self.life = Life::Running(Box::new(running));
    }

    /// Ends the process of the node, which loses its memory, and schedules the next start. Returns
    /// what the process left behind, or `None` if the node is down.
    pub(crate) fn end(&mut self, exit: Exit, run: &mut Run) -> Option<LeftBehind> {
        let (now, place) = (run.scheduler.now(), self.place);
        let last = LastExit { at: now, cleanly: exit.cleanly };
        let (running, missed) = match std::mem::replace(&mut self.life, Life::Down(last)) {
            Life::Running(running) => (running, Vec::new()),
            Life::Paused(running, deferred) => (running, deferred),
            life => {
                self.life = life;
                return None;
            }
        };
        if self.clock.is_stopped() {
            self.clock.resume(now);
        }
        self.stop_downtime = Duration::ZERO;
        if exit.cleanly {
            // The superblock written at the shutdown proves that the last flush was completed.
            self.disk.device.acknowledge_head();
        }
        let unreported = running.lanes.all().iter().any(|lane| !lane.reports.is_empty());
        let (not_durable, kept) = lose_power(self, &running.lanes, exit.keep, run);
        let applying = !running.work.submitted.is_empty();
        running.note_comparisons(&mut run.observer);
        run.observer.crashed(&running.status, not_durable, kept, unreported, applying);
        self.disk.machine_checkpoint = running.worker.machine().user().checkpoint();
        run.observe(Observation::Crashed { node: place.id() });
        self.postpone_start(exit.down, &mut run.scheduler);
        run.scheduler
            .count(EventKind::Crash, u64::from(place.0) << 32 ^ (not_durable - kept) as u64);
        Some(LeftBehind { unanswered: running.requests.unanswered, missed })
    }

    /// Returns true if faults justify that the process stops with this failure; `may_have_diverged`
    /// says whether the faults may have made logs contradict each other.
    pub(crate) fn justifies_stop(
        &self,
        failure: &StorageError,
        may_have_diverged: bool,
        observer: &mut Observer,
    ) -> bool {
        let failed = self.running().is_some_and(|running| {
            let files = &running.lanes.failed;
            // Damage without a file: an entry that no read returns and no other voter has.
            let is_lost_entry = failure.file.is_none() && failure.cause == ErrorCause::Damage;
            let is_segment = |file: &Option<FileName>| matches!(file, Some(FileName::Segment(_)));
            files.contains(&failure.file) || is_lost_entry && files.iter().any(is_segment)
        });
        let damaged = self.disk.is_damaged();
        let reads_damage = damaged && !failed && failure.file.is_some();
        observer.reach_if(reads_damage, Spot::DiskDamageRead);
        match failure.cause {
            ErrorCause::DivergedLog => may_have_diverged,
            ErrorCause::Damage | ErrorCause::Disk => failed || damaged,
            ErrorCause::Environment
            | ErrorCause::Exhausted
            | ErrorCause::Replaced
            | ErrorCause::Unreadable
            | ErrorCause::Bound
            | ErrorCause::Panic => false,
        }
    }
}

/// The outputs and the notes of a step. The buffers are reused between steps to save allocations.
#[derive(Clone, Debug, Default)]
pub(crate) struct StepResults {
    pub(crate) outputs: Vec<Output>,
    pub(crate) notes: Vec<Note>,
}

impl Node {
    /// Starts the process that has just been opened, and returns its status.
    pub(crate) fn take_first_step(
        &mut self,
        results: &mut StepResults,
        run: &Run,
    ) -> Option<Status> {
        let now = run.scheduler.now();
        let own = self.clock.read(now);
        let running = self.life.running_mut()?;
        running.node.start(&mut results.outputs);
        running.node.take_notes(&mut results.notes);
        run.observer.core_takes(now, self.place.id(), own, &results.notes);
        Some(running.status)
    }

    /// Passes an input to the process, and returns its status before the step.
    pub(crate) fn step(
        &mut self,
        input: Input,
        results: &mut StepResults,
        run: &mut Run,
    ) -> Option<Status> {
        let now = run.scheduler.now();
        let own = self.clock.read(now);
        let running = self.life.running_mut()?;
        run.observer.input_begins(self.place.id(), &input);
        running.node.step(own, input, &mut results.outputs);
        running.node.take_notes(&mut results.notes);
        run.observer.core_takes(now, self.place.id(), own, &results.notes);
        let before = std::mem::replace(&mut running.status, running.node.status());
        running.stepped_at = own;
        running.counts.steps += 1;
        running.note_lead(&before, &mut run.observer);
        if run.observer.has_checks() {
            running.node.assert_invariants();
        }
        if run.observer.is_recorded() {
            run.observer.input_ends(now, &running.status, running.node.deadline());
        }
        let membership = running.node.raft().membership();
        running.leadership.note_takeover(&running.status, &results.notes, membership);
        Some(before)
    }
}

impl Running {
    /// Passes the message that the last step took to the checks. A node that is stopping, or stops
    /// because of the message, has taken none.
    pub(crate) fn show_message(&self, message: &Message, run: &mut Run) {
        if self.node.deadline() < Instant::NEVER {
            run.observe(Observation::Delivered { node: self.status.id, message });
        }
    }

    /// Passes the last step to the checks, unless the node is stopping, because then its Raft core
    /// takes no step. If the input was a reply, `replying` is the sender.
    pub(crate) fn show_step(&self, before: &Status, replying: Option<NodeId>, run: &mut Run) {
        let (node, raft) = (self.status.id, self.node.raft());
        let (status, membership) = (&self.status, raft.membership());
        let own_time = self.stepped_at;
        if self.node.deadline() < Instant::NEVER || status != before {
            run.observe(Observation::Stepped { node, own_time, status, membership });
        }
        if let Some(peer) = replying
            && let Some(matched) = raft.matched(peer)
        {
            run.observe(Observation::PeerMatched { node, peer, matched });
        }
        run.observer.stepped(before, status);
    }
}

/// Returns the sender of the reply that the input contains, if it contains one.
pub(crate) fn replying_peer(input: &Input) -> Option<NodeId> {
    match input {
        Input::Packet(packet) => {
            packet.message().filter(|message| message.body.is_reply()).map(|message| message.from)
        }
        _ => None,
    }
}
