//! Checks a history while it happens, and raises an alarm at the first event that violates
//! linearizability.

mod register_stream;
mod retired;

use std::fmt;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::budget::{Budget, StopCheck};
use crate::history::OpId;
use crate::stream::register_stream::{Event, RegisterStream, Violation};
use crate::stream::retired::RetiredValues;
use crate::value::ValueId;
use crate::verdict::{Counterexample, Verdict};
use crate::zones::{Action, Call, Calls, Classification, NEVER, OpNames, Time, register, verdict};

/// A streaming check of registers, for values that are written once. A simulation runs it and stops
/// at the event that shows the violation.
///
/// It remembers only what can still affect the verdict: pending operations, writes of unknown
/// outcome, and values that no completed operation has certainly overwritten. Of the values that
/// can no longer be read, it keeps the latest few to name the operations that overwrote them.
///
/// It cannot decide every key ([`Stream::decides`]). It does not decide a key if a value is written
/// again while it may still be read, if something is appended, if a put returns the value that it
/// replaced, or if a failed compare-and-set does not return the value that it found, although its
/// expected value may have been present. An alarm on such a key is still right.
///
/// [`Model::stream`](crate::model::Model::stream) creates it.
#[derive(Clone)]
pub struct Stream<O, R> {
    classify: fn(&O, Option<&R>) -> Classification,
    key: fn(&O) -> u64,
    init: Arc<dyn Fn(&O) -> ValueId + Send + Sync>,
    names: OpNames,
    describe: Arc<dyn Fn(ValueId) -> String + Send + Sync>,
    now: Time,
    next: OpId,
    open: HashMap<OpId, Open<O>, FixedState>,
    places: HashMap<u64, usize, FixedState>,
    registers: Vec<RegisterStream>,
    retired: RetiredValues,
    is_violated: bool,
    /// Whether a register is swept after each of its responses, not only when it is full.
    is_eager: bool,
}

/// A pending operation and its register.
#[derive(Clone, Copy)]
struct Open<O> {
    op: O,
    register: usize,
    invoked: Time,
}

/// A violation of linearizability that the stream found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// The operation whose outcome shows the violation.
    pub operation: OpId,
    /// The counterexample, or `None` if the remembered operations may not suffice for one. A check
    /// of the whole history finds one. If values are written again after they were overwritten, the
    /// counterexample may ignore possible effects of forgotten operations.
    pub counterexample: Option<Counterexample>,
}

impl<O, R> fmt::Debug for Stream<O, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("operations", &self.next.0)
            .field("open", &self.open.len())
            .field("keys", &self.registers.len())
            .field("is_violated", &self.is_violated)
            .finish_non_exhaustive()
    }
}

impl<O: Clone, R> Stream<O, R> {
    /// Creates a check of registers, one for each `key`, with the initial value that `init`
    /// returns.
    pub(crate) fn new(
        classify: fn(&O, Option<&R>) -> Classification,
        key: fn(&O) -> u64,
        init: impl Fn(&O) -> ValueId + Send + Sync + 'static,
        names: OpNames,
        describe: impl Fn(ValueId) -> String + Send + Sync + 'static,
    ) -> Stream<O, R> {
        Stream {
            classify,
            key,
            init: Arc::new(init),
            names,
            describe: Arc::new(describe),
            now: 0,
            next: OpId(0),
            open: HashMap::default(),
            places: HashMap::default(),
            registers: Vec::new(),
            retired: RetiredValues::default(),
            is_violated: false,
            is_eager: false,
        }
    }

    /// Returns true if the absence of an alarm means that the history so far is linearizable.
    #[must_use]
    pub fn is_decided(&self) -> bool {
        self.registers.iter().all(RegisterStream::is_decided)
    }

    /// Returns true if the absence of an alarm means that the subhistory of the object of `op` is
    /// linearizable so far.
    #[must_use]
    pub fn decides(&self, op: &O) -> bool {
        let register = self.places.get(&(self.key)(op));
        register.is_none_or(|register| self.registers[*register].is_decided())
    }

