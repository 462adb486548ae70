//! What a node's host does for it: its disk carries out operations, its worker works, its driver
//! reads frozen views. Each takes its time.

use std::io::Read;
use std::time::Duration;

use quorate::replica::{Done, Input, Work};
use quorate::storage::{Completion, DiskError, FileAction, Lane, Operation};
use quorate::types::{Entry, Index};

use crate::choice::{Key, Kind};
use crate::observe::Seen;
use crate::plan::Trigger;
use crate::witness::Witness;
use crate::world::node::{Place, Report, Viewing};
use crate::world::queue::Event;
use crate::world::{EventKind, World};

impl World {
    /// A node gives an operation to its disk.
    pub(super) fn operate(&mut self, place: Place, operation: Operation) {
        let lane = lane_number(operation.lane);
        let Some(running) = self.nodes[place.0 as usize].running.as_deref_mut() else { return };
        running.lanes[lane].push_back(operation);
        if running.lanes[lane].len() == 1 {
            self.begin_operation(place, lane);
        }
    }

    /// The disk turns to the next operation of a lane.
    fn begin_operation(&mut self, place: Place, lane: usize) {
        let node = &mut self.nodes[place.0 as usize];
        let (incarnation, delay) = (node.incarnation, node.flush_delay);
        let stalled = node.stalled_until.since(self.now.min(node.stalled_until));
        let Some(running) = node.running.as_deref_mut() else { return };
        let Some(operation) = running.lanes[lane].front() else { return };
        running.counts.operations += 1;
        let counter = running.counts.operations;
        let key = |kind| Key { node: place.0 + 1, incarnation, counter, ..Kind::key(kind) };
        let lasts = match operation.action {
            FileAction::Sync { .. } | FileAction::Create { .. } | FileAction::SyncDirectory => {
                stalled.max(self.choices.within(key(Kind::Flush), self.settings.flush) + delay)
            }
            // What the log waits for is read from, and written to, the cache.
            _ if operation.lane == Lane::Log => Duration::ZERO,
            _ => stalled.max(self.choices.within(key(Kind::Work), self.settings.work) / 4),
        };
        let lane = lane as u8;
        let event = Event::Operated { node: place.0, incarnation, lane };
        self.queue.push(self.now.after(lasts), event);
    }

    /// The disk is done with the first operation of a lane; the node hears of it at once or later.
    pub(super) fn operated(
        &mut self,
        place: Place,
        incarnation: u16,
        lane: usize,
        witness: &mut Witness,
    ) {
        let now = self.now;
        let node = &mut self.nodes[place.0 as usize];
        let late = node.held.is_some();
        let Some(running) = node.started_as(incarnation) else { return };
        let Some(Operation { id, action, .. }) = running.lanes[lane].pop_front() else { return };
        let counter = running.counts.operations;
        let result = node.disk.apply(&action);
        self.count_event(EventKind::Operation, u64::from(place.0) << 56 ^ id.0);
        self.meet_disk_faults(place, witness);
        match &result {
            Ok(_) => witness.operated(now, place.id(), &action),
            Err(error) => witness.disk_failed(now, place.id(), &action, error),
        }
        let fatal = leaves_doubt(&action, &result);
        let synced = matches!(action, FileAction::Sync { .. }) && lane == 0;
        if self.after_operation(place, &action, lane == 0, witness) {
            return;
        }
        self.begin_operation(place, lane);
        let Some(running) = self.nodes[place.0 as usize].running.as_deref_mut() else { return };
        let waiting = !running.reports[lane].is_empty();
        running.reports[lane].push_back(Report { completion: Completion { id, result }, fatal });
        let key = Key { node: place.0 + 1, incarnation, counter, ..Kind::Report.key() };
        let event = Event::Reported { node: place.0, incarnation, lane: lane as u8 };
        if waiting {
            // It comes right after the one before it.
        } else if late || (synced && self.choices.chance(key, 150)) {
            let key = Key { kind: Kind::ReportDelay, ..key };
            self.queue.push(now.after(self.choices.within(key, self.settings.report)), event);
        } else {
            self.reported(place, incarnation, lane, witness);
        }
    }

    /// A node hears of every operation of a lane that is done by now.
    pub(super) fn reported(
        &mut self,
        place: Place,
        incarnation: u16,
        lane: usize,
        witness: &mut Witness,
    ) {
        loop {
            let node = &mut self.nodes[place.0 as usize];
            let Some(running) = node.started_as(incarnation) else { return };
            let Some(report) = running.reports[lane].pop_front() else { return };
            if report.fatal {
                witness.see(self.now, Seen::DiskFailed { node: place.id() });
            }
            self.step(place, Input::Disk(report.completion), witness);
        }
    }

    /// A node gives its worker something to do.
    pub(super) fn work(&mut self, place: Place, work: Work) {
        let Some(running) = self.nodes[place.0 as usize].running.as_deref_mut() else { return };
        running.work.push_back(work);
        if running.work.len() == 1 {
            self.begin_work(place);
        }
    }

