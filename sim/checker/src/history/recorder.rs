//! Records a history while clients run.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::history::operation::{Client, EventIndex, History, OpId, Operation, Outcome};

/// Records invocations and responses. The order of the calls is the only clock, so a deterministic
/// simulation records a deterministic history. Clones record into the same history.
#[derive(Debug)]
pub struct Recorder<O, R> {
    shared: Arc<Mutex<Record<O, R>>>,
}

#[derive(Debug)]
struct Record<O, R> {
    operations: Vec<Operation<O, R>>,
    now: u32,
    /// For each client, its pending operation, or its last one if that has an unknown outcome.
    busy: BTreeMap<Client, OpId>,
}

/// A pending operation. Dropping it leaves the outcome unknown.
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
    /// Creates a recorder with an empty history.
    #[must_use]
    pub fn new() -> Recorder<O, R> {
        let record = Record { operations: Vec::new(), now: 0, busy: BTreeMap::new() };
        Recorder { shared: Arc::new(Mutex::new(record)) }
    }

    fn record(&self) -> MutexGuard<'_, Record<O, R>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that `client` invokes `op`.
    ///
    /// # Panics
    /// If the client has a pending operation, or one whose outcome is unknown, because it cannot
    /// invoke another operation then. Also if the history has `u32::MAX` events.
    pub fn invoke(&self, client: Client, op: O) -> Pending<O, R> {
        let mut record = self.record();
        let id = OpId(
            u32::try_from(record.operations.len())
                .expect("a history has at most u32::MAX operations"),
        );
        let before = record.busy.insert(client, id);
        assert!(before.is_none(), "{client:?} invokes while {before:?} has no known outcome");
        let invoked = record.next_event_index();
        record.operations.push(Operation { client, op, invoked, outcome: Outcome::Unknown });
        drop(record);
        Pending { recorder: self.clone(), id }
    }

    /// Returns the history recorded so far. Pending operations have an unknown outcome.
    #[must_use]
    pub fn history(&self) -> History<O, R>
    where
        O: Clone,
        R: Clone,
    {
        History::new(self.record().operations.clone()).expect("a recorded history is well-formed")
    }
}

impl<O, R> Record<O, R> {
    fn next_event_index(&mut self) -> EventIndex {
        let now = EventIndex(self.now);
        assert!(now != EventIndex::NEVER, "a history has at most four billion events");
        self.now += 1;
        now
    }
}

impl<O, R> Pending<O, R> {
    /// Returns the number of the operation in the history.
    #[must_use]
    pub fn id(&self) -> OpId {
        self.id
    }

    /// Records that the operation returned `ret`.
    ///
    /// # Panics
    /// If the history has `u32::MAX` events.
    pub fn returned(self, ret: R) {
        let mut record = self.recorder.record();
        let at = record.next_event_index();
        record.end(self.id, Outcome::Returned { at, ret });
    }

    /// Records that the operation certainly had no effect.
    pub fn failed(self) {
        self.recorder.record().end(self.id, Outcome::Failed);
    }

    /// Leaves the outcome unknown, as dropping does.
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
