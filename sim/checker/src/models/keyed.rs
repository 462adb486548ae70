//! Many objects of one kind, each under a key of its own.

use std::collections::BTreeMap;

use crate::budget::Budget;
use crate::history::{History, OpId, Operation, Part};
use crate::model::{Cell, Effect, Model};
use crate::value::{Value, Values};
use crate::verdict::Verdict;

/// Many objects of one kind, each under a key of its own, all alike before the first operation.
#[derive(Clone, Debug, Default)]
pub struct Keyed<M> {
    /// What each of them is.
    pub each: M,
    /// What keys stand for. What operations carry is of the table of `each`.
    pub keys: Values,
}

/// What one of the objects is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyedOp<O> {
    /// Which one.
    pub key: Value,
    /// What it is asked.
    pub op: O,
}

impl<M: Model> Model for Keyed<M> {
    /// What those that are not in their first state remember.
    type State = BTreeMap<Value, M::State>;
    type Op = KeyedOp<M::Op>;
    type Ret = M::Ret;

    fn init(&self) -> BTreeMap<Value, M::State> {
        BTreeMap::new()
    }

    fn step(
        &self,
        state: &BTreeMap<Value, M::State>,
        op: &KeyedOp<M::Op>,
        ret: Option<&M::Ret>,
    ) -> Option<BTreeMap<Value, M::State>> {
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
        // Of one key: the operations of a search are all for the same.
        self.each.effect(&op.op, ret)
    }

    fn cell(&self, op: &KeyedOp<M::Op>, ret: Option<&M::Ret>) -> Option<Cell> {
        self.each.cell(&op.op, ret)
    }

    fn cell_init(&self) -> u64 {
        self.each.cell_init()
    }

    fn hidden_bytes(&self, state: &BTreeMap<Value, M::State>) -> usize {
        state.values().map(|state| self.each.hidden_bytes(state)).sum()
    }

    fn decide(
        &self,
        part: Part<'_, KeyedOp<M::Op>, M::Ret>,
        budget: &Budget<'_>,
    ) -> Option<Verdict> {
        let operations = part.iter().map(|(_, operation)| inside(operation)).collect();
        let history = History::new(operations).ok()?;
        let ids: Vec<OpId> = (0..).map(OpId).take(part.len()).collect();
        let mut verdict = self.each.decide(Part::new(&history, &ids), budget)?;
        match &mut verdict {
            Verdict::Linearizable => {}
            Verdict::NotLinearizable(_) => {
                // Its sentence names operations: once more, with the numbers that they have.
                let all = part.history().operations().iter().map(inside).collect();
                let history = History::new(all).ok()?;
                return self.each.decide(Part::new(&history, part.ids()), budget);
            }
            Verdict::Unknown(exhausted) => {
                if let Some((_, id)) = &mut exhausted.widest {
                    *id = part.ids()[id.0 as usize];
                }
            }
        }
        Some(verdict)
    }

    fn call_words(&self, op: &KeyedOp<M::Op>) -> String {
        format!("{}: {}", self.keys.words(op.key), self.each.call_words(&op.op))
    }

    fn ret_words(&self, op: &KeyedOp<M::Op>, ret: &M::Ret) -> String {
        self.each.ret_words(&op.op, ret)
    }

    fn state_words(&self, state: &BTreeMap<Value, M::State>) -> String {
        let one = |(key, state): (&Value, &M::State)| {
            format!("{}: {}", self.keys.words(*key), self.each.state_words(state))
        };
        state.iter().map(one).collect::<Vec<_>>().join("; ")
    }
}

/// What is asked of the object itself.
fn inside<O: Clone, R: Clone>(operation: &Operation<KeyedOp<O>, R>) -> Operation<O, R> {
    Operation {
        client: operation.client,
        op: operation.op.op.clone(),
        invoked: operation.invoked,
        outcome: operation.outcome.clone(),
    }
}
