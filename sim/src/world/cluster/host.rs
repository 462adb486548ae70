//! The host of a node: its disk, its worker and its driver execute what the process submits, and
//! each takes simulated time.

use std::io::Read;
use std::time::Duration;

use quorate::replica::{Input, Output, Work, WorkResult};
use quorate::storage::{Completion, DiskError, FileAction, FileName, Lane, Operation};
use quorate::types::{Acknowledge, Entry, Index, NodeId, Proposal};

use crate::choice::{Key, Kind};
use crate::coverage::Spot;
use crate::disk;
use crate::faults::Fault;
use crate::observe::Observation;
use crate::observer::Observer;
use crate::plan::Trigger;
use crate::world::cluster::disk_queue::CompletionReport;
use crate::world::cluster::node::Node;
use crate::world::cluster::queues::ViewRequest;
use crate::world::run::Run;
use crate::world::scheduler::EventKind;
use crate::world::scheduler::queue::Event;
use crate::world::setup::Setup;

/// A disk operation that has been executed, before its node is notified of it.
#[derive(Debug)]
pub(crate) struct ExecutedOperation {
    operation: Operation,
    result: Result<Vec<u8>, DiskError>,
    /// The number of operations that the process had started.
    number: u32,
    /// Whether the process was paused.
    paused: bool,
    /// Whether it brought a write that replaces entries to the disk's cache.
    truncates: bool,
}

impl Node {
    /// Queues an operation of the process at its disk.
    pub(crate) fn submit_operation(&mut self, operation: Operation, run: &mut Run<'_>) {
        let lane = operation.lane;
        let Some(running) = self.life.running_mut() else { return };
        let queue = running.lanes.of(lane);
        queue.submitted.push_back(operation);
        if queue.submitted.len() == 1 {
            self.begin_operation(lane, run);
        }
    }

    /// Starts the next disk operation of a lane.
    fn begin_operation(&mut self, lane: Lane, run: &mut Run<'_>) {
        let (place, start_number) = (self.place, self.start_number);
        let stalled = self.disk.stalled_for(run.scheduler.now());
        let Some(running) = self.life.running_mut() else { return };
        let Some(operation) = running.lanes.of(lane).submitted.front() else { return };
        running.counts.operations += 1;
        let counter = running.counts.operations;
        let key = |kind| Key { node: place.0 + 1, start_number, counter, ..Kind::key(kind) };
        let Setup { settings, choices, .. } = run.setup;
        let lasts = match operation.action {
            FileAction::Sync { .. } | FileAction::Create { .. } | FileAction::SyncDirectory => {
                let flush = choices.within(key(Kind::Flush), settings.flush);
                stalled.max(flush + self.disk.flush_delay)
            }
            // Log reads and writes use the cache, so they take no time.
            _ if operation.lane == Lane::Log => Duration::ZERO,
            _ => stalled.max(choices.within(key(Kind::BatchTime), settings.batch_time) / 4),
        };
        run.scheduler.after(lasts, Event::OperationDone { place, start_number, lane });
    }

    /// Executes the first disk operation of a lane, if the process still has this start number.
    pub(crate) fn execute_operation(
        &mut self,
        start_number: u16,
        lane: Lane,
        run: &mut Run<'_>,
    ) -> Option<ExecutedOperation> {
        let (now, paused) = (run.scheduler.now(), self.is_paused());
        let running = self.started_as(start_number)?;
        let operation = running.lanes.of(lane).submitted.pop_front()?;
        let number = running.counts.operations;
        let is_write = matches!(operation.action, FileAction::Write { .. });
        let truncates = lane == Lane::Log && is_write && running.writes.take_truncates();
        let result = self.disk.device.apply(&operation.action);
        run.scheduler.count(EventKind::Operation, u64::from(self.place.0) << 56 ^ operation.id.0);
        self.count_disk_faults(run.observer);
        match &result {
            Ok(_) => run.observer.operated(now, self.place.id(), &operation.action),
            Err(error) => run.observer.disk_failed(now, self.place.id(), &operation.action, error),
        }
        Some(ExecutedOperation { operation, result, number, paused, truncates })
    }

