//! Checks a history while it happens: says that it is wrong at the first event that makes it so.

mod cell;
mod retired;

use std::fmt;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::history::OpId;
use crate::stream::cell::{Cell, Event, Fault};
use crate::stream::retired::Retired;
use crate::value::Value;
use crate::verdict::{Evidence, Verdict};
use crate::zones::{Call, Calls, NEVER, Names, Time, Told, What, register, verdict};

/// A check of registers that goes on while they are used, for values that are written once: it
/// takes part in a simulation, which can stop at the event that shows the fault.
///
/// It remembers what may still be seen, not what happened: writes that are on their way or whose
/// outcome nobody learned, and values that no completed operation has certainly overwritten. Of the
/// values that nobody can see any more, it keeps the latest few to tell who overwrote them.
///
/// Of some keys it cannot decide on all, and says so ([`Stream::decides`]): those where values are
/// written again while they may still be seen, where something is appended, where a put tells what
/// it replaced, or where a compare-and-set fails whose expected value may still be seen, unless it
/// tells what it found. What it calls wrong is wrong all the same.
///
/// [`Model::stream`](crate::model::Model::stream) makes one.
#[derive(Clone)]
pub struct Stream<O, R> {
    told: fn(&O, Option<&R>) -> Told,
    key: fn(&O) -> u64,
    init: Value,
    names: Names,
    words: Arc<dyn Fn(Value) -> String + Send + Sync>,
    now: Time,
    next: OpId,
    open: HashMap<OpId, Open<O>, FixedState>,
    places: HashMap<u64, usize, FixedState>,
    cells: Vec<Cell>,
    retired: Retired,
    is_wrong: bool,
    /// Whether every cell is swept after every return.
    is_eager: bool,
}

/// An operation that has not returned.
#[derive(Clone, Copy)]
struct Open<O> {
    op: O,
    cell: usize,
    invoked: Time,
}

/// The history is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// The operation whose outcome made it so.
    pub operation: OpId,
    /// What proves it. Nothing where that takes operations that were forgotten: a check of the
    /// whole history finds it. If values are written again after they were overwritten, it may
    /// miss what those operations could have done.
    pub evidence: Option<Evidence>,
}

impl<O, R> fmt::Debug for Stream<O, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("operations", &self.next.0)
            .field("open", &self.open.len())
            .field("keys", &self.cells.len())
            .field("is_wrong", &self.is_wrong)
            .finish_non_exhaustive()
    }
}

impl<O: Clone, R> Stream<O, R> {
    /// Checks objects that are registers, each for a `key` of its own, with `init` at first.
    pub(crate) fn new(
        told: fn(&O, Option<&R>) -> Told,
        key: fn(&O) -> u64,
        init: Value,
        names: Names,
        words: impl Fn(Value) -> String + Send + Sync + 'static,
    ) -> Stream<O, R> {
        Stream {
            told,
            key,
            init,
            names,
            words: Arc::new(words),
            now: 0,
            next: OpId(0),
            open: HashMap::default(),
            places: HashMap::default(),
            cells: Vec::new(),
            retired: Retired::default(),
            is_wrong: false,
            is_eager: false,
        }
    }

    /// Whether silence means that the history is linearizable so far.
    #[must_use]
    pub fn is_decided(&self) -> bool {
        self.cells.iter().all(Cell::is_decided)
    }

    /// Whether silence means that what was asked of the object of `op` is linearizable so far.
    #[must_use]
    pub fn decides(&self, op: &O) -> bool {
        let cell = self.places.get(&(self.key)(op));
        cell.is_none_or(|cell| self.cells[*cell].is_decided())
    }

