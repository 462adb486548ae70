//! One history, one verdict.

use std::collections::BTreeMap;

use crate::brute;
use crate::budget::Budget;
use crate::history::{History, OpId, Outcome, Part};
use crate::model::{Effect, Model};
use crate::verdict::{Evidence, Verdict};

/// Decides whether `history` is linearizable for `model`: each of its keys by what is known of its
/// object ([`Model::decide`]), and by search otherwise.
pub fn check<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    budget: &Budget<'_>,
) -> Verdict {
    let mut unknown = None;
    for ids in parts(model, history) {
        let part = Part::new(history, &ids);
        let verdict = model.decide(part, budget).unwrap_or_else(|| search(model, part));
        match verdict {
            Verdict::Linearizable => {}
            Verdict::NotLinearizable(_) => return verdict,
            Verdict::Unknown(_) => unknown = unknown.or(Some(verdict)),
        }
    }
    unknown.unwrap_or(Verdict::Linearizable)
}

fn search<M: Model>(model: &M, part: Part<'_, M::Op, M::Ret>) -> Verdict {
    if brute::linearizable(model, part) {
        return Verdict::Linearizable;
    }
    let operations = part.ids().to_vec();
    let because = "no order explains these operations".to_owned();
    Verdict::NotLinearizable(Evidence { operations, because, minimal: false })
}

/// The operations of each key, in the order of keys; all of them together if one has no key. Those
/// that failed, and observations that nobody learned of, say nothing and are left out.
fn parts<M: Model>(model: &M, history: &History<M::Op, M::Ret>) -> Vec<Vec<OpId>> {
    let mut parts: BTreeMap<Option<u64>, Vec<OpId>> = BTreeMap::new();
    let mut keyless = false;
    for (id, operation) in (0..).map(OpId).zip(history.operations()) {
        let tells = match operation.outcome {
            Outcome::Returned { .. } => true,
            Outcome::Failed => false,
            Outcome::Unknown => model.effect(&operation.op, None) != Effect::Observe,
        };
        if tells {
            let key = model.key(&operation.op);
            keyless |= key.is_none();
            parts.entry(key).or_default().push(id);
        }
    }
    if !keyless {
        return parts.into_values().collect();
    }
    let mut all: Vec<OpId> = parts.into_values().flatten().collect();
    all.sort();
    vec![all]
}