    /// Returns the triggers that an executed operation fires, in their order, each with the peer
    /// that it concerns.
    pub(crate) fn triggers_of(
        &self,
        executed: &ExecutedOperation,
    ) -> impl Iterator<Item = (Trigger, Option<NodeId>)> + use<> {
        let in_log = executed.operation.lane == Lane::Log;
        let mut cached = [None, None];
        let installs = || self.running().is_some_and(|running| running.writes.installs());
        let triggers = match executed.operation.action {
            FileAction::Write { file: FileName::Superblock, offset, .. } if is_copy(offset) => {
                let installs = installs().then_some(Trigger::InstallsSnapshot);
                [Some(Trigger::UpdatesSuperblock), installs]
            }
            FileAction::Write { file: FileName::Segment(_), offset: 0, .. } => {
                [Some(Trigger::BeginsSegment), None]
            }
            FileAction::Write { file: FileName::PartialSnapshot(_), .. } => {
                [Some(Trigger::WritesSnapshot), None]
            }
            FileAction::Sync { .. } if in_log => [Some(Trigger::CompletesFlush), None],
            FileAction::Create { file: FileName::Segment(_), .. } => {
                [Some(Trigger::CreatesSegment), None]
            }
            FileAction::Rename { .. } => [Some(Trigger::RenamesSnapshot), None],
            FileAction::Remove { .. } => [Some(Trigger::RemovesFile), None],
            _ => [None, None],
        };
        if let FileAction::Write { file, offset, .. } = executed.operation.action
            && in_log
            && (file != FileName::Superblock || is_copy(offset))
        {
            cached = self.cached_write_triggers(file, executed.truncates);
        }
        let triggers = triggers.map(|trigger| Some((trigger?, None)));
        cached.into_iter().chain(triggers).flatten()
    }

    /// Returns the triggers of a write of the log or the superblock that is in the disk's cache,
    /// but not durable yet.
    fn cached_write_triggers(
        &self,
        file: FileName,
        truncates: bool,
    ) -> [Option<(Trigger, Option<NodeId>)>; 2] {
        let Some(running) = self.running() else { return [None, None] };
        let (vote, leader) = (running.writes.vote(), running.status.leader);
        match (file, vote) {
            (FileName::Superblock, Some(_)) => [Some((Trigger::SubmitsVote, vote)), None],
            (FileName::Segment(_), _) => {
                let truncates = truncates.then_some((Trigger::TruncatesLog, leader));
                [truncates, Some((Trigger::SubmitsEntries, leader))]
            }
            _ => [None, None],
        }
    }

    /// Starts the next operation of the lane, and queues the report of the executed one. Returns
    /// true if the process is notified at once, rather than later.
    pub(crate) fn finish_operation(
        &mut self,
        executed: ExecutedOperation,
        run: &mut Run<'_>,
    ) -> bool {
        let ExecutedOperation { operation: Operation { id, lane, action }, result, .. } = executed;
        let fatal = makes_disk_uncertain(&action, &result);
        let synced = matches!(action, FileAction::Sync { .. }) && lane == Lane::Log;
        self.begin_operation(lane, run);
        let (place, start_number) = (self.place, self.start_number);
        let Some(running) = self.life.running_mut() else { return false };
        let reports = &mut running.lanes.of(lane).reports;
        reports.push_back(CompletionReport { completion: Completion { id, result }, fatal });
        if reports.len() > 1 {
            // It is reported right after the previous one.
            return false;
        }
        let counter = executed.number;
        let key = Key { node: place.0 + 1, start_number, counter, ..Kind::FlushReport.key() };
        let is_late = executed.paused || (synced && run.setup.choices.chance(key, 150));
        if !is_late {
            return true;
        }
        let key = Key { kind: Kind::FlushReportDelay, ..key };
        let delay = run.setup.choices.within(key, run.setup.settings.report_delay);
        run.scheduler.after(delay, Event::CompletionReported { place, start_number, lane });
        false
    }

    /// Returns the next finished operation of a lane, as an input of the process.
    pub(crate) fn next_completion(
        &mut self,
        start_number: u16,
        lane: Lane,
        run: &mut Run<'_>,
    ) -> Option<Input> {
        let running = self.started_as(start_number)?;
        let report = running.lanes.of(lane).reports.pop_front()?;
        if report.fatal {
            let node = self.place.id();
            run.observer.observe(run.scheduler.now(), Observation::DiskFailed { node });
        }
        Some(Input::Disk(report.completion))
    }

    /// Counts the disk faults that have hit operations of the node; returns true if there were any.
    pub(crate) fn count_disk_faults(&mut self, observer: &mut Observer) -> bool {
        let hits = self.disk.device.take_hits();
        hits.iter().for_each(|(hit, _)| observer.fault(fault_kind(*hit), self.role()));
        if let Some(running) = self.life.running_mut() {
            let seen = hits.iter().filter(|(hit, _)| hit.is_reported());
            running.lanes.failed.extend(seen.map(|(_, file)| *file));
        }
        !hits.is_empty()
    }

