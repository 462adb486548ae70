//! Finds what a model says wrongly of its operations.

use std::fmt;

use crate::budget::Budget;
use crate::check::Parts;
use crate::history::{History, Moment, OpId, Outcome, Part};
use crate::model::{Effect, Model};
use crate::search::{Order, Trust, search_by};
use crate::verdict::Verdict;

/// What a model may say of its operations, beyond what they do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// [`Model::effect`], and [`Model::lapses`].
    Effect,
    /// [`Model::shown_since`].
    ShownSince,
    /// [`Model::cell`] and [`Model::cell_init`].
    Cell,
    /// [`Model::key`].
    Key,
    /// [`Model::decide`].
    Decide,
}

/// A hint that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongHint {
    /// Which.
    pub hint: Hint,
    /// The history that shows it, by its place among those given.
    pub history: usize,
    /// The operation of which it is wrong, if it is known.
    pub operation: Option<OpId>,
    /// What is wrong, in one sentence.
    pub because: String,
}

impl fmt::Display for WrongHint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is wrong in history {}", self.hint, self.history)?;
        if let Some(OpId(id)) = self.operation {
            write!(f, ", operation {id}")?;
        }
        write!(f, ": {}", self.because)
    }
}

impl std::error::Error for WrongHint {}

/// So many states of each history are tried out.
const STATES_MAX: usize = 200;

/// Checks what `model` says of its operations: by the law of each hint on states that the
/// operations of `histories` lead to, and by whether a check that believes them comes to the same
/// verdict as one that takes nothing from the model but [`Model::init`] and [`Model::step`].
///
/// Give it many small histories, good and bad, some with unknown outcomes: those of the
/// [generator](crate::generate), some with changed results. It takes time exponential in how many
/// operations are open at a time. What takes more than the default budget is not compared.
///
/// # Errors
/// The first hint found wrong.
pub fn check_hints<'a, M>(
    model: &M,
    histories: impl IntoIterator<Item = &'a History<M::Op, M::Ret>>,
) -> Result<(), WrongHint>
where
    M: Model,
    M::Op: 'a,
    M::Ret: 'a,
{
    for (place, history) in histories.into_iter().enumerate() {
        let wrong = |(hint, operation, because): Wrong| {
            let because = because.to_owned();
            WrongHint { hint, history: place, operation, because }
        };
        of_history(model, history).map_err(wrong)?;
    }
    Ok(())
}

type Wrong = (Hint, Option<OpId>, &'static str);

fn of_history<M: Model>(model: &M, history: &History<M::Op, M::Ret>) -> Result<(), Wrong> {
    let parts = Parts::new(model, history);
    let mut good = Some(true);
    for place in 0..parts.len() {
        let part = Part::new(history, parts.ids(place));
        of_effects(model, part)?;
        of_shown(model, part)?;
        let plain = searched(model, part, Trust::Nothing);
        good = good.zip(plain).map(|(before, here)| before && here);
        differs(plain, searched(model, part, Trust::Effects))
            .map_err(|because| (Hint::Effect, None, because))?;
        differs(plain, searched(model, part, Trust::Hints))
            .map_err(|because| (Hint::Cell, None, because))?;
        of_decision(model, part, plain)?;
    }
    let told = |id: &OpId| !matches!(history.operation(*id).outcome, Outcome::Failed);
    let count = u32::try_from(history.operations().len()).expect("four billion at most");
    let all: Vec<OpId> = (0..count).map(OpId).filter(told).collect();
    let whole = searched(model, Part::new(history, &all), Trust::Nothing);
    differs(whole, good).map_err(|because| (Hint::Key, None, because))
}

/// Whether `part` is linearizable, if the default budget is enough to tell.
fn searched<M: Model>(model: &M, part: Part<'_, M::Op, M::Ret>, trust: Trust) -> Option<bool> {
    is_good(&search_by(model, part, &Budget::default(), trust, Order::Both))
}

fn is_good(verdict: &Verdict) -> Option<bool> {
    match verdict {
        Verdict::Linearizable => Some(true),
        Verdict::NotLinearizable(_) => Some(false),
        Verdict::Unknown(_) => None,
    }
}

fn differs(plain: Option<bool>, hinted: Option<bool>) -> Result<(), &'static str> {
    match (plain, hinted) {
        (Some(true), Some(false)) => Err("with the hint, a linearizable history is refused"),
        (Some(false), Some(true)) => Err("with the hint, a history that is wrong passes"),
        _ => Ok(()),
    }
}

