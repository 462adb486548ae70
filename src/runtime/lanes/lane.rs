//! One lane: a queue of jobs with a thread of its own.
//!
//! Under madsim there are no threads: the caller executes all jobs.

use std::io;
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;

use crate::runtime::busy_poll::BusyPoll;
use crate::runtime::lanes::job_runner::{Event, Job, JobRunner};
#[cfg(not(madsim))]
use crate::runtime::lanes::thread::LaneThread;
use crate::runtime::metrics::{Counts, Stopwatch};

/// Executes jobs of one kind, one after the other.
pub(super) struct Lane<T> {
    /// The jobs of the next batch. Batching saves wake-ups: waking a thread takes longer than many
    /// jobs.
    queued: Vec<Job<T>>,
    /// Whether the batch contains a job that may take long.
    slow: bool,
    runner: JobRunner<T>,
    #[cfg(not(madsim))]
    thread: LaneThread<T>,
}

impl<T: Send + 'static> Lane<T> {
    #[cfg_attr(madsim, expect(unused_variables, reason = "no thread polls under madsim"))]
    pub(super) fn start(
        name: &'static str,
        number: usize,
        events: &UnboundedSender<Vec<Event>>,
        counts: &Arc<Counts>,
        busy_poll: BusyPoll,
        work: impl FnMut(T, Stopwatch) -> Event + Send + 'static,
    ) -> io::Result<Lane<T>> {
        let runner = JobRunner::new(name, number, events.clone(), Arc::clone(counts), work);
        Ok(Lane {
            queued: Vec::new(),
            slow: false,
            #[cfg(not(madsim))]
            thread: LaneThread::start(runner.clone(), busy_poll)?,
            runner,
        })
    }

    /// Queues a job until [`Lane::submit`], which runs it on the lane's thread.
    pub(super) fn queue(&mut self, job: T) {
        self.slow = true;
        self.queue_quick(job);
    }

    /// Queues a job that takes less time than waking a thread, and so may run on the caller's
    /// thread.
    pub(super) fn queue_quick(&mut self, job: T) {
        self.runner.count_queued();
        self.queued.push((job, Stopwatch::start()));
    }

    /// Executes the queued jobs: on the thread if one is slow or the thread is busy, else at once.
    pub(super) fn submit(&mut self) {
        if self.queued.is_empty() {
            return;
        }
        #[cfg_attr(madsim, expect(unused_variables, reason = "there is no thread under madsim"))]
        let slow = std::mem::take(&mut self.slow);
        #[cfg(not(madsim))]
        if slow || !self.thread.is_idle() {
            return self.thread.send(std::mem::take(&mut self.queued));
        }
        // The send fails only once the driver is gone, and then nothing needs the events.
        let _ = self.runner.run(&mut self.queued);
    }

    /// Executes the jobs that a pause left, because the driver has handled the events before it.
    pub(super) fn resume(&mut self) {
        self.runner.resume();
        #[cfg(not(madsim))]
        self.thread.send(Vec::new());
        #[cfg(madsim)]
        let _ = self.runner.run(&mut Vec::new());
    }
}

#[cfg(test)]
#[cfg(not(madsim))]
mod tests {
    use std::sync::mpsc;
    use std::thread::{self, ThreadId};
    use std::time::Duration;

    use tokio::sync::mpsc::UnboundedReceiver;

    use super::*;
    use crate::replica::{Input, WorkResult};
    use crate::storage::ClusterId;
    use crate::types::{Index, NodeId, Tag};

    /// The gate that a job waits for, and the sender of the id of the thread that executed it.
    type TestJob = (Option<mpsc::Receiver<()>>, mpsc::Sender<ThreadId>);

    fn lane() -> (Lane<TestJob>, UnboundedReceiver<Vec<Event>>) {
        let (events, events_received) = tokio::sync::mpsc::unbounded_channel();
        let counts = Arc::new(Counts::new(NodeId(1), ClusterId(7)));
        let busy_poll = BusyPoll::new(Duration::ZERO);
        let lane = Lane::start(
            "lane",
            0,
            &events,
            &counts,
            busy_poll,
            |(gate, thread_sender): TestJob, _| {
                if let Some(gate) = gate {
                    gate.recv().expect("the test releases it");
                }
                thread_sender.send(thread::current().id()).expect("the test receives it");
                Event::Input(Input::Timeout)
            },
        );
        (lane.expect("the thread starts"), events_received)
    }

