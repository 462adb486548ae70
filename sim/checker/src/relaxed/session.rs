//! Old reads that keep the order of their client: a search, for the order is across keys.

use std::collections::BTreeMap;

use crate::budget::Budget;
use crate::chains::{Link, search};
use crate::history::{Client, History, Moment, OpId, Outcome};
use crate::model::{Effect, Model};
use crate::relaxed::promise::{Promise, Session, earliest};
use crate::relaxed::searched;
use crate::verdict::{Evidence, Verdict};

/// Decides whether there is an order that keeps `promise`, its session included; `without` the
/// session it is already decided.
pub(crate) fn check<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    promise: &Promise<'_, M::Op, M::Ret>,
    budget: &Budget<'_>,
    without: Verdict,
) -> Verdict {
    let earliest = earliest(model, history, promise);
    let within = |known: &dyn Fn(OpId) -> bool, budget: &Budget<'_>| {
        let chains = chains(model, history, &earliest, promise.session, known);
        search(model, history, chains, budget)
    };
    match without {
        Verdict::NotLinearizable(Evidence { operations, .. }) => {
            // What is minimal without the session need not be with it.
            let evidence = searched::evidence(model, history, budget, operations, within);
            Verdict::NotLinearizable(evidence)
        }
        _ => searched::verdict(model, history, budget, within),
    }
}

/// One chain of each client's reads and one of the rest, or one of both; whose outcome is not known
/// is in no client's order.
fn chains<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    earliest: &[Option<Moment>],
    session: Session,
    known: &dyn Fn(OpId) -> bool,
) -> Vec<Vec<Link>> {
    let mut chains: BTreeMap<(Client, bool), Vec<Link>> = BTreeMap::new();
    let mut free = Vec::new();
    for (id, operation) in (0..).map(OpId).zip(history.operations()) {
        let observes = |ret| model.effect(&operation.op, ret) == Effect::Observe;
        let known = known(id) && matches!(operation.outcome, Outcome::Returned { .. });
        let from = earliest[id.0 as usize].unwrap_or(operation.invoked);
        let until = if known { operation.returned() } else { Moment::NEVER };
        let link = Link { id, from, until, known };
        if known {
            let apart = session == Session::Reads && observes(operation.ret());
            chains.entry((operation.client, apart)).or_default().push(link);
        } else if !matches!(operation.outcome, Outcome::Failed) && !observes(None) {
            // One that observed nothing by its result may still have changed the state.
            free.push(vec![Link { from: operation.invoked, ..link }]);
        }
    }
    chains.into_values().chain(free).collect()
}
