//! From a search that is told which outcomes it may use, to a verdict with little evidence.

use crate::budget::Budget;
use crate::chains::{End, Tried};
use crate::explain::{Attempt, Reach, changes, shrink};
use crate::history::{History, OpId, Outcome};
use crate::model::Model;
use crate::verdict::{Evidence, Exhausted, Verdict};

/// The most searches that are made for less evidence; they share the budget.
const SEARCHES_MAX: u64 = 256;

/// The verdict of `search`, which uses the outcomes of those operations alone that it is told.
pub(crate) fn verdict<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    budget: &Budget<'_>,
    search: impl Fn(&dyn Fn(OpId) -> bool, &Budget<'_>) -> Tried<M::State>,
) -> Verdict {
    let returned = |id: &OpId| matches!(history.operation(*id).outcome, Outcome::Returned { .. });
    let mut all: Vec<OpId> = (0..).map(OpId).take(history.operations().len()).collect();
    all.retain(returned);
    let tried = search(&|_| true, budget);
    match tried.end {
        End::Ordered => Verdict::Linearizable,
        End::Exhausted(what) => {
            let ordered = (all.len() - tried.left, all.len());
            Verdict::Unknown(Exhausted { what, key: None, ordered, widest: None })
        }
        End::Impossible => Verdict::NotLinearizable(evidence(model, history, budget, all, search)),
    }
}

/// Less evidence than `operations`, which are enough, as far as `search` can tell.
pub(crate) fn evidence<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    budget: &Budget<'_>,
    mut operations: Vec<OpId>,
    search: impl Fn(&dyn Fn(OpId) -> bool, &Budget<'_>) -> Tried<M::State>,
) -> Evidence {
    let share = Budget { configurations_max: budget.configurations_max / SEARCHES_MAX, ..*budget };
    let mut left = SEARCHES_MAX;
    operations.sort_by_key(|id| history.operation(*id).returned());
    let shrunk = shrink(
        &operations,
        |id| changes(model, history, *id),
        |known| {
            left = left.checked_sub(1)?;
            let mut known = known.to_vec();
            known.sort();
            match search(&|id| known.binary_search(&id).is_ok(), &share).end {
                End::Ordered => Some(false),
                End::Impossible => Some(true),
                End::Exhausted(_) => None,
            }
        },
    );
    let (mut operations, minimal) = (shrunk.kept, shrunk.minimal);
    operations.sort();
    let tried = search(&|id| operations.binary_search(&id).is_ok(), budget);
    let reach = if tried.end == End::Impossible { Reach::All } else { Reach::Found };
    let because =
        match tried.misfit {
            Some(misfit) => Attempt { order: tried.order, state: tried.state, misfit, reach }
                .sentence(model, history, |id| id),
            None => "no order explains these operations".to_owned(),
        };
    Evidence { operations, because, minimal }
}
