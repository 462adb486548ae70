//! The host of a node: its disk, its worker and its driver execute operations, and each takes
//! simulated time.

use std::io::Read;
use std::time::Duration;

use quorate::replica::{Input, Work, WorkResult};
use quorate::storage::{Completion, DiskError, FileAction, Lane, Operation};
use quorate::types::{Entry, Index};

use crate::choice::{Key, Kind};
use crate::observe::Observation;
use crate::observer::Observer;
use crate::plan::Trigger;
use crate::world::World;
use crate::world::node::{CompletionReport, ViewRequest};
use crate::world::place::Place;
use crate::world::scheduler::EventKind;
use crate::world::scheduler::queue::Event;

impl World {
    /// Queues an operation of a node at its disk.
    pub(super) fn submit_operation(&mut self, place: Place, operation: Operation) {
        let lane = lane_number(operation.lane);
        let Some(running) = self.nodes[place.0 as usize].running.as_deref_mut() else { return };
        running.lanes[lane].push_back(operation);
        if running.lanes[lane].len() == 1 {
            self.begin_operation(place, lane);
        }
    }

    /// Starts the next disk operation of a lane.
    fn begin_operation(&mut self, place: Place, lane: usize) {
        let node = &mut self.nodes[place.0 as usize];
        let (start_number, delay) = (node.start_number, node.flush_delay);
        let stalled = node.stalled_until.since(self.scheduler.now().min(node.stalled_until));
        let Some(running) = node.running.as_deref_mut() else { return };
        let Some(operation) = running.lanes[lane].front() else { return };
        running.counts.operations += 1;
        let counter = running.counts.operations;
        let key = |kind| Key { node: place.0 + 1, start_number, counter, ..Kind::key(kind) };
        let lasts = match operation.action {
            FileAction::Sync { .. } | FileAction::Create { .. } | FileAction::SyncDirectory => {
                stalled.max(self.choices.within(key(Kind::Flush), self.settings.flush) + delay)
            }
            // Log reads and writes use the cache, so they take no time.
            _ if operation.lane == Lane::Log => Duration::ZERO,
            _ => {
                stalled.max(self.choices.within(key(Kind::BatchTime), self.settings.batch_time) / 4)
            }
        };
        let lane = lane as u8;
        let event = Event::OperationDone { place: place, start_number, lane };
        self.scheduler.after(lasts, event);
    }

    /// Executes the first disk operation of a lane; the node is notified at once or later.
    pub(super) fn operation_done(
        &mut self,
        place: Place,
        start_number: u16,
        lane: usize,
        observer: &mut Observer,
    ) {
        let now = self.scheduler.now();
        let node = &mut self.nodes[place.0 as usize];
        let late = node.held.is_some();
        let Some(running) = node.started_as(start_number) else { return };
        let Some(Operation { id, action, .. }) = running.lanes[lane].pop_front() else { return };
        let counter = running.counts.operations;
        let result = node.disk.apply(&action);
        self.scheduler.count(EventKind::Operation, u64::from(place.0) << 56 ^ id.0);
        self.count_disk_faults(place, observer);
        match &result {
            Ok(_) => observer.operated(now, place.id(), &action),
            Err(error) => observer.disk_failed(now, place.id(), &action, error),
        }
        let fatal = makes_disk_uncertain(&action, &result);
        let synced = matches!(action, FileAction::Sync { .. }) && lane == 0;
        if self.after_operation(place, &action, lane == 0, observer) {
            return;
        }
        self.begin_operation(place, lane);
        let Some(running) = self.nodes[place.0 as usize].running.as_deref_mut() else { return };
        let waiting = !running.reports[lane].is_empty();
        running.reports[lane]
            .push_back(CompletionReport { completion: Completion { id, result }, fatal });
        let key = Key { node: place.0 + 1, start_number, counter, ..Kind::FlushReport.key() };
        let event = Event::CompletionReported { place: place, start_number, lane: lane as u8 };
        if waiting {
            // It is reported right after the previous one.
        } else if late || (synced && self.choices.chance(key, 150)) {
            let key = Key { kind: Kind::FlushReportDelay, ..key };
            self.scheduler.after(self.choices.within(key, self.settings.report_delay), event);
        } else {
            self.report_completions(place, start_number, lane, observer);
        }
    }

    /// Notifies a node of every finished operation of a lane.
    pub(super) fn report_completions(
        &mut self,
        place: Place,
        start_number: u16,
        lane: usize,
        observer: &mut Observer,
    ) {
        loop {
            let node = &mut self.nodes[place.0 as usize];
            let Some(running) = node.started_as(start_number) else { return };
            let Some(report) = running.reports[lane].pop_front() else { return };
            if report.fatal {
                observer
                    .observe(self.scheduler.now(), Observation::DiskFailed { node: place.id() });
            }
            self.step(place, Input::Disk(report.completion), observer);
        }
    }

    /// Queues work for a node's worker.
    pub(super) fn submit_work(&mut self, place: Place, work: Work) {
        let Some(running) = self.nodes[place.0 as usize].running.as_deref_mut() else { return };
        running.work.push_back(work);
        if running.work.len() == 1 {
            self.begin_work(place);
        }
    }

