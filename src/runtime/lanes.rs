//! What takes its time is done beside the node, each thing in its order: operations of the log,
//! operations that may wait, and the state machine.
//!
//! Here, and nowhere else, threads differ from a simulation: there the same work is done at once.

use std::io::{self, Read};
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;
#[cfg(not(madsim))]
use tracing::Span;
use tracing::warn;

use crate::machine::{Frozen, StateMachine};
use crate::replica::{Input, Output, Work, Worker};
use crate::runtime::metrics::{Counts, Stopwatch};
use crate::storage::{Completion, Disk, Lane as DiskLane, Operation};

/// What comes back from a lane.
pub(super) enum Event {
    /// Something for the node.
    Input(Input),
    /// A view of the state machine, for the lane that reads it.
    View(Frozen),
    /// The lane panicked: nothing will come of what it was asked.
    #[cfg_attr(madsim, expect(dead_code, reason = "the node itself panics with its lanes"))]
    Broken(&'static str),
}

/// What a lane may be asked for beside files.
enum Bulk {
    File(Operation),
    Keep(Frozen),
    View(usize),
}

enum Labour {
    Work(Work),
    Freeze,
}

/// The lanes of one node.
pub(super) struct Lanes {
    log: Lane<Operation>,
    bulk: Lane<Bulk>,
    labour: Lane<Labour>,
}

impl Lanes {
    /// Begins the work; what is done goes to `done`. The last of its clones goes with the last
    /// lane, once that has let go of the disk.
    pub(super) fn start<M, D>(
        disk: &D,
        mut worker: Worker<M>,
        done: &UnboundedSender<Vec<Event>>,
        counts: &Arc<Counts>,
    ) -> io::Result<Lanes>
    where
        M: StateMachine + Send + 'static,
        D: Disk + Clone + Send + 'static,
    {
        let mut files = disk.clone();
        let told = Arc::clone(counts);
        let log = Lane::start(("quorate-log", 0), done, counts, move |operation, asked| {
            Event::Input(carry_out(&mut files, &operation, asked, &told))
        })?;
        let told = Arc::clone(counts);
        let (mut files, mut view) = (disk.clone(), None::<Frozen>);
        let bulk = Lane::start(("quorate-bulk", 1), done, counts, move |job, asked| {
            Event::Input(match job {
                Bulk::File(operation) => carry_out(&mut files, &operation, asked, &told),
                Bulk::Keep(frozen) => {
                    let last = frozen.last();
                    view = Some(frozen);
                    Input::Frozen(last)
                }
                Bulk::View(bytes) => read_on(view.as_mut(), bytes),
            })
        })?;
        let mut files = disk.clone();
        let told = Arc::clone(counts);
        let labour =
            Lane::start(("quorate-machine", 2), done, counts, move |job, asked| match job {
                Labour::Work(work) => {
                    let applies = matches!(work, Work::Apply(_));
                    let done = worker.execute(work, &mut files);
                    if applies {
                        told.disk.apply_times.observe(asked);
                    }
                    Event::Input(Input::Done(done))
                }
                Labour::Freeze => match worker.freeze() {
                    Some(frozen) => Event::View(frozen),
                    None => Event::Input(Input::ViewFailed),
                },
            })?;
        Ok(Lanes { log, bulk, labour })
    }

    /// Takes what a lane is to do once it is told to [go](Lanes::go); anything else comes back.
    pub(super) fn take(&mut self, output: Output) -> Option<Output> {
        match output {
            Output::Disk(operation) => match operation.lane {
                DiskLane::Log => self.log.put(operation),
                DiskLane::Bulk => self.bulk.put(Bulk::File(operation)),
            },
            Output::Work(work) => self.labour.put(Labour::Work(work)),
            Output::Freeze => self.labour.put(Labour::Freeze),
            Output::View { bytes } => self.bulk.put(Bulk::View(bytes)),
            other => return Some(other),
        }
        None
    }

    /// A view is here, to be read.
    pub(super) fn keep(&mut self, view: Frozen) {
        self.bulk.put(Bulk::Keep(view));
        self.bulk.go();
    }

