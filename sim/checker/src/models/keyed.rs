//! A model of many independent objects of one kind, each with its own key.

use std::collections::BTreeMap;

use crate::budget::Budget;
use crate::history::{History, OpId, Operation, Subhistory};
use crate::model::{Effect, Model, RegisterAccess};
use crate::models::heap::tree_bytes;
use crate::value::{ValueId, ValueTable};
use crate::verdict::{Counterexample, Verdict};

/// Many objects of one kind, each with its own key. All have the same state before the first
/// operation.
#[derive(Clone, Debug, Default)]
pub struct Keyed<M> {
    /// The model of each object.
    pub each: M,
    /// The table of the keys. The values of operations are in the table of `each`.
    pub keys: ValueTable,
}

/// An operation on one of the objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyedOp<O> {
    /// The key of the object.
    pub key: ValueId,
    /// The operation on the object.
    pub op: O,
}

impl<M: Model> Model for Keyed<M> {
    /// The states of the objects that are not in their first state.
    type State = BTreeMap<ValueId, M::State>;
    type Op = KeyedOp<M::Op>;
    type Ret = M::Ret;

    fn init(&self) -> BTreeMap<ValueId, M::State> {
        BTreeMap::new()
    }

    fn step(
        &self,
        state: &BTreeMap<ValueId, M::State>,
        op: &KeyedOp<M::Op>,
        ret: Option<&M::Ret>,
    ) -> Option<BTreeMap<ValueId, M::State>> {
        let first = self.each.init();
        let then = self.each.step(state.get(&op.key).unwrap_or(&first), &op.op, ret)?;
        let mut after = state.clone();
        match then == first {
            true => after.remove(&op.key),
            false => after.insert(op.key, then),
        };
        Some(after)
    }

    fn key(&self, op: &KeyedOp<M::Op>) -> Option<u64> {
        Some(u64::from(op.key.0))
    }

    fn effect(&self, op: &KeyedOp<M::Op>, ret: Option<&M::Ret>) -> Effect {
        // All operations of a search have the same key, so the other objects keep their states.
        self.each.effect(&op.op, ret)
    }

    fn register_access(&self, op: &KeyedOp<M::Op>, ret: Option<&M::Ret>) -> Option<RegisterAccess> {
        self.each.register_access(&op.op, ret)
    }

    fn register_init(&self, op: &KeyedOp<M::Op>) -> u64 {
        self.each.register_init(&op.op)
    }

    fn unhashed_bytes(&self, state: &BTreeMap<ValueId, M::State>) -> usize {
        let each = state.values().map(|state| self.each.unhashed_bytes(state));
        tree_bytes::<(ValueId, M::State)>(state.len()) + each.sum::<usize>()
    }

    fn decide(
        &self,
        part: Subhistory<'_, KeyedOp<M::Op>, M::Ret>,
        budget: &Budget<'_>,
    ) -> Option<Verdict> {
        let operations = part.iter().map(|(_, operation)| unkeyed(operation)).collect();
        let history = History::new(operations).ok()?;
        let ids: Vec<OpId> = (0..).map(OpId).take(part.len()).collect();
        let mut verdict = self.each.decide(Subhistory::new(&history, &ids), budget)?;
        match &mut verdict {
            Verdict::Linearizable => {}
            Verdict::NotLinearizable(found) => {
                // The sentence names operations, so decide again with their numbers in the whole
                // history; first the counterexample alone, which takes no long search.
                let mut kept: Vec<OpId> =
                    found.operations.iter().map(|id| part.ids()[id.0 as usize]).collect();
                kept.sort_unstable();
                let all = part.history().operations().iter().map(unkeyed).collect();
                let all = History::new(all).ok()?;
                let alone = all.with_known(|id| kept.binary_search(&id).is_ok());
                // The part with the known results of other operations is decided more easily.
                let again = [&alone, &all].into_iter().find_map(|history| {
                    let verdict = self.each.decide(Subhistory::new(history, part.ids()), budget);
                    verdict.filter(|verdict| matches!(verdict, Verdict::NotLinearizable(_)))
                });
                // The caller may have stopped the second decision.
                return again.or_else(|| {
                    let (operations, minimal) = (kept, false);
                    let reason = "no order explains these operations".to_owned();
                    let found = Counterexample { operations, reason, minimal };
                    Some(Verdict::NotLinearizable(found))
                });
            }
            Verdict::Unknown(exhausted) => {
                if let Some((_, id)) = &mut exhausted.widest {
                    *id = part.ids()[id.0 as usize];
                }
            }
        }
        Some(verdict)
    }

