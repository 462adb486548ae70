//! The thread of a lane.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crossbeam_channel::{Receiver, Sender, TryRecvError};
use tracing::Span;

use crate::runtime::lanes::desk::{Desk, Job};
use crate::runtime::lookout::Lookout;

/// Does jobs in their order.
pub(super) struct Thread<T> {
    /// None only while the thread ends.
    jobs: Option<Sender<Vec<Job<T>>>>,
    thread: thread::Thread,
    /// How often it was given jobs, without those of which it has told.
    given: Arc<AtomicUsize>,
}

impl<T: Send + 'static> Thread<T> {
    pub(super) fn start(desk: Desk<T>, lookout: Lookout) -> io::Result<Thread<T>> {
        // The node itself bounds how much it has asked for.
        let (sender, jobs) = crossbeam_channel::unbounded::<Vec<Job<T>>>();
        let (span, given) = (Span::current(), Arc::<AtomicUsize>::default());
        let told = Arc::clone(&given);
        let thread = thread::Builder::new().name(desk.name.to_owned()).spawn(move || {
            let _within = span.entered();
            while let Some(mut batch) = next(&jobs, lookout) {
                if !desk.carry_out(&mut batch) {
                    break;
                }
                told.fetch_sub(1, Ordering::Release);
            }
        })?;
        Ok(Thread { jobs: Some(sender), thread: thread.thread().clone(), given })
    }

    /// Whether all is told that it was given.
    pub(super) fn is_idle(&self) -> bool {
        self.given.load(Ordering::Acquire) == 0
    }

    pub(super) fn give(&self, batch: Vec<Job<T>>) {
        if let Some(jobs) = &self.jobs {
            self.given.fetch_add(1, Ordering::Relaxed);
            // One that is gone has told why.
            let _ = jobs.send(batch);
            self.thread.unpark();
        }
    }
}

/// The next jobs, as soon as there are some; none if there never will be. How long to look before
/// sleeping is said, and not left to the channel.
fn next<T>(jobs: &Receiver<T>, lookout: Lookout) -> Option<T> {
    let look = || match jobs.try_recv() {
        Err(TryRecvError::Empty) => None,
        looked => Some(looked.ok()),
    };
    let mut next = lookout.look(look);
    while next.is_none() {
        // Returns at once, and once, if the jobs before these were found without sleeping.
        thread::park();
        next = look();
    }
    next.flatten()
}

impl<T> Drop for Thread<T> {
    fn drop(&mut self) {
        self.jobs = None;
        self.thread.unpark();
    }
}
