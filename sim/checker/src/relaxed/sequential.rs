//! Sequential consistency: one order of all operations that explains them and keeps the order of
//! each client, regardless of real time (Lamport 1979).
//!
//! Sequential consistency is not local: each key may have such an order although all keys together
//! have none (Herlihy & Wing 1990, §3), so the search covers the whole history. Deciding it is
//! NP-complete even for one register (Gibbons & Korach 1997).

use std::collections::BTreeMap;

use crate::budget::Budget;
use crate::chain_search::{ChainOp, search};
use crate::check;
use crate::history::{Client, EventIndex, History, OpId, Outcome};
use crate::model::{Effect, Model};
use crate::relaxed::search_verdict;
use crate::verdict::Verdict;

/// Decides whether `history` is sequentially consistent for `model`;
/// [`Linearizable`](Verdict::Linearizable) means that it is. A counterexample proves that it is not
/// even if every other operation takes effect in its place, with any result, or never.
///
/// A linearizable history is sequentially consistent, and linearizability is decided faster, so
/// that is checked first. Then comes the search, and then further searches for a smaller
/// counterexample. Each of the three may use the budget. Without real-time order the search is
/// hard: beyond some hundred operations of a few clients, a history that is not linearizable soon
/// exhausts the budget, and counterexamples stay long.
pub fn check<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    budget: &Budget<'_>,
) -> Verdict {
    if check::check(model, history, budget) == Verdict::Linearizable {
        return Verdict::Linearizable;
    }
    let within = |known: &dyn Fn(OpId) -> bool, budget: &Budget<'_>| {
        search(model, history, chains(model, history, known), budget)
    };
    search_verdict::verdict(model, history, budget, within)
}

/// Returns the chain of each client.
fn chains<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    known: &dyn Fn(OpId) -> bool,
) -> Vec<Vec<ChainOp>> {
    let mut chains: BTreeMap<Client, Vec<ChainOp>> = BTreeMap::new();
    for (id, operation) in (0..).map(OpId).zip(history.operations()) {
        let known = known(id) && matches!(operation.outcome, Outcome::Returned { .. });
        let failed = matches!(operation.outcome, Outcome::Failed);
        if known || !failed && model.effect(&operation.op, None) != Effect::ReadOnly {
            let link = ChainOp { id, from: EventIndex(0), until: EventIndex::NEVER, known };
            chains.entry(operation.client).or_default().push(link);
        }
    }
    chains.into_values().collect()
}
