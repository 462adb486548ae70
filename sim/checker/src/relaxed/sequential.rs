//! Sequential consistency: one order of all operations that explains them and keeps the order of
//! each client, whatever the clock says (Lamport 1979).
//!
//! It is no property of single keys: each may have such an order where all of them together have
//! none (Herlihy & Wing 1990, §3), so the search is over the whole history. Deciding it is
//! NP-complete even for one register (Gibbons & Korach 1997).

use std::collections::BTreeMap;

use crate::budget::Budget;
use crate::chains::{Link, search};
use crate::check;
use crate::history::{Client, History, Moment, OpId, Outcome};
use crate::model::{Effect, Model};
use crate::relaxed::searched;
use crate::verdict::Verdict;

/// Decides whether `history` is sequentially consistent for `model`;
/// [`Linearizable`](Verdict::Linearizable) says that it is. The evidence that it is not would prove
/// it if every other operation took effect in its place, with any result, or never.
///
/// What is linearizable is sequentially consistent, and told faster: that is looked at first. Then
/// comes the search, and then, against what is wrong, searches for less evidence; each of the three
/// may use the budget. Without real time there is little to go by: beyond some hundred operations
/// of a few clients, what is not linearizable soon uses it up, and evidence stays long.
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
    searched::verdict(model, history, budget, within)
}

/// The chain of each client.
fn chains<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    known: &dyn Fn(OpId) -> bool,
) -> Vec<Vec<Link>> {
    let mut chains: BTreeMap<Client, Vec<Link>> = BTreeMap::new();
    for (id, operation) in (0..).map(OpId).zip(history.operations()) {
        let known = known(id) && matches!(operation.outcome, Outcome::Returned { .. });
        let failed = matches!(operation.outcome, Outcome::Failed);
        if known || !failed && model.effect(&operation.op, None) != Effect::Observe {
            let link = Link { id, from: Moment(0), until: Moment::NEVER, known };
            chains.entry(operation.client).or_default().push(link);
        }
    }
    chains.into_values().collect()
}
