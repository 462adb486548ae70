//! The host of a node: its disk, its worker and its driver, which execute the operations, the work
//! and the outputs of the process in simulated time.

use std::io::Read;
use std::time::Duration;

use quorate::replica::{Input, Output, Work, WorkResult};
use quorate::storage::{Completion, DiskError, FileAction, FileName, Lane, Operation};
use quorate::types::{Acknowledge, Entries, NodeId, Proposal};

use crate::disk;
use crate::faults::Fault;
use crate::observe::Observation;
use crate::observe::coverage::Spot;
use crate::observer::Observer;
use crate::plan::Trigger;
use crate::record::NodeWork;
use crate::values::choice::{Key, Kind};
use crate::world::cluster::node::Node;
use crate::world::cluster::queues::CompletionReport;
use crate::world::cluster::queues::ViewRequest;
use crate::world::run::Run;
use crate::world::run::Setup;
use crate::world::scheduler::EventKind;
use crate::world::scheduler::ProcessEvent;

/// A disk operation that has been executed, before its node is notified of it.
#[derive(Debug)]
pub(crate) struct ExecutedOperation {
    operation: Operation,
    result: Result<Vec<u8>, DiskError>,
    /// The number of operations that the process had started.
    number: u32,
    /// Whether the process was paused.
    paused: bool,
    /// Whether it begins a flush that replaces entries of the log.
    truncates: bool,
}

/// After each entry whose index is a multiple of this number, the worker returns the rest of a
/// batch.
const REST_AFTER: u64 = 16;

impl Node {
    /// Queues an operation of the process at its disk.
    pub(crate) fn submit_operation(&mut self, operation: Operation, run: &mut Run) {
        let lane = operation.lane;
        let Some(running) = self.life.running_mut() else { return };
        let queue = running.lanes.of(lane);
        queue.submitted.push_back(operation);
        if queue.submitted.len() == 1 {
            self.begin_operation(lane, run);
        }
    }

    /// Starts the next disk operation of a lane.
    fn begin_operation(&mut self, lane: Lane, run: &mut Run) {
        let start = self.start();
        let stalled = self.disk.stalled_for(run.scheduler.now());
        let Some(running) = self.life.running_mut() else { return };
        let Some(operation) = running.lanes.of(lane).submitted.front() else { return };
        running.counts.operations += 1;
        let counter = running.counts.operations;
        let key = |kind| start.key(kind, counter);
        let Setup { settings, choices, .. } = &run.setup;
        let lasts = match operation.action {
            FileAction::Sync { .. } | FileAction::Create { .. } | FileAction::SyncDirectory => {
                let flush = choices.within(key(Kind::Flush), settings.flush);
                stalled.max(flush + self.disk.flush_delay)
            }
            // Writes of the log and of the superblock, and the reads that check the superblock, use
            // the cache, so they take no time.
            _ if operation.lane == Lane::Log => Duration::ZERO,
            _ => stalled.max(choices.within(key(Kind::CallTime), settings.batch_time) / 4),
        };
        run.scheduler.after(lasts, self.event(ProcessEvent::OperationDone(lane)));
    }

    /// Executes the first disk operation of a lane.
    pub(crate) fn execute_operation(
        &mut self,
        lane: Lane,
        run: &mut Run,
    ) -> Option<ExecutedOperation> {
        let (now, paused) = (run.scheduler.now(), self.is_paused());
        let running = self.life.running_mut()?;
        let operation = running.lanes.of(lane).submitted.pop_front()?;
        let number = running.counts.operations;
        let truncates = match &operation.action {
            FileAction::Write { file: FileName::Segment(_), bytes, .. } if lane == Lane::Log => {
                running.writes.flushes(bytes)
            }
            _ => false,
        };
        let result = self.disk.device.apply(&operation.action);
        run.scheduler.count(EventKind::Operation, u64::from(self.place.0) << 56 ^ operation.id.0);
        self.count_disk_faults(&mut run.observer);
        match &result {
            Ok(_) => run.observer.operated(now, self.place.id(), &operation.action),
            Err(error) => run.observer.disk_failed(now, self.place.id(), &operation.action, error),
        }
        Some(ExecutedOperation { operation, result, number, paused, truncates })
    }

