//! Models of a FIFO queue and a LIFO stack: insertions, and removals that return the item.

use std::collections::VecDeque;

use crate::budget::{Budget, StopCheck};
use crate::collections::pairs::{Access, AccessKind};
use crate::collections::span::Span;
use crate::collections::{queue, stack};
use crate::history::{EventIndex, OpId, Operation, Subhistory};
use crate::model::{Effect, Model};
use crate::models::heap::array_bytes;
use crate::models::ordered::{self, Restricted};
use crate::value::{ValueId, ValueTable};
use crate::verdict::{Counterexample, Verdict};

/// The maximum number of values that are listed for all places in a queue.
const LISTED_MAX: usize = 1_000_000;

/// A FIFO queue of distinct or repeated items. [`ValueId::NULL`], the result for an empty queue, is
/// no item: a history in which it was enqueued is not linearizable, and in `init` it is ignored.
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

/// A LIFO stack of distinct or repeated items. [`ValueId::NULL`], the result for an empty stack, is
/// no item: a history in which it was pushed is not linearizable, and in `init` it is ignored.
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

/// Implements the model of a collection with insertions and removals. An insertion and a removal
/// are each given as the operation, the method of the state, and the name in descriptions.
macro_rules! removal_model {
    (
        $model:ident, $op:ident, $state:ty, $distinct:path, $decide:path,
        $insert:ident = $put:ident = $insert_name:literal,
        $take:ident = $remove:ident = $take_name:literal
    ) => {
        impl Model for $model {
            type State = $state;
            type Op = $op;
            type Ret = ValueId;

            fn init(&self) -> $state {
                self.init.iter().copied().filter(|item| *item != ValueId::NULL).collect()
            }

            fn step(&self, state: &$state, op: &$op, ret: Option<&ValueId>) -> Option<$state> {
                let mut after = state.clone();
                let answer = match op {
                    $op::$insert(ValueId::NULL) => return None,
                    $op::$insert(value) => {
                        after.$put(*value);
                        ValueId::NULL
                    }
                    $op::$take => after.$remove().unwrap_or(ValueId::NULL),
                };
                ret.is_none_or(|ret| *ret == answer).then_some(after)
            }

            fn effect(&self, op: &$op, ret: Option<&ValueId>) -> Effect {
                match (op, ret) {
                    // An insertion of null is legal in no state.
                    ($op::$take, Some(&ValueId::NULL)) | ($op::$insert(ValueId::NULL), _) => {
                        Effect::ReadOnly
                    }
                    _ => Effect::Update,
                }
            }

            fn decide(
                &self,
                part: Subhistory<'_, $op, ValueId>,
                budget: &Budget<'_>,
            ) -> Option<Verdict> {
                let of_null = |(_, operation): &(OpId, &Operation<$op, ValueId>)| {
                    operation.op == $op::$insert(ValueId::NULL) && operation.ret().is_some()
                };
                if let Some((id, _)) = part.iter().find(of_null) {
                    let reason =
                        format!("{} {} inserted null, which is no item", $insert_name, id.0);
                    let counterexample =
                        Counterexample { operations: vec![id], reason, minimal: true };
                    return Some(Verdict::NotLinearizable(counterexample));
                }
                let is_insertion = |op: &$op| matches!(op, $op::$insert(_));
                let fits = |(_, operation): (OpId, &Operation<$op, ValueId>)| {
                    let ret = operation.ret().filter(|_| is_insertion(&operation.op));
                    ret.is_none_or(|ret| *ret == ValueId::NULL)
                };
                if !part.iter().all(fits) {
                    return None;
                }
                $decide(self, part, budget)
            }

            /// Counts the memory that a state owns.
            fn unhashed_bytes(&self, state: &$state) -> usize {
                array_bytes::<ValueId>(state.capacity())
            }

            fn describe_op(&self, op: &$op) -> String {
                match op {
                    $op::$insert(value) => {
                        format!("{} {}", $insert_name, self.values.describe(*value))
                    }
                    $op::$take => $take_name.to_owned(),
                }
            }

            fn describe_ret(&self, op: &$op, ret: &ValueId) -> String {
                match op {
                    $op::$insert(_) => String::new(),
                    $op::$take => self.values.describe(*ret),
                }
            }

            fn describe_state(&self, state: &$state) -> String {
                self.values.describe_list(state)
            }
        }

        impl $model {
            /// Decides operations, except for most of those that insert a value twice.
            pub(super) fn decide_distinct(
                &self,
                part: Subhistory<'_, $op, ValueId>,
                stop: &StopCheck<'_>,
            ) -> Option<Verdict> {
                let access = |(id, operation): (OpId, &Operation<$op, ValueId>)| {
                    let kind = match operation.op {
                        $op::$insert(value) => AccessKind::Insert(value),
                        $op::$take => AccessKind::Take(operation.ret().copied()),
                    };
                    Access { id, span: Span::of(operation), kind }
                };
                let accesses: Vec<Access> = part.iter().map(access).collect();
                let init: Vec<ValueId> = self.init().into_iter().collect();
                $distinct(&init, &accesses, &self.values, stop)
            }
        }
    };
}

