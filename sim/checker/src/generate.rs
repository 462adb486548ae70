//! Histories of an object that is what it should be: they are linearizable because of how they are
//! made. Tests change a return value and look what a checker says.

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::history::{Client, History, Moment, Operation, Outcome};

/// Where the random choices come from; the same on every machine.
pub type Random = Xoshiro256PlusPlus;

/// How a generated history looks.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// How many operations there are.
    pub operations: u32,
    /// How many clients are at work at any time; at least one.
    pub clients: u32,
    /// The probability that a client never learns what became of its operation; about half of
    /// those take effect at once, and half of the others later, if ever. Another client then takes
    /// its place.
    pub unknown: f64,
    /// The probability that an operation fails: it has no effect, and its client knows.
    pub failed: f64,
    /// The probability that a client that could move on does so, when it is looked at. Small
    /// values let every client invoke before any returns.
    pub eager: f64,
}

impl Default for Shape {
    /// 100 operations of five clients, all of them answered.
    fn default() -> Self {
        Shape { operations: 100, clients: 5, unknown: 0.0, failed: 0.0, eager: 0.5 }
    }
}

/// Where the random choices of `seed` come from.
#[must_use]
pub fn random(seed: u64) -> Random {
    Random::seed_from_u64(seed)
}

/// How probable it is, whenever a client is looked at, that an operation whose client has given up
/// takes effect.
const LATE: f64 = 0.05;

/// What one client is about.
#[derive(Clone, Copy)]
enum Doing<R> {
    Nothing,
    Asked(usize),
    Done(usize, R),
}

