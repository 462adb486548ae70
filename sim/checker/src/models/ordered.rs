//! Searches lists and queues with repeated values. The known results determine most of the order in
//! which values were inserted, so the search omits all other orders.

use std::collections::VecDeque;

use crate::budget::Budget;
use crate::collections::narrowing::{CheckResult, Narrowing, Violation, narrowed};
use crate::history::{EventIndex, OpId, Outcome, Subhistory};
use crate::model::{Effect, Model};
use crate::models::list::{List, ListOp, ListRet};
use crate::models::queue::{Queue, QueueOp};
use crate::search::search;
use crate::value::ValueId;
use crate::verdict::{Counterexample, Verdict};

/// The number of configurations that the first search may visit, and each search that tries to
/// reduce a counterexample.
const FIRST_MAX: u64 = 1_000_000;
const LATER_MAX: u64 = 20_000;

/// The maximum number of values that are listed for all places in a queue.
const LISTED_MAX: usize = 1_000_000;

/// A model that is restricted to the orders that the known results leave, and the operations with
/// these results.
pub(super) type Restricted<M> = (M, Vec<OpId>);

/// Decides `part` by `check`, and where that cannot decide, by a search of the model that
/// `restrict` returns. Returns `None` if neither can decide.
pub(super) fn decide<O: Clone, R: Clone, M: Model<Op = O, Ret = R>>(
    part: Subhistory<'_, O, R>,
    budget: &Budget<'_>,
    check: impl Fn(Subhistory<'_, O, R>) -> Option<Verdict>,
    restrict: impl Fn(Subhistory<'_, O, R>) -> Option<Restricted<M>>,
) -> Option<Verdict> {
    let searched = |part: Subhistory<'_, O, R>, configurations_max: u64| {
        let (model, determining) = restrict(part)?;
        let configurations_max = configurations_max.min(budget.configurations_max);
        match search(&model, part, &Budget { configurations_max, ..*budget }) {
            Verdict::Unknown(_) => None,
            Verdict::NotLinearizable(found) => {
                let mut operations = [found.operations, determining].concat();
                operations.sort_unstable();
                operations.dedup();
                Some(Verdict::NotLinearizable(Counterexample { operations, ..found }))
            }
            Verdict::Linearizable => Some(Verdict::Linearizable),
        }
    };
    if let Some(verdict) = check(part) {
        return Some(verdict);
    }
    let found = match searched(part, FIRST_MAX)? {
        Verdict::NotLinearizable(found) => found,
        verdict => return Some(verdict),
    };
    let violation = Violation { kept: found.operations, reason: found.reason };
    let count = part.history().operations().len();
    let smaller = narrowed(Narrowing::OldestFirst, count, violation, |known| {
        let weaker = part.history().with_outcomes(|id, operation| match &operation.outcome {
            Outcome::Returned { .. } if !known(id) => Outcome::Unknown,
            outcome => outcome.clone(),
        });
        let part = Subhistory::new(&weaker, part.ids());
        match check(part).or_else(|| searched(part, LATER_MAX)) {
            Some(Verdict::Linearizable) => CheckResult::Linearizable,
            Some(Verdict::NotLinearizable(Counterexample { operations, reason, .. })) => {
                CheckResult::NotLinearizable(Violation { kept: operations, reason })
            }
            Some(Verdict::Unknown(_)) | None => CheckResult::Unknown,
        }
    });
    Some(Verdict::NotLinearizable(smaller))
}

/// A list whose items are those of the longest read. A list only grows, so it begins with them
/// from that read on, and before that it is a prefix of them.
pub(super) struct OrderedList<'a> {
    list: &'a List,
    longest: Box<[ValueId]>,
}

impl<'a> OrderedList<'a> {
    /// Returns the list of `part`, all of one key, if there is a read. All reads are prefixes of
    /// the longest one.
    pub(super) fn of(
        list: &'a List,
        part: Subhistory<'_, ListOp, ListRet>,
    ) -> Option<Restricted<OrderedList<'a>>> {
        let reads = part.iter().filter_map(|(id, operation)| match operation.ret() {
            Some(ListRet::Items(items)) => Some((id, items)),
            _ => None,
        });
        let (id, longest) = reads.max_by_key(|(_, items)| items.len())?;
        let longest = longest.clone();
        Some((OrderedList { list, longest }, vec![id]))
    }
}

impl Model for OrderedList<'_> {
    /// The number of items; all numbers greater than that of the longest read are one state.
    type State = usize;
    type Op = ListOp;
    type Ret = ListRet;

    fn init(&self) -> usize {
        0
    }

    fn step(&self, state: &usize, op: &ListOp, ret: Option<&ListRet>) -> Option<usize> {
        match (op, ret) {
            (ListOp::Append { value, .. }, _) => match self.longest.get(*state) {
                Some(next) => (next == value).then_some(state + 1),
                None => Some(self.longest.len() + 1),
            },
            (ListOp::Read { .. }, Some(ListRet::Items(items))) => {
                (items.len() == *state).then_some(*state)
            }
            (ListOp::Read { .. }, _) => Some(*state),
        }
    }

    fn effect(&self, op: &ListOp, ret: Option<&ListRet>) -> Effect {
        self.list.effect(op, ret)
    }

    fn describe_op(&self, op: &ListOp) -> String {
        self.list.describe_op(op)
    }

    fn describe_ret(&self, op: &ListOp, ret: &ListRet) -> String {
        self.list.describe_ret(op, ret)
    }
}

/// A queue in which the item at each place has one of the values that the dequeue of that place may
/// have returned. The place of an item is the number of items that entered before it, which is also
/// the number of items that leave before it.
pub(super) struct OrderedQueue<'a> {
    queue: &'a Queue,
    /// The possible values of the item at each place, sorted. The items at further places may have
    /// any value.
    places: Vec<Vec<ValueId>>,
}

impl<'a> OrderedQueue<'a> {
    /// Returns the queue of `part`, if the dequeues with known results restrict the order.
    pub(super) fn of(
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

impl Model for OrderedQueue<'_> {
    /// The number of items that have entered, and the items in the queue.
    type State = (usize, VecDeque<ValueId>);
    type Op = QueueOp;
    type Ret = ValueId;

    fn init(&self) -> (usize, VecDeque<ValueId>) {
        (self.queue.init.len(), self.queue.init.clone())
    }

    fn step(
        &self,
        (entered, items): &(usize, VecDeque<ValueId>),
        op: &QueueOp,
        ret: Option<&ValueId>,
    ) -> Option<(usize, VecDeque<ValueId>)> {
        let mut entered = *entered;
        if let QueueOp::Enqueue(value) = op {
            if let Some(values) = self.places.get(entered) {
                values.binary_search(value).ok()?;
            }
            entered += 1;
        }
        Some((entered, self.queue.step(items, op, ret)?))
    }

    fn unhashed_bytes(&self, (_, items): &(usize, VecDeque<ValueId>)) -> usize {
        self.queue.unhashed_bytes(items)
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
