//! The thread of a lane.

use std::io;
use std::thread;

use crossbeam_channel::{Receiver, Sender, TryRecvError};
use tracing::Span;

use crate::runtime::busy_poll::BusyPoll;
use crate::runtime::lanes::job_queue::Job;
use crate::runtime::lanes::job_runner::JobRunner;

/// A thread that executes batches of jobs, together if several are queued.
pub(super) struct LaneThread<T> {
    /// `None` only while the thread is being stopped.
    jobs: Option<Sender<Vec<Job<T>>>>,
    thread: thread::Thread,
}

impl<T: Send + 'static> LaneThread<T> {
    pub(super) fn start(runner: JobRunner<T>, busy_poll: BusyPoll) -> io::Result<LaneThread<T>> {
        // The node bounds the number of its outstanding operations, and so this queue.
        let (sender, jobs) = crossbeam_channel::unbounded::<Vec<Job<T>>>();
        let span = Span::current();
        let thread = thread::Builder::new().name(runner.name.to_owned()).spawn(move || {
            let _within = span.entered();
            while let Some(mut batch) = next_batch(&jobs, busy_poll) {
                let mut batches = 1;
                // Jobs of the later batches may come before those of this one.
                while let Ok(more) = jobs.try_recv() {
                    batch.extend(more);
                    batches += 1;
                }
                if !runner.run(&mut batch) {
                    break;
                }
                runner.finish_batches(batches);
            }
        })?;
        Ok(LaneThread { jobs: Some(sender), thread: thread.thread().clone() })
    }

    pub(super) fn send(&self, batch: Vec<Job<T>>) {
        if let Some(jobs) = &self.jobs {
            // A thread that has ended has reported the panic that ended it.
            let _ = jobs.send(batch);
            self.thread.unpark();
        }
    }
}

/// Waits for the next batch; returns `None` once the sender is gone. Parks the thread itself,
/// because the channel's blocking receive cannot busy-poll for the configured time before that.
fn next_batch<T>(jobs: &Receiver<T>, busy_poll: BusyPoll) -> Option<T> {
    let poll_once = || match jobs.try_recv() {
        Err(TryRecvError::Empty) => None,
        received => Some(received.ok()),
    };
    let mut next = busy_poll.poll(poll_once);
    while next.is_none() {
        // If earlier batches were received without parking, their unpark makes one call return at
        // once, and the loop polls again.
        thread::park();
        next = poll_once();
    }
    next.flatten()
}

impl<T> Drop for LaneThread<T> {
    fn drop(&mut self) {
        self.jobs = None;
        self.thread.unpark();
    }
}
