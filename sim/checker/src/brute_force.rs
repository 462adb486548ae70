//! The definition of linearizability as an exhaustive search: slow, but simple enough to serve as
//! the reference for all other algorithms.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::history::{Operation, Subhistory};
use crate::model::Model;

/// Returns true if some order of the operations of `part` explains what they returned (Wing & Gong
/// 1993). The time is exponential in their number.
///
/// # Panics
/// If there are more than 128 operations.
pub fn linearizable<M: Model>(model: &M, part: Subhistory<'_, M::Op, M::Ret>) -> bool {
    assert!(part.len() <= 128, "this is for small histories");
    let operations: Vec<&Operation<M::Op, M::Ret>> = part.iter().map(|(_, it)| it).collect();
    let bits = |is_known: bool| {
        let is_selected = |place: &usize| operations[*place].ret().is_some() == is_known;
        (0..operations.len()).filter(is_selected).fold(0, |bits, place| bits | 1 << place)
    };
    // The reached states, each with the operations that have not taken effect yet: those that must,
    // and those that may.
    let mut reached: Vec<(M::State, u128, u128)> = vec![(model.init(), bits(true), bits(false))];
    let mut seen: HashMap<u128, HashMap<M::State, Vec<u128>, FixedState>, FixedState> =
        HashMap::default();
    while !reached.is_empty() {
        // The states after one more optional operation. Those with fewer optional operations come
        // first, so that they cover the others.
        let mut with_one_more_optional = Vec::new();
        while let Some((state, must, may)) = reached.pop() {
            if must == 0 {
                return true;
            }
            // Only the state and the operations that are left decide the rest of the search (Lowe
            // 2017, §3). A visited configuration with more optional operations covers this one.
            let seen = seen.entry(must).or_default().entry(state.clone()).or_default();
            if seen.iter().any(|more| may & !more == 0) {
                continue;
            }
            seen.push(may);
            let first_return = places(must).map(|place| operations[place].returned()).min();
            let after = |place: usize| {
                let operation = operations[place];
                (Some(operation.invoked) < first_return)
                    .then(|| model.step(&state, &operation.op, operation.ret()))
                    .flatten()
            };
            for place in places(must) {
                reached.extend(after(place).map(|after| (after, must & !(1 << place), may)));
            }
            for place in places(may) {
                with_one_more_optional
                    .extend(after(place).map(|after| (after, must, may & !(1 << place))));
            }
        }
        reached = with_one_more_optional;
    }
    false
}

/// Iterates over the positions of the ones in `bits`.
fn places(bits: u128) -> impl Iterator<Item = usize> {
    let rest = |bits: &u128| Some(bits & (bits - 1)).filter(|rest| *rest != 0);
    let first = Some(bits).filter(|bits| *bits != 0);
    std::iter::successors(first, rest).map(|bits| bits.trailing_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::generate::tests::{queues, registers};
    use crate::generate::{Random, Shape, random};
    use crate::history::{History, OpId};
    use crate::models::{Queue, Register};

    const SMALL: Shape = Shape { operations: 9, clients: 3, unknown: 0.3, failed: 0.0, eager: 0.6 };

    /// Returns true if all operations of `left` that returned, and some of the others, can follow
    /// `state` in some order that respects real-time order.
    fn explains<M: Model>(model: &M, state: &M::State, left: &[&Operation<M::Op, M::Ret>]) -> bool {
        !left.iter().any(|one| one.ret().is_some())
            || left.iter().enumerate().any(|(place, next)| {
                let in_time = !left.iter().any(|other| other.returned() < next.invoked);
                let after = model.step(state, &next.op, next.ret()).filter(|_| in_time);
                let rest = [&left[..place], &left[place + 1..]].concat();
                after.is_some_and(|after| explains(model, &after, &rest))
            })
    }

    /// Returns the result of [`linearizable`] after comparing it with [`explains`].
    fn agreed<M: Model>(model: &M, history: &History<M::Op, M::Ret>) -> bool {
        let left: Vec<_> = history.operations().iter().collect();
        let ids: Vec<OpId> = (0..).map(OpId).take(left.len()).collect();
        let found = linearizable(model, Subhistory::new(history, &ids));
        assert_eq!(found, explains(model, &model.init(), &left), "{history:?}");
        found
    }

    #[test]
    fn pruning_changes_no_verdict() {
        let (mut right_registers, mut right_queues) = (0, 0);
        for seed in 0..1000 {
            let made = registers(&mut random(seed), &SMALL);
            right_registers += u32::from(agreed(&Register::default(), &made));
            let any = |errors: &mut Random, count| errors.random_range(0..count);
            let made = queues(seed, &SMALL, any);
            right_queues += u32::from(agreed(&Queue::default(), &made));
        }
        for right in [right_registers, right_queues] {
            assert!((500..950).contains(&right), "{right_registers} and {right_queues}");
        }
    }
}
