//! The clients' side of a run: the commands of a small key-value store, their history, and the
//! state machine that executes them.

use std::sync::Arc;

use quorate_checker::budget::Budget;
use quorate_checker::check::check;
use quorate_checker::explain::minimise;
use quorate_checker::history::{Client, Pending, Recorder};
use quorate_checker::models::{Kv, KvCall, KvOp, KvRet};
use quorate_checker::value::{Value, ValueId};
use quorate_checker::verdict::Verdict;

use crate::disk::Bytes;

/// The number of keys.
pub(crate) const KEYS: usize = 4;

/// The state machine of a node: for each key the number of the operation that wrote it last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Machine([u64; KEYS]);

impl Machine {
    pub(crate) fn value(&self, key: usize) -> u64 {
        self.0[key]
    }

    pub(crate) fn with(&self, key: usize, value: u64) -> Machine {
        let mut after = self.clone();
        after.0[key] = value;
        after
    }

    pub(crate) fn encode(&self) -> Bytes {
        self.0.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    /// Returns the state of an encoded state machine, if it is one.
    pub(crate) fn decode(state: &[u8]) -> Option<Machine> {
        let (words, rest) = state.as_chunks::<8>();
        let values = words.iter().map(|word| u64::from_le_bytes(*word)).collect::<Vec<_>>();
        Some(Machine(values.try_into().ok().filter(|_| rest.is_empty())?))
    }
}

/// One operation of a client.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) key: usize,
    pub(crate) is_read: bool,
    /// The node that the client asked, by its place, and the number of that node's start.
    pub(crate) asked: (usize, u16),
    /// The client that continues after it, if it is not a single operation.
    pub(crate) client: Option<u16>,
    pending: Option<Pending<KvOp, KvRet>>,
    /// Whether the client has received a reply.
    pub(crate) replied: bool,
}

impl Operation {
    pub(crate) fn is_pending(&self) -> bool {
        self.pending.is_some()
    }
}

/// All operations of a run, by their numbers from 1.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    operations: Vec<Operation>,
    recorder: Recorder<KvOp, KvRet>,
    model: Kv,
    pub(crate) replies: u64,
}

impl Clients {
    /// Starts an operation, and returns its number.
    pub(crate) fn invoke(
        &mut self,
        key: usize,
        is_read: bool,
        asked: (usize, u16),
        client: Option<u16>,
    ) -> u64 {
        let number = self.operations.len() as u64 + 1;
        let name = self.model.values.intern(Value::Text(format!("k{key}")));
        let call = if is_read { KvCall::Get } else { KvCall::Put(self.value(number)) };
        // Each operation is a client of its own, because a client waits for no unknown outcome.
        let client_id = Client(number as u32);
        let pending = Some(self.recorder.invoke(client_id, KvOp { key: name, call }));
        self.operations.push(Operation { key, is_read, asked, client, pending, replied: false });
        number
    }

    /// Returns the id of a value in the history; that of no value is the initial one.
    fn value(&self, number: u64) -> ValueId {
        match number {
            0 => self.model.init,
            _ => self.model.values.intern(Value::Integer(number as i64)),
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.operations.len()
    }

    pub(crate) fn operation(&self, number: u64) -> Option<&Operation> {
        self.operations.get(usize::try_from(number.checked_sub(1)?).ok()?)
    }

    /// Ends a pending operation with a reply: the value that a read found.
    pub(crate) fn reply(&mut self, number: u64, value: u64) {
        let found = self.value(value);
        let operation = &mut self.operations[number as usize - 1];
        if let Some(pending) = operation.pending.take() {
            pending.returned(if operation.is_read { KvRet::Value(found) } else { KvRet::Written });
            operation.replied = true;
            self.replies += 1;
        }
    }

    /// Ends a pending operation that certainly has no effect.
    pub(crate) fn decline(&mut self, number: u64) {
        if let Some(pending) = self.operations[number as usize - 1].pending.take() {
            pending.failed();
        }
    }

    /// Ends a pending operation whose outcome its client will never learn.
    pub(crate) fn expire(&mut self, number: u64) {
        if let Some(pending) = self.operations[number as usize - 1].pending.take() {
            pending.unknown();
        }
    }

    /// Returns the reason why the history is not linearizable, if so.
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

/// Returns the command of an operation, in so many bytes if its number does not need more.
pub(crate) fn command(number: u64, bytes: u64) -> Bytes {
    let mut command = number.to_le_bytes().to_vec();
    command.resize((bytes as usize).max(command.len()), 0);
    Arc::from(command)
}

/// Returns the number of the operation that a command belongs to.
pub(crate) fn operation_of(command: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(*command.first_chunk()?))
}