    fn begin_work(&mut self, place: Place) {
        let node = &self.nodes[place.0 as usize];
        let incarnation = node.incarnation;
        let Some(work) = node.running.as_deref().and_then(|running| running.work.front()) else {
            return;
        };
        let query = matches!(work, Work::Query { .. });
        let lasts = if query { Duration::ZERO } else { self.work_time(place) };
        self.queue.push(self.now.after(lasts), Event::Worked { node: place.0, incarnation });
    }

    /// A worker is done with the first thing it was asked for.
    pub(super) fn worked(&mut self, place: Place, incarnation: u16, witness: &mut Witness) {
        let now = self.now;
        let node = &mut self.nodes[place.0 as usize];
        if node.incarnation != incarnation {
            return;
        }
        let Some(running) = node.running.as_deref_mut() else { return };
        let Some(work) = running.work.pop_front() else { return };
        let done = match work {
            Work::Apply(entries) => self.apply(place, entries, witness),
            work => running.worker.execute(work, &mut node.disk),
        };
        let Some(running) = self.nodes[place.0 as usize].running.as_deref_mut() else { return };
        let state = running.worker.machine().results();
        match done {
            Done::Restored { last: index, .. } => {
                witness.see(now, Seen::Restored { node: place.id(), index, state });
                self.taint.restored(place.id(), index);
                self.meet_disk_faults(place, witness);
                if self.pull(Trigger::RestoresSnapshot, place, None, witness) {
                    return;
                }
            }
            Done::Answered { tag, .. } => {
                running.answered_in.insert(tag, state);
            }
            _ => {}
        }
        self.begin_work(place);
        self.step(place, Input::Done(done), witness);
    }

    /// A worker applies a batch: entry by entry, to see the state after each.
    fn apply(&mut self, place: Place, entries: Vec<Entry>, witness: &mut Witness) -> Done {
        let node = &mut self.nodes[place.0 as usize];
        let worker = &mut node.running.as_deref_mut().expect("it works").worker;
        let (mut states, mut last) = (Vec::new(), Index::ZERO);
        let (mut outcomes, mut imprints) = (Vec::new(), Vec::new());
        for entry in &entries {
            let work = Work::Apply(vec![entry.clone()]);
            if let Done::Applied { last: index, outcomes: more, imprints: shown } =
                worker.execute(work, &mut node.disk)
            {
                outcomes.extend(more);
                imprints.extend(shown);
                last = index;
            }
            states.push(worker.machine().results());
        }
        let executed = worker.machine().user().take_executed();
        let (entries, executed, states) = (&entries[..], &executed[..], &states[..]);
        let node = place.id();
        witness.see(self.now, Seen::Applied { node, entries, executed, states });
        Done::Applied { last, outcomes, imprints }
    }

    /// A node wants something of its worker's frozen view.
    pub(super) fn view(&mut self, place: Place, viewing: Viewing) {
        let lasts = self.work_time(place);
        let node = &mut self.nodes[place.0 as usize];
        let incarnation = node.incarnation;
        let Some(running) = node.running.as_deref_mut() else { return };
        running.viewing = Some(viewing);
        self.queue.push(self.now.after(lasts), Event::Viewed { node: place.0, incarnation });
    }

    /// The driver has done it.
    pub(super) fn viewed(&mut self, place: Place, incarnation: u16, witness: &mut Witness) {
        let now = self.now;
        let Some(running) = self.nodes[place.0 as usize].started_as(incarnation) else { return };
        let input = match running.viewing.take() {
            None => return,
            Some(Viewing::Freeze) => match running.worker.freeze() {
                Some(mut frozen) => {
                    let mut bytes = Vec::new();
                    frozen.read_to_end(&mut bytes).expect("a view in memory can be read");
                    let last = frozen.last();
                    witness.see(now, Seen::Frozen { node: place.id(), last, bytes: &bytes });
                    running.look(now, witness);
                    running.view = bytes.into();
                    self.taint.frozen(place.id(), last.index);
                    Input::Frozen(last)
                }
                None => Input::ViewFailed,
            },
            Some(Viewing::Read(count)) => {
                let count = count.min(running.view.len());
                Input::Viewed(running.view.drain(..count).collect())
            }
        };
        self.step(place, input, witness);
    }

    /// How long the work takes that a node's worker or driver starts now.
    fn work_time(&mut self, place: Place) -> Duration {
        let node = &mut self.nodes[place.0 as usize];
        let (incarnation, delay) = (node.incarnation, node.work_delay);
        let Some(running) = node.running.as_deref_mut() else { return Duration::ZERO };
        running.counts.works += 1;
        let counter = running.counts.works;
        let key = Key { node: place.0 + 1, incarnation, counter, ..Kind::Work.key() };
        self.choices.within(key, self.settings.work) + delay
    }
}

/// Whether an operation leaves unknown what the disk has: a write or a flush that failed does; one
/// that found no room is another matter.
fn leaves_doubt(action: &FileAction, result: &Result<Vec<u8>, DiskError>) -> bool {
    let writes = matches!(action, FileAction::Write { .. } | FileAction::Sync { .. });
    writes && result.as_ref().is_err_and(|error| *error != DiskError::Full)
}

fn lane_number(lane: Lane) -> usize {
    match lane {
        Lane::Log => 0,
        Lane::Bulk => 1,
    }
}
