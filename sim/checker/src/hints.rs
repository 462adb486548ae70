//! Finds wrong hints of a model by comparing searches with and without them.

use std::fmt;

use crate::budget::Budget;
use crate::check::Partitions;
use crate::history::{EventIndex, History, OpId, Outcome, Subhistory};
use crate::model::{Effect, Model};
use crate::search::{Traversal, TrustedHints, search_by};
use crate::verdict::Verdict;

/// A hint that a model may give beyond [`Model::init`] and [`Model::step`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// The methods [`Model::effect`] and [`Model::unknown_deadlines`].
    Effect,
    /// The method [`Model::observable_since`].
    ObservableSince,
    /// The methods [`Model::register_access`] and [`Model::register_init`].
    RegisterAccess,
    /// The method [`Model::key`].
    Key,
    /// The method [`Model::decide`].
    Decide,
}

/// A wrong hint of a model, and the history that shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HintError {
    /// The hint that is wrong.
    pub hint: Hint,
    /// The position of the history among those passed to [`check_hints`].
    pub history: usize,
    /// The operation for which the hint is wrong, if it is known.
    pub operation: Option<OpId>,
    /// The reason in one sentence.
    pub reason: String,
}

impl fmt::Display for HintError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is wrong in history {}", self.hint, self.history)?;
        if let Some(OpId(id)) = self.operation {
            write!(f, ", operation {id}")?;
        }
        write!(f, ": {}", self.reason)
    }
}

impl std::error::Error for HintError {}

/// The number of states of a partition after which no more are explored for [`Hint::Effect`].
const STATES_MAX: usize = 200;

/// Checks the hints of `model`: tests what they claim in states that the operations of `histories`
/// lead to, and compares the verdicts of searches with the hints with those of a search that uses
/// only [`Model::init`] and [`Model::step`].
///
/// Pass many small histories, correct and incorrect, some with unknown outcomes: generated ones
/// ([`crate::generate`]), some with changed results. The time is exponential in the number of
/// concurrent operations. Searches that exceed the default budget are not compared.
///
/// # Errors
/// Returns the first wrong hint.
pub fn check_hints<'a, M>(
    model: &M,
    histories: impl IntoIterator<Item = &'a History<M::Op, M::Ret>>,
) -> Result<(), HintError>
where
    M: Model,
    M::Op: 'a,
    M::Ret: 'a,
{
    for (place, history) in histories.into_iter().enumerate() {
        let misleading = |(hint, operation, reason): HintViolation| {
            let reason = reason.to_owned();
            HintError { hint, history: place, operation, reason }
        };
        check_history(model, history).map_err(misleading)?;
    }
    Ok(())
}

type HintViolation = (Hint, Option<OpId>, &'static str);

fn check_history<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
) -> Result<(), HintViolation> {
    let partitions = Partitions::new(model, history);
    let mut good = Some(true);
    for place in 0..partitions.len() {
        let part = Subhistory::new(history, partitions.ids(place));
        check_effects(model, part)?;
        check_observable_since(model, part)?;
        let plain = searched(model, part, TrustedHints::None);
        good = good.zip(plain).map(|(before, here)| before && here);
        compare(plain, searched(model, part, TrustedHints::Effects))
            .map_err(|reason| (Hint::Effect, None, reason))?;
        compare(plain, searched(model, part, TrustedHints::All))
            .map_err(|reason| (Hint::RegisterAccess, None, reason))?;
        check_decision(model, part, plain)?;
    }
    let not_failed = |id: &OpId| !matches!(history.operation(*id).outcome, Outcome::Failed);
    let count = u32::try_from(history.operations().len())
        .expect("a history has at most u32::MAX operations");
    let all: Vec<OpId> = (0..count).map(OpId).filter(not_failed).collect();
    let whole = searched(model, Subhistory::new(history, &all), TrustedHints::None);
    compare(whole, good).map_err(|reason| (Hint::Key, None, reason))
}

