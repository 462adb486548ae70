//! Where the jobs of a lane are done, on whichever thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc::UnboundedSender;

use crate::machine::Frozen;
use crate::replica::Input;
use crate::runtime::metrics::{Counts, Stopwatch};

/// What comes back from a lane.
pub(in crate::runtime) enum Event {
    /// Something for the node.
    Input(Input),
    /// A view of the state machine, for the lane that reads it.
    View(Frozen),
    /// The lane panicked: nothing will come of what it was asked.
    Broken(&'static str),
}

/// A job, and since when it waits.
pub(super) type Job<T> = (T, Stopwatch);

/// How jobs are done.
type Work<T> = Box<dyn FnMut(T, Stopwatch) -> Event + Send>;

/// Where jobs are done. In the order of what has to go first: whoever sees the last sender go may
/// open the directory again, which the work has open.
pub(super) struct Desk<T> {
    /// None once it has panicked.
    work: Arc<Mutex<Option<Work<T>>>>,
    done: UnboundedSender<Vec<Event>>,
    counts: Arc<Counts>,
    pub(super) name: &'static str,
    number: usize,
}

impl<T> Clone for Desk<T> {
    fn clone(&self) -> Desk<T> {
        Desk {
            work: Arc::clone(&self.work),
            done: self.done.clone(),
            counts: Arc::clone(&self.counts),
            name: self.name,
            number: self.number,
        }
    }
}

impl<T> Desk<T> {
    pub(super) fn new(
        (name, number): (&'static str, usize),
        (done, counts): (UnboundedSender<Vec<Event>>, Arc<Counts>),
        work: impl FnMut(T, Stopwatch) -> Event + Send + 'static,
    ) -> Desk<T> {
        let work: Work<T> = Box::new(work);
        Desk { work: Arc::new(Mutex::new(Some(work))), done, counts, name, number }
    }

    /// One job more is to be done here.
    pub(super) fn announce(&self) {
        self.counts.disk.depths[self.number].increment();
    }

    /// Does `jobs`, and tells; false if that is over, because the work panicked or nobody listens.
    pub(super) fn carry_out(&self, jobs: &mut Vec<Job<T>>) -> bool {
        let mut desk = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(work) = &mut *desk else { return false };
        let events = catch_unwind(AssertUnwindSafe(|| {
            let events = jobs.drain(..).map(|(job, asked)| {
                let event = work(job, asked);
                self.counts.disk.depths[self.number].decrement();
                event
            });
            events.collect()
        }));
        if events.is_err() {
            *desk = None;
        }
        let told = self.done.send(events.unwrap_or_else(|_| vec![Event::Broken(self.name)]));
        told.is_ok() && desk.is_some()
    }

    #[cfg(test)]
    pub(super) fn watch(&self) -> std::sync::Weak<impl Sized + use<T>> {
        Arc::downgrade(&self.work)
    }
}
