//! Checks whether a given order of operations is a linearization of a history, in linear time.
//!
//! A caller that knows the order in which operations took effect, such as the log of a replicated
//! state machine, does not need a search. The order must be a linearization (Herlihy & Wing 1990,
//! §2.2): every operation is legal in the state before it, and none precedes an operation that
//! returned before its invocation.

use std::collections::BTreeMap;

use crate::history::{History, OpId, Operation, Outcome};
use crate::model::Model;
use crate::verdict::Counterexample;

/// The rule that an order violates, with the operations that show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderViolation {
    /// The violated rule of a linearization.
    pub rule: OrderRule,
    /// The one or two operations that violate the rule. They are wrong in this order; another order
    /// may explain them.
    pub counterexample: Counterexample,
}

/// A rule that a linearization must satisfy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderRule {
    /// Every operation of the order is in the history.
    InHistory,
    /// The order contains each operation at most once.
    Once,
    /// The order contains no failed operation, because those had no effect.
    NotFailed,
    /// The order contains every operation that returned. It may lack operations with unknown
    /// outcomes.
    Complete,
    /// If one operation returned before another was invoked, it comes before the other (real-time
    /// order).
    RealTime,
    /// Every operation can return its result in the state before it.
    Legal,
}

/// Checks whether `order` is a linearization of `history`. Violations at a position of the order
/// are reported before missing operations.
///
/// # Errors
/// Returns the first [`OrderViolation`].
pub fn check<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    order: &[OpId],
) -> Result<(), OrderViolation> {
    let describe =
        |id: OpId| format!("{} ({})", id.0, model.describe_op(&history.operation(id).op));
    let violation = |rule, operations: &[OpId], reason: String| {
        let mut operations = operations.to_vec();
        operations.sort();
        Err(OrderViolation {
            rule,
            counterexample: Counterexample { operations, reason, minimal: true },
        })
    };
    let mut places = OrderedOperations::new(history);
    let mut states = States::new(model, history);
    let mut latest: Option<OpId> = None;
    let invoked = |id: OpId| history.operation(id).invoked;
    for id in order {
        let Some(operation) = history.operations().get(id.0 as usize) else {
            let reason = format!("the history has no operation {}", id.0);
            return violation(OrderRule::InHistory, &[*id], reason);
        };
        if places.mark_ordered(*id) {
            return violation(OrderRule::Once, &[*id], format!("{} occurs twice", describe(*id)));
        }
        if matches!(operation.outcome, Outcome::Failed) {
            let reason = format!("{} failed, so it had no effect", describe(*id));
            return violation(OrderRule::NotFailed, &[*id], reason);
        }
        if let Some(before) = latest
            && operation.returned() < invoked(before)
        {
            let (later, earlier) = (describe(*id), describe(before));
            let reason =
                format!("{later} is ordered after {earlier}, but returned before its invocation");
            return violation(OrderRule::RealTime, &[*id, before], reason);
        }
        if latest.is_none_or(|latest| invoked(latest) < operation.invoked) {
            latest = Some(*id);
        }
        if let Err(state) = states.step(operation) {
            let returned = operation.ret().map(|ret| model.describe_ret(&operation.op, ret));
            let effect = match returned.filter(|ret| !ret.is_empty()) {
                Some(ret) => format!("return {ret}"),
                None => "take effect".to_owned(),
            };
            let reason = format!("{} cannot {effect} where the state is {state}", describe(*id));
            return violation(OrderRule::Legal, &[*id], reason);
        }
    }
    match places.missing(history) {
        Some(id) => {
            let reason = format!("{} returned, but is not in the order", describe(id));
            violation(OrderRule::Complete, &[id], reason)
        }
        None => Ok(()),
    }
}

/// The operations that the order has contained so far.
struct OrderedOperations {
    ordered: Vec<bool>,
}

impl OrderedOperations {
    fn new<O, R>(history: &History<O, R>) -> OrderedOperations {
        OrderedOperations { ordered: vec![false; history.operations().len()] }
    }

