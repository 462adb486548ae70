//! The lanes execute slow work outside the driver, each in the order of its `JobQueue`. The log
//! lane executes the disk operations that delay acknowledgements: writes of the superblock and of
//! entries. The bulk lane executes all others, such as reads, snapshots and the creation of
//! segments, and reads snapshot views. The machine lane calls the state machine, and reads the
//! snapshots from which the state machine is restored.
//!
//! With `ServerConfig::inline_machine`, quick calls of the state machine run on the driver's
//! thread, unless earlier ones are queued.

mod job_queue;
mod job_runner;
mod lane;
mod patient_disk;
mod task;
mod thread;

use std::io::{self, Read};
use std::sync::Arc;

use tracing::{debug, warn};

use crate::machine::{FrozenView, StateMachine};
use crate::replica::{Input, Output, Work, Worker};
use crate::runtime::lanes::job_queue::JobOrder;
pub(super) use crate::runtime::lanes::job_runner::Event;
use crate::runtime::lanes::job_runner::{Execute, ViewToken};
use crate::runtime::lanes::lane::Lane;
pub(super) use crate::runtime::lanes::lane::LaneStart;
use crate::runtime::lanes::patient_disk::PatientDisk;
use crate::runtime::metrics::{Counts, Stopwatch};
use crate::runtime::request::AnswerReceiver;
use crate::storage::{Completion, Disk, DiskError, Lane as DiskLane, Operation};
use crate::types::{Entry, Tag};

/// A job of the bulk lane: a disk operation, the check that the directory is still at its path, or
/// holding, reading or dropping a frozen view.
enum BulkJob {
    Disk(Operation),
    Verify,
    HoldView(Option<FrozenView>, ViewToken),
    ReadView(usize),
    DropView,
}

/// A job of the machine lane.
enum MachineJob {
    Work(Work),
    /// A query, with the receiver of its answer. It is not executed if that would not get the
    /// answer, because executing it may cost far more than sending it.
    Query(Tag, Vec<u8>, Option<AnswerReceiver>),
    Freeze(ViewToken),
}

/// The lanes of one node.
pub(super) struct Lanes {
    log: Lane<Operation>,
    bulk: Lane<BulkJob>,
    machine: Lane<MachineJob>,
    /// Whether commands and queries may run on the driver's thread.
    inline: bool,
    /// The token that each view has a clone of. While there is a view, no command is quick, because
    /// it may have to copy the state.
    views: ViewToken,
    /// The index interval at whose multiples the state is hashed, which may take long.
    digest_interval: Option<u64>,
}

/// The functions that execute the jobs of the lanes. They hide the types of the disk and the state
/// machine, so that the code that runs a node is compiled once, and not for each state machine.
pub(super) struct LaneWork {
    log: Execute<Operation>,
    bulk: Execute<BulkJob>,
    machine: Execute<MachineJob>,
    digest_interval: Option<u64>,
}

impl LaneWork {
    /// Returns the functions for this disk, of which each lane gets a clone, and this worker.
    pub(super) fn new<M, D>(disk: D, mut worker: Worker<M>, counts: &Arc<Counts>) -> LaneWork
    where
        M: StateMachine + Send + 'static,
        D: Disk + Clone + Send + 'static,
    {
        let (mut log_disk, log_counts) = (disk.clone(), Arc::clone(counts));
        let log = move |operation: Operation, queued_at| {
            Event::Input(execute_operation(&mut log_disk, &operation, queued_at, &log_counts))
        };
        let (mut bulk_disk, bulk_counts) = (disk.clone(), Arc::clone(counts));
        let mut view = None::<(FrozenView, ViewToken)>;
        let bulk = move |job, queued_at| {
            Event::Input(match job {
                BulkJob::Verify => return Event::Verified(bulk_disk.verify()),
                BulkJob::Disk(operation) => {
                    execute_operation(&mut bulk_disk, &operation, queued_at, &bulk_counts)
                }
                BulkJob::HoldView(frozen, token) => {
                    view = frozen.map(|frozen| (frozen, token));
                    view.as_ref()
                        .map_or(Input::ViewFailed, |(view, _)| Input::ViewFrozen(view.last()))
                }
                BulkJob::ReadView(bytes) => read_view(&mut view, bytes),
                BulkJob::DropView => {
                    view = None;
                    return Event::ViewDropped;
                }
            })
        };
        let (mut machine_disk, machine_counts) = (PatientDisk::new(disk), Arc::clone(counts));
        let digest_interval = worker.digest_interval();
        let machine = move |job, queued_at| match job {
            MachineJob::Query(tag, query, receiver) => {
                if receiver.is_some_and(|receiver| !receiver.accepts(query.len())) {
                    return Event::NotExecuted(tag);
                }
                let work = Work::Query { tag, query };
                Event::Input(Input::WorkDone(worker.execute(work, &mut machine_disk)))
            }
            MachineJob::Work(work) => {
                let applies = matches!(work, Work::Apply(_));
                let done = worker.execute(work, &mut machine_disk);
                if applies {
                    machine_counts.disk.apply_times.observe(queued_at);
                }
                Event::Input(Input::WorkDone(done))
            }
            MachineJob::Freeze(token) => Event::View(worker.freeze(), token),
        };
        let (log, bulk, machine) = (Box::new(log), Box::new(bulk), Box::new(machine));
        LaneWork { log, bulk, machine, digest_interval }
    }
}