    /// Returns the triggers that an executed operation fires, in their order, each with the peer
    /// that it concerns. A write of the log or the superblock is in the disk's cache, but not
    /// durable yet.
    pub(crate) fn triggers_of(
        &self,
        executed: &ExecutedOperation,
    ) -> Vec<(Trigger, Option<NodeId>)> {
        let Some(running) = self.running() else { return Vec::new() };
        let (vote, leader) = (running.writes.vote(), running.status.leader);
        let Operation { lane, action, .. } = &executed.operation;
        let in_log = *lane == Lane::Log;
        let triggers = match *action {
            FileAction::Write { file: FileName::Superblock, offset, .. } if is_copy(offset) => {
                vec![
                    (in_log && vote.is_some(), Trigger::SubmitsVote, vote),
                    (true, Trigger::UpdatesSuperblock, None),
                    (running.writes.installs(), Trigger::InstallsSnapshot, None),
                ]
            }
            FileAction::Write { file: FileName::Segment(_), offset, .. } => vec![
                (executed.truncates, Trigger::TruncatesLog, leader),
                (in_log, Trigger::SubmitsEntries, leader),
                (offset == 0, Trigger::BeginsSegment, None),
            ],
            FileAction::Write { file: FileName::PartialSnapshot(_), .. } => {
                vec![(true, Trigger::WritesSnapshot, None)]
            }
            FileAction::Sync { .. } => vec![(in_log, Trigger::CompletesFlush, None)],
            FileAction::Create { file: FileName::Segment(_), .. } => {
                vec![(true, Trigger::CreatesSegment, None)]
            }
            FileAction::Rename { .. } => vec![(true, Trigger::RenamesSnapshot, None)],
            FileAction::Remove { .. } => vec![(true, Trigger::RemovesFile, None)],
            _ => Vec::new(),
        };
        let fired = triggers.into_iter().filter(|(fires, ..)| *fires);
        fired.map(|(_, trigger, peer)| (trigger, peer)).collect()
    }

    /// Starts the next operation of the lane, and queues the report of the executed one. Returns
    /// true if the process is notified at once, rather than later.
    pub(crate) fn finish_operation(&mut self, executed: ExecutedOperation, run: &mut Run) -> bool {
        let ExecutedOperation { operation: Operation { id, lane, action }, result, .. } = executed;
        let fatal = leaves_disk_unknown(&action, &result);
        let synced = matches!(action, FileAction::Sync { .. }) && lane == Lane::Log;
        self.begin_operation(lane, run);
        let Some(running) = self.life.running_mut() else { return false };
        let reports = &mut running.lanes.of(lane).reports;
        reports.push_back(CompletionReport { completion: Completion { id, result }, fatal });
        if reports.len() > 1 {
            // The operation is reported right after the previous one.
            return false;
        }
        let key = self.start().key(Kind::FlushReport, executed.number);
        let is_late = executed.paused || (synced && run.setup.choices.chance(key, 150));
        if !is_late {
            return true;
        }
        let key = Key { kind: Kind::FlushReportDelay, ..key };
        let delay = run.setup.choices.within(key, run.setup.settings.report_delay);
        run.scheduler.after(delay, self.event(ProcessEvent::CompletionReported(lane)));
        false
    }