    /// Queues work for the worker.
    pub(crate) fn submit_work(&mut self, work: Work, run: &mut Run<'_>) {
        let Some(running) = self.life.running_mut() else { return };
        running.work.submitted.push_back(work);
        if running.work.submitted.len() == 1 {
            self.begin_work(run);
        }
    }

    /// Starts the next work of the worker.
    pub(crate) fn begin_work(&mut self, run: &mut Run<'_>) {
        let Some(work) = self.running().and_then(|running| running.work.submitted.front()) else {
            return;
        };
        let query = matches!(work, Work::Query { .. });
        let lasts = if query { Duration::ZERO } else { self.work_time(run.setup) };
        let (place, start_number) = (self.place, self.start_number);
        run.scheduler.after(lasts, Event::WorkDone { place, start_number });
    }

    /// Executes the first work of the worker, and returns its result.
    pub(crate) fn execute_work(
        &mut self,
        start_number: u16,
        run: &mut Run<'_>,
    ) -> Option<WorkResult> {
        let (now, node) = (run.scheduler.now(), self.place.id());
        let result = match self.started_as(start_number)?.work.submitted.pop_front()? {
            Work::Apply(entries) => self.apply(entries, run),
            work => {
                let running = self.life.running_mut()?;
                running.worker.execute(work, &mut self.disk.device)
            }
        };
        let running = self.life.running_mut()?;
        let state = running.worker.machine().results();
        match result {
            WorkResult::Restored { last: index, .. } => {
                run.observer.observe(now, Observation::Restored { node, index, state });
                self.count_disk_faults(run.observer);
            }
            WorkResult::Answered { tag, .. } => {
                running.work.answered_in.insert(tag, state);
            }
            _ => {}
        }
        Some(result)
    }

    /// Applies a batch entry by entry, to record the state after each entry.
    fn apply(&mut self, entries: Vec<Entry>, run: &mut Run<'_>) -> WorkResult {
        let worker = &mut self.life.running_mut().expect("the node runs").worker;
        let (mut states, mut last) = (Vec::new(), Index::ZERO);
        let (mut outcomes, mut state_digests) = (Vec::new(), Vec::new());
        for entry in &entries {
            let work = Work::Apply(vec![entry.clone()]);
            if let WorkResult::Applied { last: index, outcomes: more, state_digests: shown } =
                worker.execute(work, &mut self.disk.device)
            {
                outcomes.extend(more);
                state_digests.extend(shown);
                last = index;
            }
            states.push(worker.machine().results());
        }
        let executed = worker.machine().user().take_executed();
        let (entries, executed, states) = (&entries[..], &executed[..], &states[..]);
        let node = self.place.id();
        let applied = Observation::Applied { node, entries, executed, states };
        run.observer.observe(run.scheduler.now(), applied);
        WorkResult::Applied { last, outcomes, state_digests }
    }

    /// Starts a request of the process for its worker's frozen view.
    pub(crate) fn request_view(&mut self, request: ViewRequest, run: &mut Run<'_>) {
        let lasts = self.work_time(run.setup);
        let (place, start_number) = (self.place, self.start_number);
        let Some(running) = self.life.running_mut() else { return };
        running.work.view_request = Some(request);
        run.scheduler.after(lasts, Event::ViewDone { place, start_number });
    }

    /// Finishes the request for the frozen view, and returns its result.
    pub(crate) fn finish_view(&mut self, start_number: u16, run: &mut Run<'_>) -> Option<Input> {
        let (now, node) = (run.scheduler.now(), self.place.id());
        let running = self.started_as(start_number)?;
        Some(match running.work.view_request.take()? {
            ViewRequest::Freeze => match running.worker.freeze() {
                Some(mut frozen) => {
                    let mut bytes = Vec::new();
                    frozen.read_to_end(&mut bytes).expect("a view in memory can be read");
                    let last = frozen.last();
                    run.observer
                        .observe(now, Observation::SnapshotFrozen { node, last, bytes: &bytes });
                    running.show_machine(now, run.observer);
                    running.work.view = bytes.into();
                    Input::ViewFrozen(last)
                }
                None => Input::ViewFailed,
            },
            ViewRequest::Read(count) => {
                let count = count.min(running.work.view.len());
                Input::ViewRead(running.work.view.drain(..count).collect())
            }
        })
    }

