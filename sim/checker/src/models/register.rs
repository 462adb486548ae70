//! A register model: read, write and compare-and-set.

use std::sync::Arc;

use crate::budget::{Budget, StopCheck};
use crate::history::{EventIndex, Subhistory};
use crate::model::{Effect, Model, RegisterAccess};
use crate::models::observable_since::{ValueWrite, observable_since};
use crate::stream::Stream;
use crate::value::{ValueId, ValueTable};
use crate::verdict::Verdict;
use crate::zones::{Action, Classification, OpNames, gather, register, verdict};

/// A register with read, write and compare-and-set.
#[derive(Clone, Debug, Default)]
pub struct Register {
    /// The value before the first operation.
    pub init: ValueId,
    /// The table of the values.
    pub values: ValueTable,
}

/// An operation on a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RegisterOp {
    /// Reads the current value.
    Read,
    /// Sets the value to this.
    Write(ValueId),
    /// Sets the value to `to` if it is `from` (compare-and-set).
    Cas {
        /// The value that the register must have.
        from: ValueId,
        /// The value that the register has afterwards.
        to: ValueId,
    },
}

/// The result of an operation on a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RegisterRet {
    /// A `Write` took effect.
    Written,
    /// The value that a `Read` found.
    Value(ValueId),
    /// Whether a `Cas` found `from`.
    Swapped(bool),
}

impl Model for Register {
    type State = ValueId;
    type Op = RegisterOp;
    type Ret = RegisterRet;

    fn init(&self) -> ValueId {
        self.init
    }

    fn step(&self, state: &ValueId, op: &RegisterOp, ret: Option<&RegisterRet>) -> Option<ValueId> {
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
                Effect::ReadOnly
            }
            (RegisterOp::Write(_), _) => Effect::BlindWrite,
            (RegisterOp::Cas { .. }, _) => Effect::Update,
        }
    }

    fn observable_since(
        &self,
        part: Subhistory<'_, RegisterOp, RegisterRet>,
    ) -> Option<Vec<EventIndex>> {
        let write_of = |op: &RegisterOp| match *op {
            RegisterOp::Read => ValueWrite::None,
            RegisterOp::Write(written) | RegisterOp::Cas { to: written, .. } => {
                ValueWrite::Put(written)
            }
        };
        let observed_value = |op: &RegisterOp, ret: &RegisterRet| match (*op, ret) {
            (RegisterOp::Read, RegisterRet::Value(value)) => Some(*value),
            _ => None,
        };
        Some(observable_since(part, self.init, &[], write_of, observed_value))
    }

    fn stream(self: Arc<Self>) -> Option<Stream<RegisterOp, RegisterRet>> {
        let (init, names) = (self.init, OpNames { read: "read", write: "write" });
        let describe = move |value| self.values.describe(value);
        Some(Stream::new(classify, |_| 0, move |_| init, names, describe))
    }

    /// Decides in nearly linear time, unless an observed value was written twice, or a failed
    /// compare-and-set matters.
    fn decide(
        &self,
        part: Subhistory<'_, RegisterOp, RegisterRet>,
        budget: &Budget<'_>,
    ) -> Option<Verdict> {
        let calls = gather(part, classify)?;
        let names = OpNames { read: "read", write: "write" };
        let describe = |value| self.values.describe(value);
        let stop = StopCheck::new(budget);
        verdict(&calls, names, &describe, &stop, |calls| register::decide(calls, self.init))
    }

    fn register_access(
        &self,
        op: &RegisterOp,
        ret: Option<&RegisterRet>,
    ) -> Option<RegisterAccess> {
        access_of(classify(op, ret))
    }

    fn register_init(&self, _: &RegisterOp) -> u64 {
        u64::from(self.init.0)
    }

    fn describe_op(&self, op: &RegisterOp) -> String {
        let describe = |value: ValueId| self.values.describe(value);
        match *op {
            RegisterOp::Read => "read".to_owned(),
            RegisterOp::Write(value) => format!("write {}", describe(value)),
            RegisterOp::Cas { from, to } => format!("cas {} -> {}", describe(from), describe(to)),
        }
    }

    fn describe_ret(&self, _: &RegisterOp, ret: &RegisterRet) -> String {
        match *ret {
            RegisterRet::Written => String::new(),
            RegisterRet::Value(value) => self.values.describe(value),
            RegisterRet::Swapped(swapped) => swapped.to_string(),
        }
    }

    fn describe_state(&self, state: &ValueId) -> String {
        self.values.describe(*state)
    }
}

/// Classifies `op` with the result `ret`.
fn classify(op: &RegisterOp, ret: Option<&RegisterRet>) -> Classification {
    match (*op, ret) {
        (RegisterOp::Read, None) => Classification::Irrelevant,
        (RegisterOp::Read, Some(RegisterRet::Value(value))) => {
            Classification::Action(Action::Read(*value))
        }
        (RegisterOp::Write(value), None | Some(RegisterRet::Written)) => {
            Classification::Action(Action::Write(value))
        }
        (RegisterOp::Cas { from, to }, None | Some(RegisterRet::Swapped(true))) => {
            Classification::Action(Action::CompareAndSet { from, to })
        }
        (RegisterOp::Cas { from, to }, Some(RegisterRet::Swapped(false))) => {
            Classification::Action(Action::FailedCas { from, to })
        }
        _ => Classification::Invalid,
    }
}

/// Returns the operation as an access for the search of a register, if it is one.
pub(super) fn access_of(classification: Classification) -> Option<RegisterAccess> {
    let Classification::Action(action) = classification else { return None };
    let number = |value: ValueId| u64::from(value.0);
    Some(match action {
        Action::Read(value) | Action::FailedCasFound { found: value, .. } => {
            RegisterAccess::ReadEqual(number(value))
        }
        Action::Write(value) => RegisterAccess::Write(number(value)),
        Action::CompareAndSet { from, to } => {
            RegisterAccess::CompareAndSet { from: number(from), to: number(to) }
        }
        Action::FailedCas { from, .. } => RegisterAccess::ReadNotEqual(number(from)),
        Action::Append(_) => return None,
    })
}
