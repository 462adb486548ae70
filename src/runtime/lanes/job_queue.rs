//! The order in which a lane executes its jobs.

use std::collections::VecDeque;

use crate::runtime::metrics::Stopwatch;
use crate::runtime::origin::OriginNumber;
use crate::runtime::turn_queue::TurnQueue;

/// A job, and the stopwatch that was started when it was queued.
pub(super) struct Job<T> {
    pub(super) job: T,
    pub(super) queued_at: Stopwatch,
    pub(super) order: JobOrder,
}

/// When a job is executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JobOrder {
    /// After the last barrier and the earlier jobs in order. Before the jobs that take turns and
    /// were queued since that barrier, even before those that were queued earlier than this one.
    InOrder,
    /// After every job that was queued before it, and before every one that is queued later.
    Barrier,
    /// After the jobs that were queued before it by the same origin. Origins take turns.
    InTurn(OriginNumber),
}

/// The jobs of a lane that are not executed yet.
pub(super) struct JobQueue<T> {
    in_order: VecDeque<Job<T>>,
    in_turn: TurnQueue<Job<T>>,
}

impl<T> JobQueue<T> {
    pub(super) fn new() -> JobQueue<T> {
        JobQueue { in_order: VecDeque::new(), in_turn: TurnQueue::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.in_order.is_empty() && self.in_turn.is_empty()
    }

    pub(super) fn push(&mut self, job: Job<T>) {
        match job.order {
            JobOrder::InOrder => self.in_order.push_back(job),
            JobOrder::Barrier => {
                while let Some(earlier) = self.in_turn.pop() {
                    self.in_order.push_back(earlier);
                }
                self.in_order.push_back(job);
            }
            JobOrder::InTurn(origin) => self.in_turn.push(origin, job),
        }
    }

    /// Removes and returns the next job to execute.
    pub(super) fn pop(&mut self) -> Option<Job<T>> {
        self.in_order.pop_front().or_else(|| self.in_turn.pop())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(queue: &mut JobQueue<u32>, job: u32, order: JobOrder) {
        queue.push(Job { job, queued_at: Stopwatch::start(), order });
    }

    fn popped(queue: &mut JobQueue<u32>) -> Vec<u32> {
        std::iter::from_fn(|| queue.pop()).map(|job| job.job).collect()
    }

    #[test]
    fn origins_take_turns_and_jobs_in_order_come_first() {
        let mut queue = JobQueue::new();
        assert!(queue.is_empty());
        let (one, other) = (OriginNumber(1), OriginNumber(2));
        for job in 10..14 {
            push(&mut queue, job, JobOrder::InTurn(other));
        }
        push(&mut queue, 1, JobOrder::InOrder);
        for job in 20..22 {
            push(&mut queue, job, JobOrder::InTurn(one));
        }
        push(&mut queue, 2, JobOrder::InOrder);
        assert_eq!(popped(&mut queue), [1, 2, 10, 20, 11, 21, 12, 13]);
        assert!(queue.is_empty());
    }

    #[test]
    fn no_job_passes_a_barrier() {
        let mut queue = JobQueue::new();
        let origin = JobOrder::InTurn(OriginNumber(1));
        push(&mut queue, 10, origin);
        push(&mut queue, 1, JobOrder::InOrder);
        push(&mut queue, 2, JobOrder::Barrier);
        push(&mut queue, 11, origin);
        push(&mut queue, 3, JobOrder::InOrder);
        assert_eq!(popped(&mut queue), [1, 10, 2, 3, 11]);
    }
}
