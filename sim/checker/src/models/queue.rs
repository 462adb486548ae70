//! First in, first out.

use std::collections::VecDeque;

use crate::budget::Budget;
use crate::collections::pairs::{Access, What};
use crate::collections::queue;
use crate::collections::span::Span;
use crate::history::{OpId, Operation, Part};
use crate::model::{Effect, Model};
use crate::value::{Value, Values};
use crate::verdict::Verdict;

/// First in, first out.
#[derive(Clone, Debug, Default)]
pub struct Queue {
    /// What is in it before the first operation, first the one that leaves first.
    pub init: VecDeque<Value>,
    /// What the values stand for.
    pub values: Values,
}

/// What a queue is asked. [`Enqueue`](QueueOp::Enqueue) returns [`Value::NULL`];
/// [`Dequeue`](QueueOp::Dequeue) what it took, or [`Value::NULL`] if there was nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QueueOp {
    /// Have this at the end.
    Enqueue(Value),
    /// Give up what is at the front.
    Dequeue,
}

impl Model for Queue {
    type State = VecDeque<Value>;
    type Op = QueueOp;
    type Ret = Value;

    fn init(&self) -> VecDeque<Value> {
        self.init.clone()
    }

    fn step(
        &self,
        state: &VecDeque<Value>,
        op: &QueueOp,
        ret: Option<&Value>,
    ) -> Option<VecDeque<Value>> {
        let mut after = state.clone();
        let answer = match op {
            QueueOp::Enqueue(value) => {
                after.push_back(*value);
                Value::NULL
            }
            QueueOp::Dequeue => after.pop_front().unwrap_or(Value::NULL),
        };
        ret.is_none_or(|ret| *ret == answer).then_some(after)
    }

    fn effect(&self, op: &QueueOp, ret: Option<&Value>) -> Effect {
        match (op, ret) {
            (QueueOp::Dequeue, Some(&Value::NULL)) => Effect::Observe,
            _ => Effect::Update,
        }
    }

    fn decide(&self, part: Part<'_, QueueOp, Value>, _: &Budget<'_>) -> Option<Verdict> {
        let access = |(id, operation): (OpId, &Operation<QueueOp, Value>)| {
            let what = match (operation.op, operation.ret()) {
                (QueueOp::Enqueue(value), None | Some(&Value::NULL)) => What::Insert(value),
                (QueueOp::Enqueue(_), Some(_)) => return None,
                (QueueOp::Dequeue, told) => What::Take(told.copied()),
            };
            Some(Access { id, span: Span::of(operation), what })
        };
        let accesses: Vec<Access> = part.iter().map(access).collect::<Option<_>>()?;
        let init: Vec<Value> = self.init.iter().copied().collect();
        queue::decide(&init, &accesses, &self.values)
    }

    fn call_words(&self, op: &QueueOp) -> String {
        match op {
            QueueOp::Enqueue(value) => format!("enqueue {}", self.values.words(*value)),
            QueueOp::Dequeue => "dequeue".to_owned(),
        }
    }

    fn ret_words(&self, op: &QueueOp, ret: &Value) -> String {
        match op {
            QueueOp::Enqueue(_) => String::new(),
            QueueOp::Dequeue => self.values.words(*ret),
        }
    }

    fn state_words(&self, state: &VecDeque<Value>) -> String {
        self.values.list_words(state)
    }
}
