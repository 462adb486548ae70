//! One node: the life of its process, its disk and its clock.

use std::time::Duration;

use quorate::raft::RoleName;
use quorate::replica::Output;
use quorate::storage::StorageConfig;
use quorate::types::{Index, Membership, Tag};

use crate::disk::SimDisk;
use crate::faults::Lasting;
use crate::values::choice::{Key, Kind};
use crate::values::time::SimTime;
use crate::world::cluster::builds::Builds;
use crate::world::cluster::clock::Clock;
use crate::world::cluster::node_disk::NodeDisk;
use crate::world::cluster::running::Running;
use crate::world::place::{Place, Start};
use crate::world::run::Run;
use crate::world::scheduler::Scheduler;
use crate::world::scheduler::{Event, ProcessEvent};

/// One node of the world.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) place: Place,
    /// The number of the current start, from 1. It increases when the process ends, so that events
    /// of the earlier start are ignored.
    pub(super) start_number: u32,
    pub(super) life: Life,
    /// The number of pauses so far, including those that extended another one.
    pauses: u32,
    /// The end of the last pause.
    paused_until: SimTime,
    pub(crate) disk: NodeDisk,
    pub(crate) clock: Clock,
    /// The extra duration, caused by faults, of each piece of work of the worker except queries,
    /// and of each request for its frozen view.
    pub(super) work_delay: Duration,
    /// The downtime after the next clean shutdown, if the plan has requested one.
    pub(crate) stop_downtime: Duration,
    /// The builds of its state machine.
    pub(crate) builds: Builds,
    /// Whether the node needs no bootstrap: it has stored a membership durably, or is not a
    /// bootstrap peer.
    pub(crate) bootstrapped: bool,
    /// The last membership in the node's log, as of its last step.
    pub(super) last_membership: LoggedMembership,
}

/// A membership, and its index in the log.
#[derive(Clone, Debug)]
pub(crate) struct LoggedMembership {
    pub(crate) index: Index,
    pub(crate) membership: Membership,
}

/// The life of a node's process.
#[derive(Clone, Debug)]
pub(super) enum Life {
    /// The node has no process and may start one.
    Down(LastExit),
    /// The node has no process, and cannot start one from the contents of its disk.
    StartRefused(LastExit),
    /// The process runs, and takes every event at once.
    Running(Box<Running>),
    /// The process takes no steps, and these events for it are deferred.
    Paused(Box<Running>, Vec<Event>),
}

/// The end of a node's last process.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LastExit {
    pub(super) at: SimTime,
    /// Whether the process has shut down cleanly.
    pub(super) cleanly: bool,
}

impl Default for Life {
    fn default() -> Life {
        Life::Down(LastExit::default())
    }
}

impl Life {
    pub(super) fn running_mut(&mut self) -> Option<&mut Running> {
        match self {
            Life::Running(running) | Life::Paused(running, _) => Some(running),
            Life::Down(_) | Life::StartRefused(_) => None,
        }
    }
}

impl Node {
    pub(super) fn new(
        place: Place,
        clock: Clock,
        last_membership: LoggedMembership,
        is_bootstrap_peer: bool,
    ) -> Node {
        Node {
            place,
            start_number: 1,
            life: Life::default(),
            pauses: 0,
            paused_until: SimTime::default(),
            disk: NodeDisk::default(),
            clock,
            work_delay: Duration::ZERO,
            stop_downtime: Duration::ZERO,
            builds: Builds::default(),
            bootstrapped: !is_bootstrap_peer,
            last_membership,
        }
    }

    /// Returns the current start.
    pub(crate) fn start(&self) -> Start {
        Start { place: self.place, number: self.start_number }
    }

    /// Returns an event of the current process.
    pub(super) fn event(&self, event: ProcessEvent) -> Event {
        Event::Process { place: self.place, start_number: self.start_number, event }
    }

    /// Returns the event that begins the current start.
    pub(super) fn restart(&self) -> Event {
        Event::Restart { place: self.place, start_number: self.start_number }
    }

    /// Returns the process, running or paused; `None` while the node is down.
    pub(crate) fn running(&self) -> Option<&Running> {
        match &self.life {
            Life::Running(running) | Life::Paused(running, _) => Some(running),
            Life::Down(_) | Life::StartRefused(_) => None,
        }
    }

