//! A number that grows and shrinks.

use crate::budget::Budget;
use crate::collections::additions::{Addition, Read};
use crate::collections::counter;
use crate::collections::span::Span;
use crate::history::Part;
use crate::model::{Effect, Model};
use crate::verdict::Verdict;

/// A number that grows and shrinks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counter {
    /// The number before the first operation.
    pub init: i64,
}

/// What a counter is asked. An [`Add`](CounterOp::Add) returns nothing, or the number after it; a
/// [`Read`](CounterOp::Read) returns the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CounterOp {
    /// Be so much more, or less.
    Add(i64),
    /// What is the number?
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
            CounterOp::Add(more) => state.checked_add(*more)?,
            CounterOp::Read => *state,
        };
        ret.copied().flatten().is_none_or(|told| told == after).then_some(after)
    }

    fn effect(&self, op: &CounterOp, _: Option<&Option<i64>>) -> Effect {
        match op {
            CounterOp::Read | CounterOp::Add(0) => Effect::Observe,
            CounterOp::Add(_) => Effect::Update,
        }
    }

    fn decide(&self, part: Part<'_, CounterOp, Option<i64>>, _: &Budget<'_>) -> Option<Verdict> {
        let (mut additions, mut reads) = (Vec::with_capacity(part.len()), Vec::new());
        for (id, operation) in part.iter() {
            let span = Span::of(operation);
            let told = operation.ret().copied().flatten();
            match (operation.op, told) {
                (CounterOp::Add(more), told) => {
                    additions.push(Addition { id, span, more, told });
                }
                (CounterOp::Read, Some(number)) => reads.push(Read { id, span, number }),
                (CounterOp::Read, None) => {}
            }
        }
        counter::decide(self.init, &additions, &reads)
    }

    fn call_words(&self, op: &CounterOp) -> String {
        match op {
            CounterOp::Add(more) => format!("add {more}"),
            CounterOp::Read => "read".to_owned(),
        }
    }

    fn ret_words(&self, _: &CounterOp, ret: &Option<i64>) -> String {
        ret.map_or_else(String::new, |number| number.to_string())
    }
}
