//! Last in, first out.

use crate::budget::Budget;
use crate::collections::pairs::{Access, What};
use crate::collections::span::Span;
use crate::collections::stack;
use crate::history::{OpId, Operation, Part};
use crate::model::{Effect, Model};
use crate::value::{Value, Values};
use crate::verdict::Verdict;

/// Last in, first out.
#[derive(Clone, Debug, Default)]
pub struct Stack {
    /// What is in it before the first operation, last the one that leaves first.
    pub init: Vec<Value>,
    /// What the values stand for.
    pub values: Values,
}

/// What a stack is asked. [`Push`](StackOp::Push) returns [`Value::NULL`];
/// [`Pop`](StackOp::Pop) what it took, or [`Value::NULL`] if there was nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StackOp {
    /// Have this on top.
    Push(Value),
    /// Give up what is on top.
    Pop,
}

impl Model for Stack {
    type State = Vec<Value>;
    type Op = StackOp;
    type Ret = Value;

    fn init(&self) -> Vec<Value> {
        self.init.clone()
    }

    fn step(&self, state: &Vec<Value>, op: &StackOp, ret: Option<&Value>) -> Option<Vec<Value>> {
        let mut after = state.clone();
        let answer = match op {
            StackOp::Push(value) => {
                after.push(*value);
                Value::NULL
            }
            StackOp::Pop => after.pop().unwrap_or(Value::NULL),
        };
        ret.is_none_or(|ret| *ret == answer).then_some(after)
    }

    fn effect(&self, op: &StackOp, ret: Option<&Value>) -> Effect {
        match (op, ret) {
            (StackOp::Pop, Some(&Value::NULL)) => Effect::Observe,
            _ => Effect::Update,
        }
    }

    fn decide(&self, part: Part<'_, StackOp, Value>, _: &Budget<'_>) -> Option<Verdict> {
        let access = |(id, operation): (OpId, &Operation<StackOp, Value>)| {
            let what = match (operation.op, operation.ret()) {
                (StackOp::Push(value), None | Some(&Value::NULL)) => What::Insert(value),
                (StackOp::Push(_), Some(_)) => return None,
                (StackOp::Pop, told) => What::Take(told.copied()),
            };
            Some(Access { id, span: Span::of(operation), what })
        };
        let accesses: Vec<Access> = part.iter().map(access).collect::<Option<_>>()?;
        stack::decide(&self.init, &accesses, &self.values)
    }

    fn call_words(&self, op: &StackOp) -> String {
        match op {
            StackOp::Push(value) => format!("push {}", self.values.words(*value)),
            StackOp::Pop => "pop".to_owned(),
        }
    }

    fn ret_words(&self, op: &StackOp, ret: &Value) -> String {
        match op {
            StackOp::Push(_) => String::new(),
            StackOp::Pop => self.values.words(*ret),
        }
    }

    fn state_words(&self, state: &Vec<Value>) -> String {
        self.values.list_words(state)
    }
}
