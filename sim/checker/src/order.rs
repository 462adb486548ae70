//! A known order: whether it explains a history. No search, and time linear in its length.
//!
//! Whoever knows in which order operations took effect, as a log does, need not search for one. The
//! order must be a linearization (Herlihy & Wing 1990, §2.2): every operation legal where it
//! stands, and none before one that had returned when it was invoked.

use std::collections::BTreeMap;

use crate::history::{History, OpId, Operation, Outcome};
use crate::model::Model;
use crate::verdict::Evidence;

/// Why an order does not explain a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refuted {
    /// What it breaks.
    pub rule: Rule,
    /// The one or two operations it breaks it with. They are wrong in this order; another may
    /// explain them.
    pub evidence: Evidence,
}

/// What an order must keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// It names operations of the history alone.
    Known,
    /// It names each of them at most once.
    Once,
    /// It names none that failed: they had no effect.
    NotFailed,
    /// It names all that returned. One whose outcome is unknown may be missing.
    Complete,
    /// None comes after one that was invoked when it had returned already.
    RealTime,
    /// Each can return, where it stands, what it returned.
    Legal,
}

/// Whether `order` explains `history`: the first thing that is wrong with it, if anything. One that
/// is broken in its place is found before one that is missing.
///
/// # Errors
/// What is wrong with it.
pub fn check<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    order: &[OpId],
) -> Result<(), Refuted> {
    let words = |id: OpId| format!("{} ({})", id.0, model.call_words(&history.operation(id).op));
    let refuted = |rule, operations: &[OpId], because: String| {
        let mut operations = operations.to_vec();
        operations.sort();
        Err(Refuted { rule, evidence: Evidence { operations, because, minimal: true } })
    };
    let mut places = Places::new(history);
    let mut states = States::new(model, history);
    let mut latest: Option<OpId> = None;
    let invoked = |id: OpId| history.operation(id).invoked;
    for id in order {
        let Some(operation) = history.operations().get(id.0 as usize) else {
            let because = format!("the history has no operation {}", id.0);
            return refuted(Rule::Known, &[*id], because);
        };
        if places.taken(*id) {
            return refuted(Rule::Once, &[*id], format!("{} is ordered twice", words(*id)));
        }
        if matches!(operation.outcome, Outcome::Failed) {
            return refuted(Rule::NotFailed, &[*id], format!("{} failed", words(*id)));
        }
        if let Some(before) = latest
            && operation.returned() < invoked(before)
        {
            let (later, earlier) = (words(*id), words(before));
            let because =
                format!("{later} is ordered after {earlier}, but returned before it was invoked");
            return refuted(Rule::RealTime, &[*id, before], because);
        }
        if latest.is_none_or(|latest| invoked(latest) < operation.invoked) {
            latest = Some(*id);
        }
        if let Err(state) = states.step(operation) {
            let returned = operation.ret().map(|ret| model.ret_words(&operation.op, ret));
            let returned = returned.filter(|words| !words.is_empty()).unwrap_or("that".to_owned());
            let because =
                format!("{} cannot return {returned} where the state is {state}", words(*id));
            return refuted(Rule::Legal, &[*id], because);
        }
    }
    match places.missing(history) {
        Some(id) => refuted(Rule::Complete, &[id], format!("{} is not in the order", words(id))),
        None => Ok(()),
    }
}

/// Which operations are ordered.
struct Places {
    ordered: Vec<bool>,
}

impl Places {
    fn new<O, R>(history: &History<O, R>) -> Places {
        Places { ordered: vec![false; history.operations().len()] }
    }

    /// Whether `id` was there already.
    fn taken(&mut self, id: OpId) -> bool {
        std::mem::replace(&mut self.ordered[id.0 as usize], true)
    }

    /// The first that returned and is not ordered.
    fn missing<O, R>(&self, history: &History<O, R>) -> Option<OpId> {
        let returned = |outcome: &Outcome<R>| matches!(outcome, Outcome::Returned { .. });
        let missing = |(ordered, operation): (&bool, &Operation<O, R>)| {
            !ordered && returned(&operation.outcome)
        };
        let place = self.ordered.iter().zip(history.operations()).position(missing)?;
        Some(OpId(u32::try_from(place).expect("a history has four billion operations at most")))
    }
}

/// The state of each of several independent objects; of all together if one operation has no key.
struct States<'a, M: Model> {
    model: &'a M,
    keyed: bool,
    states: BTreeMap<Option<u64>, M::State>,
}

impl<'a, M: Model> States<'a, M> {
    fn new(model: &'a M, history: &History<M::Op, M::Ret>) -> Self {
        let keyed = history.operations().iter().all(|operation| model.key(&operation.op).is_some());
        States { model, keyed, states: BTreeMap::new() }
    }

    /// Carries `operation` out, or says in which state it cannot be.
    fn step(&mut self, operation: &Operation<M::Op, M::Ret>) -> Result<(), String> {
        let key = if self.keyed { self.model.key(&operation.op) } else { None };
        let state = self.states.entry(key).or_insert_with(|| self.model.init());
        match self.model.step(state, &operation.op, operation.ret()) {
            Some(after) => *state = after,
            None => return Err(self.model.state_words(state)),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Client, Pending, Recorder};
    use crate::models::{Kv, KvCall, KvOp, KvRet};
    use crate::value::Value;

    type Asked = Pending<KvOp, KvRet>;

    fn put(recorder: &Recorder<KvOp, KvRet>, client: u32, value: u32) -> Asked {
        let op = KvOp { key: Value(1), call: KvCall::Put(Value(value)) };
        recorder.invoke(Client(client), op)
    }

    fn get(recorder: &Recorder<KvOp, KvRet>, client: u32) -> Asked {
        recorder.invoke(Client(client), KvOp { key: Value(1), call: KvCall::Get })
    }

    /// 0: put 7, 1: put 8 after it, 2: get 8 beside both, 3: put 9 unknown, 4: a failed put.
    fn recorded() -> History<KvOp, KvRet> {
        let recorder = Recorder::new();
        let (first, read) = (put(&recorder, 0, 7), get(&recorder, 1));
        first.returned(KvRet::Written);
        put(&recorder, 0, 8).returned(KvRet::Written);
        read.returned(KvRet::Value(Value(8)));
        put(&recorder, 2, 9).unknown();
        put(&recorder, 3, 9).failed();
        recorder.history()
    }

    fn broken(order: &[u32]) -> Option<(Rule, Vec<u32>)> {
        let order: Vec<OpId> = order.iter().copied().map(OpId).collect();
        let refuted = check(&Kv::default(), &recorded(), &order).err()?;
        let ids = refuted.evidence.operations.iter().map(|id| id.0).collect();
        Some((refuted.rule, ids))
    }

    #[test]
    fn an_order_that_explains_everything_passes() {
        assert_eq!(broken(&[0, 2, 1]), None);
        assert_eq!(broken(&[0, 2, 1, 3]), None, "the unknown one may take effect");
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(broken(&[2, 0, 1]), Some((Rule::RealTime, vec![0, 2])));
        assert_eq!(broken(&[0, 1, 2]), Some((Rule::Legal, vec![1])));
        assert_eq!(broken(&[0, 2]), Some((Rule::Complete, vec![1])));
        assert_eq!(broken(&[0, 2, 2]), Some((Rule::Once, vec![2])));
        assert_eq!(broken(&[0, 2, 1, 4]), Some((Rule::NotFailed, vec![4])));
        assert_eq!(broken(&[0, 5]), Some((Rule::Known, vec![5])));
    }
}
