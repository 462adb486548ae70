//! The lanes: slow work runs beside the driver, in order within each lane. The log lane executes
//! the disk operations of the log, the bulk lane executes all other disk operations and reads
//! snapshot views, and the machine lane calls the state machine.
//!
//! Quick calls of the state machine run on the driver's thread, unless earlier ones are queued.

mod job_runner;
mod lane;
mod task;
mod thread;

use std::io::{self, Read};
use std::sync::Arc;

use tracing::{debug, warn};

use crate::machine::{FrozenView, StateMachine};
use crate::replica::{Input, Output, Work, Worker};
pub(super) use crate::runtime::lanes::job_runner::Event;
use crate::runtime::lanes::lane::Lane;
pub(super) use crate::runtime::lanes::lane::LaneStart;
use crate::runtime::metrics::{Counts, Stopwatch};
use crate::storage::{Completion, Disk, DiskError, Lane as DiskLane, Operation};

/// A job of the bulk lane: a disk operation, or holding or reading a frozen view.
enum BulkJob {
    Disk(Operation),
    HoldView(Option<FrozenView>),
    ReadView(usize),
}

/// A job of the machine lane.
enum MachineJob {
    Work(Work),
    Freeze,
}

/// The lanes of one node.
pub(super) struct Lanes {
    log: Lane<Operation>,
    bulk: Lane<BulkJob>,
    machine: Lane<MachineJob>,
    /// Whether commands and queries may run on the driver's thread.
    inline: bool,
    /// Whether a view was frozen since the last command was applied. If so, the next command is not
    /// quick, because it may have to copy the state.
    frozen: bool,
}

impl Lanes {
    /// Starts the lanes, which send their events to `start.events`. The last clone of that sender
    /// is dropped with the last lane, after the lane has closed its disk. With `inline`, quick
    /// commands and queries run on the driver's thread where no earlier job is queued.
    pub(super) fn start<M, D>(
        disk: &D,
        mut worker: Worker<M>,
        inline: bool,
        start: &LaneStart,
    ) -> io::Result<Lanes>
    where
        M: StateMachine + Send + 'static,
        D: Disk + Clone + Send + 'static,
    {
        let counts = &start.counts;
        let (mut log_disk, log_counts) = (disk.clone(), Arc::clone(counts));
        let log = start.lane("quorate-log", 0, move |operation, queued_at| {
            Event::Input(execute_operation(&mut log_disk, &operation, queued_at, &log_counts))
        })?;
        let (mut bulk_disk, bulk_counts) = (disk.clone(), Arc::clone(counts));
        let mut view = None::<FrozenView>;
        let bulk = start.lane("quorate-bulk", 1, move |job, queued_at| {
            Event::Input(match job {
                BulkJob::Disk(operation) => {
                    execute_operation(&mut bulk_disk, &operation, queued_at, &bulk_counts)
                }
                BulkJob::HoldView(frozen) => {
                    view = frozen;
                    view.as_ref().map_or(Input::ViewFailed, |view| Input::ViewFrozen(view.last()))
                }
                BulkJob::ReadView(bytes) => read_view(&mut view, bytes),
            })
        })?;
        let (mut machine_disk, machine_counts) = (disk.clone(), Arc::clone(counts));
        let machine = start.lane("quorate-machine", 2, move |job, queued_at| match job {
            MachineJob::Work(work) => {
                let applies = matches!(work, Work::Apply(_));
                let done = worker.execute(work, &mut machine_disk);
                if applies {
                    machine_counts.disk.apply_times.observe(queued_at);
                }
                Event::Input(Input::WorkDone(done))
            }
            MachineJob::Freeze => Event::View(worker.freeze()),
        })?;
        Ok(Lanes { log, bulk, machine, inline, frozen: false })
    }

    /// Queues the work of the output until [`Lanes::submit`]; returns an output that is not work
    /// for a lane.
    pub(super) fn take(&mut self, output: Output) -> Option<Output> {
        match output {
            Output::Disk(operation) => match operation.lane {
                DiskLane::Log => self.log.queue(operation),
                DiskLane::Bulk => self.bulk.queue(BulkJob::Disk(operation)),
            },
            Output::Work(work) if self.is_quick(&work) => {
                self.machine.queue_quick(MachineJob::Work(work));
            }
            Output::Work(work) => self.machine.queue(MachineJob::Work(work)),
            Output::FreezeView => {
                self.frozen = true;
                self.machine.queue(MachineJob::Freeze);
            }
            Output::ReadView { bytes } => self.bulk.queue(BulkJob::ReadView(bytes)),
            other => return Some(other),
        }
        None
    }

    fn is_quick(&mut self, work: &Work) -> bool {
        self.inline
            && match work {
                Work::Apply(_) => !std::mem::take(&mut self.frozen),
                Work::Query { .. } => true,
                Work::Restore(_) | Work::Rebuild(_) => false,
            }
    }

    /// Passes a frozen view to the bulk lane, which reads it, or the failure to freeze one, so that
    /// the node gets the answers in the order of its requests.
    pub(super) fn hold_view(&mut self, view: Option<FrozenView>) {
        self.bulk.queue(BulkJob::HoldView(view));
        self.bulk.submit();
    }

    /// Starts the queued jobs of all lanes.
    pub(super) fn submit(&mut self) {
        self.log.submit();
        self.bulk.submit();
        self.machine.submit();
    }
}

fn execute_operation(
    disk: &mut impl Disk,
    operation: &Operation,
    queued_at: Stopwatch,
    counts: &Counts,
) -> Input {
    let started = Stopwatch::start();
    let result = disk.execute(&operation.action);
    match &result {
        Ok(_) => {}
        // The node waits for space, tries again often, and says so once.
        Err(error) if *error == DiskError::Full => {
            debug!(action = ?operation.action, %error, "a disk operation failed");
        }
        Err(error) => warn!(action = ?operation.action, %error, "a disk operation failed"),
    }
    counts.operation_done(operation, result.as_ref().err(), queued_at, started);
    Input::Disk(Completion { id: operation.id, result })
}

fn read_view(view: &mut Option<FrozenView>, bytes: usize) -> Input {
    let mut read = Vec::new();
    let limit = u64::try_from(bytes).unwrap_or(u64::MAX);
    let result = view.as_mut().map(|view| view.take(limit).read_to_end(&mut read));
    if !matches!(result, Some(Ok(1..))) {
        // Nothing more is read of it, and it keeps an old state in memory.
        *view = None;
    }
    match result {
        Some(Ok(_)) => Input::ViewRead(read),
        Some(Err(_)) | None => Input::ViewFailed,
    }
}