    /// Returns the next finished operation of a lane, as an input of the process.
    pub(crate) fn next_completion(&mut self, lane: Lane, run: &mut Run) -> Option<Input> {
        let running = self.life.running_mut()?;
        let report = running.lanes.of(lane).reports.pop_front()?;
        if report.fatal {
            let node = self.place.id();
            run.observe(Observation::DiskFailed { node });
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
    pub(crate) fn submit_work(&mut self, work: Work, run: &mut Run) {
        let Some(running) = self.life.running_mut() else { return };
        running.work.submitted.push_back(work);
        if running.work.submitted.len() == 1 {
            self.begin_work(run);
        }
    }

    /// Starts the next work of the worker.
    pub(crate) fn begin_work(&mut self, run: &mut Run) {
        let Some(work) = self.running().and_then(|running| running.work.submitted.front()) else {
            return;
        };
        let query = matches!(work, Work::Query { .. });
        let lasts = if query { Duration::ZERO } else { self.work_time(run) };
        run.scheduler.after(lasts, self.event(ProcessEvent::WorkDone));
    }

    /// Executes the first work of the worker, and returns its result.
    pub(crate) fn execute_work(&mut self, run: &mut Run) -> Option<WorkResult> {
        let node = self.place.id();
        let result = match self.life.running_mut()?.work.submitted.pop_front()? {
            Work::Apply(entries) => self.apply(entries, run),
            work => {
                run.observer.work_begins(node, || NodeWork::Machine(work.clone()));
                let running = self.life.running_mut()?;
                let result = running.worker.execute(work, &mut self.disk.device);
                run.observer.work_ends();
                result
            }
        };
        let running = self.life.running_mut()?;
        let state = running.worker.machine().results();
        match result {
            WorkResult::Restored { last: index, .. } => {
                run.observe(Observation::Restored { node, index, state });
                self.count_disk_faults(&mut run.observer);
            }
            WorkResult::Answered { tag, .. } => {
                running.work.answered_in.insert(tag, state);
            }
            _ => {}
        }
        Some(result)
    }

    /// Applies a batch entry by entry, to record the state after each entry. Stops after an entry
    /// whose index is a multiple of [`REST_AFTER`], and returns the rest, as a worker does after
    /// long replies.
    fn apply(&mut self, entries: Entries, run: &mut Run) -> WorkResult {
        let node = self.place.id();
        let worker = &mut self.life.running_mut().expect("the node runs").worker;
        let (mut states, mut requires) = (Vec::new(), None);
        let (mut outcomes, mut state_digests) = (Vec::new(), Vec::new());
        for entry in &entries {
            let work = Work::Apply(entry.clone().into());
            run.observer.work_begins(node, || NodeWork::Machine(work.clone()));
            let applied = worker.execute(work, &mut self.disk.device);
            run.observer.work_ends();
            if let WorkResult::Applied {
                outcomes: more,
                state_digests: shown,
                requires: newer,
                ..
            } = applied
            {
                outcomes.extend(more);
                state_digests.extend(shown);
                requires = newer;
            }
            if requires.is_some() {
                break;
            }
            states.push(worker.machine().results());
            if entry.id.index.0.is_multiple_of(REST_AFTER) {
                break;
            }
        }
        let applied = states.len();
        let rest = match requires {
            None => entries.slice(applied..entries.len()),
            Some(_) => Entries::new(),
        };
        let (last, usage) = (worker.machine().applied().index, worker.machine().usage());
        let user = worker.machine().user();
        let (executed, has_failed) = (user.take_executed(), user.take_failed());
        let (entries, executed, states) = (&entries[..applied], &executed[..], &states[..]);
        if has_failed {
            run.observe(Observation::MachineFault { node });
        }
        if !entries.is_empty() {
            run.observe(Observation::Applied { node, entries, executed, states });
        }
        WorkResult::Applied { last, outcomes, state_digests, usage, requires, rest }
    }

    /// Starts a request of the process for its worker's frozen view.
    pub(crate) fn request_view(&mut self, request: ViewRequest, run: &mut Run) {
        let lasts = self.work_time(run);
        let Some(running) = self.life.running_mut() else { return };
        running.work.view_requests.push_back(request);
        run.scheduler.after(lasts, self.event(ProcessEvent::ViewDone));
    }

    /// Drops the unread bytes of the frozen view.
    pub(crate) fn drop_view(&mut self) {
        let Some(running) = self.life.running_mut() else { return };
        assert!(running.work.view_requests.is_empty(), "the requests for a dropped view are done");
        running.work.view.clear();
    }

    /// Finishes the first pending request for the frozen view, and returns its result.
    pub(crate) fn finish_view(&mut self, run: &mut Run) -> Option<Input> {
        let (now, node) = (run.scheduler.now(), self.place.id());
        let running = self.life.running_mut()?;
        Some(match running.work.view_requests.pop_front()? {
            ViewRequest::Freeze => {
                run.observer.work_begins(node, || NodeWork::Snapshot);
                let mut bytes = Vec::new();
                let frozen = running.worker.freeze().map(|mut frozen| {
                    frozen.read_to_end(&mut bytes).expect("a view in memory can be read");
                    frozen.last()
                });
                run.observer.work_ends();
                let Some(last) = frozen else { return Some(Input::ViewFailed) };
                run.observe(Observation::SnapshotFrozen { node, last, bytes: &bytes });
                running.show_machine(now, &mut run.observer);
                running.work.view = bytes.into();
                Input::ViewFrozen(last)
            }
            ViewRequest::Read(count) => {
                let count = count.min(running.work.view.len());
                Input::ViewRead(running.work.view.drain(..count).collect())
            }
        })
    }

    /// Draws the duration of work that the worker or the driver starts now. A fault that slows work
    /// down does not delay it beyond the end of the fault phase.
    fn work_time(&mut self, run: &Run) -> Duration {
        let start = self.start();
        let Some(running) = self.life.running_mut() else { return Duration::ZERO };
        running.counts.works += 1;
        let key = start.key(Kind::BatchTime, running.counts.works);
        let (now, end) = (run.scheduler.now(), run.setup.fault_phase_end());
        let rest = if now < end { end.since(now) } else { Duration::MAX };
        let delay = self.work_delay.min(rest);
        run.setup.choices.within(key, run.setup.settings.batch_time) + delay
    }

    /// Gathers a proposal. Returns true if the driver proposes the batch at once, rather than
    /// later.
    pub(crate) fn gather(&mut self, proposal: Proposal, run: &mut Run) -> bool {
        let Some(running) = self.life.running_mut() else { return false };
        running.driver.gathered.push(proposal);
        let gathered = running.driver.gathered.len();
        let wait = run.setup.settings.gather;
        if !wait.is_zero() && gathered == 1 {
            run.scheduler.after(wait, self.event(ProcessEvent::BatchReady));
        }
        wait.is_zero()
    }

    /// Returns the batch that the driver has gathered, as an input of the process.
    pub(crate) fn take_batch(&mut self, run: &mut Run) -> Option<Input> {
        let running = self.life.running_mut()?;
        let proposals = std::mem::take(&mut running.driver.gathered);
        let membership = running.node.raft().membership();
        for Proposal { tag, acknowledge, .. } in &proposals {
            if acknowledge.resolved(membership) == Acknowledge::AllLive {
                running.requests.for_all_live.insert(*tag);
                let request = Observation::RequestForAllLive { tag: *tag };
                run.observe(request);
            }
        }
        run.observer.reach_if(proposals.len() > 1, Spot::ProposedTogether);
        Some(Input::Propose(proposals))
    }

    /// Queues the outputs for a lagging driver, which executes them one by one.
    pub(crate) fn delay_outputs(&mut self, outputs: &mut Vec<Output>, run: &mut Run) {
        let Some(running) = self.life.running_mut() else { return };
        let lagged = running.driver.lags();
        running.driver.backlog.extend(outputs.drain(..));
        if !lagged {
            self.schedule_output(run);
        }
    }

    fn schedule_output(&mut self, run: &mut Run) {
        let start = self.start();
        let Some(running) = self.life.running_mut() else { return };
        running.counts.carried += 1;
        let key = start.key(Kind::LagDelay, running.counts.carried);
        let longest = run.setup.settings.latency.max.as_nanos() as u64 / 4;
        let delay = Duration::from_nanos(run.setup.choices.choose(key, longest + 1));
        run.scheduler.after(delay, self.event(ProcessEvent::ExecuteOutput));
    }

    /// Returns the next output of a lagging driver.
    pub(crate) fn next_output(&mut self, run: &mut Run) -> Option<Output> {
        let running = self.life.running_mut()?;
        let output = running.driver.backlog.pop_front()?;
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
/// for a reason other than a full disk.
fn leaves_disk_unknown(action: &FileAction, result: &Result<Vec<u8>, DiskError>) -> bool {
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