impl Queue {
    /// Decides operations. With repeated values, a search decides most of them.
    fn decide_any(
        &self,
        part: Subhistory<'_, QueueOp, ValueId>,
        budget: &Budget<'_>,
    ) -> Option<Verdict> {
        let stop = &StopCheck::new(budget);
        let check = |part: Subhistory<'_, QueueOp, ValueId>| self.decide_distinct(part, stop);
        ordered::decide(self, part, budget, check, |part| OrderedQueue::of(self, part))
    }
}

removal_model!(
    Queue,
    QueueOp,
    VecDeque<ValueId>,
    queue::decide,
    Queue::decide_any,
    Enqueue = push_back = "enqueue",
    Dequeue = pop_front = "dequeue"
);
removal_model!(
    Stack,
    StackOp,
    Vec<ValueId>,
    stack::decide,
    Stack::decide_any,
    Push = push = "push",
    Pop = pop = "pop"
);

/// A queue in which the item at each place has one of the values that the dequeue of that place may
/// have returned. The place of an item is the number of items that entered before it, which is also
/// the number of items that leave before it.
struct OrderedQueue<'a> {
    queue: &'a Queue,
    /// The possible values of the item at each place, sorted. The items at further places may have
    /// any value.
    places: Vec<Vec<ValueId>>,
}

impl<'a> OrderedQueue<'a> {
    /// Returns the queue of `part`, if the dequeues with known results restrict the order.
    fn of(
        queue: &'a Queue,
        part: Subhistory<'_, QueueOp, ValueId>,
    ) -> Option<Restricted<OrderedQueue<'a>>> {
        let takes = part.iter().filter(|(_, operation)| operation.op == QueueOp::Dequeue);
        let (known, unknown): (Vec<_>, Vec<_>) = takes.partition(|(_, take)| take.ret().is_some());
        let taken: Vec<(EventIndex, EventIndex, ValueId)> = known
            .iter()
            .filter_map(|(_, take)| Some((take.invoked, take.returned(), *take.ret()?)))
            .filter(|(.., value)| *value != ValueId::NULL)
            .collect();
        let mut returned: Vec<EventIndex> = taken.iter().map(|(_, at, _)| *at).collect();
        returned.sort_unstable();
        let before = |at: EventIndex| returned.partition_point(|returned| *returned < at);
        // The first place of an item that a dequeue of unknown outcome may have taken.
        let any_from = unknown.iter().map(|(_, take)| before(take.invoked)).min();
        let any_from = any_from.unwrap_or(taken.len());
        let mut places = vec![Vec::new(); any_from.min(taken.len())];
        let mut listed = 0;
        for (invoked, returned, value) in &taken {
            let later = taken.len() - taken.partition_point(|(invoked, ..)| invoked < returned);
            let end = (taken.len() - later + unknown.len()).min(places.len());
            for values in places.iter_mut().take(end).skip(before(*invoked)) {
                values.push(*value);
                listed += 1;
            }
            if listed > LISTED_MAX {
                return None;
            }
        }
        for values in &mut places {
            values.sort_unstable();
            values.dedup();
        }
        let known = known.into_iter().map(|(id, _)| id).collect();
        (!places.is_empty()).then_some((OrderedQueue { queue, places }, known))
    }
}

/// The number of items that have entered an ordered queue, and those that are in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct OrderedItems {
    entered: usize,
    items: VecDeque<ValueId>,
}

impl Model for OrderedQueue<'_> {
    type State = OrderedItems;
    type Op = QueueOp;
    type Ret = ValueId;

    fn init(&self) -> OrderedItems {
        let items = self.queue.init();
        OrderedItems { entered: items.len(), items }
    }

    fn step(
        &self,
        state: &OrderedItems,
        op: &QueueOp,
        ret: Option<&ValueId>,
    ) -> Option<OrderedItems> {
        let mut entered = state.entered;
        if let QueueOp::Enqueue(value) = op {
            if let Some(values) = self.places.get(entered) {
                values.binary_search(value).ok()?;
            }
            entered += 1;
        }
        Some(OrderedItems { entered, items: self.queue.step(&state.items, op, ret)? })
    }

    fn unhashed_bytes(&self, state: &OrderedItems) -> usize {
        self.queue.unhashed_bytes(&state.items)
    }

    fn effect(&self, op: &QueueOp, ret: Option<&ValueId>) -> Effect {
        self.queue.effect(op, ret)
    }

    fn describe_op(&self, op: &QueueOp) -> String {
        self.queue.describe_op(op)
    }

    fn describe_ret(&self, op: &QueueOp, ret: &ValueId) -> String {
        self.queue.describe_ret(op, ret)
    }
}