    /// Marks `id` as ordered. Returns true if it was marked before.
    fn mark_ordered(&mut self, id: OpId) -> bool {
        std::mem::replace(&mut self.ordered[id.0 as usize], true)
    }

    /// Returns the first operation that returned and is not in the order.
    fn missing<O, R>(&self, history: &History<O, R>) -> Option<OpId> {
        let returned = |outcome: &Outcome<R>| matches!(outcome, Outcome::Returned { .. });
        let missing = |(ordered, operation): (&bool, &Operation<O, R>)| {
            !ordered && returned(&operation.outcome)
        };
        let place = self.ordered.iter().zip(history.operations()).position(missing)?;
        Some(OpId(u32::try_from(place).expect("a history has at most u32::MAX operations")))
    }
}

/// The states of independent objects by key, or one state if some operation has no key.
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

    /// Applies `operation`, or returns the formatted state in which it is illegal.
    fn step(&mut self, operation: &Operation<M::Op, M::Ret>) -> Result<(), String> {
        let key = if self.keyed { self.model.key(&operation.op) } else { None };
        let state = self.states.entry(key).or_insert_with(|| self.model.init());
        match self.model.step(state, &operation.op, operation.ret()) {
            Some(after) => *state = after,
            None => return Err(self.model.describe_state(state)),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Client, Pending, Recorder};
    use crate::models::{Kv, KvCall, KvOp, KvRet};
    use crate::value::ValueId;

    type PendingOp = Pending<KvOp, KvRet>;

    fn put(recorder: &Recorder<KvOp, KvRet>, client: u32, value: u32) -> PendingOp {
        let op = KvOp { key: ValueId(1), call: KvCall::Put(ValueId(value)) };
        recorder.invoke(Client(client), op)
    }

    fn get(recorder: &Recorder<KvOp, KvRet>, client: u32) -> PendingOp {
        recorder.invoke(Client(client), KvOp { key: ValueId(1), call: KvCall::Get })
    }

    /// Operations: 0 puts 7, 1 puts 8 after it, 2 gets 8 concurrently with both, 3 puts 9 with an
    /// unknown outcome, 4 is a failed put.
    fn recorded() -> History<KvOp, KvRet> {
        let recorder = Recorder::new();
        let (first, read) = (put(&recorder, 0, 7), get(&recorder, 1));
        first.returned(KvRet::Written);
        put(&recorder, 0, 8).returned(KvRet::Written);
        read.returned(KvRet::Value(ValueId(8)));
        put(&recorder, 2, 9).unknown();
        put(&recorder, 3, 9).failed();
        recorder.history()
    }

    fn broken(order: &[u32]) -> Option<(OrderRule, Vec<u32>)> {
        let order: Vec<OpId> = order.iter().copied().map(OpId).collect();
        let violation = check(&Kv::default(), &recorded(), &order).err()?;
        let ids = violation.counterexample.operations.iter().map(|id| id.0).collect();
        Some((violation.rule, ids))
    }

    #[test]
    fn a_linearization_passes() {
        assert_eq!(broken(&[0, 2, 1]), None);
        assert_eq!(broken(&[0, 2, 1, 3]), None, "operation 3, of unknown outcome, may take effect");
    }

    #[test]
    fn each_violated_rule_is_reported() {
        assert_eq!(broken(&[2, 0, 1]), Some((OrderRule::RealTime, vec![0, 2])));
        assert_eq!(broken(&[2, 1, 0]), Some((OrderRule::RealTime, vec![0, 2])), "not adjacent");
        assert_eq!(broken(&[0, 1, 2]), Some((OrderRule::Legal, vec![1])));
        assert_eq!(broken(&[0, 2]), Some((OrderRule::Complete, vec![1])));
        assert_eq!(broken(&[0, 2, 2]), Some((OrderRule::Once, vec![2])));
        assert_eq!(broken(&[0, 2, 1, 4]), Some((OrderRule::NotFailed, vec![4])));
        assert_eq!(broken(&[0, 5]), Some((OrderRule::InHistory, vec![5])));
    }
}