    /// Has what was taken done.
    pub(super) fn go(&mut self) {
        self.log.go();
        self.bulk.go();
        self.labour.go();
    }
}

fn carry_out(
    disk: &mut impl Disk,
    operation: &Operation,
    asked: Stopwatch,
    counts: &Counts,
) -> Input {
    let begun = Stopwatch::start();
    let result = disk.execute(&operation.action);
    if let Err(error) = &result {
        warn!(action = ?operation.action, %error, "a disk operation failed");
    }
    counts.operated(operation, result.as_ref().err(), (asked, begun));
    Input::Disk(Completion { id: operation.id, result })
}

fn read_on(view: Option<&mut Frozen>, bytes: usize) -> Input {
    let mut read = Vec::new();
    let limit = u64::try_from(bytes).unwrap_or(u64::MAX);
    match view.map(|view| view.take(limit).read_to_end(&mut read)) {
        Some(Ok(_)) => Input::Viewed(read),
        Some(Err(_)) | None => Input::ViewFailed,
    }
}

/// Does one kind of work, one thing after the other.
#[cfg(not(madsim))]
struct Lane<T> {
    /// What is given to the lane next, all at once: waking a thread takes longer than many a job.
    next: Vec<(T, Stopwatch)>,
    /// None only while the lane ends.
    jobs: Option<crossbeam_channel::Sender<Vec<(T, Stopwatch)>>>,
    thread: std::thread::Thread,
    counts: Arc<Counts>,
    number: usize,
}

#[cfg(not(madsim))]
impl<T: Send + 'static> Lane<T> {
    fn start(
        (name, number): (&'static str, usize),
        done: &UnboundedSender<Vec<Event>>,
        counts: &Arc<Counts>,
        mut work: impl FnMut(T, Stopwatch) -> Event + Send + 'static,
    ) -> io::Result<Lane<T>> {
        // The node itself bounds how much it has asked for.
        let (sender, jobs) = crossbeam_channel::unbounded::<Vec<(T, Stopwatch)>>();
        let (done, span, told) = (done.clone(), Span::current(), Arc::clone(counts));
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let _within = span.entered();
            let mut guard = Guard { name, done: Some(done.clone()) };
            while let Some(batch) = next(&jobs) {
                let events = batch.into_iter().map(|(job, asked)| {
                    let event = work(job, asked);
                    told.disk.depths[number].decrement();
                    event
                });
                if done.send(events.collect()).is_err() {
                    break;
                }
            }
            // Whoever sees the last sender go may open the directory again.
            drop(work);
            guard.done = None;
            drop(done);
        })?;
        let thread = thread.thread().clone();
        let counts = Arc::clone(counts);
        Ok(Lane { next: Vec::new(), jobs: Some(sender), thread, counts, number })
    }

    fn put(&mut self, job: T) {
        self.counts.disk.depths[self.number].increment();
        self.next.push((job, Stopwatch::start()));
    }

    fn go(&mut self) {
        if let Some(jobs) = &self.jobs
            && !self.next.is_empty()
        {
            // A lane that is gone panicked: the node hears of it when nothing comes back any more.
            let _ = jobs.send(std::mem::take(&mut self.next));
            self.thread.unpark();
        }
    }
}

/// The next jobs, as soon as there are some; none if there never will be.
///
/// Sleeps at once where the channel's own wait would spin first: they come long after.
#[cfg(not(madsim))]
fn next<T>(jobs: &crossbeam_channel::Receiver<T>) -> Option<T> {
    loop {
        match jobs.try_recv() {
            Ok(jobs) => return Some(jobs),
            Err(crossbeam_channel::TryRecvError::Empty) => std::thread::park(),
            Err(crossbeam_channel::TryRecvError::Disconnected) => return None,
        }
    }
}

#[cfg(not(madsim))]
impl<T> Drop for Lane<T> {
    fn drop(&mut self) {
        self.jobs = None;
        self.thread.unpark();
    }
}

/// Tells that a thread panicked.
#[cfg(not(madsim))]
struct Guard {
    name: &'static str,
    done: Option<UnboundedSender<Vec<Event>>>,
}

#[cfg(not(madsim))]
impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(done) = &self.done {
            // Nobody is left who would want to know.
            let _ = done.send(vec![Event::Broken(self.name)]);
        }
    }
}

/// Does one kind of work at once.
#[cfg(madsim)]
struct Lane<T>(Box<dyn FnMut(T, Stopwatch) + Send>);

#[cfg(madsim)]
impl<T: Send + 'static> Lane<T> {
    fn start(
        _name: (&'static str, usize),
        done: &UnboundedSender<Vec<Event>>,
        _counts: &Arc<Counts>,
        mut work: impl FnMut(T, Stopwatch) -> Event + Send + 'static,
    ) -> io::Result<Lane<T>> {
        let done = done.clone();
        Ok(Lane(Box::new(move |job, asked| {
            let _ = done.send(vec![work(job, asked)]);
        })))
    }

    fn put(&mut self, job: T) {
        (self.0)(job, Stopwatch::start());
    }

    fn go(&mut self) {}
}