impl Lanes {
    /// Starts the lanes, which send their events to `start.events`. Each lane drops its clone of
    /// that sender when it ends, after its disk. With `inline`, quick commands and queries run on
    /// the driver's thread where no earlier job is queued.
    pub(super) fn start(work: LaneWork, inline: bool, start: &LaneStart) -> io::Result<Lanes> {
        let log = start.lane("quorate-log", 0, work.log)?;
        let bulk = start.lane("quorate-bulk", 1, work.bulk)?;
        let machine = start.lane("quorate-machine", 2, work.machine)?;
        let (views, digest_interval) = (Arc::default(), work.digest_interval);
        Ok(Lanes { log, bulk, machine, inline, views, digest_interval })
    }

    /// Queues the work of the output until [`Lanes::submit`]; returns an output that is not work
    /// for a lane. `receiver_of` returns the receiver of the answer to a query by its tag.
    pub(super) fn take(
        &mut self,
        output: Output,
        receiver_of: impl Fn(Tag) -> Option<AnswerReceiver>,
    ) -> Option<Output> {
        match output {
            Output::Disk(operation) => match operation.lane {
                DiskLane::Log => self.log.queue(operation, JobOrder::InOrder),
                DiskLane::Bulk => self.queue_bulk(BulkJob::Disk(operation)),
            },
            Output::Work(work) => {
                let is_quick = self.is_quick(&work);
                // A query may be executed after later commands, but not after a later restore,
                // which may bring an earlier state.
                let (job, order) = match work {
                    Work::Query { tag, query } => {
                        let receiver = receiver_of(tag);
                        let origin = receiver.as_ref().map(AnswerReceiver::origin);
                        let order = JobOrder::InTurn(origin.unwrap_or_default());
                        (MachineJob::Query(tag, query, receiver), order)
                    }
                    Work::Apply(_) => (MachineJob::Work(work), JobOrder::InOrder),
                    Work::Restore(_) | Work::Rebuild(_) => {
                        (MachineJob::Work(work), JobOrder::Barrier)
                    }
                };
                match is_quick {
                    true => self.machine.queue_quick(job, order),
                    false => self.machine.queue(job, order),
                }
            }
            Output::FreezeView => {
                let freeze = MachineJob::Freeze(Arc::clone(&self.views));
                self.machine.queue(freeze, JobOrder::InOrder);
            }
            Output::ReadView { bytes } => self.queue_bulk(BulkJob::ReadView(bytes)),
            Output::DropView => self.queue_bulk(BulkJob::DropView),
            other => return Some(other),
        }
        None
    }

    fn is_quick(&self, work: &Work) -> bool {
        self.inline
            && match work {
                Work::Apply(entries) => {
                    Arc::strong_count(&self.views) == 1 && !self.hashes_state(entries)
                }
                Work::Query { .. } => true,
                Work::Restore(_) | Work::Rebuild(_) => false,
            }
    }

    /// Returns true if the state is hashed after one of these entries.
    fn hashes_state(&self, entries: &[Entry]) -> bool {
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return false };
        let (before, last) = (first.id.index.0 - 1, last.id.index.0);
        self.digest_interval.is_some_and(|each| before / each < last / each)
    }

    /// Passes a frozen view, or `None` if freezing failed, to the bulk lane. That lane also reads
    /// the views, so that the node gets the answers in the order of its requests.
    pub(super) fn hold_view(&mut self, view: Option<FrozenView>, token: ViewToken) {
        self.queue_bulk(BulkJob::HoldView(view, token));
        self.bulk.submit();
    }

    /// Checks that the directory and its files are still at their paths, after the earlier bulk
    /// operations; [`Event::Verified`] has the result.
    pub(super) fn verify_disk(&mut self) {
        self.queue_bulk(BulkJob::Verify);
        self.bulk.submit();
    }

    fn queue_bulk(&mut self, job: BulkJob) {
        self.bulk.queue(job, JobOrder::InOrder);
    }

    /// Lets the machine lane continue after [`Event::Paused`].
    pub(super) fn resume_machine(&mut self) {
        self.machine.resume();
    }

    /// Starts the queued jobs of all lanes.
    pub(super) fn submit(&mut self) {
        self.log.submit();
        self.bulk.submit();
        self.machine.submit();
    }
}

