//! The built-in key-value store: get, put, delete, compare-and-set and append on few keys, with
//! values that identify the operation that wrote them.
//!
//! Every second key is simple: it has no deletes and appends, so each of its values is written
//! once, and its history can be checked during the run.

mod model;
mod object;
mod operation;
mod store;
mod words;

use crate::values::choice::Draw;
use crate::values::digest::mix;
use crate::workload::contract::Workload;
use crate::workload::kv::model::Model;
use crate::workload::object::Object;
use crate::workload::request::OpId;

pub use operation::{Operation, Reply};
pub use store::Store;

/// The clients of a key-value store.
#[derive(Clone, Debug)]
pub struct Kv {
    keys: u64,
    value_bytes_max: u64,
    model: Model,
}

/// The number of consecutive operations that mostly use the same key.
const CONTENDING: u64 = 8;
/// The size of the shortest value in bytes, which has space for the number of the operation that
/// writes it.
const VALUE_BYTES_MIN: u64 = 8;

impl Kv {
    /// Returns clients that use `keys` keys, and write up to `value_bytes_max` bytes at once.
    ///
    /// # Panics
    /// If `keys` is 0, or if `value_bytes_max` is less than 8 or more than
    /// [`Operation::VALUE_BYTES_MAX`].
    #[must_use]
    pub fn new(keys: u64, value_bytes_max: u64) -> Kv {
        assert!(keys > 0, "the number of keys must be at least 1");
        let bounds = VALUE_BYTES_MIN..=Operation::VALUE_BYTES_MAX as u64;
        assert!(bounds.contains(&value_bytes_max), "{value_bytes_max} bytes are not in {bounds:?}");
        Kv { keys, value_bytes_max, model: Model::default() }
    }

    /// Returns the key of an operation: mostly the key of the operations before and after it, so
    /// that they contend.
    fn key(&self, op: OpId, draw: &mut Draw<'_>) -> u64 {
        match draw.chance(250) {
            false => mix(op.0 / CONTENDING, self.keys) % self.keys,
            true => draw.below(self.keys),
        }
    }

    /// Returns the value that an operation writes, if it is a write. Each value is unique, so
    /// consecutive values differ.
    fn value(&self, op: OpId) -> Vec<u8> {
        let length = VALUE_BYTES_MIN + mix(op.0, 0) % (self.value_bytes_max - VALUE_BYTES_MIN + 1);
        let mut value = op.0.to_string().into_bytes();
        value.resize((length as usize).max(value.len() + 1), b'.');
        value
    }

    /// Draws the expected value of a compare-and-set: the value of a recent operation, or `None`
    /// for an absent key.
    fn expected(&self, op: OpId, draw: &mut Draw<'_>) -> Option<Vec<u8>> {
        let back = draw.below(CONTENDING / 2);
        (back > 0).then(|| self.value(OpId(op.0.saturating_sub(back))))
    }
}

impl Default for Kv {
    fn default() -> Kv {
        Kv::new(8, 64)
    }
}

impl Workload for Kv {
    type Machine = Store;

    fn machine(&self) -> Store {
        Store::default()
    }

    fn command(&self, op: OpId, draw: &mut Draw<'_>) -> Vec<u8> {
        let kind = draw.below(100);
        let number = self.key(op, draw);
        let (key, is_simple) = (&name(number)[..], number.is_multiple_of(2));
        let value = &self.value(op)[..];
        let operation = match kind {
            0..10 => Operation::Get { key },
            10..45 => Operation::Put { key, value },
            45..60 if !is_simple => Operation::Delete { key },
            60..80 if !is_simple => Operation::Append { key, value },
            _ => {
                let expected = &self.expected(op, draw);
                let expected = expected.as_deref();
                return Operation::CompareAndSet { key, expected, value }.encode();
            }
        };
        operation.encode()
    }

    /// The size of a compare-and-set with two of the longest values.
    fn command_bytes_max(&self) -> usize {
        const KEY_BYTES_MAX: usize = 21;
        const FIELDS_BYTES: usize = 16;
        FIELDS_BYTES + KEY_BYTES_MAX + 2 * self.value_bytes_max as usize
    }

    fn query(&self, op: OpId, draw: &mut Draw<'_>) -> Vec<u8> {
        Operation::Get { key: &name(self.key(op, draw)) }.encode()
    }

    fn describe_command(&self, command: &[u8]) -> String {
        words::describe(command)
    }

    fn is_kv(&self) -> bool {
        true
    }

    fn object(&self) -> Option<Object> {
        Some(object::object())
    }

    fn check_reply(&mut self, command: &[u8], reply: &[u8]) -> Result<(), String> {
        let expected = self.model.apply(command);
        check_equal(command, reply, &expected)
    }

    fn check_admin_command(&mut self, command: &[u8], reply: &[u8]) -> Result<(), String> {
        check_equal(command, reply, &self.model.administer(command))
    }

    fn check_answer(&self, query: &[u8], answer: &[u8]) -> Result<(), String> {
        check_equal(query, answer, &self.model.query(query))
    }

    fn check_state(&self, machine: &Store) -> Result<(), String> {
        let (found, expected) = (machine.iter(), self.model.pairs());
        let mut pairs = found.zip(expected.iter().copied());
        if let Some((found, expected)) = pairs.find(|(found, expected)| found != expected) {
            return Err(format!("the store has {found:?} instead of {expected:?}"));
        }
        match (machine.iter().count(), expected.len()) {
            (found, expected) if found == expected => Ok(()),
            (found, expected) => Err(format!("the store has {found} keys instead of {expected}")),
        }
    }
}

/// Returns the name of a key in the store.
fn name(key: u64) -> Vec<u8> {
    format!("k{key}").into_bytes()
}

fn check_equal(asked: &[u8], found: &[u8], expected: &[u8]) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    let (asked, found) = (Operation::decode(asked), Reply::decode(found));
    Err(format!("{asked:?} returned {found:?} instead of {:?}", Reply::decode(expected)))
}

#[cfg(test)]
mod tests;
