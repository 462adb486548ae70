//! The definition itself, tried out: slow, and too simple to be wrong. Everything else is held
//! against it.

use std::collections::BTreeMap;

use crate::history::{Operation, Part};
use crate::model::Model;

/// Whether there is an order of the operations of `part` that explains what they returned
/// (Wing & Gong 1993). Takes time exponential in their number.
///
/// # Panics
/// If there are more than 128.
pub fn linearizable<M: Model>(model: &M, part: Part<'_, M::Op, M::Ret>) -> bool {
    assert!(part.len() <= 128, "this is for small histories");
    let left = u128::MAX.checked_shr(128 - part.len() as u32).unwrap_or(0);
    let operations: Vec<&Operation<M::Op, M::Ret>> = part.iter().map(|(_, it)| it).collect();
    extends(model, &operations, &model.init(), left, &mut BTreeMap::new())
}

/// Whether the operations that are `left` can follow from `state`. Those that did not from some
/// state are `known`: what is left depends on nothing else (Lowe 2017, §3).
fn extends<M: Model>(
    model: &M,
    operations: &[&Operation<M::Op, M::Ret>],
    state: &M::State,
    left: u128,
    known: &mut BTreeMap<u128, Vec<M::State>>,
) -> bool {
    let is_left = |(place, _): &(usize, &&Operation<M::Op, M::Ret>)| left >> place & 1 == 1;
    let is_told = |operation: &Operation<M::Op, M::Ret>| operation.ret().is_some();
    let there = || operations.iter().enumerate().filter(is_left);
    if !there().any(|(_, operation)| is_told(operation)) {
        return true;
    }
    if known.get(&left).is_some_and(|states| states.contains(state)) {
        return false;
    }
    let first_return = there().map(|(_, operation)| operation.returned()).min();
    for (place, operation) in there().filter(|(_, it)| Some(it.invoked) < first_return) {
        let after = model.step(state, &operation.op, operation.ret());
        let rest = left & !(1 << place);
        if after.is_some_and(|after| extends(model, operations, &after, rest, known)) {
            return true;
        }
    }
    known.entry(left).or_default().push(state.clone());
    false
}