    /// Draws the duration of work that the worker or the driver starts now.
    fn work_time(&mut self, setup: &Setup) -> Duration {
        let (node, start_number) = (self.place.0 + 1, self.start_number);
        let Some(running) = self.life.running_mut() else { return Duration::ZERO };
        running.counts.works += 1;
        let counter = running.counts.works;
        let key = Key { node, start_number, counter, ..Kind::BatchTime.key() };
        setup.choices.within(key, setup.settings.batch_time) + self.work_delay
    }

    /// Gathers a proposal. Returns true if the driver proposes the batch at once, rather than
    /// later.
    pub(crate) fn gather(&mut self, proposal: Proposal, run: &mut Run<'_>) -> bool {
        let (place, start_number) = (self.place, self.start_number);
        let Some(running) = self.life.running_mut() else { return false };
        let gathered = running.driver.gather(proposal);
        let wait = run.setup.settings.gather;
        if !wait.is_zero() && gathered == 1 {
            run.scheduler.after(wait, Event::BatchReady { place, start_number });
        }
        wait.is_zero()
    }

    /// Returns the batch that the driver has gathered, as an input of the process.
    pub(crate) fn take_batch(&mut self, start_number: u16, run: &mut Run<'_>) -> Option<Input> {
        let running = self.started_as(start_number)?;
        let proposals = running.driver.take_batch();
        let membership = running.node.raft().membership();
        for Proposal { tag, acknowledge, .. } in &proposals {
            if acknowledge.resolved(membership) == Acknowledge::AllLive {
                running.requests.wait_for_all_live(*tag);
                let request = Observation::RequestForAllLive { tag: *tag };
                run.observer.observe(run.scheduler.now(), request);
            }
        }
        run.observer.reach_if(proposals.len() > 1, Spot::ProposedTogether);
        Some(Input::Propose(proposals))
    }

    /// Queues the outputs for a lagging driver, which executes them one by one.
    pub(crate) fn delay_outputs(&mut self, outputs: &mut Vec<Output>, run: &mut Run<'_>) {
        let Some(running) = self.life.running_mut() else { return };
        if running.driver.delay(outputs) {
            self.schedule_output(run);
        }
    }

    fn schedule_output(&mut self, run: &mut Run<'_>) {
        let (place, start_number) = (self.place, self.start_number);
        let Some(running) = self.life.running_mut() else { return };
        running.counts.carried += 1;
        let counter = running.counts.carried;
        let key = Key { node: place.0 + 1, start_number, counter, ..Kind::LagDelay.key() };
        let longest = run.setup.settings.latency.max.as_nanos() as u64 / 4;
        let delay = Duration::from_nanos(run.setup.choices.choose(key, longest + 1));
        run.scheduler.after(delay, Event::ExecuteOutput { place, start_number });
    }

    /// Returns the next output of a lagging driver.
    pub(crate) fn next_output(&mut self, start_number: u16, run: &mut Run<'_>) -> Option<Output> {
        let running = self.started_as(start_number)?;
        let output = running.driver.next_output()?;
        if running.driver.lags() {
            self.schedule_output(run);
        }
        Some(output)
    }
}

/// Returns true if a write to the superblock's file at `offset` writes a copy of the superblock,
/// and not a mark of the acknowledged floor.
fn is_copy(offset: u64) -> bool {
    offset.is_multiple_of(1 << 20)
}

/// Returns true if the state of the disk is unknown after the operation: a write or a flush failed,
/// for another reason than a full disk.
fn makes_disk_uncertain(action: &FileAction, result: &Result<Vec<u8>, DiskError>) -> bool {
    let writes = matches!(action, FileAction::Write { .. } | FileAction::Sync { .. });
    writes && result.as_ref().is_err_and(|error| *error != DiskError::Full)
}

fn fault_kind(hit: disk::Fault) -> Fault {
    match hit {
        disk::Fault::SyncFails { .. } | disk::Fault::SyncDirectoryFails => Fault::FailedFlush,
        disk::Fault::ReadFails => Fault::FailedRead,
        disk::Fault::WriteLost => Fault::LostWrite,
        disk::Fault::WriteMisdirected { .. } => Fault::MisdirectedWrite,
        disk::Fault::CreateFails
        | disk::Fault::WriteFails { .. }
        | disk::Fault::RenameFails
        | disk::Fault::RemoveFails => Fault::FailedWrite,
    }
}
