//! Derives a verdict and a small counterexample from a search that may use given outcomes only.

use crate::budget::Budget;
use crate::chain_search::{SearchEnd, SearchResult};
use crate::explain::{Coverage, PartialLinearization, changes, shrink};
use crate::history::{History, OpId, Outcome};
use crate::model::Model;
use crate::verdict::{BudgetExhausted, Counterexample, Verdict};

/// The maximum number of searches for a smaller counterexample. They share the budget.
const SEARCHES_MAX: u64 = 256;

/// Returns the verdict of `search`, which uses the outcomes of the operations that it is given.
pub(crate) fn verdict<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    budget: &Budget<'_>,
    search: impl Fn(&dyn Fn(OpId) -> bool, &Budget<'_>) -> SearchResult<M::State>,
) -> Verdict {
    let returned = |id: &OpId| matches!(history.operation(*id).outcome, Outcome::Returned { .. });
    let mut all: Vec<OpId> = (0..).map(OpId).take(history.operations().len()).collect();
    all.retain(returned);
    let result = search(&|_| true, budget);
    match result.end {
        SearchEnd::Ordered => Verdict::Linearizable,
        SearchEnd::Exhausted(resource) => {
            let ordered = (all.len() - result.left, all.len());
            Verdict::Unknown(BudgetExhausted { resource, key: None, ordered, widest: None })
        }
        SearchEnd::Impossible => {
            Verdict::NotLinearizable(counterexample(model, history, budget, all, search))
        }
    }
}

/// Minimises the counterexample `operations`, as far as `search` can decide.
pub(crate) fn counterexample<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    budget: &Budget<'_>,
    mut operations: Vec<OpId>,
    search: impl Fn(&dyn Fn(OpId) -> bool, &Budget<'_>) -> SearchResult<M::State>,
) -> Counterexample {
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
                SearchEnd::Ordered => Some(false),
                SearchEnd::Impossible => Some(true),
                SearchEnd::Exhausted(_) => None,
            }
        },
    );
    let (mut operations, minimal) = (shrunk.kept, shrunk.minimal);
    operations.sort();
    let result = search(&|id| operations.binary_search(&id).is_ok(), budget);
    let coverage =
        if result.end == SearchEnd::Impossible { Coverage::Exhaustive } else { Coverage::Partial };
    let reason = match result.unexplained {
        Some(unexplained) => {
            PartialLinearization { order: result.order, state: result.state, unexplained, coverage }
                .sentence(model, history, |id| id)
        }
        None => "no order explains these operations".to_owned(),
    };
    Counterexample { operations, reason, minimal }
}
