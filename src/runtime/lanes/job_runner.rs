//! Runs the jobs of a lane, on the calling thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::mpsc::UnboundedSender;

use crate::machine::FrozenView;
use crate::replica::{Input, WorkResult};
use crate::runtime::lanes::job_queue::{Job, JobOrder, JobQueue};
use crate::runtime::lock::lock;
use crate::runtime::metrics::{Counts, Stopwatch};
use crate::storage::DiskError;
use crate::types::Tag;

/// The bytes of answers after which a lane pauses until the driver has handled them. A short query
/// may have a long answer. The bytes are counted over any number of runs, because the driver's
/// thread may run thousands of queries one by one before it handles the first answer.
const ANSWERS_BYTES_MAX: usize = 4 << 20;

/// The number of jobs in turn after which a lane pauses, so that commands that were queued
/// meanwhile are executed before the rest.
const TURNS_MAX: usize = 512;

/// Held as long as a frozen view exists. While it does, a command may have to copy the state that
/// the view shares.
pub(in crate::runtime) type ViewToken = Arc<()>;

/// The result of a job, for the driver.
pub(in crate::runtime) enum Event {
    /// An input for the node.
    Input(Input),
    /// A query that was not executed, because its answer would not reach the client.
    NotExecuted(Tag),
    /// A frozen view of the state machine, to be passed to the bulk lane that reads it.
    View(Option<FrozenView>, ViewToken),
    /// The frozen view was dropped.
    ViewDropped,
    /// The directory was compared with its path. The node stops after [`DiskError::Replaced`].
    Verified(Result<(), DiskError>),
    /// The machine lane waits to be resumed, because its answers since the last pause are long or
    /// many. The events before this one are those of the executed jobs.
    Paused,
    /// The named lane panicked. The job that panicked and all later ones of the lane have no
    /// events.
    Panicked(&'static str),
}

impl Event {
    /// Returns the bytes of an answer to a query.
    fn answer_bytes(&self) -> usize {
        match self {
            Event::Input(Input::WorkDone(WorkResult::Answered { answer, .. })) => answer.len(),
            _ => 0,
        }
    }
}

/// The function that executes one job of a lane, and returns its event.
pub(super) type Execute<T> = Box<dyn FnMut(T, Stopwatch) -> Event + Send>;

/// Executes jobs. The order of the fields matters: `executor`, whose work holds the open directory,
/// must be dropped before `events`, because the server reports the node as stopped, and its
/// directory as unlocked, once the last sender is gone.
pub(super) struct JobRunner<T> {
    executor: Arc<Mutex<Executor<T>>>,
    events: UnboundedSender<Vec<Event>>,
    counts: Arc<Counts>,
    pub(super) name: &'static str,
    /// The position of the lane's queue depth in the metrics.
    number: usize,
    /// The number of batches that were sent to the lane's thread or task, and that it has not
    /// finished.
    unfinished_batches: Arc<AtomicUsize>,
}

/// The jobs that are not executed yet, and the work that executes them.
struct Executor<T> {
    /// The work; `None` once it has panicked.
    work: Option<Execute<T>>,
    jobs: JobQueue<T>,
    is_paused: bool,
    since_pause: Executed,
}

/// The work of a lane since its last pause.
#[derive(Default)]
struct Executed {
    answers_bytes: usize,
    turns: usize,
}

impl Executed {
    fn needs_pause(&self) -> bool {
        self.answers_bytes >= ANSWERS_BYTES_MAX || self.turns >= TURNS_MAX
    }
}

impl<T> Clone for JobRunner<T> {
    fn clone(&self) -> JobRunner<T> {
        JobRunner {
            executor: Arc::clone(&self.executor),
            events: self.events.clone(),
            counts: Arc::clone(&self.counts),
            name: self.name,
            number: self.number,
            unfinished_batches: Arc::clone(&self.unfinished_batches),
        }
    }
}

impl<T> JobRunner<T> {
    pub(super) fn new(
        name: &'static str,
        number: usize,
        events: UnboundedSender<Vec<Event>>,
        counts: Arc<Counts>,
        work: Execute<T>,
    ) -> JobRunner<T> {
        let since_pause = Executed::default();
        let (jobs, work) = (JobQueue::new(), Some(work));
        let executor = Executor { work, jobs, is_paused: false, since_pause };
        let executor = Arc::new(Mutex::new(executor));
        JobRunner { executor, events, counts, name, number, unfinished_batches: Arc::default() }
    }

    /// Counts one more queued job.
    pub(super) fn count_queued(&self) {
        self.counts.disk.depths[self.number].increment();
    }

    /// Records that a batch is sent to the lane's thread or task.
    pub(super) fn begin_batch(&self) {
        self.unfinished_batches.fetch_add(1, Ordering::Relaxed);
    }

    /// Records that this many of these batches went through [`JobRunner::run`].
    pub(super) fn finish_batches(&self, count: usize) {
        self.unfinished_batches.fetch_sub(count, Ordering::Release);
    }

    /// Returns true if all these batches are finished: their events were sent, or, while the lane
    /// is paused, their jobs wait here.
    pub(super) fn is_idle(&self) -> bool {
        self.unfinished_batches.load(Ordering::Acquire) == 0
    }

    /// Runs the jobs that a pause left and those of `more`, in the order of the [`JobQueue`], and
    /// sends their events. A paused lane keeps them until it is resumed. Returns false if the work
    /// has panicked or the receiver is gone.
    pub(super) fn run(&self, more: &mut Vec<Job<T>>) -> bool {
        let mut executor = lock(&self.executor);
        let Executor { work: Some(work), jobs, is_paused, since_pause } = &mut *executor else {
            return false;
        };
        let count = more.len();
        more.drain(..).for_each(|job| jobs.push(job));
        if *is_paused {
            return true;
        }
        let mut events = Vec::with_capacity(count);
        let finished = catch_unwind(AssertUnwindSafe(|| {
            while !since_pause.needs_pause()
                && let Some(Job { job, queued_at, order }) = jobs.pop()
            {
                since_pause.turns += usize::from(matches!(order, JobOrder::InTurn(_)));
                let event = work(job, queued_at);
                since_pause.answers_bytes += event.answer_bytes();
                events.push(event);
                self.counts.disk.depths[self.number].decrement();
            }
        }));
        if finished.is_err() {
            executor.work = None;
            // The events of earlier jobs are sent before that of the panic, because a failure among
            // them may have caused it.
            events.push(Event::Panicked(self.name));
        } else if since_pause.needs_pause() {
            *is_paused = true;
            events.push(Event::Paused);
        }
        self.events.send(events).is_ok() && executor.work.is_some()
    }

    /// Ends a pause; the next call of [`JobRunner::run`] continues. Returns true if there are jobs.
    pub(super) fn resume(&self) -> bool {
        let mut executor = lock(&self.executor);
        (executor.is_paused, executor.since_pause) = (false, Executed::default());
        !executor.jobs.is_empty()
    }

    #[cfg(test)]
    pub(super) fn work_weak(&self) -> std::sync::Weak<impl Sized + use<T>> {
        Arc::downgrade(&self.executor)
    }
}
