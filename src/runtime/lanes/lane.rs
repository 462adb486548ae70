//! One lane: a queue of jobs with a thread of its own; in a simulation with a task of its own.

use std::io;
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;

use crate::runtime::busy_poll::BusyPoll;
use crate::runtime::environment::Environment;
use crate::runtime::lanes::job_queue::{Job, JobOrder};
use crate::runtime::lanes::job_runner::{Event, Execute, JobRunner};
use crate::runtime::lanes::task::LaneTask;
use crate::runtime::lanes::thread::LaneThread;
use crate::runtime::metrics::{Counts, Stopwatch};

/// Executes jobs of one kind, one at a time.
pub(super) struct Lane<T> {
    /// The jobs of the next batch. Batching saves wake-ups: waking a thread takes longer than many
    /// jobs.
    queued: Vec<Job<T>>,
    /// Whether the batch contains a job that may take long.
    slow: bool,
    runner: JobRunner<T>,
    executor: ThreadOrTask<T>,
}

/// The executor of jobs that may take long, and of those queued after them.
enum ThreadOrTask<T> {
    Thread(LaneThread<T>),
    Task(LaneTask<T>),
}

/// The common parts of all lanes of a node.
pub(in crate::runtime) struct LaneStart {
    pub(in crate::runtime) environment: Environment,
    pub(in crate::runtime) busy_poll: BusyPoll,
    pub(in crate::runtime) events: UnboundedSender<Vec<Event>>,
    pub(in crate::runtime) counts: Arc<Counts>,
}

impl LaneStart {
    /// Starts a lane. `number` is the position of its queue depth in the metrics.
    pub(super) fn lane<T: Send + 'static>(
        &self,
        name: &'static str,
        number: usize,
        work: Execute<T>,
    ) -> io::Result<Lane<T>> {
        let (events, counts) = (self.events.clone(), Arc::clone(&self.counts));
        let runner = JobRunner::new(name, number, events, counts, work);
        let executor = match self.environment.simulation() {
            None => ThreadOrTask::Thread(LaneThread::start(runner.clone(), self.busy_poll)?),
            Some(simulation) => {
                ThreadOrTask::Task(LaneTask::start(runner.clone(), Arc::clone(simulation)))
            }
        };
        Ok(Lane { queued: Vec::new(), slow: false, runner, executor })
    }
}

