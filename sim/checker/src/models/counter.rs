//! A counter model: additions of positive or negative amounts, and reads.

use crate::budget::Budget;
use crate::collections::additions::{Addition, Read};
use crate::collections::counter;
use crate::collections::span::Span;
use crate::history::Subhistory;
use crate::model::{Effect, Model};
use crate::verdict::Verdict;

/// A counter of 64 bits. An addition that would overflow is illegal.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counter {
    /// The number before the first operation.
    pub init: i64,
}

/// An operation on a counter. [`Add`](CounterOp::Add) returns nothing, or the number after it;
/// [`Read`](CounterOp::Read) returns the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CounterOp {
    /// Adds this amount, which may be negative.
    Add(i64),
    /// Reads the current number.
    Read,
}

impl Model for Counter {
    type State = i64;
    type Op = CounterOp;
    type Ret = Option<i64>;

    fn init(&self) -> i64 {
        self.init
    }

    fn step(&self, state: &i64, op: &CounterOp, ret: Option<&Option<i64>>) -> Option<i64> {
        let after = match op {
            CounterOp::Add(amount) => state.checked_add(*amount)?,
            CounterOp::Read => *state,
        };
        ret.copied().flatten().is_none_or(|sum| sum == after).then_some(after)
    }

    fn effect(&self, op: &CounterOp, _: Option<&Option<i64>>) -> Effect {
        match op {
            CounterOp::Read | CounterOp::Add(0) => Effect::ReadOnly,
            CounterOp::Add(_) => Effect::Update,
        }
    }

    fn decide(
        &self,
        part: Subhistory<'_, CounterOp, Option<i64>>,
        budget: &Budget<'_>,
    ) -> Option<Verdict> {
        let (mut additions, mut reads) = (Vec::with_capacity(part.len()), Vec::new());
        for (id, operation) in part.iter() {
            let span = Span::of(operation);
            let sum = operation.ret().copied().flatten();
            match (operation.op, sum) {
                (CounterOp::Add(amount), sum) => {
                    additions.push(Addition { id, span, amount, sum });
                }
                (CounterOp::Read, Some(number)) => reads.push(Read { id, span, number }),
                (CounterOp::Read, None) => {}
            }
        }
        counter::decide(self.init, &additions, &reads, budget)
    }

    fn describe_op(&self, op: &CounterOp) -> String {
        match op {
            CounterOp::Add(amount) => format!("add {amount}"),
            CounterOp::Read => "read".to_owned(),
        }
    }

    fn describe_ret(&self, _: &CounterOp, ret: &Option<i64>) -> String {
        ret.map_or_else(String::new, |number| number.to_string())
    }
}
