//! Carries a store's operations out, on threads of their own or at once.

use std::hint::spin_loop;
use std::sync::mpsc::{Receiver, RecvError, Sender, TryRecvError, channel};
use std::thread::JoinHandle;

use quorate::storage::{Completion, Disk, Event, FileAction, FileDisk, Operation, Storage};

/// What a thread did, in order.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Done {
    /// So many bytes at an offset.
    Write(u64, usize),
    Sync,
}

/// How often a thread looks for a message before it sleeps: for longer than a flush takes. To wake
/// a thread takes tens of microseconds, of which a flush with little in it would mostly consist.
const LOOKS: usize = 20_000;

/// A thread that does whatever is sent to it, and answers once it is done.
pub(crate) struct Worker<Request, Answer> {
    pub(crate) requests: Sender<Request>,
    answers: Receiver<Answer>,
    thread: JoinHandle<()>,
}

impl<Request: Send + 'static, Answer: Send + 'static> Worker<Request, Answer> {
    pub(crate) fn new(mut work: impl FnMut(Request) -> Answer + Send + 'static) -> Self {
        let (requests, taken) = channel();
        let (given, answers) = channel();
        let thread = std::thread::spawn(move || {
            // Whoever asked may be gone before the answer.
            while let Ok(request) = receive(&taken)
                && given.send(work(request)).is_ok()
            {}
        });
        Worker { requests, answers, thread }
    }

    /// What it answers next.
    pub(crate) fn answer(&self) -> Answer {
        receive(&self.answers).expect("a worker answers what it was asked")
    }

    pub(crate) fn join(self) {
        drop(self.requests);
        drop(self.answers);
        self.thread.join().expect("a worker ends when nothing is left");
    }
}

/// The next message, looked for and then waited for.
fn receive<T>(from: &Receiver<T>) -> Result<T, RecvError> {
    for _ in 0..LOOKS {
        match from.try_recv() {
            Ok(message) => return Ok(message),
            Err(TryRecvError::Empty) => spin_loop(),
            Err(TryRecvError::Disconnected) => return Err(RecvError),
        }
    }
    from.recv()
}

/// Takes the operations of a step at once, and carries them out in their order.
pub(crate) type LogWorker = Worker<Vec<Operation>, (Vec<Completion>, Vec<Done>)>;

/// The thread of the lane `Log`.
pub(crate) fn log_worker(mut disk: FileDisk) -> LogWorker {
    Worker::new(move |operations: Vec<Operation>| {
        let mut done = Vec::with_capacity(operations.len());
        let complete = |operation: Operation| {
            let result = disk.execute(&operation.action);
            match operation.action {
                FileAction::Write { offset, bytes, .. } => {
                    done.push(Done::Write(offset, bytes.len()));
                }
                FileAction::Sync { .. } => done.push(Done::Sync),
                _ => {}
            }
            Completion { id: operation.id, result }
        };
        let completions = operations.into_iter().map(complete).collect();
        (completions, done)
    })
}

/// Carries out at once what the events ask for, and what follows, and gives `other` the rest.
pub(crate) fn settle(
    storage: &mut Storage,
    disk: &mut FileDisk,
    mut events: Vec<Event>,
    mut other: impl FnMut(Event),
) {
    while !events.is_empty() {
        for event in std::mem::take(&mut events) {
            match event {
                Event::Disk(operation) => {
                    let result = disk.execute(&operation.action);
                    storage.completed(Completion { id: operation.id, result }, &mut events);
                }
                Event::Failed(failure) => panic!("{failure}"),
                event => other(event),
            }
        }
    }
}