    fn describe_op(&self, op: &KeyedOp<M::Op>) -> String {
        format!("{}: {}", self.keys.describe(op.key), self.each.describe_op(&op.op))
    }

    fn describe_ret(&self, op: &KeyedOp<M::Op>, ret: &M::Ret) -> String {
        self.each.describe_ret(&op.op, ret)
    }

    fn describe_state(&self, state: &BTreeMap<ValueId, M::State>) -> String {
        let one = |(key, state): (&ValueId, &M::State)| {
            format!("{}: {}", self.keys.describe(*key), self.each.describe_state(state))
        };
        state.iter().map(one).collect::<Vec<_>>().join("; ")
    }
}

/// Returns the operation on the object, without its key.
fn unkeyed<O: Clone, R: Clone>(operation: &Operation<KeyedOp<O>, R>) -> Operation<O, R> {
    Operation {
        client: operation.client,
        op: operation.op.op.clone(),
        invoked: operation.invoked,
        outcome: operation.outcome.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::check::check;
    use crate::history::{Client, Recorder};
    use crate::models::{Queue, QueueOp};

    /// A queue that notes how many outcomes are known at each decision.
    #[derive(Debug, Default)]
    struct Noting {
        queue: Queue,
        known: Mutex<Vec<usize>>,
    }

    impl Model for Noting {
        type State = <Queue as Model>::State;
        type Op = QueueOp;
        type Ret = ValueId;

        fn init(&self) -> Self::State {
            self.queue.init()
        }

        fn step(
            &self,
            state: &Self::State,
            op: &QueueOp,
            ret: Option<&ValueId>,
        ) -> Option<Self::State> {
            self.queue.step(state, op, ret)
        }

        fn decide(
            &self,
            part: Subhistory<'_, QueueOp, ValueId>,
            budget: &Budget<'_>,
        ) -> Option<Verdict> {
            let known = part.iter().filter(|(_, operation)| operation.ret().is_some()).count();
            self.known.lock().expect("no decision panics").push(known);
            self.queue.decide(part, budget)
        }
    }

    #[test]
    fn a_violation_is_decided_a_second_time_only_by_its_own_operations() {
        let recorder = Recorder::new();
        let keyed = Keyed::<Noting>::default();
        let run = |key: u32, op: QueueOp, ret: u32| {
            let op = KeyedOp { key: ValueId(key), op };
            recorder.invoke(Client(0), op).returned(ValueId(ret));
        };
        for value in 1..30 {
            run(1, QueueOp::Enqueue(ValueId(value)), 0);
            run(2, QueueOp::Enqueue(ValueId(value)), 0);
        }
        run(2, QueueOp::Dequeue, 99);
        let verdict = check(&keyed, &recorder.history(), &Budget::default());
        let Verdict::NotLinearizable(found) = verdict else { panic!("{verdict:?}") };
        assert_eq!((found.operations, found.minimal), (vec![OpId(58)], true));
        assert_eq!(found.reason, "dequeue 58 returned v99, which was never enqueued");
        let mut known = keyed.each.known.lock().expect("no decision panics").clone();
        known.sort_unstable();
        assert_eq!(known, [1, 29, 30]);
    }
}