    fn begin_work(&mut self, place: Place) {
        let node = &self.nodes[place.0 as usize];
        let start_number = node.start_number;
        let Some(work) = node.running.as_deref().and_then(|running| running.work.front()) else {
            return;
        };
        let query = matches!(work, Work::Query { .. });
        let lasts = if query { Duration::ZERO } else { self.work_time(place) };
        self.scheduler.after(lasts, Event::WorkDone { place: place, start_number });
    }

    /// Finishes the first work of a worker, and passes the result to the node.
    pub(super) fn work_done(&mut self, place: Place, start_number: u16, observer: &mut Observer) {
        let now = self.scheduler.now();
        let node = &mut self.nodes[place.0 as usize];
        if node.start_number != start_number {
            return;
        }
        let Some(running) = node.running.as_deref_mut() else { return };
        let Some(work) = running.work.pop_front() else { return };
        let done = match work {
            Work::Apply(entries) => self.apply(place, entries, observer),
            work => running.worker.execute(work, &mut node.disk),
        };
        let Some(running) = self.nodes[place.0 as usize].running.as_deref_mut() else { return };
        let state = running.worker.machine().results();
        match done {
            WorkResult::Restored { last: index, .. } => {
                observer.observe(now, Observation::Restored { node: place.id(), index, state });
                self.taint.restored(place.id(), index);
                self.count_disk_faults(place, observer);
                if self.fire_trigger(Trigger::RestoresSnapshot, place, None, observer) {
                    return;
                }
            }
            WorkResult::Answered { tag, .. } => {
                running.answered_in.insert(tag, state);
            }
            _ => {}
        }
        self.begin_work(place);
        self.step(place, Input::WorkDone(done), observer);
    }

    /// Applies a batch entry by entry, to record the state after each entry.
    fn apply(&mut self, place: Place, entries: Vec<Entry>, observer: &mut Observer) -> WorkResult {
        let node = &mut self.nodes[place.0 as usize];
        let worker = &mut node.running.as_deref_mut().expect("the node runs").worker;
        let (mut states, mut last) = (Vec::new(), Index::ZERO);
        let (mut outcomes, mut state_digests) = (Vec::new(), Vec::new());
        for entry in &entries {
            let work = Work::Apply(vec![entry.clone()]);
            if let WorkResult::Applied { last: index, outcomes: more, state_digests: shown } =
                worker.execute(work, &mut node.disk)
            {
                outcomes.extend(more);
                state_digests.extend(shown);
                last = index;
            }
            states.push(worker.machine().results());
        }
        let executed = worker.machine().user().take_executed();
        let (entries, executed, states) = (&entries[..], &executed[..], &states[..]);
        let node = place.id();
        observer.observe(
            self.scheduler.now(),
            Observation::Applied { node, entries, executed, states },
        );
        WorkResult::Applied { last, outcomes, state_digests }
    }

    /// Starts a request of the node for its worker's frozen view.
    pub(super) fn request_view(&mut self, place: Place, viewing: ViewRequest) {
        let lasts = self.work_time(place);
        let node = &mut self.nodes[place.0 as usize];
        let start_number = node.start_number;
        let Some(running) = node.running.as_deref_mut() else { return };
        running.view_request = Some(viewing);
        self.scheduler.after(lasts, Event::ViewDone { place: place, start_number });
    }

    /// Finishes the request for the frozen view.
    pub(super) fn view_done(&mut self, place: Place, start_number: u16, observer: &mut Observer) {
        let now = self.scheduler.now();
        let Some(running) = self.nodes[place.0 as usize].started_as(start_number) else { return };
        let input = match running.view_request.take() {
            None => return,
            Some(ViewRequest::Freeze) => match running.worker.freeze() {
                Some(mut frozen) => {
                    let mut bytes = Vec::new();
                    frozen.read_to_end(&mut bytes).expect("a view in memory can be read");
                    let last = frozen.last();
                    observer.observe(
                        now,
                        Observation::SnapshotFrozen { node: place.id(), last, bytes: &bytes },
                    );
                    running.show_machine(now, observer);
                    running.view = bytes.into();
                    self.taint.note_snapshot(place.id(), last.index);
                    Input::ViewFrozen(last)
                }
                None => Input::ViewFailed,
            },
            Some(ViewRequest::Read(count)) => {
                let count = count.min(running.view.len());
                Input::ViewRead(running.view.drain(..count).collect())
            }
        };
        self.step(place, input, observer);
    }

    /// Draws the duration of work that a node's worker or driver starts now.
    fn work_time(&mut self, place: Place) -> Duration {
        let node = &mut self.nodes[place.0 as usize];
        let (start_number, delay) = (node.start_number, node.work_delay);
        let Some(running) = node.running.as_deref_mut() else { return Duration::ZERO };
        running.counts.works += 1;
        let counter = running.counts.works;
        let key = Key { node: place.0 + 1, start_number, counter, ..Kind::BatchTime.key() };
        self.choices.within(key, self.settings.batch_time) + delay
    }
}

/// Returns true if the state of the disk is unknown after the operation: a write or a flush failed,
/// for another reason than a full disk.
fn makes_disk_uncertain(action: &FileAction, result: &Result<Vec<u8>, DiskError>) -> bool {
    let writes = matches!(action, FileAction::Write { .. } | FileAction::Sync { .. });
    writes && result.as_ref().is_err_and(|error| *error != DiskError::Full)
}

fn lane_number(lane: Lane) -> usize {
    match lane {
        Lane::Log => 0,
        Lane::Bulk => 1,
    }
}