    /// How many operations and values it remembers: what is open, and what may still be seen.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.open.len() + self.cells.iter().map(Cell::remembered).sum::<usize>()
    }

    /// A client asks for `op`. Operations are numbered in the order of invocation, as a
    /// [`crate::history::Recorder`] does it.
    ///
    /// # Panics
    /// After four billion events.
    pub fn invoke(&mut self, op: O) -> OpId {
        let id = self.next;
        self.next = OpId(id.0.checked_add(1).expect("there are at most four billion operations"));
        if self.is_wrong {
            return id;
        }
        let invoked = self.tick();
        let key = (self.key)(&op);
        let count = self.cells.len();
        let cell = *self.places.entry(key).or_insert(count);
        if cell == count {
            self.cells.push(Cell::new(self.init));
        }
        let asked = (self.told)(&op, None);
        let call = Event { id, invoked, returned: NEVER };
        match asked {
            Told::Nothing => self.cells[cell].watch(id, invoked),
            Told::This(What::Write(value)) => {
                self.cells[cell].write(value, None, call);
            }
            Told::This(What::Swap { from, to }) => {
                self.cells[cell].watch(id, invoked);
                self.cells[cell].write(to, Some(from), call);
            }
            Told::This(_) | Told::Nonsense | Told::Otherwise => self.cells[cell].blur(),
        }
        self.open.insert(id, Open { op, cell, invoked });
        id
    }

    /// `id` returned `ret`: an alarm if that cannot be. There is one alarm at most.
    ///
    /// # Panics
    /// If no such operation is open, or after four billion events.
    pub fn returned(&mut self, id: OpId, ret: &R) -> Option<Alarm> {
        if self.is_wrong {
            return None;
        }
        let Open { op, cell, invoked } = self.close(id);
        let returned = self.tick();
        let event = Event { id, invoked, returned };
        let place = &mut self.cells[cell];
        place.unwatch(id);
        let fault = match (self.told)(&op, Some(ret)) {
            Told::This(What::Read(value)) => place.read(value, event),
            Told::This(What::Write(value)) => place.written(value, event),
            Told::This(What::Swap { from, to }) if from == to => place.read(from, event),
            Told::This(What::Swap { to, .. }) => place.written(to, event),
            Told::This(What::Refused { from, to }) => place.refused(from, to, id),
            Told::This(What::Found { to, found, .. }) => place.found(found, to, event),
            Told::Otherwise => {
                place.blur();
                Ok(())
            }
            Told::This(What::Append(_)) | Told::Nothing => Ok(()),
            Told::Nonsense => Err(Fault::Untold),
        };
        let alarm = fault.err().map(|fault| self.alarm(cell, event, &op, ret, &fault));
        if self.is_eager || self.cells[cell].is_full() {
            self.cells[cell].sweep(returned, cell, &mut self.retired);
        }
        alarm
    }

    /// `id` certainly had no effect: an alarm if somebody saw what it would have written.
    ///
    /// # Panics
    /// If no such operation is open.
    pub fn failed(&mut self, id: OpId) -> Option<Alarm> {
        if self.is_wrong {
            return None;
        }
        let Open { op, cell, .. } = self.close(id);
        self.cells[cell].unwatch(id);
        let undone = match (self.told)(&op, None) {
            Told::This(What::Write(value) | What::Swap { to: value, .. }) => {
                self.cells[cell].undo(value, id)
            }
            _ => Ok(()),
        };
        undone.err().map(|_| {
            self.is_wrong = true;
            Alarm { operation: id, evidence: None }
        })
    }

    /// Nobody learns what became of `id`: it may still take effect.
    ///
    /// # Panics
    /// If no such operation is open.
    pub fn unknown(&mut self, id: OpId) {
        if !self.is_wrong {
            let Open { op, cell, .. } = self.close(id);
            self.cells[cell].unwatch(id);
            if let Told::This(What::Write(value) | What::Swap { to: value, .. }) =
                (self.told)(&op, None)
            {
                self.cells[cell].settle(value, id);
            }
        }
    }

    fn close(&mut self, id: OpId) -> Open<O> {
        self.open.remove(&id).expect("an operation ends once, after it began")
    }

    fn tick(&mut self) -> Time {
        self.now += 1;
        assert!(self.now != NEVER, "a history has at most four billion events");
        self.now
    }

    /// What to say of a `fault` that the outcome of `event` shows.
    fn alarm(&mut self, cell: usize, event: Event, op: &O, ret: &R, fault: &Fault) -> Alarm {
        self.is_wrong = true;
        let operation = event.id;
        let Told::This(what) = (self.told)(op, Some(ret)) else {
            return Alarm { operation, evidence: None };
        };
        let mut named = self.cells[cell].named();
        match (fault, what) {
            (Fault::NotThere, What::Read(value) | What::Found { found: value, .. }) => {
                match self.retired.of(cell, value) {
                    Some(overwritten) => named.extend(overwritten),
                    None if self.retired.is_complete() => named.clear(),
                    None => return Alarm { operation, evidence: None },
                }
            }
            (Fault::NotThere | Fault::Untold, _) => return Alarm { operation, evidence: None },
            (Fault::Clash, _) => {}
        }
        let call = Call { invoked: event.invoked, returned: event.returned, what };
        named.retain(|(id, _)| *id != event.id);
        named.push((event.id, call));
        let has_refusals = self.cells[cell].has_refusals();
        let evidence = (!has_refusals).then(|| self.evidence(named)).flatten();
        Alarm { operation, evidence }
    }

    /// What proves that the calls `named` are wrong.
    fn evidence(&self, mut named: Vec<(OpId, Call)>) -> Option<Evidence> {
        named.sort_by_key(|(id, call)| (*id, call.returned));
        named.dedup_by_key(|(id, _)| *id);
        if !self.is_whole(&named) {
            return None;
        }
        let calls = Calls {
            ids: named.iter().map(|(id, _)| *id).collect(),
            list: named.into_iter().map(|(_, call)| call).collect(),
        };
        match verdict(&calls, self.names, &*self.words, |calls| register::decide(calls, self.init))
        {
            Some(Verdict::NotLinearizable(evidence)) => Some(evidence),
            _ => None,
        }
    }

    /// Whether whatever was seen was written there: what is missing may be unknown, or forgotten.
    fn is_whole(&self, named: &[(OpId, Call)]) -> bool {
        let is_written = |seen: Value| {
            let writes = |(_, call): &(OpId, Call)| match call.what {
                What::Write(value) | What::Swap { to: value, .. } => value == seen,
                _ => false,
            };
            seen == self.init || named.iter().any(writes)
        };
        named.len() == 1
            || named.iter().all(|(_, call)| match call.what {
                What::Read(value)
                | What::Swap { from: value, .. }
                | What::Found { found: value, .. } => is_written(value),
                _ => true,
            })
    }
}

#[cfg(test)]
mod tests;
