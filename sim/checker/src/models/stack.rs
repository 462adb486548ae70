//! A LIFO stack model: push and pop.

use crate::budget::Budget;
use crate::collections::pairs::{Access, AccessKind};
use crate::collections::span::Span;
use crate::collections::stack;
use crate::history::{OpId, Operation, Subhistory};
use crate::model::{Effect, Model};
use crate::value::{ValueId, ValueTable};
use crate::verdict::Verdict;

/// A LIFO stack of distinct or repeated items.
#[derive(Clone, Debug, Default)]
pub struct Stack {
    /// The items before the first operation; the last one leaves first.
    pub init: Vec<ValueId>,
    /// The table of the items.
    pub values: ValueTable,
}

/// An operation on a stack. [`Push`](StackOp::Push) returns [`ValueId::NULL`];
/// [`Pop`](StackOp::Pop) returns the item, or [`ValueId::NULL`] if the stack was empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StackOp {
    /// Adds this item on top.
    Push(ValueId),
    /// Removes the item on top.
    Pop,
}

impl Model for Stack {
    type State = Vec<ValueId>;
    type Op = StackOp;
    type Ret = ValueId;

    fn init(&self) -> Vec<ValueId> {
        self.init.clone()
    }

    fn step(
        &self,
        state: &Vec<ValueId>,
        op: &StackOp,
        ret: Option<&ValueId>,
    ) -> Option<Vec<ValueId>> {
        let mut after = state.clone();
        let answer = match op {
            StackOp::Push(value) => {
                after.push(*value);
                ValueId::NULL
            }
            StackOp::Pop => after.pop().unwrap_or(ValueId::NULL),
        };
        ret.is_none_or(|ret| *ret == answer).then_some(after)
    }

    fn effect(&self, op: &StackOp, ret: Option<&ValueId>) -> Effect {
        match (op, ret) {
            (StackOp::Pop, Some(&ValueId::NULL)) => Effect::ReadOnly,
            _ => Effect::Update,
        }
    }

    fn decide(&self, part: Subhistory<'_, StackOp, ValueId>, _: &Budget<'_>) -> Option<Verdict> {
        let access = |(id, operation): (OpId, &Operation<StackOp, ValueId>)| {
            let kind = match (operation.op, operation.ret()) {
                (StackOp::Push(value), None | Some(&ValueId::NULL)) => AccessKind::Insert(value),
                (StackOp::Push(_), Some(_)) => return None,
                (StackOp::Pop, returned) => AccessKind::Take(returned.copied()),
            };
            Some(Access { id, span: Span::of(operation), kind })
        };
        let accesses: Vec<Access> = part.iter().map(access).collect::<Option<_>>()?;
        stack::decide(&self.init, &accesses, &self.values)
    }

    fn describe_op(&self, op: &StackOp) -> String {
        match op {
            StackOp::Push(value) => format!("push {}", self.values.describe(*value)),
            StackOp::Pop => "pop".to_owned(),
        }
    }

    fn describe_ret(&self, op: &StackOp, ret: &ValueId) -> String {
        match op {
            StackOp::Push(_) => String::new(),
            StackOp::Pop => self.values.describe(*ret),
        }
    }

    fn describe_state(&self, state: &Vec<ValueId>) -> String {
        self.values.describe_list(state)
    }
}
