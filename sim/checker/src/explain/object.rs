//! The operations that evidence is about, and history with most of them forgotten.

use crate::history::{Client, History, Moment, OpId, Operation, Outcome};
use crate::model::{Effect, Model};
use crate::verdict::Evidence;

/// All operations of the object that `evidence` is about, in the order of invocation: those of its
/// key, if every operation has one. Those that say nothing are left out: they failed, or are
/// observations of which nobody learned.
pub(crate) fn operations<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    evidence: &Evidence,
) -> Vec<OpId> {
    let key = |id: &OpId| model.key(&history.operation(*id).op);
    let first = evidence.operations.first().and_then(key);
    let keyless = |operation: &Operation<M::Op, M::Ret>| {
        !matches!(operation.outcome, Outcome::Failed) && model.key(&operation.op).is_none()
    };
    let whole = first.is_none()
        || evidence.operations.iter().any(|id| key(id) != first)
        || history.operations().iter().any(keyless);
    let tells = |operation: &Operation<M::Op, M::Ret>| match operation.outcome {
        Outcome::Returned { .. } => true,
        Outcome::Failed => false,
        Outcome::Unknown => model.effect(&operation.op, None) != Effect::Observe,
    };
    (0..)
        .map(OpId)
        .zip(history.operations())
        .filter(|(_, operation)| tells(operation) && (whole || model.key(&operation.op) == first))
        .map(|(id, _)| id)
        .collect()
}

/// Whether an operation may have changed the state.
pub(crate) fn changes<M: Model>(model: &M, history: &History<M::Op, M::Ret>, id: OpId) -> bool {
    let operation = history.operation(id);
    model.effect(&operation.op, operation.ret()) != Effect::Observe
}

/// The last moment at which one of `known` returns: what is invoked later cannot matter to them.
pub(crate) fn last_return<O, R>(history: &History<O, R>, known: &[OpId]) -> Moment {
    known.iter().map(|id| history.operation(*id).returned()).max().unwrap_or_default()
}

/// The history of an object's `operations` in which only the outcomes of `known` are known; both
/// sorted. Whatever cannot matter is left out. Every operation has a client of its own, for clients
/// whose operations are forgotten go on.
pub(crate) fn forgotten<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    operations: &[OpId],
    known: &[OpId],
) -> History<M::Op, M::Ret> {
    let last = last_return(history, known);
    let mut left = Vec::new();
    for id in operations {
        let operation = history.operation(*id);
        if operation.invoked > last {
            break;
        }
        let outcome = match known.binary_search(id) {
            Ok(_) => operation.outcome.clone(),
            Err(_) if model.effect(&operation.op, None) == Effect::Observe => continue,
            Err(_) => Outcome::Unknown,
        };
        let client = Client(u32::try_from(left.len()).expect("a history is no longer than that"));
        left.push(Operation {
            client,
            op: operation.op.clone(),
            invoked: operation.invoked,
            outcome,
        });
    }
    History::new(left).expect("part of a history, every client once")
}
