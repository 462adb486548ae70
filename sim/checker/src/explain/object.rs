//! The operations of the object of a counterexample, and histories with outcomes made unknown.

use crate::check::relevant_operations;
use crate::history::{Client, EventIndex, History, OpId, Operation, Outcome};
use crate::model::{Effect, Model};
use crate::verdict::Counterexample;

/// Returns all operations of the object of `counterexample`, in the order of invocation: those of
/// its key, if every operation has one. Operations that cannot affect the verdict are left out:
/// failed ones, and read-only ones with an unknown outcome.
pub(crate) fn operations<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    counterexample: &Counterexample,
) -> Vec<OpId> {
    let key = |id: &OpId| model.key(&history.operation(*id).op);
    let first = counterexample.operations.first().and_then(key);
    let keyless = |operation: &Operation<M::Op, M::Ret>| {
        !matches!(operation.outcome, Outcome::Failed) && model.key(&operation.op).is_none()
    };
    let whole = first.is_none()
        || counterexample.operations.iter().any(|id| key(id) != first)
        || history.operations().iter().any(keyless);
    relevant_operations(model, history).filter(|id| whole || key(id) == first).collect()
}

/// Returns true if an operation may have changed the state.
pub(crate) fn changes<M: Model>(model: &M, history: &History<M::Op, M::Ret>, id: OpId) -> bool {
    let operation = history.operation(id);
    model.effect(&operation.op, operation.ret()) != Effect::ReadOnly
}

/// Returns the last response of the operations `known`. Later invocations cannot affect them.
pub(crate) fn last_return<O, R>(history: &History<O, R>, known: &[OpId]) -> EventIndex {
    known.iter().map(|id| history.operation(*id).returned()).max().unwrap_or_default()
}

/// Returns the history of `operations` in which only the outcomes of `known` are known; both lists
/// ascend. Operations that cannot affect the verdict are left out. Every operation gets its own
/// client, because a client may invoke nothing after an operation of unknown outcome.
pub(crate) fn with_unknown_outcomes<M: Model>(
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
            Err(_) if model.effect(&operation.op, None) == Effect::ReadOnly => continue,
            Err(_) => Outcome::Unknown,
        };
        let client =
            Client(u32::try_from(left.len()).expect("a history has at most u32::MAX operations"));
        left.push(Operation {
            client,
            op: operation.op.clone(),
            invoked: operation.invoked,
            outcome,
        });
    }
    History::new(left).expect("operations with a client each are well-formed")
}
