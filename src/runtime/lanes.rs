//! What takes its time is done beside the node, each thing in its order: operations of the log,
//! operations that may wait, and the state machine.
//!
//! Here, and nowhere else, threads differ from a simulation: there the same work is done at once.

use std::io::{self, Read};

use tokio::sync::mpsc::UnboundedSender;

use crate::machine::{Frozen, StateMachine};
use crate::replica::{Input, Output, Work, Worker};
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
        done: &UnboundedSender<Event>,
    ) -> io::Result<Lanes>
    where
        M: StateMachine + Send + 'static,
        D: Disk + Clone + Send + 'static,
    {
        let mut files = disk.clone();
        let log = Lane::start("quorate-log", done, move |operation| {
            Event::Input(carry_out(&mut files, &operation))
        })?;
        let (mut files, mut view) = (disk.clone(), None::<Frozen>);
        let bulk = Lane::start("quorate-bulk", done, move |job| {
            Event::Input(match job {
                Bulk::File(operation) => carry_out(&mut files, &operation),
                Bulk::Keep(frozen) => {
                    let last = frozen.last();
                    view = Some(frozen);
                    Input::Frozen(last)
                }
                Bulk::View(bytes) => read_on(view.as_mut(), bytes),
            })
        })?;
        let mut files = disk.clone();
        let labour = Lane::start("quorate-machine", done, move |job| match job {
            Labour::Work(work) => Event::Input(Input::Done(worker.execute(work, &mut files))),
            Labour::Freeze => match worker.freeze() {
                Some(frozen) => Event::View(frozen),
                None => Event::Input(Input::ViewFailed),
            },
        })?;
        Ok(Lanes { log, bulk, labour })
    }

    /// Takes what a lane is to do; anything else comes back.
    pub(super) fn take(&mut self, output: Output) -> Option<Output> {
        match output {
            Output::Disk(operation) => match operation.lane {
                DiskLane::Log => self.log.send(operation),
                DiskLane::Bulk => self.bulk.send(Bulk::File(operation)),
            },
            Output::Work(work) => self.labour.send(Labour::Work(work)),
            Output::Freeze => self.labour.send(Labour::Freeze),
            Output::View { bytes } => self.bulk.send(Bulk::View(bytes)),
            other => return Some(other),
        }
        None
    }

    /// A view is here, to be read.
    pub(super) fn keep(&mut self, view: Frozen) {
        self.bulk.send(Bulk::Keep(view));
    }
}

fn carry_out(disk: &mut impl Disk, operation: &Operation) -> Input {
    let result = disk.execute(&operation.action);
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
struct Lane<T>(crossbeam_channel::Sender<T>);

#[cfg(not(madsim))]
impl<T: Send + 'static> Lane<T> {
    fn start(
        name: &'static str,
        done: &UnboundedSender<Event>,
        mut work: impl FnMut(T) -> Event + Send + 'static,
    ) -> io::Result<Lane<T>> {
        // The node itself bounds how much it has asked for.
        let (sender, jobs) = crossbeam_channel::unbounded();
        let done = done.clone();
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let mut guard = Guard { name, done: Some(done.clone()) };
            for job in jobs {
                if done.send(work(job)).is_err() {
                    break;
                }
            }
            // Whoever sees the last sender go may open the directory again.
            drop(work);
            guard.done = None;
            drop(done);
        })?;
        Ok(Lane(sender))
    }

    fn send(&mut self, job: T) {
        // A lane that is gone panicked: the node hears of it when nothing comes back any more.
        let _ = self.0.send(job);
    }
}

/// Tells that a thread panicked.
#[cfg(not(madsim))]
struct Guard {
    name: &'static str,
    done: Option<UnboundedSender<Event>>,
}

#[cfg(not(madsim))]
impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(done) = &self.done {
            // Nobody is left who would want to know.
            let _ = done.send(Event::Broken(self.name));
        }
    }
}

/// Does one kind of work at once.
#[cfg(madsim)]
struct Lane<T>(Box<dyn FnMut(T) + Send>);

#[cfg(madsim)]
impl<T: Send + 'static> Lane<T> {
    fn start(
        _name: &str,
        done: &UnboundedSender<Event>,
        mut work: impl FnMut(T) -> Event + Send + 'static,
    ) -> io::Result<Lane<T>> {
        let done = done.clone();
        Ok(Lane(Box::new(move |job| {
            let _ = done.send(work(job));
        })))
    }

    fn send(&mut self, job: T) {
        (self.0)(job);
    }
}
