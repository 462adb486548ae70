//! Executes a store's disk operations, on threads of their own or inline.

use std::hint::spin_loop;
use std::sync::mpsc::{Receiver, RecvError, Sender, TryRecvError, channel};
use std::thread::JoinHandle;

use quorate::storage::{Completion, Disk, Event, FileAction, FileDisk, Operation, Storage};

/// One operation that a thread executed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Done {
    /// A write of a number of bytes at an offset.
    Write(u64, usize),
    Sync,
}

/// The number of polls for a message before a thread sleeps. Together they take longer than a
/// flush, because waking a thread takes tens of microseconds, which would dominate a flush with few
/// entries.
const POLLS: usize = 20_000;

/// A thread that executes the work sent to it, and replies once it is done.
pub(crate) struct Worker<Request, Answer> {
    pub(crate) requests: Sender<Request>,
    answers: Receiver<Answer>,
    thread: JoinHandle<()>,
}

impl<Request: Send + 'static, Answer: Send + 'static> Worker<Request, Answer> {
    pub(crate) fn new(mut work: impl FnMut(Request) -> Answer + Send + 'static) -> Self {
        let (requests, request_receiver) = channel();
        let (answer_sender, answers) = channel();
        let thread = std::thread::spawn(move || {
            // The requester may have ended before the reply.
            while let Ok(request) = receive(&request_receiver)
                && answer_sender.send(work(request)).is_ok()
            {}
        });
        Worker { requests, answers, thread }
    }

    /// Returns the next reply of the thread.
    pub(crate) fn answer(&self) -> Answer {
        receive(&self.answers).expect("a worker answers every request")
    }

    pub(crate) fn join(self) {
        drop(self.requests);
        drop(self.answers);
        self.thread.join().expect("a worker ends when its channel closes");
    }
}

/// Returns the next message; polls for it, then blocks.
fn receive<T>(from: &Receiver<T>) -> Result<T, RecvError> {
    for _ in 0..POLLS {
        match from.try_recv() {
            Ok(message) => return Ok(message),
            Err(TryRecvError::Empty) => spin_loop(),
            Err(TryRecvError::Disconnected) => return Err(RecvError),
        }
    }
    from.recv()
}

/// Takes the operations of a step together, and executes them in order.
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

/// Executes the operations of the events inline, and the operations that follow from them, and
/// passes all other events to `other`.
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
