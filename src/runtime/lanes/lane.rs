//! One lane: a thread of its own, or whoever asks.
//!
//! Here threads differ from a simulation: there all work is done by whoever asks.

use std::io;
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;

use crate::runtime::lanes::desk::{Desk, Event, Job};
#[cfg(not(madsim))]
use crate::runtime::lanes::thread::Thread;
use crate::runtime::lookout::Lookout;
use crate::runtime::metrics::{Counts, Stopwatch};

/// Does one kind of work, one thing after the other.
pub(super) struct Lane<T> {
    /// What is given to the lane next, all at once: waking a thread takes longer than many a job.
    next: Vec<Job<T>>,
    /// Whether something of that may take long.
    slow: bool,
    desk: Desk<T>,
    #[cfg(not(madsim))]
    thread: Thread<T>,
}

impl<T: Send + 'static> Lane<T> {
    #[cfg_attr(madsim, expect(unused_variables, reason = "no thread looks out for anything"))]
    pub(super) fn start(
        (name, number): (&'static str, usize),
        (done, counts): (&UnboundedSender<Vec<Event>>, &Arc<Counts>),
        lookout: Lookout,
        work: impl FnMut(T, Stopwatch) -> Event + Send + 'static,
    ) -> io::Result<Lane<T>> {
        let desk = Desk::new((name, number), (done.clone(), Arc::clone(counts)), work);
        Ok(Lane {
            next: Vec::new(),
            slow: false,
            #[cfg(not(madsim))]
            thread: Thread::start(desk.clone(), lookout)?,
            desk,
        })
    }

    /// Takes a job that is to be done once the lane is told to [go](Lane::go).
    pub(super) fn put(&mut self, job: T) {
        self.slow = true;
        self.put_quick(job);
    }

    /// Takes one that takes less time than to wake a thread.
    pub(super) fn put_quick(&mut self, job: T) {
        self.desk.announce();
        self.next.push((job, Stopwatch::start()));
    }

    /// Has done what was put there.
    pub(super) fn go(&mut self) {
        if self.next.is_empty() {
            return;
        }
        #[cfg_attr(madsim, expect(unused_variables, reason = "there is nobody to leave it to"))]
        let slow = std::mem::take(&mut self.slow);
        #[cfg(not(madsim))]
        if slow || !self.thread.is_idle() {
            return self.thread.give(std::mem::take(&mut self.next));
        }
        // Nobody is left to hear of it only when the node itself is gone.
        let _ = self.desk.carry_out(&mut self.next);
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
    use crate::replica::Input;
    use crate::storage::ClusterId;
    use crate::types::NodeId;

    /// What a job waits for, and whoever did it.
    type Errand = (Option<mpsc::Receiver<()>>, mpsc::Sender<ThreadId>);

    fn lane() -> (Lane<Errand>, UnboundedReceiver<Vec<Event>>) {
        let (done, told) = tokio::sync::mpsc::unbounded_channel();
        let counts = Arc::new(Counts::new(NodeId(1), ClusterId(7)));
        let lookout = Lookout::new(Duration::ZERO);
        let lane = Lane::start(("lane", 0), (&done, &counts), lookout, |(wait, by): Errand, _| {
            if let Some(wait) = wait {
                wait.recv().expect("it is let go on");
            }
            by.send(thread::current().id()).expect("somebody asks");
            Event::Input(Input::Timeout)
        });
        (lane.expect("there are threads"), told)
    }

    #[test]
    fn what_is_quick_is_done_at_once_unless_something_waits() {
        let (mut lane, mut told) = lane();
        let (by, whoever) = mpsc::channel();
        let here = thread::current().id();
        lane.put_quick((None, by.clone()));
        lane.go();
        assert_eq!(whoever.try_recv(), Ok(here));
        assert_eq!(told.try_recv().expect("it is told").len(), 1);

        let (go_on, wait) = mpsc::channel();
        lane.put((Some(wait), by.clone()));
        lane.go();
        lane.put_quick((None, by.clone()));
        lane.go();
        assert!(whoever.try_recv().is_err(), "the quick one waits behind the slow one");
        go_on.send(()).expect("it waits");
        for _ in 0..2 {
            assert_ne!(whoever.recv(), Ok(here));
            assert_eq!(told.blocking_recv().expect("it is told").len(), 1);
        }
    }

    #[test]
    fn what_is_slow_takes_along_what_is_given_with_it() {
        let (mut lane, mut told) = lane();
        let (by, whoever) = mpsc::channel();
        lane.put_quick((None, by.clone()));
        lane.put((None, by.clone()));
        lane.go();
        assert_eq!(told.blocking_recv().expect("it is told").len(), 2);
        assert!(whoever.try_iter().all(|id| id != thread::current().id()));
    }

    #[test]
    fn who_panics_is_asked_nothing_more() {
        let (mut lane, mut told) = lane();
        let (by, whoever) = mpsc::channel();
        drop(whoever);
        for _ in 0..2 {
            lane.put_quick((None, by.clone()));
            lane.go();
        }
        let events = told.try_recv().expect("it is told");
        assert!(matches!(events[..], [Event::Broken("lane")]));
        assert!(told.try_recv().is_err());
    }

    #[test]
    fn whoever_sees_the_last_sender_go_finds_the_work_gone() {
        let (lane, mut told) = lane();
        let work = lane.desk.watch();
        drop(lane);
        assert!(told.blocking_recv().is_none());
        assert!(work.upgrade().is_none());
    }
}
