//! The definition itself, tried out: slow, and too simple to be wrong. Everything else is held
//! against it.

use crate::history::{Moment, Outcome, Part};
use crate::model::Model;

/// Whether there is an order of the operations of `part` that explains what they returned
/// (Wing & Gong 1993). Takes time exponential in their number.
pub fn linearizable<M: Model>(model: &M, part: Part<'_, M::Op, M::Ret>) -> bool {
    let mut left: Vec<usize> = (0..part.len()).collect();
    extends(model, part, &model.init(), &mut left)
}

/// Whether what is `left` can follow from `state`.
fn extends<M: Model>(
    model: &M,
    part: Part<'_, M::Op, M::Ret>,
    state: &M::State,
    left: &mut Vec<usize>,
) -> bool {
    let operation = |place: usize| part.history().operation(part.ids()[place]);
    let must = |place: &usize| matches!(operation(*place).outcome, Outcome::Returned { .. });
    if !left.iter().any(must) {
        return true;
    }
    let returned = |place: &usize| operation(*place).returned();
    let first_return = left.iter().map(returned).min().unwrap_or(Moment::NEVER);
    for position in 0..left.len() {
        let place = left[position];
        if operation(place).invoked > first_return {
            continue;
        }
        let after = model.step(state, &operation(place).op, operation(place).ret());
        if let Some(after) = after {
            left.remove(position);
            let found = extends(model, part, &after, left);
            left.insert(position, place);
            if found {
                return true;
            }
        }
    }
    false
}
