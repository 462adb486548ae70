//! Runs the jobs of a lane, on the calling thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc::UnboundedSender;

use crate::machine::FrozenView;
use crate::replica::Input;
use crate::runtime::metrics::{Counts, Stopwatch};

/// The result of a job, for the driver.
pub(in crate::runtime) enum Event {
    /// An input for the node.
    Input(Input),
    /// A frozen view of the state machine, to be passed to the bulk lane that reads it.
    View(Option<FrozenView>),
    /// The named lane panicked; its jobs have no results.
    Panicked(&'static str),
}

/// A job, with a stopwatch that was started when the job was queued.
pub(super) type Job<T> = (T, Stopwatch);

/// The function that executes one job of a lane, and returns its event.
type Work<T> = Box<dyn FnMut(T, Stopwatch) -> Event + Send>;

/// Executes jobs. The order of the fields matters: `work`, which holds the open directory, must be
/// dropped before `events`, because the server reports the node as stopped, and its directory as
/// unlocked, once the last sender is gone.
pub(super) struct JobRunner<T> {
    /// The work; `None` once it has panicked.
    work: Arc<Mutex<Option<Work<T>>>>,
    events: UnboundedSender<Vec<Event>>,
    counts: Arc<Counts>,
    pub(super) name: &'static str,
    /// The position of the lane's queue depth in the metrics.
    number: usize,
}

impl<T> Clone for JobRunner<T> {
    fn clone(&self) -> JobRunner<T> {
        JobRunner {
            work: Arc::clone(&self.work),
            events: self.events.clone(),
            counts: Arc::clone(&self.counts),
            name: self.name,
            number: self.number,
        }
    }
}

impl<T> JobRunner<T> {
    pub(super) fn new(
        name: &'static str,
        number: usize,
        events: UnboundedSender<Vec<Event>>,
        counts: Arc<Counts>,
        work: impl FnMut(T, Stopwatch) -> Event + Send + 'static,
    ) -> JobRunner<T> {
        let work: Work<T> = Box::new(work);
        JobRunner { work: Arc::new(Mutex::new(Some(work))), events, counts, name, number }
    }

    /// Counts one more queued job.
    pub(super) fn count_queued(&self) {
        self.counts.disk.depths[self.number].increment();
    }

    /// Runs `jobs` and sends their events. Returns false if the work has panicked or the receiver
    /// is gone.
    pub(super) fn run(&self, jobs: &mut Vec<Job<T>>) -> bool {
        let mut guard = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(work) = &mut *guard else { return false };
        let mut events = Vec::with_capacity(jobs.len());
        let finished = catch_unwind(AssertUnwindSafe(|| {
            for (job, queued_at) in jobs.drain(..) {
                events.push(work(job, queued_at));
                self.counts.disk.depths[self.number].decrement();
            }
        }));
        if finished.is_err() {
            *guard = None;
            // An earlier job may have failed, which is then the reason of the panic.
            events.push(Event::Panicked(self.name));
        }
        self.events.send(events).is_ok() && guard.is_some()
    }

    #[cfg(test)]
    pub(super) fn work_weak(&self) -> std::sync::Weak<impl Sized + use<T>> {
        Arc::downgrade(&self.work)
    }
}
