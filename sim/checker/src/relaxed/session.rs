//! Stale reads with a session guarantee, decided by search, because the order spans keys.

use std::collections::BTreeMap;

use crate::budget::Budget;
use crate::chain_search::{ChainOp, search};
use crate::history::{Client, EventIndex, History, OpId, Outcome};
use crate::model::{Effect, Model};
use crate::relaxed::guarantee::{ReadGuarantee, SessionOrder, earliest};
use crate::relaxed::search_verdict;
use crate::verdict::{Counterexample, Verdict};

/// Decides whether some order keeps `guarantee`, including its session. `without` is the verdict
/// without the session.
pub(crate) fn check<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    guarantee: &ReadGuarantee<'_, M::Op, M::Ret>,
    budget: &Budget<'_>,
    without: Verdict,
) -> Verdict {
    let earliest = earliest(model, history, guarantee);
    let within = |known: &dyn Fn(OpId) -> bool, budget: &Budget<'_>| {
        let chains = chains(model, history, &earliest, guarantee.session, known);
        search(model, history, chains, budget)
    };
    match without {
        Verdict::NotLinearizable(Counterexample { operations, .. }) => {
            // A counterexample that is minimal without the session need not be minimal with it.
            let counterexample =
                search_verdict::counterexample(model, history, budget, operations, within);
            Verdict::NotLinearizable(counterexample)
        }
        _ => search_verdict::verdict(model, history, budget, within),
    }
}

/// Returns the chains of each client: one of its reads and one of its other operations for
/// monotonic reads, or one of all its operations for program order. An operation that is not known
/// has a chain of its own, if it may change the state.
fn chains<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    earliest: &[Option<EventIndex>],
    session: SessionOrder,
    known: &dyn Fn(OpId) -> bool,
) -> Vec<Vec<ChainOp>> {
    let mut chains: BTreeMap<(Client, bool), Vec<ChainOp>> = BTreeMap::new();
    let mut free = Vec::new();
    for (id, operation) in (0..).map(OpId).zip(history.operations()) {
        let observes = |ret| model.effect(&operation.op, ret) == Effect::ReadOnly;
        let known = known(id) && matches!(operation.outcome, Outcome::Returned { .. });
        let from = earliest[id.0 as usize].unwrap_or(operation.invoked);
        let until = if known { operation.returned() } else { EventIndex::NEVER };
        let link = ChainOp { id, from, until, known };
        if known {
            let apart = session == SessionOrder::MonotonicReads && observes(operation.ret());
            chains.entry((operation.client, apart)).or_default().push(link);
        } else if !matches!(operation.outcome, Outcome::Failed) && !observes(None) {
            // An operation that is read-only because of its result may have changed the state if
            // the result is not known.
            free.push(vec![ChainOp { from: operation.invoked, ..link }]);
        }
    }
    chains.into_values().chain(free).collect()
}