/// A history of an object that starts as `state`: `ask` draws what a client asks, and `apply`
/// carries it out.
///
/// # Panics
/// If there is no client, or a probability is none.
pub fn history<S, O, R>(
    random: &mut Random,
    shape: &Shape,
    mut state: S,
    mut ask: impl FnMut(&mut Random) -> O,
    mut apply: impl FnMut(&mut S, &O) -> R,
) -> History<O, R> {
    assert!(shape.clients > 0, "somebody must ask");
    let mut operations: Vec<Operation<O, R>> = Vec::new();
    let mut moments = (0..).map(Moment);
    let mut moment = move || moments.next().expect("there are enough moments");
    let mut clients: Vec<(Client, Doing<R>)> =
        (0..shape.clients).map(|client| (Client(client), Doing::Nothing)).collect();
    let mut next = shape.clients;
    let mut open = 0;
    let mut late: Vec<usize> = Vec::new();
    while open > 0 || operations.len() < shape.operations as usize {
        if !late.is_empty() && random.random_bool(LATE) {
            let id = late.swap_remove(random.random_range(0..late.len()));
            apply(&mut state, &operations[id].op);
        }
        let place = random.random_range(0..clients.len());
        let (client, doing) = &mut clients[place];
        match std::mem::replace(doing, Doing::Nothing) {
            Doing::Nothing if operations.len() < shape.operations as usize => {
                let (op, invoked) = (ask(random), moment());
                *doing = Doing::Asked(operations.len());
                operations.push(Operation {
                    client: *client,
                    op,
                    invoked,
                    outcome: Outcome::Failed,
                });
                open += 1;
            }
            Doing::Nothing => {}
            waits if !random.random_bool(shape.eager) => *doing = waits,
            Doing::Asked(id) if random.random_bool(shape.failed) => {
                operations[id].outcome = Outcome::Failed;
                open -= 1;
            }
            Doing::Asked(id) if random.random_bool(shape.unknown / 2.0) => {
                operations[id].outcome = Outcome::Unknown;
                if random.random_bool(0.5) {
                    late.push(id);
                }
                (*client, next, open) = (Client(next), next + 1, open - 1);
            }
            Doing::Asked(id) => *doing = Doing::Done(id, apply(&mut state, &operations[id].op)),
            Doing::Done(id, _) if random.random_bool(shape.unknown / 2.0) => {
                operations[id].outcome = Outcome::Unknown;
                (*client, next, open) = (Client(next), next + 1, open - 1);
            }
            Doing::Done(id, ret) => {
                operations[id].outcome = Outcome::Returned { at: moment(), ret };
                open -= 1;
            }
        }
    }
    History::new(operations).expect("what is generated is a history")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::brute;
    use crate::history::{OpId, Part};
    use crate::models::{Counter, CounterOp, QueueOp, RegisterOp, RegisterRet};
    use crate::value::Value;

    /// A history of a register with few values, some of whose reads are wrong.
    pub(crate) fn registers(
        random: &mut Random,
        shape: &Shape,
    ) -> History<RegisterOp, RegisterRet> {
        let ask = |random: &mut Random| {
            let (one, other) = (Value(random.random_range(0..4)), Value(random.random_range(0..4)));
            match random.random_range(0..5) {
                0..3 => RegisterOp::Read,
                3 => RegisterOp::Write(one),
                _ => RegisterOp::Cas { from: one, to: other },
            }
        };
        let mut errors = random.clone();
        let apply = |state: &mut Value, op: &RegisterOp| match *op {
            RegisterOp::Read if errors.random_bool(0.1) => RegisterRet::Value(Value(1)),
            RegisterOp::Read => RegisterRet::Value(*state),
            RegisterOp::Write(value) => {
                *state = value;
                RegisterRet::Written
            }
            RegisterOp::Cas { from, to } => {
                let swaps = *state == from;
                *state = if swaps { to } else { *state };
                RegisterRet::Swapped(swaps)
            }
        };
        history(random, shape, Value::NULL, ask, apply)
    }

    /// A history of a queue in which all values differ. A dequeue takes what is at the place that
    /// `wrong` draws of so many.
    pub(crate) fn queues(
        seed: u64,
        shape: &Shape,
        mut wrong: impl FnMut(&mut Random, usize) -> usize,
    ) -> History<QueueOp, Value> {
        let mut next = 0;
        let ask = |random: &mut Random| match random.random_bool(0.5) {
            true => {
                next += 1;
                QueueOp::Enqueue(Value(next))
            }
            false => QueueOp::Dequeue,
        };
        let mut errors = random(seed);
        let apply = |queue: &mut Vec<Value>, op: &QueueOp| match op {
            QueueOp::Enqueue(value) => {
                queue.push(*value);
                Value::NULL
            }
            QueueOp::Dequeue if queue.is_empty() => Value::NULL,
            QueueOp::Dequeue => queue.remove(wrong(&mut errors, queue.len())),
        };
        history(&mut random(seed), shape, Vec::new(), ask, apply)
    }

    #[test]
    fn what_is_generated_is_linearizable_and_changing_a_read_shows() {
        let shape =
            Shape { operations: 9, clients: 3, unknown: 0.1, failed: 0.1, ..Shape::default() };
        let mut caught = 0;
        for seed in 0..200 {
            let ask = |random: &mut Random| match random.random_bool(0.5) {
                true => CounterOp::Add(1),
                false => CounterOp::Read,
            };
            let apply = |sum: &mut i64, op: &CounterOp| match op {
                CounterOp::Add(more) => {
                    *sum += more;
                    None
                }
                CounterOp::Read => Some(*sum),
            };
            let made = history(&mut random(seed), &shape, 0, ask, apply);
            assert!(holds(&made), "seed {seed}: {made:?}");
            let wrong = made.with_outcomes(|_, operation| match operation.outcome {
                Outcome::Returned { at, ret: Some(sum) } => {
                    Outcome::Returned { at, ret: Some(sum + 5) }
                }
                other => other,
            });
            caught += u32::from(!holds(&wrong));
        }
        assert!(caught > 150, "{caught}");
    }

    fn holds(history: &History<CounterOp, Option<i64>>) -> bool {
        let told = |(id, operation): (u32, &Operation<CounterOp, Option<i64>>)| {
            (operation.outcome != Outcome::Failed).then_some(OpId(id))
        };
        let ids: Vec<OpId> = (0..).zip(history.operations()).filter_map(told).collect();
        brute::linearizable(&Counter::default(), Part::new(history, &ids))
    }
}
