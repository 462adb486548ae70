//! A multi-register model: transactions of reads and writes.

use std::collections::BTreeMap;

use crate::budget::Budget;
use crate::collections::span::Span;
use crate::collections::transactions::{Step, Transaction, find_violation};
use crate::history::Subhistory;
use crate::model::{Effect, Model};
use crate::models::heap::tree_bytes;
use crate::models::initial_values::InitialValues;
use crate::value::{ValueId, ValueTable};
use crate::verdict::Verdict;

/// Several registers. A transaction reads and writes any of them, in its order, atomically.
#[derive(Clone, Debug, Default)]
pub struct Transactions {
    /// The value of each key before the first operation.
    pub init: InitialValues,
    /// The table of keys and values.
    pub values: ValueTable,
}

/// One step of a transaction. A transaction returns a value for each step: the value read, or
/// [`ValueId::NULL`] for a write and for a read whose result is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Reads the value of this key.
    Read(ValueId),
    /// Sets this key to this value.
    Write(ValueId, ValueId),
}

impl Model for Transactions {
    type State = BTreeMap<ValueId, ValueId>;
    type Op = Box<[Access]>;
    type Ret = Box<[ValueId]>;

    fn init(&self) -> BTreeMap<ValueId, ValueId> {
        BTreeMap::new()
    }

    fn step(
        &self,
        state: &BTreeMap<ValueId, ValueId>,
        op: &Box<[Access]>,
        ret: Option<&Box<[ValueId]>>,
    ) -> Option<BTreeMap<ValueId, ValueId>> {
        let mut after = state.clone();
        for (place, access) in op.iter().enumerate() {
            match *access {
                Access::Read(key) => {
                    let now = after.get(&key).copied().unwrap_or(self.init.of(key));
                    let returned =
                        ret.and_then(|ret| ret.get(place)).copied().unwrap_or(ValueId::NULL);
                    if returned != ValueId::NULL && returned != now {
                        return None;
                    }
                }
                Access::Write(key, value) if value == self.init.of(key) => {
                    after.remove(&key);
                }
                Access::Write(key, value) => {
                    after.insert(key, value);
                }
            }
        }
        Some(after)
    }

    fn effect(&self, op: &Box<[Access]>, _: Option<&Box<[ValueId]>>) -> Effect {
        let reads = |access: &Access| matches!(access, Access::Read(_));
        if op.iter().all(reads) { Effect::ReadOnly } else { Effect::Update }
    }

    fn decide(
        &self,
        part: Subhistory<'_, Box<[Access]>, Box<[ValueId]>>,
        _: &Budget<'_>,
    ) -> Option<Verdict> {
        let mut transactions = Vec::with_capacity(part.len());
        for (id, operation) in part.iter() {
            let returned = |place: usize| operation.ret().and_then(|ret| ret.get(place)).copied();
            let step = |(place, access): (usize, &Access)| match *access {
                Access::Write(key, value) => Some(Step::Write(key, value)),
                Access::Read(key) => {
                    let returned = returned(place).filter(|returned| *returned != ValueId::NULL);
                    returned.map(|returned| Step::Read(key, returned))
                }
            };
            let steps = operation.op.iter().enumerate().filter_map(step).collect();
            transactions.push(Transaction { id, span: Span::of(operation), steps });
        }
        find_violation(&|key| self.init.of(key), &transactions, &self.values)
    }

    /// Counts the memory that a state owns.
    fn unhashed_bytes(&self, state: &BTreeMap<ValueId, ValueId>) -> usize {
        tree_bytes::<(ValueId, ValueId)>(state.len())
    }

    fn describe_op(&self, op: &Box<[Access]>) -> String {
        let words = |value: ValueId| self.values.describe(value);
        let one = |access: &Access| match *access {
            Access::Read(key) => format!("read {}", words(key)),
            Access::Write(key, value) => format!("write {} {}", words(key), words(value)),
        };
        op.iter().map(one).collect::<Vec<_>>().join("; ")
    }

    fn describe_ret(&self, _: &Box<[Access]>, ret: &Box<[ValueId]>) -> String {
        self.values.describe_list(ret.iter())
    }

    fn describe_state(&self, state: &BTreeMap<ValueId, ValueId>) -> String {
        self.values.describe_pairs(state, |value| self.values.describe(*value))
    }
}