    /// Returns the process, running or paused; `None` while the node is down.
    pub(crate) fn running_mut(&mut self) -> Option<&mut Running> {
        self.life.running_mut()
    }

    /// Records that the process has answered a request with `output`.
    pub(crate) fn answer(&mut self, tag: Tag, output: &Output, run: &mut Run) {
        if let Some(running) = self.running_mut() {
            running.requests.answer(tag, output, run.scheduler.now(), &mut run.observer);
        }
    }

    /// Returns the role of the node, if it is up.
    pub(crate) fn role(&self) -> Option<RoleName> {
        self.running().map(|running| running.status.role)
    }

    /// Returns the time that is left in the node's leader lease or read lease, by its own clock;
    /// zero while the node is paused or down, because it answers no reads then.
    pub(crate) fn lease_left(&self, now: SimTime) -> Duration {
        let Some(running) = self.running().filter(|_| !self.is_paused()) else {
            return Duration::ZERO;
        };
        let passed = self.clock.read(now).since(running.stepped_at);
        running.node.lease_remaining().saturating_sub(passed)
    }

    /// Returns the last membership in the node's log.
    pub(crate) fn membership(&self) -> &Membership {
        &self.last_membership.membership
    }

    /// Begins a lasting fault.
    pub(crate) fn begin_fault(&mut self, fault: Lasting, scheduler: &mut Scheduler) {
        match fault {
            Lasting::ClockDrift(ppm) => {
                self.change_clock(scheduler, |clock, now| clock.drift(now, ppm));
            }
            Lasting::SlowFlushes(by) => self.disk.flush_delay += by,
            Lasting::SlowBatches(by) => self.work_delay += by,
            Lasting::FullDisk(room) => self.disk.fill(room),
        }
    }

    /// Ends the effect of a lasting fault.
    pub(crate) fn end_fault(&mut self, fault: Lasting, scheduler: &mut Scheduler) {
        match fault {
            Lasting::ClockDrift(ppm) => {
                self.change_clock(scheduler, |clock, now| clock.end_drift(now, ppm));
            }
            Lasting::SlowFlushes(by) => self.disk.flush_delay -= by,
            Lasting::SlowBatches(by) => self.work_delay -= by,
            Lasting::FullDisk(_) => self.disk.end_fill(),
        }
    }

    /// Changes the clock, and schedules the next wake-up by it.
    pub(crate) fn change_clock(
        &mut self,
        scheduler: &mut Scheduler,
        change: impl FnOnce(&mut Clock, SimTime),
    ) {
        change(&mut self.clock, scheduler.now());
        self.schedule_wake(scheduler);
    }

    /// Returns true if the process is paused.
    pub(crate) fn is_paused(&self) -> bool {
        matches!(self.life, Life::Paused(..))
    }

    /// Returns the deferred events.
    #[cfg(test)]
    pub(crate) fn deferred(&self) -> &[Event] {
        match &self.life {
            Life::Paused(_, deferred) => deferred,
            Life::Running(_) | Life::Down(_) | Life::StartRefused(_) => &[],
        }
    }

    /// Defers an event if the process is paused; returns true if it did.
    pub(crate) fn defer(&mut self, event: Event) -> bool {
        let Life::Paused(_, deferred) = &mut self.life else { return false };
        deferred.push(event);
        true
    }

    /// Pauses the process, or extends its pause. Returns false if it is down, or is paused until
    /// the end of this pause or longer.
    pub(crate) fn pause(&mut self, duration: Duration, scheduler: &mut Scheduler) -> bool {
        let until = scheduler.now().after(duration);
        self.life = match std::mem::take(&mut self.life) {
            Life::Running(running) => Life::Paused(running, Vec::new()),
            life @ Life::Paused(..) if until > self.paused_until => life,
            life => {
                self.life = life;
                return false;
            }
        };
        self.paused_until = until;
        self.pauses += 1;
        scheduler.after(duration, Event::Resume { place: self.place, pause: self.pauses });
        true
    }

