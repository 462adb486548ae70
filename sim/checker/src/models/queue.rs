//! A FIFO queue model: enqueue and dequeue.

use std::collections::VecDeque;

use crate::budget::Budget;
use crate::collections::pairs::{Access, AccessKind};
use crate::collections::queue;
use crate::collections::span::Span;
use crate::history::{OpId, Operation, Subhistory};
use crate::model::{Effect, Model};
use crate::value::{ValueId, ValueTable};
use crate::verdict::Verdict;

/// A FIFO queue of distinct or repeated items.
#[derive(Clone, Debug, Default)]
pub struct Queue {
    /// The items before the first operation; the first one leaves first.
    pub init: VecDeque<ValueId>,
    /// The table of the items.
    pub values: ValueTable,
}

/// An operation on a queue. [`Enqueue`](QueueOp::Enqueue) returns [`ValueId::NULL`];
/// [`Dequeue`](QueueOp::Dequeue) returns the item, or [`ValueId::NULL`] if the queue was empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QueueOp {
    /// Adds this item at the end.
    Enqueue(ValueId),
    /// Removes the item at the front.
    Dequeue,
}

impl Model for Queue {
    type State = VecDeque<ValueId>;
    type Op = QueueOp;
    type Ret = ValueId;

    fn init(&self) -> VecDeque<ValueId> {
        self.init.clone()
    }

    fn step(
        &self,
        state: &VecDeque<ValueId>,
        op: &QueueOp,
        ret: Option<&ValueId>,
    ) -> Option<VecDeque<ValueId>> {
        let mut after = state.clone();
        let answer = match op {
            QueueOp::Enqueue(value) => {
                after.push_back(*value);
                ValueId::NULL
            }
            QueueOp::Dequeue => after.pop_front().unwrap_or(ValueId::NULL),
        };
        ret.is_none_or(|ret| *ret == answer).then_some(after)
    }

    fn effect(&self, op: &QueueOp, ret: Option<&ValueId>) -> Effect {
        match (op, ret) {
            (QueueOp::Dequeue, Some(&ValueId::NULL)) => Effect::ReadOnly,
            _ => Effect::Update,
        }
    }

    fn decide(&self, part: Subhistory<'_, QueueOp, ValueId>, _: &Budget<'_>) -> Option<Verdict> {
        let access = |(id, operation): (OpId, &Operation<QueueOp, ValueId>)| {
            let kind = match (operation.op, operation.ret()) {
                (QueueOp::Enqueue(value), None | Some(&ValueId::NULL)) => AccessKind::Insert(value),
                (QueueOp::Enqueue(_), Some(_)) => return None,
                (QueueOp::Dequeue, returned) => AccessKind::Take(returned.copied()),
            };
            Some(Access { id, span: Span::of(operation), kind })
        };
        let accesses: Vec<Access> = part.iter().map(access).collect::<Option<_>>()?;
        let init: Vec<ValueId> = self.init.iter().copied().collect();
        queue::decide(&init, &accesses, &self.values)
    }

    fn describe_op(&self, op: &QueueOp) -> String {
        match op {
            QueueOp::Enqueue(value) => format!("enqueue {}", self.values.describe(*value)),
            QueueOp::Dequeue => "dequeue".to_owned(),
        }
    }

    fn describe_ret(&self, op: &QueueOp, ret: &ValueId) -> String {
        match op {
            QueueOp::Enqueue(_) => String::new(),
            QueueOp::Dequeue => self.values.describe(*ret),
        }
    }

    fn describe_state(&self, state: &VecDeque<ValueId>) -> String {
        self.values.describe_list(state)
    }
}
