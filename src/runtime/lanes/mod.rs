//! What takes its time is done beside the node, each thing in its order: operations of the log,
//! operations that may wait, and the state machine.
//!
//! A state machine that is quick is asked on the spot, as long as nothing waits for it.

mod desk;
mod lane;
#[cfg(not(madsim))]
mod thread;

use std::io::{self, Read};
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;
use tracing::warn;

use crate::machine::{Frozen, StateMachine};
use crate::replica::{Input, Output, Work, Worker};
pub(super) use crate::runtime::lanes::desk::Event;
use crate::runtime::lanes::lane::Lane;
use crate::runtime::lookout::Lookout;
use crate::runtime::metrics::{Counts, Stopwatch};
use crate::storage::{Completion, Disk, Lane as DiskLane, Operation};

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
    /// Whether commands and queries are quick.
    inline: bool,
    /// A view was taken, and no command was carried out since: the next may have to copy the state.
    frozen: bool,
}

impl Lanes {
    /// Begins the work; what is done goes to `done`. The last of its clones goes with the last
    /// lane, once that has let go of the disk. With `inline`, commands and queries are done by
    /// whoever asks, where they need not wait for anything.
    pub(super) fn start<M, D>(
        disk: &D,
        (mut worker, inline): (Worker<M>, bool),
        lookout: Lookout,
        done: &UnboundedSender<Vec<Event>>,
        counts: &Arc<Counts>,
    ) -> io::Result<Lanes>
    where
        M: StateMachine + Send + 'static,
        D: Disk + Clone + Send + 'static,
    {
        let tell = (done, counts);
        let mut files = disk.clone();
        let told = Arc::clone(counts);
        let log = Lane::start(("quorate-log", 0), tell, lookout, move |operation, asked| {
            Event::Input(carry_out(&mut files, &operation, asked, &told))
        })?;
        let told = Arc::clone(counts);
        let (mut files, mut view) = (disk.clone(), None::<Frozen>);
        let bulk = Lane::start(("quorate-bulk", 1), tell, lookout, move |job, asked| {
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
            Lane::start(("quorate-machine", 2), tell, lookout, move |job, asked| match job {
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
        Ok(Lanes { log, bulk, labour, inline, frozen: false })
    }

    /// Takes what a lane is to do once it is told to [go](Lanes::go); anything else comes back.
    pub(super) fn take(&mut self, output: Output) -> Option<Output> {
        match output {
            Output::Disk(operation) => match operation.lane {
                DiskLane::Log => self.log.put(operation),
                DiskLane::Bulk => self.bulk.put(Bulk::File(operation)),
            },
            Output::Work(work) if self.is_quick(&work) => {
                self.labour.put_quick(Labour::Work(work));
            }
            Output::Work(work) => self.labour.put(Labour::Work(work)),
            Output::Freeze => {
                self.frozen = true;
                self.labour.put(Labour::Freeze);
            }
            Output::View { bytes } => self.bulk.put(Bulk::View(bytes)),
            other => return Some(other),
        }
        None
    }

    fn is_quick(&mut self, work: &Work) -> bool {
        self.inline
            && match work {
                Work::Apply(_) => !std::mem::take(&mut self.frozen),
                Work::Query { .. } => true,
                Work::Restore(_) | Work::Rebuild(_) => false,
            }
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