/// An observation changes no state in which it is legal; an overwrite is legal in all, and leads
/// from all to the same one.
fn of_effects<M: Model>(model: &M, part: Part<'_, M::Op, M::Ret>) -> Result<(), Wrong> {
    let mut states = vec![model.init()];
    let mut next = 0;
    while next < states.len() && states.len() < STATES_MAX {
        for (_, operation) in part.iter() {
            let after =
                [operation.ret(), None].map(|ret| model.step(&states[next], &operation.op, ret));
            for after in after.into_iter().flatten() {
                if !states.contains(&after) {
                    states.push(after);
                }
            }
        }
        next += 1;
    }
    for (id, operation) in part.iter() {
        for ret in [operation.ret(), None] {
            let after = |state: &M::State| model.step(state, &operation.op, ret);
            let effect = model.effect(&operation.op, ret);
            let changes = |state: &M::State| after(state).is_some_and(|after| after != *state);
            if effect == Effect::Observe && states.iter().any(changes) {
                return Err((Hint::Effect, Some(id), "an observation changes a state"));
            }
            let first = after(&states[0]);
            let depends = |state: &M::State| first.is_none() || after(state) != first;
            if effect == Effect::Overwrite && states.iter().any(depends) {
                let because = "what an overwrite leads to depends on the state before";
                return Err((Hint::Effect, Some(id), because));
            }
        }
    }
    Ok(())
}

/// What an observation shows, no order of what was asked before its moment leads to.
fn of_shown<M: Model>(model: &M, part: Part<'_, M::Op, M::Ret>) -> Result<(), Wrong> {
    let since = model.shown_since(part).into_iter().flatten();
    for ((shows, operation), since) in part.iter().zip(since) {
        let observes = operation.ret().is_some()
            && model.effect(&operation.op, operation.ret()) == Effect::Observe;
        if !observes || since == Moment(0) {
            continue;
        }
        let before = part.history().with_outcomes(|id, operation| match id == shows {
            true => operation.outcome.clone(),
            false if operation.outcome == Outcome::Failed => Outcome::Failed,
            false if operation.invoked < since => Outcome::Unknown,
            false => Outcome::Failed,
        });
        let told = |id: &OpId| before.operation(*id).outcome != Outcome::Failed;
        let ids: Vec<OpId> = part.ids().iter().copied().filter(told).collect();
        if searched(model, Part::new(&before, &ids), Trust::Nothing) == Some(true) {
            let because = "what it showed can have been so before the moment that is said";
            return Err((Hint::ShownSince, Some(shows), because));
        }
    }
    Ok(())
}

