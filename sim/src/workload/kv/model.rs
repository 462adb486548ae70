//! A simple model of the store: a list of keys and values.

use quorate::machine::{Quota, QuotaCommand};

use crate::workload::kv::operation::{Operation, Reply};

/// Keys and values, in the order in which they were written last.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pairs: Vec<(Vec<u8>, Vec<u8>)>,
    /// The quota in bytes of keys and values; the default of the library if none was set.
    bytes_max: Option<u64>,
    /// Whether writes that grow the store are rejected.
    alarm: bool,
}

impl Model {
    /// Applies a command to the model, and returns the expected reply.
    pub(super) fn apply(&mut self, command: &[u8]) -> Vec<u8> {
        let Some(operation) = Operation::decode(command) else {
            return Reply::Malformed.encode();
        };
        let (key, before) = match operation {
            Operation::Get { key }
            | Operation::Put { key, .. }
            | Operation::Delete { key }
            | Operation::CompareAndSet { key, .. }
            | Operation::Append { key, .. } => (key, self.value(key)),
        };
        let after = match operation {
            Operation::Get { .. } => return answer(before.as_deref()),
            Operation::Delete { .. } => {
                self.pairs.retain(|pair| pair.0 != key);
                return answer(before.as_deref());
            }
            Operation::CompareAndSet { expected, .. } if expected != before.as_deref() => {
                return Reply::Different(before.as_deref()).encode();
            }
            Operation::Put { value, .. } | Operation::CompareAndSet { value, .. } => value.to_vec(),
            Operation::Append { value, .. } => {
                before.into_iter().flatten().chain(value.iter().copied()).collect()
            }
        };
        if after.len() > Operation::VALUE_BYTES_MAX {
            return Reply::TooLong.encode();
        }
        let mut pairs = self.pairs.clone();
        pairs.retain(|pair| pair.0 != key);
        pairs.push((key.to_vec(), after));
        if bytes_of(&pairs) > bytes_of(&self.pairs)
            && (self.alarm || bytes_of(&pairs) > self.bytes_max())
        {
            self.alarm = true;
            return Reply::NoSpace.encode();
        }
        self.pairs = pairs;
        Reply::Done.encode()
    }

    /// Executes an admin command, and returns the expected reply.
    pub(super) fn administer(&mut self, command: &[u8]) -> Vec<u8> {
        match QuotaCommand::decode(command) {
            None => Reply::Malformed.encode(),
            Some(QuotaCommand::SetBytes(bytes)) => {
                self.bytes_max = Some(bytes);
                self.alarm |= bytes_of(&self.pairs) > bytes;
                Reply::Done.encode()
            }
            Some(QuotaCommand::ClearAlarm) => {
                self.alarm = bytes_of(&self.pairs) > self.bytes_max();
                if self.alarm { Reply::NoSpace.encode() } else { Reply::Done.encode() }
            }
        }
    }

    /// Returns the expected answer to a query.
    pub(super) fn query(&self, query: &[u8]) -> Vec<u8> {
        match Operation::decode(query) {
            Some(Operation::Get { key }) => answer(self.value(key).as_deref()),
            _ => Reply::Malformed.encode(),
        }
    }

    /// Returns all pairs, in ascending order.
    pub(super) fn pairs(&self) -> Vec<(&[u8], &[u8])> {
        let mut pairs: Vec<_> =
            self.pairs.iter().map(|(key, value)| (&key[..], &value[..])).collect();
        pairs.sort_unstable();
        pairs
    }

    fn bytes_max(&self) -> u64 {
        self.bytes_max.unwrap_or(Quota::BYTES_MAX_DEFAULT)
    }

    fn value(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.pairs.iter().find(|pair| pair.0 == key).map(|pair| pair.1.clone())
    }
}

fn answer(value: Option<&[u8]>) -> Vec<u8> {
    value.map_or(Reply::Absent, Reply::Value).encode()
}

/// Returns the size of all keys and values.
fn bytes_of(pairs: &[(Vec<u8>, Vec<u8>)]) -> u64 {
    pairs.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum()
}
