//! One value that is read, written, and compared and set.

use std::sync::Arc;

use crate::budget::Budget;
use crate::history::{Moment, Part};
use crate::model::{Cell, Effect, Model};
use crate::models::since::{Asks, shown_since};
use crate::stream::Stream;
use crate::value::{Value, Values};
use crate::verdict::Verdict;
use crate::zones::{Names, Told, What, gather, register, verdict};

/// One value that is read, written, and compared and set.
#[derive(Clone, Debug, Default)]
pub struct Register {
    /// The value before the first operation.
    pub init: Value,
    /// What the values stand for.
    pub values: Values,
}

/// What a register is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RegisterOp {
    /// What is the value?
    Read,
    /// Be this.
    Write(Value),
    /// Be `to` if it is `from`.
    Cas {
        /// What it must be.
        from: Value,
        /// What it becomes then.
        to: Value,
    },
}

/// What a register answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RegisterRet {
    /// It is written.
    Written,
    /// The value that was read.
    Value(Value),
    /// Whether the value was `from`.
    Swapped(bool),
}

impl Model for Register {
    type State = Value;
    type Op = RegisterOp;
    type Ret = RegisterRet;

    fn init(&self) -> Value {
        self.init
    }

    fn step(&self, state: &Value, op: &RegisterOp, ret: Option<&RegisterRet>) -> Option<Value> {
        let (answer, after) = match *op {
            RegisterOp::Read => (RegisterRet::Value(*state), *state),
            RegisterOp::Write(value) => (RegisterRet::Written, value),
            RegisterOp::Cas { from, to } if from == *state => (RegisterRet::Swapped(true), to),
            RegisterOp::Cas { .. } => (RegisterRet::Swapped(false), *state),
        };
        ret.is_none_or(|ret| *ret == answer).then_some(after)
    }

    fn effect(&self, op: &RegisterOp, ret: Option<&RegisterRet>) -> Effect {
        match (op, ret) {
            (RegisterOp::Read, _) | (RegisterOp::Cas { .. }, Some(RegisterRet::Swapped(false))) => {
                Effect::Observe
            }
            (RegisterOp::Write(_), _) => Effect::Overwrite,
            (RegisterOp::Cas { .. }, _) => Effect::Update,
        }
    }

    fn shown_since(&self, part: Part<'_, RegisterOp, RegisterRet>) -> Option<Vec<Moment>> {
        let asks = |op: &RegisterOp| match *op {
            RegisterOp::Read => Asks::Nothing,
            RegisterOp::Write(written) | RegisterOp::Cas { to: written, .. } => {
                Asks::Writes(written)
            }
        };
        let shows = |op: &RegisterOp, ret: &RegisterRet| match (*op, ret) {
            (RegisterOp::Read, RegisterRet::Value(value)) => Some(*value),
            _ => None,
        };
        Some(shown_since(part, self.init, &[], asks, shows))
    }

    fn stream(self: Arc<Self>) -> Option<Stream<RegisterOp, RegisterRet>> {
        let (init, names) = (self.init, Names { read: "read", write: "write" });
        let words = move |value| self.values.words(value);
        Some(Stream::new(told, |_| 0, init, names, words))
    }

    /// In nearly linear time, if no value that was seen was written twice, and no failed
    /// compare-and-set matters.
    fn decide(&self, part: Part<'_, RegisterOp, RegisterRet>, _: &Budget<'_>) -> Option<Verdict> {
        let calls = gather(part, told)?;
        let names = Names { read: "read", write: "write" };
        let words = |value| self.values.words(value);
        verdict(&calls, names, &words, |calls| register::decide(calls, self.init))
    }

    fn cell(&self, op: &RegisterOp, ret: Option<&RegisterRet>) -> Option<Cell> {
        let number = |value: Value| u64::from(value.0);
        match (*op, ret) {
            (RegisterOp::Read, Some(RegisterRet::Value(value))) => {
                Some(Cell::Holds(number(*value)))
            }
            (RegisterOp::Write(value), None | Some(RegisterRet::Written)) => {
                Some(Cell::Becomes(number(value)))
            }
            (RegisterOp::Cas { from, to }, None | Some(RegisterRet::Swapped(true))) => {
                Some(Cell::Swaps { from: number(from), to: number(to) })
            }
            (RegisterOp::Cas { from, .. }, Some(RegisterRet::Swapped(false))) => {
                Some(Cell::Differs(number(from)))
            }
            _ => None,
        }
    }

    fn cell_init(&self) -> u64 {
        u64::from(self.init.0)
    }

    fn call_words(&self, op: &RegisterOp) -> String {
        let words = |value: Value| self.values.words(value);
        match *op {
            RegisterOp::Read => "read".to_owned(),
            RegisterOp::Write(value) => format!("write {}", words(value)),
            RegisterOp::Cas { from, to } => format!("cas {} -> {}", words(from), words(to)),
        }
    }

    fn ret_words(&self, _: &RegisterOp, ret: &RegisterRet) -> String {
        match *ret {
            RegisterRet::Written => String::new(),
            RegisterRet::Value(value) => self.values.words(value),
            RegisterRet::Swapped(swapped) => swapped.to_string(),
        }
    }

    fn state_words(&self, state: &Value) -> String {
        self.values.words(*state)
    }
}

/// What `op`, of one register, says if it returned `ret`.
fn told(op: &RegisterOp, ret: Option<&RegisterRet>) -> Told {
    match (*op, ret) {
        (RegisterOp::Read, None) => Told::Nothing,
        (RegisterOp::Read, Some(RegisterRet::Value(value))) => Told::This(What::Read(*value)),
        (RegisterOp::Write(value), None | Some(RegisterRet::Written)) => {
            Told::This(What::Write(value))
        }
        (RegisterOp::Cas { from, to }, None | Some(RegisterRet::Swapped(true))) => {
            Told::This(What::Swap { from, to })
        }
        (RegisterOp::Cas { from, to }, Some(RegisterRet::Swapped(false))) => {
            Told::This(What::Refused { from, to })
        }
        _ => Told::Nonsense,
    }
}