/// What is decided is so, and the evidence proves it.
fn of_decision<M: Model>(
    model: &M,
    part: Part<'_, M::Op, M::Ret>,
    plain: Option<bool>,
) -> Result<(), Wrong> {
    let Some(verdict) = model.decide(part, &Budget::default()) else { return Ok(()) };
    differs(plain, is_good(&verdict)).map_err(|because| (Hint::Decide, None, because))?;
    let Verdict::NotLinearizable(evidence) = verdict else { return Ok(()) };
    let only = part.history().with_outcomes(|id, operation| match &operation.outcome {
        Outcome::Returned { .. } if !evidence.operations.contains(&id) => Outcome::Unknown,
        other => other.clone(),
    });
    match searched(model, Part::new(&only, part.ids()), Trust::Nothing) {
        Some(true) => Err((Hint::Decide, None, "what is given as evidence proves nothing")),
        Some(false) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::generate::{Shape, history, random};
    use crate::history::Operation;
    use crate::model::Cell;

    /// Two registers of which a client reads, writes or increments one, and says something wrong
    /// about them.
    struct Wrong {
        hint: Option<Hint>,
        /// Whether it is [`Hint::Effect`] of reads, or of increments.
        reads: bool,
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    enum Op {
        Read(u8),
        Write(u8, u8),
        Increment(u8),
    }

    impl Op {
        fn key(self) -> u8 {
            let (Op::Read(key) | Op::Write(key, _) | Op::Increment(key)) = self;
            key
        }
    }

    impl Model for Wrong {
        type State = [u8; 2];
        type Op = Op;
        type Ret = u8;

        fn init(&self) -> [u8; 2] {
            [0, 0]
        }

        fn step(&self, state: &[u8; 2], op: &Op, ret: Option<&u8>) -> Option<[u8; 2]> {
            let mut after = *state;
            let value = &mut after[usize::from(op.key())];
            match op {
                Op::Read(_) => {}
                Op::Write(_, new) => *value = *new,
                Op::Increment(_) => *value += 1,
            }
            ret.is_none_or(|ret| ret == value).then_some(after)
        }

        fn key(&self, op: &Op) -> Option<u64> {
            let own = matches!(op, Op::Write(0, 2)) && self.hint == Some(Hint::Key);
            Some(if own { 9 } else { u64::from(op.key()) })
        }

        fn effect(&self, op: &Op, ret: Option<&u8>) -> Effect {
            let wrong = self.hint == Some(Hint::Effect);
            match op {
                Op::Increment(_) if wrong && self.reads => Effect::Observe,
                Op::Increment(_) if wrong => Effect::Overwrite,
                Op::Read(_) => Effect::Observe,
                Op::Write(_, new) if ret.is_none_or(|ret| ret == new) => Effect::Overwrite,
                Op::Write(..) | Op::Increment(_) => Effect::Update,
            }
        }

        fn cell(&self, op: &Op, ret: Option<&u8>) -> Option<Cell> {
            let wrong = self.hint == Some(Hint::Cell);
            match (op, ret) {
                (Op::Read(_), Some(value)) => Some(Cell::Holds(u64::from(*value))),
                (Op::Write(_, value), ret) if ret.is_none_or(|ret| ret == value) => {
                    Some(Cell::Becomes(u64::from(*value)))
                }
                (Op::Increment(_), Some(value)) if wrong => Some(Cell::Holds(u64::from(*value))),
                _ => None,
            }
        }

        fn shown_since(&self, part: Part<'_, Op, u8>) -> Option<Vec<Moment>> {
            let late = |operation: &Operation<Op, u8>| Moment(operation.invoked.0 / 2);
            let wrong = self.hint == Some(Hint::ShownSince);
            wrong.then(|| part.iter().map(|(_, operation)| late(operation)).collect())
        }

        fn decide(&self, part: Part<'_, Op, u8>, _: &Budget<'_>) -> Option<Verdict> {
            let long = part.len() > 4 && self.hint == Some(Hint::Decide);
            long.then_some(Verdict::Linearizable)
        }
    }

    fn histories() -> Vec<History<Op, u8>> {
        let made = |seed| {
            let mut random = random(seed);
            let shape = Shape { operations: 8, clients: 4, unknown: 0.2, ..Shape::default() };
            let ask = |random: &mut crate::generate::Random| {
                let key = random.random_range(0..2);
                match random.random_range(0..4) {
                    0 => Op::Write(key, random.random_range(1..3)),
                    1 => Op::Increment(key),
                    _ => Op::Read(key),
                }
            };
            let apply = |state: &mut [u8; 2], op: &Op| {
                let model = Wrong { hint: None, reads: false };
                *state = model.step(state, op, None).expect("all is legal");
                state[usize::from(op.key())]
            };
            let made = history(&mut random, &shape, [0, 0], ask, apply);
            let changed = random.random_bool(0.5);
            made.with_outcomes(|_, operation: &Operation<Op, u8>| match operation.outcome {
                Outcome::Returned { at, ret } if changed && ret == 2 => {
                    Outcome::Returned { at, ret: 3 }
                }
                other => other,
            })
        };
        (0..300).map(made).collect()
    }

    fn found(hint: Option<Hint>, reads: bool) -> Option<Hint> {
        let wrong = check_hints(&Wrong { hint, reads }, &histories()).err()?;
        assert!(wrong.to_string().contains("is wrong in history"));
        assert!(wrong.hint != Hint::Effect || wrong.operation.is_some());
        Some(wrong.hint)
    }

    #[test]
    fn right_hints_pass_and_every_wrong_one_is_named() {
        assert_eq!(found(None, false), None);
        assert_eq!(found(Some(Hint::Effect), true), Some(Hint::Effect));
        assert_eq!(found(Some(Hint::Effect), false), Some(Hint::Effect));
        assert_eq!(found(Some(Hint::ShownSince), false), Some(Hint::ShownSince));
        assert_eq!(found(Some(Hint::Cell), false), Some(Hint::Cell));
        assert_eq!(found(Some(Hint::Key), false), Some(Hint::Key));
        assert_eq!(found(Some(Hint::Decide), false), Some(Hint::Decide));
    }
}