    /// Ends the pause with this number, if it is the last one. The process then gets all missed
    /// events, in their order or sorted by source, because a driver may look at its timers, its
    /// clients and its peers in any order.
    pub(crate) fn resume(&mut self, pause: u32, run: &mut Run) {
        if self.pauses != pause {
            return;
        }
        let mut missed = Vec::new();
        self.life = match std::mem::take(&mut self.life) {
            Life::Paused(running, deferred) => {
                run.observer.resumes(run.scheduler.now(), self.place.id());
                missed = deferred;
                Life::Running(running)
            }
            life => life,
        };
        if self.clock.is_stopped() {
            self.change_clock(&mut run.scheduler, Clock::resume);
        }
        let (node, counter) = (self.place.0 + 1, pause);
        let is_timer =
            |event: &Event| matches!(event, Event::Process { event: ProcessEvent::Wake, .. });
        let is_request = |event: &Event| matches!(event, Event::Request { .. });
        match run.setup.choices.choose(Key { node, counter, ..Kind::Resume.key() }, 4) {
            1 => missed.sort_by_key(|event| !is_timer(event)),
            2 => missed.sort_by_key(|event| is_timer(event)),
            3 => missed.sort_by_key(|event| (is_timer(event), !is_request(event))),
            _ => {}
        }
        missed.into_iter().for_each(|event| run.scheduler.at_once(event));
    }

    /// Removes all faults from the node, also those that `end_fault` has not ended, and restarts or
    /// resumes it.
    pub(crate) fn repair(&mut self, run: &mut Run) {
        self.clock.recover(run.scheduler.now());
        self.disk.repair(run.scheduler.now());
        self.work_delay = Duration::ZERO;
        self.stop_downtime = Duration::ZERO;
        if self.running().is_none() {
            run.scheduler.at_once(self.restart());
        }
        self.resume(self.pauses, run);
        self.schedule_wake(&mut run.scheduler);
    }

    /// Schedules the next start of a node that is down: it starts after `down`, and no longer at
    /// the time scheduled before.
    pub(crate) fn postpone_start(&mut self, down: Duration, scheduler: &mut Scheduler) {
        self.start_number += 1;
        scheduler.after(down, self.restart());
    }

    /// Replaces the disk of a node that is down with an empty one, on which no process has shut
    /// down cleanly or refused to start.
    ///
    /// # Panics
    /// If the node is not down.
    pub(crate) fn lose_disk(&mut self, is_bootstrap_peer: bool) {
        self.disk.wipe();
        self.life = match self.life {
            Life::Down(LastExit { at, .. }) | Life::StartRefused(LastExit { at, .. }) => {
                Life::Down(LastExit { at, cleanly: false })
            }
            Life::Running(_) | Life::Paused(..) => panic!("a process keeps its disk"),
        };
        self.bootstrapped = !is_bootstrap_peer;
        self.last_membership =
            LoggedMembership { index: Index::ZERO, membership: Membership::default() };
    }

    /// Replaces the contents of the disk of a node that is down with an older copy, from which it
    /// may start again. `is_marked` means that the copy makes the node uncertain.
    pub(crate) fn roll_back(&mut self, image: SimDisk, is_marked: bool) {
        self.disk.roll_back(image, is_marked);
        self.allow_start();
    }

    /// Replaces the log of a node that is down with that of an older copy of its disk, if the next
    /// start finds that the end of the log is lost. Returns true if so.
    pub(crate) fn lose_end(&mut self, image: &SimDisk, config: &StorageConfig) -> bool {
        let is_lost = self.disk.lose_end(image, self.place.id(), config);
        if is_lost {
            self.allow_start();
        }
        is_lost
    }

    fn allow_start(&mut self) {
        if let Life::StartRefused(exit) = self.life {
            self.life = Life::Down(exit);
        }
    }

    /// Schedules a wake-up of the process at its deadline.
    pub(crate) fn schedule_wake(&mut self, scheduler: &mut Scheduler) {
        let Some(running) = self.life.running_mut() else { return };
        if let Some(at) = running.earlier_wake(&self.clock, scheduler.now()) {
            scheduler.at(at, self.event(ProcessEvent::Wake));
        }
    }

    /// Returns true if the deadline of the process has come. A wake-up that is too early schedules
    /// the next one.
    pub(crate) fn is_due(&mut self, scheduler: &mut Scheduler) -> bool {
        let (now, own) = (scheduler.now(), self.clock.read(scheduler.now()));
        let Some(running) = self.life.running_mut() else { return false };
        match running.wakes(now, own) {
            None => false,
            Some(true) => true,
            Some(false) => {
                self.schedule_wake(scheduler);
                false
            }
        }
    }
}