    #[test]
    fn quick_jobs_run_on_the_callers_thread_unless_a_job_is_queued() {
        let (mut lane, mut events_received) = lane();
        let (thread_sender, threads) = mpsc::channel();
        let here = thread::current().id();
        lane.queue_quick((None, thread_sender.clone()));
        lane.submit();
        assert_eq!(threads.try_recv(), Ok(here));
        assert_eq!(events_received.try_recv().expect("the events are sent").len(), 1);

        let (release, gate) = mpsc::channel();
        lane.queue((Some(gate), thread_sender.clone()));
        lane.submit();
        lane.queue_quick((None, thread_sender.clone()));
        lane.submit();
        assert!(threads.try_recv().is_err(), "the quick job waits behind the slow one");
        release.send(()).expect("the job waits");
        for _ in 0..2 {
            assert_ne!(threads.recv(), Ok(here));
            assert_eq!(events_received.blocking_recv().expect("the events are sent").len(), 1);
        }
    }

    #[test]
    fn quick_jobs_run_on_the_lanes_thread_together_with_a_slow_one() {
        let (mut lane, mut events_received) = lane();
        let (thread_sender, threads) = mpsc::channel();
        lane.queue_quick((None, thread_sender.clone()));
        lane.queue((None, thread_sender.clone()));
        lane.submit();
        assert_eq!(events_received.blocking_recv().expect("the events are sent").len(), 2);
        assert!(threads.try_iter().all(|id| id != thread::current().id()));
    }

    #[test]
    fn a_lane_that_panicked_executes_no_more_jobs() {
        let (mut lane, mut events_received) = lane();
        let (thread_sender, threads) = mpsc::channel();
        drop(threads);
        for _ in 0..2 {
            lane.queue_quick((None, thread_sender.clone()));
            lane.submit();
        }
        let events = events_received.try_recv().expect("the events are sent");
        assert!(matches!(events[..], [Event::Panicked("lane")]));
        assert!(events_received.try_recv().is_err());
    }

    #[test]
    fn the_events_of_jobs_before_a_panic_are_sent() {
        let (mut lane, mut events_received) = lane();
        let (thread_sender, _threads) = mpsc::channel();
        let (closed, _) = mpsc::channel();
        for sender in [thread_sender, closed] {
            lane.queue_quick((None, sender));
        }
        lane.submit();
        let events = events_received.try_recv().expect("the events are sent");
        assert!(matches!(events[..], [Event::Input(_), Event::Panicked("lane")]));
    }

    #[test]
    fn a_lane_pauses_until_long_answers_are_handled() {
        const JOBS: u64 = 4096;
        let (events, mut events_received) = tokio::sync::mpsc::unbounded_channel();
        let counts = Arc::new(Counts::new(NodeId(1), ClusterId(7)));
        let poll = BusyPoll::new(Duration::ZERO);
        let mut lane = Lane::start("lane", 0, &events, &counts, poll, |tag, _| {
            let (applied, answer) = (Index(1), vec![7; 1 << 20]);
            Event::Input(Input::WorkDone(WorkResult::Answered { tag: Tag(tag), applied, answer }))
        })
        .expect("the thread starts");
        (0..JOBS / 2).for_each(|tag| lane.queue_quick(tag));
        lane.submit();
        (JOBS / 2..JOBS).for_each(|tag| lane.queue(tag));
        lane.submit();
        let mut answered = 0;
        while answered < JOBS {
            let batch = events_received.blocking_recv().expect("the events are sent");
            assert!(batch.len() <= 5, "{} answers at once", batch.len());
            assert!(events_received.try_recv().is_err(), "the lane waits");
            for event in batch {
                match event {
                    Event::Input(Input::WorkDone(WorkResult::Answered { tag, .. })) => {
                        assert_eq!(tag, Tag(answered), "the answers are in order");
                        answered += 1;
                    }
                    Event::Paused => lane.resume(),
                    _ => panic!("no other event is sent"),
                }
            }
        }
    }

    #[test]
    fn the_work_is_dropped_before_the_last_sender() {
        let (lane, mut events_received) = lane();
        let work = lane.runner.work_weak();
        drop(lane);
        assert!(events_received.blocking_recv().is_none());
        assert!(work.upgrade().is_none());
    }
}