/// Returns whether `part` is linearizable, or `None` if the default budget does not suffice.
fn searched<M: Model>(
    model: &M,
    part: Subhistory<'_, M::Op, M::Ret>,
    trusted: TrustedHints,
) -> Option<bool> {
    is_good(&search_by(model, part, &Budget::default(), trusted, Traversal::Combined))
}

fn is_good(verdict: &Verdict) -> Option<bool> {
    match verdict {
        Verdict::Linearizable => Some(true),
        Verdict::NotLinearizable(_) => Some(false),
        Verdict::Unknown(_) => None,
    }
}

fn compare(plain: Option<bool>, hinted: Option<bool>) -> Result<(), &'static str> {
    match (plain, hinted) {
        (Some(true), Some(false)) => Err("with the hint, a linearizable history is rejected"),
        (Some(false), Some(true)) => Err("with the hint, a non-linearizable history passes"),
        _ => Ok(()),
    }
}

/// Checks that a read-only operation changes no state in which it is legal, and that a blind write
/// is legal in every state and leads to the same state from all.
fn check_effects<M: Model>(
    model: &M,
    part: Subhistory<'_, M::Op, M::Ret>,
) -> Result<(), HintViolation> {
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
            if effect == Effect::ReadOnly && states.iter().any(changes) {
                return Err((Hint::Effect, Some(id), "a read-only operation changes a state"));
            }
            let first = after(&states[0]);
            let depends = |state: &M::State| first.is_none() || after(state) != first;
            if effect == Effect::BlindWrite && states.iter().any(depends) {
                let reason = "the state after a blind write depends on the state before it";
                return Err((Hint::Effect, Some(id), reason));
            }
        }
    }
    Ok(())
}

/// Checks that no order of the operations invoked before the event of the hint leads to the
/// observed value.
fn check_observable_since<M: Model>(
    model: &M,
    part: Subhistory<'_, M::Op, M::Ret>,
) -> Result<(), HintViolation> {
    let since = model.observable_since(part).into_iter().flatten();
    for ((read, operation), since) in part.iter().zip(since) {
        let observes = operation.ret().is_some()
            && model.effect(&operation.op, operation.ret()) == Effect::ReadOnly;
        if !observes || since == EventIndex(0) {
            continue;
        }
        let before = part.history().with_outcomes(|id, operation| match id == read {
            true => operation.outcome.clone(),
            false if operation.outcome == Outcome::Failed => Outcome::Failed,
            false if operation.invoked < since => Outcome::Unknown,
            false => Outcome::Failed,
        });
        let not_failed = |id: &OpId| before.operation(*id).outcome != Outcome::Failed;
        let ids: Vec<OpId> = part.ids().iter().copied().filter(not_failed).collect();
        if searched(model, Subhistory::new(&before, &ids), TrustedHints::None) == Some(true) {
            let reason = "the observed value was already possible before the event of the hint";
            return Err((Hint::ObservableSince, Some(read), reason));
        }
    }
    Ok(())
}