    /// Returns the number of operations and values that it remembers: pending operations, and
    /// values that may still be read.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.open.len() + self.registers.iter().map(RegisterStream::remembered).sum::<usize>()
    }

    /// Records that a client invokes `op`. Operations are numbered in the order of invocation, as
    /// by [`crate::history::Recorder`].
    ///
    /// # Panics
    /// If the history has `u32::MAX` events.
    pub fn invoke(&mut self, op: O) -> OpId {
        let id = self.next;
        self.next = OpId(id.0.checked_add(1).expect("there are at most four billion operations"));
        if self.is_violated {
            return id;
        }
        let invoked = self.tick();
        let key = (self.key)(&op);
        let count = self.registers.len();
        let register = *self.places.entry(key).or_insert(count);
        if register == count {
            self.registers.push(RegisterStream::new((self.init)(&op)));
        }
        let classified = (self.classify)(&op, None);
        let call = Event { id, invoked, returned: NEVER };
        match classified {
            Classification::Irrelevant => self.registers[register].add_reader(id, invoked),
            Classification::Action(Action::Write(value)) => {
                self.registers[register].write(value, None, call);
            }
            Classification::Action(Action::CompareAndSet { from, to }) => {
                self.registers[register].add_reader(id, invoked);
                self.registers[register].write(to, Some(from), call);
            }
            Classification::Action(_) | Classification::Invalid | Classification::Unsupported => {
                self.registers[register].give_up()
            }
        }
        self.open.insert(id, Open { op, register, invoked });
        id
    }

    /// Records that the operation `id` returned `ret`. Returns an alarm if that violates
    /// linearizability. There is at most one alarm.
    ///
    /// # Panics
    /// If the operation is not pending, or if the history has `u32::MAX` events.
    pub fn returned(&mut self, id: OpId, ret: &R) -> Option<Alarm> {
        if self.is_violated {
            return None;
        }
        let Open { op, register, invoked } = self.close(id);
        let returned = self.tick();
        let event = Event { id, invoked, returned };
        let stream = &mut self.registers[register];
        stream.remove_reader(id);
        let violation = match (self.classify)(&op, Some(ret)) {
            Classification::Action(Action::Read(value)) => stream.read(value, event),
            Classification::Action(Action::Write(value)) => stream.written(value, event),
            Classification::Action(Action::CompareAndSet { from, to }) if from == to => {
                stream.read(from, event)
            }
            Classification::Action(Action::CompareAndSet { to, .. }) => stream.written(to, event),
            Classification::Action(Action::FailedCas { from, to }) => {
                stream.failed_cas(from, to, id)
            }
            Classification::Action(Action::FailedCasFound { to, found, .. }) => {
                stream.found(found, to, event)
            }
            Classification::Unsupported => {
                stream.give_up();
                Ok(())
            }
            Classification::Action(Action::Append(_)) | Classification::Irrelevant => Ok(()),
            Classification::Invalid => Err(Violation::Unexplained),
        };
        let alarm =
            violation.err().map(|violation| self.alarm(register, event, &op, ret, &violation));
        if self.is_eager || self.registers[register].is_full() {
            self.registers[register].sweep(returned, register, &mut self.retired);
        }
        alarm
    }

    /// Records that the operation `id` had no effect. Returns an alarm if its value was observed.
    ///
    /// # Panics
    /// If the operation is not pending.
    pub fn failed(&mut self, id: OpId) -> Option<Alarm> {
        if self.is_violated {
            return None;
        }
        let Open { op, register, .. } = self.close(id);
        self.registers[register].remove_reader(id);
        let undone = match (self.classify)(&op, None) {
            Classification::Action(
                Action::Write(value) | Action::CompareAndSet { to: value, .. },
            ) => self.registers[register].undo(value, id),
            _ => Ok(()),
        };
        undone.err().map(|_| {
            self.is_violated = true;
            Alarm { operation: id, counterexample: None }
        })
    }

    /// Records that the outcome of the operation `id` is unknown: it may still take effect.
    ///
    /// # Panics
    /// If the operation is not pending.
    pub fn unknown(&mut self, id: OpId) {
        if !self.is_violated {
            let Open { op, register, .. } = self.close(id);
            self.registers[register].remove_reader(id);
            if let Classification::Action(
                Action::Write(value) | Action::CompareAndSet { to: value, .. },
            ) = (self.classify)(&op, None)
            {
                self.registers[register].mark_unknown(value, id);
            }
        }
    }

    fn close(&mut self, id: OpId) -> Open<O> {
        self.open.remove(&id).expect("an operation returns once, after its invocation")
    }

    fn tick(&mut self) -> Time {
        self.now += 1;
        assert!(self.now != NEVER, "a history has at most four billion events");
        self.now
    }

    /// Builds the alarm for a `violation` that the outcome of `event` shows.
    fn alarm(
        &mut self,
        register: usize,
        event: Event,
        op: &O,
        ret: &R,
        violation: &Violation,
    ) -> Alarm {
        self.is_violated = true;
        let operation = event.id;
        let Classification::Action(action) = (self.classify)(op, Some(ret)) else {
            return Alarm { operation, counterexample: None };
        };
        let mut known = self.registers[register].known();
        match (violation, action) {
            (
                Violation::ValueAbsent,
                Action::Read(value) | Action::FailedCasFound { found: value, .. },
            ) => match self.retired.of(register, value) {
                Some(overwritten) => known.extend(overwritten),
                None if self.retired.is_complete() => known.clear(),
                None => return Alarm { operation, counterexample: None },
            },
            (Violation::ValueAbsent | Violation::Unexplained, _) => {
                return Alarm { operation, counterexample: None };
            }
            (Violation::ZoneConflict, _) => {}
        }
        let call = Call { invoked: event.invoked, returned: event.returned, action };
        known.retain(|(id, _)| *id != event.id);
        known.push((event.id, call));
        let has_failed_cas = self.registers[register].has_failed_cas();
        let init = (self.init)(op);
        let counterexample = (!has_failed_cas).then(|| self.counterexample(init, known)).flatten();
        Alarm { operation, counterexample }
    }

    /// Returns the counterexample that the calls `known` contain, all on one register with the
    /// initial value `init`.
    fn counterexample(
        &self,
        init: ValueId,
        mut known: Vec<(OpId, Call)>,
    ) -> Option<Counterexample> {
        known.sort_by_key(|(id, call)| (*id, call.returned));
        known.dedup_by_key(|(id, _)| *id);
        if !has_all_writers(init, &known) {
            return None;
        }
        let calls = Calls {
            ids: known.iter().map(|(id, _)| *id).collect(),
            list: known.into_iter().map(|(_, call)| call).collect(),
        };
        let stop = StopCheck::new(&Budget::default());
        let decide = |calls: &[Call]| register::decide(calls, init);
        match verdict(&calls, self.names, &*self.describe, &stop, decide) {
            Some(Verdict::NotLinearizable(counterexample)) => Some(counterexample),
            _ => None,
        }
    }
}

/// Returns true if `known` is one call, or contains a write of every observed value, so that no
/// forgotten write is needed.
fn has_all_writers(init: ValueId, known: &[(OpId, Call)]) -> bool {
    let is_written = |seen: ValueId| {
        let writes = |(_, call): &(OpId, Call)| match call.action {
            Action::Write(value) | Action::CompareAndSet { to: value, .. } => value == seen,
            _ => false,
        };
        seen == init || known.iter().any(writes)
    };
    known.len() == 1
        || known.iter().all(|(_, call)| match call.action {
            Action::Read(value)
            | Action::CompareAndSet { from: value, .. }
            | Action::FailedCasFound { found: value, .. } => is_written(value),
            _ => true,
        })
}

#[cfg(test)]
mod tests;