fn execute_operation(
    disk: &mut dyn Disk,
    operation: &Operation,
    queued_at: Stopwatch,
    counts: &Counts,
) -> Input {
    let started = Stopwatch::start();
    let result = disk.execute(&operation.action);
    match &result {
        Ok(_) => {}
        // The node tries again every `ReplicaConfig::space_retry`, and the driver logs the
        // condition once.
        Err(error @ (DiskError::Full | DiskError::Exhausted(_))) => {
            debug!(action = ?operation.action, %error, "a disk operation failed");
        }
        Err(error) => warn!(action = ?operation.action, %error, "a disk operation failed"),
    }
    counts.operation_done(operation, result.as_ref().err(), queued_at, started);
    Input::Disk(Completion { id: operation.id, result })
}

fn read_view(view: &mut Option<(FrozenView, ViewToken)>, bytes: usize) -> Input {
    let mut read = Vec::new();
    let limit = u64::try_from(bytes).unwrap_or(u64::MAX);
    let result = view.as_mut().map(|(view, _)| view.take(limit).read_to_end(&mut read));
    if !matches!(result, Some(Ok(1..))) {
        // The view was read to its end or has failed; it would keep an old state in memory.
        *view = None;
    }
    match result {
        Some(Ok(_)) => Input::ViewRead(read),
        Some(Err(error)) => {
            warn!(%error, "the state machine cannot read its frozen state for a snapshot");
            Input::ViewFailed
        }
        None => Input::ViewFailed,
    }
}

#[cfg(test)]
#[cfg(not(madsim))]
mod tests {
    use std::time::Duration;

    use tempfile::TempDir;
    use tokio::sync::mpsc::{self, UnboundedReceiver};

    use super::*;
    use crate::machine::Machine;
    use crate::replica::WorkResult;
    use crate::runtime::busy_poll::BusyPoll;
    use crate::runtime::environment::Environment;
    use crate::runtime::request::{NodeRequest, PendingRequests};
    use crate::runtime::request_limits::{ClientLimits, Share};
    use crate::storage::{ClusterId, FileDisk};
    use crate::types::{
        EntryId, Index, Membership, NodeId, Payload, ReadLevel, SnapshotMeta, Term,
    };
    use crate::wire::RequestBody;

    /// A state machine whose state is always the same text.
    struct Text;

    impl StateMachine for Text {
        fn apply(&mut self, _: Index, _: &[u8]) -> Vec<u8> {
            Vec::new()
        }

        fn query(&self, _: &[u8]) -> Vec<u8> {
            Vec::new()
        }

        fn snapshot(&self) -> Box<dyn Read + Send> {
            Box::new(&b"text"[..])
        }

        fn restore(&mut self, _: &mut dyn Read) -> io::Result<()> {
            Ok(())
        }
    }

    /// Returns inline lanes whose state machine hashes its state at this interval, and the receiver
    /// of their events.
    fn lanes(digest_interval: Option<u64>) -> (Lanes, UnboundedReceiver<Vec<Event>>, TempDir) {
        let directory = tempfile::tempdir().expect("a directory");
        let disk = FileDisk::open(directory.path()).expect("it opens");
        let worker = Worker::new(ClusterId(7), Machine::new(Text), digest_interval);
        let counts = Arc::new(Counts::new(NodeId(1), ClusterId(7)));
        let (events, events_received) = tokio::sync::mpsc::unbounded_channel();
        let environment = Environment::System;
        let busy_poll = BusyPoll::new(&environment, Duration::ZERO);
        let work = LaneWork::new(disk, worker, &counts);
        let start = LaneStart { environment, busy_poll, events, counts };
        let lanes = Lanes::start(work, true, &start).expect("the threads start");
        (lanes, events_received, directory)
    }

