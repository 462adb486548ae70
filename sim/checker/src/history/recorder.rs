//! Records a history while it happens.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::history::operation::{Client, History, Moment, OpId, Operation, Outcome};

/// Records what clients ask and are told. The order of its calls is the only clock, so a
/// deterministic simulation has a deterministic history; clones record into the same one.
#[derive(Debug)]
pub struct Recorder<O, R> {
    shared: Arc<Mutex<Record<O, R>>>,
}

#[derive(Debug)]
struct Record<O, R> {
    operations: Vec<Operation<O, R>>,
    now: u32,
    /// The last operation of each client that is open, or whose outcome nobody learned.
    busy: BTreeMap<Client, OpId>,
}

/// An operation that is on its way. Dropped, its outcome is unknown.
#[derive(Debug)]
#[must_use = "an operation that is dropped has an unknown outcome"]
pub struct Pending<O, R> {
    recorder: Recorder<O, R>,
    id: OpId,
}

impl<O, R> Clone for Recorder<O, R> {
    fn clone(&self) -> Self {
        Recorder { shared: Arc::clone(&self.shared) }
    }
}

impl<O, R> Default for Recorder<O, R> {
    fn default() -> Self {
        Recorder::new()
    }
}

impl<O, R> Recorder<O, R> {
    /// A recorder of nothing yet.
    #[must_use]
    pub fn new() -> Recorder<O, R> {
        let record = Record { operations: Vec::new(), now: 0, busy: BTreeMap::new() };
        Recorder { shared: Arc::new(Mutex::new(record)) }
    }

    fn record(&self) -> MutexGuard<'_, Record<O, R>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `client` asks for `op`.
    ///
    /// # Panics
    /// If the client waits for another operation, or never learned what became of one: such a
    /// client's name is used up. Also after four billion events.
    pub fn invoke(&self, client: Client, op: O) -> Pending<O, R> {
        let mut record = self.record();
        let id = OpId(u32::try_from(record.operations.len()).expect("four billion at most"));
        let before = record.busy.insert(client, id);
        assert!(before.is_none(), "{client:?} invokes while {before:?} has no known outcome");
        let invoked = record.moment();
        record.operations.push(Operation { client, op, invoked, outcome: Outcome::Unknown });
        drop(record);
        Pending { recorder: self.clone(), id }
    }

    /// What is recorded so far; what is on its way has an unknown outcome.
    #[must_use]
    pub fn history(&self) -> History<O, R>
    where
        O: Clone,
        R: Clone,
    {
        History::new(self.record().operations.clone()).expect("what is recorded is a history")
    }
}

impl<O, R> Record<O, R> {
    fn moment(&mut self) -> Moment {
        let now = Moment(self.now);
        assert!(now != Moment::NEVER, "a history has at most four billion events");
        self.now += 1;
        now
    }
}

impl<O, R> Pending<O, R> {
    /// Its number in the history.
    #[must_use]
    pub fn id(&self) -> OpId {
        self.id
    }

    /// It returned `ret`.
    pub fn returned(self, ret: R) {
        let mut record = self.recorder.record();
        let at = record.moment();
        record.end(self.id, Outcome::Returned { at, ret });
    }

    /// It certainly had no effect.
    pub fn failed(self) {
        self.recorder.record().end(self.id, Outcome::Failed);
    }

    /// Nobody learns what became of it.
    pub fn unknown(self) {
        drop(self);
    }
}

impl<O, R> Record<O, R> {
    fn end(&mut self, id: OpId, outcome: Outcome<R>) {
        let operation = &mut self.operations[id.0 as usize];
        operation.outcome = outcome;
        self.busy.remove(&operation.client);
    }
}
