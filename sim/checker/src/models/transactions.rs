//! Several registers, read and written together.

use std::collections::BTreeMap;

use crate::budget::Budget;
use crate::collections::span::Span;
use crate::collections::transactions::{Step, Transaction, impossible};
use crate::history::Part;
use crate::model::{Effect, Model};
use crate::value::{Value, Values};
use crate::verdict::Verdict;

/// Several registers. One operation reads and writes any of them, in its order, at one instant.
#[derive(Clone, Debug, Default)]
pub struct Transactions {
    /// The value of every key before the first operation.
    pub init: Value,
    /// What keys and values stand for.
    pub values: Values,
}

/// One step of a transaction. It returns, for each step, what was read; [`Value::NULL`] for a
/// write, and for a read whose result was not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// What has this key?
    Read(Value),
    /// Let this key have this value.
    Write(Value, Value),
}

impl Model for Transactions {
    type State = BTreeMap<Value, Value>;
    type Op = Box<[Access]>;
    type Ret = Box<[Value]>;

    fn init(&self) -> BTreeMap<Value, Value> {
        BTreeMap::new()
    }

    fn step(
        &self,
        state: &BTreeMap<Value, Value>,
        op: &Box<[Access]>,
        ret: Option<&Box<[Value]>>,
    ) -> Option<BTreeMap<Value, Value>> {
        let mut after = state.clone();
        for (place, access) in op.iter().enumerate() {
            match *access {
                Access::Read(key) => {
                    let now = after.get(&key).copied().unwrap_or(self.init);
                    let told = ret.and_then(|ret| ret.get(place)).copied().unwrap_or(Value::NULL);
                    if told != Value::NULL && told != now {
                        return None;
                    }
                }
                Access::Write(key, value) if value == self.init => {
                    after.remove(&key);
                }
                Access::Write(key, value) => {
                    after.insert(key, value);
                }
            }
        }
        Some(after)
    }

    fn effect(&self, op: &Box<[Access]>, _: Option<&Box<[Value]>>) -> Effect {
        let reads = |access: &Access| matches!(access, Access::Read(_));
        if op.iter().all(reads) { Effect::Observe } else { Effect::Update }
    }

    fn decide(
        &self,
        part: Part<'_, Box<[Access]>, Box<[Value]>>,
        _: &Budget<'_>,
    ) -> Option<Verdict> {
        let mut transactions = Vec::with_capacity(part.len());
        for (id, operation) in part.iter() {
            let told = |place: usize| operation.ret().and_then(|ret| ret.get(place)).copied();
            let step = |(place, access): (usize, &Access)| match *access {
                Access::Write(key, value) => Some(Step::Wrote(key, value)),
                Access::Read(key) => {
                    let told = told(place).filter(|told| *told != Value::NULL);
                    told.map(|told| Step::Found(key, told))
                }
            };
            let steps = operation.op.iter().enumerate().filter_map(step).collect();
            transactions.push(Transaction { id, span: Span::of(operation), steps });
        }
        impossible(self.init, &transactions, &self.values)
    }

    fn call_words(&self, op: &Box<[Access]>) -> String {
        let words = |value: Value| self.values.words(value);
        let one = |access: &Access| match *access {
            Access::Read(key) => format!("read {}", words(key)),
            Access::Write(key, value) => format!("write {} {}", words(key), words(value)),
        };
        op.iter().map(one).collect::<Vec<_>>().join("; ")
    }

    fn ret_words(&self, _: &Box<[Access]>, ret: &Box<[Value]>) -> String {
        self.values.list_words(ret.iter())
    }

    fn state_words(&self, state: &BTreeMap<Value, Value>) -> String {
        let pair = |(key, value): (&Value, &Value)| {
            format!("{} = {}", self.values.words(*key), self.values.words(*value))
        };
        state.iter().map(pair).collect::<Vec<_>>().join(", ")
    }
}