    #[test]
    fn a_restore_passes_no_query_that_was_queued_before_it() {
        let (mut lanes, mut events_received, _directory) = lanes(None);
        let last = EntryId::new(Term(1), Index(9));
        let missing = SnapshotMeta::empty(last, Membership::new([NodeId(1)]));
        let query = Work::Query { tag: Tag(1), query: Vec::new() };
        for work in [query, Work::Restore(missing)] {
            assert!(lanes.take(Output::Work(work), |_| None).is_none());
        }
        lanes.submit();
        let first = events_received.blocking_recv().expect("the events are sent").remove(0);
        let Event::Input(Input::WorkDone(first)) = first else { panic!("the worker works") };
        assert!(matches!(first, WorkResult::Answered { .. }), "of the state before the restore");
    }

    #[test]
    fn commands_after_which_the_state_is_hashed_are_not_quick() {
        let apply = |indices: std::ops::RangeInclusive<u64>| {
            let id = |index| EntryId::new(Term(1), Index(index));
            let entry = |index| Entry { id: id(index), payload: Payload::Noop };
            Work::Apply(indices.map(entry).collect())
        };
        for (digest_interval, quick, slow) in [
            (Some(4), vec![1..=1, 1..=3, 5..=7, 9..=11], vec![4..=4, 1..=4, 3..=5, 4..=7, 1..=9]),
            (Some(1), vec![], vec![1..=1, 2..=3]),
            (None, vec![1..=1, 1..=9], vec![]),
        ] {
            let (lanes, _events_received, _directory) = lanes(digest_interval);
            for (is_quick, batches) in [(true, quick), (false, slow)] {
                for batch in batches {
                    let found = lanes.is_quick(&apply(batch.clone()));
                    assert_eq!(found, is_quick, "{digest_interval:?}: {batch:?}");
                }
            }
        }
    }

    #[test]
    fn a_query_of_a_connection_that_has_ended_is_not_executed() {
        let (mut lanes, mut events_received, _directory) = lanes(None);
        let (replies, queue) = mpsc::unbounded_channel();
        let permits = ClientLimits::of_program(1, 1).acquire(Share::Reads, 0);
        let body = RequestBody::Read { level: ReadLevel::Local, query: Vec::new() };
        let request = NodeRequest::queued(body, 0, permits.expect("there is room"), replies);
        let mut pending = PendingRequests::default();
        let Ok(Input::Read { tag, query, .. }) = pending.submit(request) else {
            panic!("it is a read")
        };
        let mut next = || {
            let query = Output::Work(Work::Query { tag, query: query.clone() });
            assert!(lanes.take(query, |tag| pending.answer_receiver(tag)).is_none());
            lanes.submit();
            events_received.blocking_recv().expect("the events are sent").remove(0)
        };
        assert!(matches!(next(), Event::Input(Input::WorkDone(WorkResult::Answered { .. }))));
        drop(queue);
        assert!(matches!(next(), Event::NotExecuted(of) if of == tag));
    }

    #[test]
    fn no_command_is_quick_while_there_is_a_view_of_the_state() {
        let (mut lanes, mut events_received, _directory) = lanes(None);
        let mut next = || events_received.blocking_recv().expect("the events are sent").remove(0);
        let apply = |index| {
            let id = EntryId::new(Term(1), Index(index));
            Work::Apply([Entry { id, payload: Payload::Noop }].into())
        };
        let receiver_of = |_| None;
        assert!(lanes.is_quick(&apply(1)));
        assert!(lanes.take(Output::FreezeView, receiver_of).is_none());
        lanes.submit();
        for index in 1..=2 {
            assert!(!lanes.is_quick(&apply(index)), "command {index} may copy the state");
        }
        let Event::View(view, token) = next() else { panic!("the view comes first") };
        lanes.hold_view(view, token);
        assert!(matches!(next(), Event::Input(Input::ViewFrozen(_))));
        assert!(!lanes.is_quick(&apply(3)));
        loop {
            assert!(lanes.take(Output::ReadView { bytes: 1 << 20 }, receiver_of).is_none());
            lanes.bulk.submit();
            match next() {
                Event::Input(Input::ViewRead(bytes)) if !bytes.is_empty() => {}
                Event::Input(Input::ViewRead(_)) => break,
                _ => panic!("the view can be read"),
            }
        }
        assert!(lanes.is_quick(&apply(3)), "the view is gone");
        assert!(lanes.take(Output::FreezeView, receiver_of).is_none());
        lanes.submit();
        let Event::View(view, token) = next() else { panic!("the view comes first") };
        lanes.hold_view(view, token);
        assert!(matches!(next(), Event::Input(Input::ViewFrozen(_))));
        assert!(lanes.take(Output::DropView, receiver_of).is_none());
        lanes.submit();
        assert!(matches!(next(), Event::ViewDropped));
        assert!(lanes.is_quick(&apply(3)), "the view was dropped");
    }
}