impl<T: Send + 'static> Lane<T> {
    /// Queues a job until [`Lane::submit`], which runs it on the lane's thread.
    pub(super) fn queue(&mut self, job: T, order: JobOrder) {
        self.slow = true;
        self.queue_quick(job, order);
    }

    /// Queues a job that takes less time than waking a thread, and so may run on the caller's
    /// thread.
    pub(super) fn queue_quick(&mut self, job: T, order: JobOrder) {
        self.runner.count_queued();
        self.queued.push(Job { job, queued_at: Stopwatch::start(), order });
    }

    /// Executes the queued jobs: on the thread if one is slow or the thread is busy, else at once.
    /// A paused lane keeps them until [`Lane::resume`].
    pub(super) fn submit(&mut self) {
        if self.queued.is_empty() {
            return;
        }
        if std::mem::take(&mut self.slow) || !self.runner.is_idle() {
            let batch = std::mem::take(&mut self.queued);
            return self.send(batch);
        }
        // Returns false after a panic, which the driver learns from an event, and once the driver
        // is gone and needs no events.
        let _ = self.runner.run(&mut self.queued);
    }

    /// Ends a pause, because the driver has handled the events before it, and executes the jobs
    /// that the pause left.
    pub(super) fn resume(&mut self) {
        if self.runner.resume() {
            self.send(Vec::new());
        }
    }

    fn send(&self, batch: Vec<Job<T>>) {
        self.runner.begin_batch();
        match &self.executor {
            ThreadOrTask::Thread(thread) => thread.send(batch),
            ThreadOrTask::Task(task) => task.send(batch),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread::{self, ThreadId};
    use std::time::Duration;

    use tokio::sync::mpsc::UnboundedReceiver;

    use super::*;
    use crate::replica::{Input, WorkResult};
    use crate::runtime::origin::OriginNumber;
    use crate::storage::ClusterId;
    use crate::types::{Index, NodeId, Tag};

    /// The gate that a job waits for, and the sender of the id of the thread that executed it.
    type TestJob = (Option<mpsc::Receiver<()>>, mpsc::Sender<ThreadId>);

    fn lane_of<T: Send + 'static>(
        work: impl FnMut(T, Stopwatch) -> Event + Send + 'static,
    ) -> (Lane<T>, UnboundedReceiver<Vec<Event>>) {
        let (events, events_received) = tokio::sync::mpsc::unbounded_channel();
        let counts = Arc::new(Counts::new(NodeId(1), ClusterId(7)));
        let environment = Environment::System;
        let busy_poll = BusyPoll::new(&environment, Duration::ZERO);
        let start = LaneStart { environment, busy_poll, events, counts };
        (start.lane("lane", 0, Box::new(work)).expect("the thread starts"), events_received)
    }

    fn lane() -> (Lane<TestJob>, UnboundedReceiver<Vec<Event>>) {
        lane_of(|(gate, thread_sender): TestJob, _| {
            if let Some(gate) = gate {
                gate.recv().expect("the test releases it");
            }
            thread_sender.send(thread::current().id()).expect("the test receives it");
            Event::Input(Input::Timeout)
        })
    }

    #[test]
    fn quick_jobs_run_on_the_callers_thread_unless_a_job_is_queued() {
        let (mut lane, mut events_received) = lane();
        let (thread_sender, threads) = mpsc::channel();
        let here = thread::current().id();
        lane.queue_quick((None, thread_sender.clone()), JobOrder::InOrder);
        lane.submit();
        assert_eq!(threads.try_recv(), Ok(here));
        assert_eq!(events_received.try_recv().expect("the events are sent").len(), 1);

        let (release, gate) = mpsc::channel();
        lane.queue((Some(gate), thread_sender.clone()), JobOrder::InOrder);
        lane.submit();
        lane.queue_quick((None, thread_sender.clone()), JobOrder::InOrder);
        lane.submit();
        assert!(threads.try_recv().is_err(), "the quick job waits behind the slow one");
        release.send(()).expect("the job waits");
        let mut events = 0;
        while events < 2 {
            events += events_received.blocking_recv().expect("the events are sent").len();
        }
        assert!(threads.try_iter().take(2).all(|id| id != here));
    }

    #[test]
    fn quick_jobs_run_on_the_lanes_thread_together_with_a_slow_one() {
        let (mut lane, mut events_received) = lane();
        let (thread_sender, threads) = mpsc::channel();
        lane.queue_quick((None, thread_sender.clone()), JobOrder::InOrder);
        lane.queue((None, thread_sender.clone()), JobOrder::InOrder);
        lane.submit();
        assert_eq!(events_received.blocking_recv().expect("the events are sent").len(), 2);
        assert!(threads.try_iter().all(|id| id != thread::current().id()));
    }

    #[test]
    fn quick_jobs_run_on_the_callers_thread_again_once_the_slow_ones_have_ended() {
        let (mut lane, _events_received) = lane();
        let (thread_sender, threads) = mpsc::channel();
        let (release, gate) = mpsc::channel();
        let mut gate = Some(gate);
        for _ in 0..3 {
            lane.queue((gate.take(), thread_sender.clone()), JobOrder::InOrder);
            lane.submit();
        }
        release.send(()).expect("the first job waits");
        while !lane.runner.is_idle() {
            thread::yield_now();
        }
        lane.queue_quick((None, thread_sender), JobOrder::InOrder);
        lane.submit();
        assert_eq!(threads.try_iter().last(), Some(thread::current().id()));
    }

    #[test]
    fn a_lane_that_panicked_executes_no_more_jobs() {
        let (mut lane, mut events_received) = lane();
        let (thread_sender, threads) = mpsc::channel();
        drop(threads);
        for _ in 0..2 {
            lane.queue_quick((None, thread_sender.clone()), JobOrder::InOrder);
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
            lane.queue_quick((None, sender), JobOrder::InOrder);
        }
        lane.submit();
        let events = events_received.try_recv().expect("the events are sent");
        assert!(matches!(events[..], [Event::Input(_), Event::Panicked("lane")]));
    }

    #[test]
    fn a_lane_pauses_until_long_answers_are_handled() {
        const JOBS: u64 = 4096;
        let (mut lane, mut events_received) = lane_of(|tag, _| {
            let (applied, answer) = (Index(1), vec![7; 1 << 20]);
            Event::Input(Input::WorkDone(WorkResult::Answered { tag: Tag(tag), applied, answer }))
        });
        (0..JOBS / 2).for_each(|tag| lane.queue_quick(tag, JobOrder::InOrder));
        lane.submit();
        (JOBS / 2..JOBS).for_each(|tag| lane.queue(tag, JobOrder::InOrder));
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
    fn a_lane_pauses_for_the_long_answers_of_many_submits() {
        let (mut lane, mut events_received) = lane_of(|tag, _| {
            let (applied, answer) = (Index(1), vec![7; 1 << 20]);
            Event::Input(Input::WorkDone(WorkResult::Answered { tag: Tag(tag), applied, answer }))
        });
        for tag in 0..100 {
            lane.queue_quick(tag, JobOrder::InTurn(OriginNumber(1)));
            lane.submit();
        }
        let mut events = Vec::new();
        while let Ok(batch) = events_received.try_recv() {
            events.extend(batch);
        }
        assert_eq!(events.len(), 5, "four answers, and the pause");
        assert!(matches!(events[4], Event::Paused));
        lane.resume();
        let next = events_received.blocking_recv().expect("the events are sent");
        assert_eq!(next.len(), 5, "the thread continues");
    }

    #[test]
    fn a_lane_pauses_after_many_queries_so_that_a_command_passes_the_rest() {
        const COMMAND: u64 = 10_000;
        let (mut lane, mut events_received) = lane_of(|tag, _| {
            let (applied, answer) = (Index(1), Vec::new());
            Event::Input(Input::WorkDone(WorkResult::Answered { tag: Tag(tag), applied, answer }))
        });
        (0..COMMAND).for_each(|tag| lane.queue_quick(tag, JobOrder::InTurn(OriginNumber(1))));
        lane.submit();
        let events = events_received.try_recv().expect("the events are sent");
        assert!(matches!(events.last(), Some(Event::Paused)), "{} events", events.len());
        lane.queue_quick(COMMAND, JobOrder::InOrder);
        lane.submit();
        lane.resume();
        let next = events_received.blocking_recv().expect("the events are sent").remove(0);
        let Event::Input(Input::WorkDone(WorkResult::Answered { tag, .. })) = next else {
            panic!("the command is executed");
        };
        assert_eq!(tag, Tag(COMMAND));
    }

    #[test]
    fn a_command_and_another_clients_query_pass_the_queries_of_one_client() {
        const COMMAND: u64 = 1000;
        const OTHER: u64 = 2000;
        let (mut lane, mut events_received) = lane_of(|tag, _| {
            let (applied, answer) = (Index(1), vec![7; 1 << 20]);
            Event::Input(Input::WorkDone(WorkResult::Answered { tag: Tag(tag), applied, answer }))
        });
        let mut tags_of_next_batch = || -> Vec<u64> {
            let batch = events_received.blocking_recv().expect("the events are sent");
            let tag = |event| match event {
                Event::Input(Input::WorkDone(WorkResult::Answered { tag, .. })) => Some(tag.0),
                _ => None,
            };
            batch.into_iter().filter_map(tag).collect()
        };
        let one = JobOrder::InTurn(OriginNumber(1));
        (0..100).for_each(|tag| lane.queue(tag, one));
        lane.submit();
        assert_eq!(tags_of_next_batch(), [0, 1, 2, 3], "the lane pauses");
        lane.queue_quick(OTHER, JobOrder::InTurn(OriginNumber(2)));
        lane.queue_quick(COMMAND, JobOrder::InOrder);
        lane.submit();
        lane.resume();
        assert_eq!(tags_of_next_batch(), [COMMAND, 4, OTHER, 5]);
    }

    #[test]
    fn the_queries_of_later_batches_take_turns_too() {
        const COMMAND: u64 = 1000;
        const OTHER: u64 = 2000;
        let (release, gate) = mpsc::channel();
        let (mut lane, mut events_received) = lane_of(move |tag, _| {
            if tag == 0 {
                gate.recv().expect("the test releases it");
            }
            let (applied, answer) = (Index(1), Vec::new());
            Event::Input(Input::WorkDone(WorkResult::Answered { tag: Tag(tag), applied, answer }))
        });
        for tag in 0..100 {
            lane.queue(tag, JobOrder::InTurn(OriginNumber(1)));
            lane.submit();
        }
        lane.queue(OTHER, JobOrder::InTurn(OriginNumber(2)));
        lane.submit();
        lane.queue(COMMAND, JobOrder::InOrder);
        lane.submit();
        release.send(()).expect("the job waits");
        let mut tags = Vec::new();
        while tags.len() < 102 {
            let batch = events_received.blocking_recv().expect("the events are sent");
            tags.extend(batch.into_iter().filter_map(|event| match event {
                Event::Input(Input::WorkDone(WorkResult::Answered { tag, .. })) => Some(tag.0),
                _ => None,
            }));
        }
        let place = |of| tags.iter().position(|tag| *tag == of);
        assert!(place(COMMAND) < place(99), "a command comes before queries");
        assert!(place(OTHER) < place(99), "the other client has its turn");
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