/// Checks that [`Model::decide`] is right and that its counterexample proves the violation.
fn check_decision<M: Model>(
    model: &M,
    part: Subhistory<'_, M::Op, M::Ret>,
    plain: Option<bool>,
) -> Result<(), HintViolation> {
    let Some(verdict) = model.decide(part, &Budget::default()) else { return Ok(()) };
    compare(plain, is_good(&verdict)).map_err(|reason| (Hint::Decide, None, reason))?;
    let Verdict::NotLinearizable(counterexample) = verdict else { return Ok(()) };
    let only = part.history().with_known(|id| counterexample.operations.contains(&id));
    match searched(model, Subhistory::new(&only, part.ids()), TrustedHints::None) {
        Some(true) => Err((Hint::Decide, None, "the counterexample proves nothing")),
        Some(false) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::generate::{Shape, history, random};
    use crate::history::Operation;
    use crate::model::RegisterAccess;

    /// Two registers that clients read, write and increment. The model gives one wrong hint.
    struct MisleadingModel {
        hint: Option<Hint>,
        /// For [`Hint::Effect`]: whether increments are called reads instead of blind writes.
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

    impl Model for MisleadingModel {
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
            let misleading = self.hint == Some(Hint::Effect);
            match op {
                Op::Increment(_) if misleading && self.reads => Effect::ReadOnly,
                Op::Increment(_) if misleading => Effect::BlindWrite,
                Op::Read(_) => Effect::ReadOnly,
                Op::Write(_, new) if ret.is_none_or(|ret| ret == new) => Effect::BlindWrite,
                Op::Write(..) | Op::Increment(_) => Effect::Update,
            }
        }

        fn register_access(&self, op: &Op, ret: Option<&u8>) -> Option<RegisterAccess> {
            let misleading = self.hint == Some(Hint::RegisterAccess);
            match (op, ret) {
                (Op::Read(_), Some(value)) => Some(RegisterAccess::ReadEqual(u64::from(*value))),
                (Op::Write(_, value), ret) if ret.is_none_or(|ret| ret == value) => {
                    Some(RegisterAccess::Write(u64::from(*value)))
                }
                (Op::Increment(_), Some(value)) if misleading => {
                    Some(RegisterAccess::ReadEqual(u64::from(*value)))
                }
                _ => None,
            }
        }

        fn observable_since(&self, part: Subhistory<'_, Op, u8>) -> Option<Vec<EventIndex>> {
            let late = |operation: &Operation<Op, u8>| EventIndex(operation.invoked.0 / 2);
            let misleading = self.hint == Some(Hint::ObservableSince);
            misleading.then(|| part.iter().map(|(_, operation)| late(operation)).collect())
        }

        fn decide(&self, part: Subhistory<'_, Op, u8>, _: &Budget<'_>) -> Option<Verdict> {
            let long = part.len() > 4 && self.hint == Some(Hint::Decide);
            long.then_some(Verdict::Linearizable)
        }
    }

    fn histories() -> Vec<History<Op, u8>> {
        let made = |seed| {
            let mut random = random(seed);
            let shape = Shape { operations: 8, clients: 4, unknown: 0.2, ..Shape::default() };
            let next_op = |random: &mut crate::generate::Random| {
                let key = random.random_range(0..2);
                match random.random_range(0..4) {
                    0 => Op::Write(key, random.random_range(1..3)),
                    1 => Op::Increment(key),
                    _ => Op::Read(key),
                }
            };
            let apply = |state: &mut [u8; 2], op: &Op| {
                let model = MisleadingModel { hint: None, reads: false };
                *state = model.step(state, op, None).expect("every operation is legal");
                state[usize::from(op.key())]
            };
            let made = history(&mut random, &shape, [0, 0], next_op, apply);
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
        let misleading = check_hints(&MisleadingModel { hint, reads }, &histories()).err()?;
        assert!(misleading.to_string().contains("is wrong in history"));
        assert!(misleading.hint != Hint::Effect || misleading.operation.is_some());
        Some(misleading.hint)
    }

    #[test]
    fn right_hints_pass_and_every_wrong_hint_is_reported() {
        assert_eq!(found(None, false), None);
        assert_eq!(found(Some(Hint::Effect), true), Some(Hint::Effect));
        assert_eq!(found(Some(Hint::Effect), false), Some(Hint::Effect));
        assert_eq!(found(Some(Hint::ObservableSince), false), Some(Hint::ObservableSince));
        assert_eq!(found(Some(Hint::RegisterAccess), false), Some(Hint::RegisterAccess));
        assert_eq!(found(Some(Hint::Key), false), Some(Hint::Key));
        assert_eq!(found(Some(Hint::Decide), false), Some(Hint::Decide));
    }
}
