//! The clients' side of a run: their operations on registers, and the history of these.

use quorate_checker::budget::Budget;
use quorate_checker::check::check;
use quorate_checker::explain::minimise;
use quorate_checker::history::{Client, Pending, Recorder};
use quorate_checker::models::{Kv, KvCall, KvOp, KvRet};
use quorate_checker::value::{Value, ValueId};
use quorate_checker::verdict::Verdict;

use crate::machine::Operation;

/// A client's request for one operation.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) operation: Operation,
    /// The node that the client asked, by its place, and the number of that node's start.
    pub(crate) asked: (usize, u32),
    /// The client that sends its next operation after this one; `None` for a probe or an operation
    /// of a fault.
    pub(crate) client: Option<u16>,
    pending: Option<Pending<KvOp, KvRet>>,
    /// Whether the client has received a reply.
    pub(crate) replied: bool,
}

impl Request {
    pub(crate) fn is_pending(&self) -> bool {
        self.pending.is_some()
    }
}

/// All operations of a run, by their numbers from 1.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    requests: Vec<Request>,
    recorder: Recorder<KvOp, KvRet>,
    model: Kv,
    pub(crate) replies: u64,
}

impl Clients {
    /// Starts an operation, and returns its number.
    pub(crate) fn invoke(
        &mut self,
        register: usize,
        is_read: bool,
        asked: (usize, u32),
        client: Option<u16>,
    ) -> u64 {
        let number = self.requests.len() as u64 + 1;
        let name = self.model.values.intern(Value::Text(format!("r{register}")));
        let call = if is_read { KvCall::Get } else { KvCall::Put(self.value(number)) };
        // In the history each operation is a client of its own, because a client continues after an
        // operation whose outcome is unknown.
        let client_id = Client(number as u32);
        let pending = Some(self.recorder.invoke(client_id, KvOp { key: name, call }));
        let operation = Operation { number, register, is_read };
        self.requests.push(Request { operation, asked, client, pending, replied: false });
        number
    }

    /// Returns the id of a value in the history; the number 0 is the initial value.
    fn value(&self, number: u64) -> ValueId {
        match number {
            0 => self.model.init.others,
            _ => self.model.values.intern(Value::Integer(number as i64)),
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.requests.len()
    }

    pub(crate) fn request(&self, number: u64) -> Option<&Request> {
        self.requests.get(usize::try_from(number.checked_sub(1)?).ok()?)
    }

    /// Ends a pending operation with a reply; `value` is the value that a read found.
    pub(crate) fn reply(&mut self, number: u64, value: u64) {
        let found = self.value(value);
        let request = &mut self.requests[number as usize - 1];
        if let Some(pending) = request.pending.take() {
            pending.returned(if request.operation.is_read {
                KvRet::Value(found)
            } else {
                KvRet::Written
            });
            request.replied = true;
            self.replies += 1;
        }
    }

    /// Ends a pending operation that certainly has no effect.
    pub(crate) fn decline(&mut self, number: u64) {
        if let Some(pending) = self.requests[number as usize - 1].pending.take() {
            pending.failed();
        }
    }

    /// Ends a pending operation whose outcome its client will never learn.
    pub(crate) fn expire(&mut self, number: u64) {
        if let Some(pending) = self.requests[number as usize - 1].pending.take() {
            pending.unknown();
        }
    }

    /// Returns the reason why the history is not linearizable; `None` if it is, or if the check is
    /// undecided.
    pub(crate) fn contradiction(&self) -> Option<String> {
        let history = self.recorder.history();
        let budget = Budget { configurations_max: 1_000_000, ..Budget::default() };
        match check(&self.model, &history, &budget) {
            Verdict::NotLinearizable(found) => {
                Some(minimise(&self.model, &history, &found, &budget).reason)
            }
            Verdict::Linearizable | Verdict::Unknown(_) => None,
        }
    }
}
