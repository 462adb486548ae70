//! Generates random histories of a correct object. They are linearizable by construction. Tests
//! change returned values and compare the verdicts of checkers.

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::history::{Client, EventIndex, History, Operation, Outcome};

/// The random number generator; its numbers are the same on every machine.
pub type Random = Xoshiro256PlusPlus;

/// The parameters of a generated history.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// The number of operations in the history.
    pub operations: u32,
    /// The number of concurrent clients; at least one.
    pub clients: u32,
    /// The probability that the outcome of an operation is unknown. About half of these operations
    /// take effect at once, and half of the others later, if ever. A new client then replaces the
    /// client.
    pub unknown: f64,
    /// The probability that an operation fails: it has no effect, and its client knows.
    pub failed: f64,
    /// The probability that a selected client with a pending operation takes its next step. With
    /// small values all clients invoke before any of them returns.
    pub eager: f64,
}

impl Default for Shape {
    /// 100 operations of five clients, all with known outcomes.
    fn default() -> Self {
        Shape { operations: 100, clients: 5, unknown: 0.0, failed: 0.0, eager: 0.5 }
    }
}

/// Creates the random number generator of `seed`.
#[must_use]
pub fn random(seed: u64) -> Random {
    Random::seed_from_u64(seed)
}

/// The probability, in each step, that an operation with an unknown outcome takes effect late.
const LATE_EFFECT_PROBABILITY: f64 = 0.05;

/// The progress of one client with its operation.
#[derive(Clone, Copy)]
enum ClientState<R> {
    Idle,
    Invoked(usize),
    Applied(usize, R),
}

/// Generates a history of an object with the first state `state`: `next_op` draws an operation,
/// and `apply` applies it to the state and returns its result.
///
/// # Panics
/// If there are no clients, or a probability is not between 0 and 1.
pub fn history<S, O, R>(
    random: &mut Random,
    shape: &Shape,
    mut state: S,
    mut next_op: impl FnMut(&mut Random) -> O,
    mut apply: impl FnMut(&mut S, &O) -> R,
) -> History<O, R> {
    assert!(shape.clients > 0, "a history needs at least one client");
    let mut operations: Vec<Operation<O, R>> = Vec::new();
    let mut event_indexes = (0..).map(EventIndex);
    let mut next_event = move || event_indexes.next().expect("u32 has enough event indexes");
    let mut clients: Vec<(Client, ClientState<R>)> =
        (0..shape.clients).map(|client| (Client(client), ClientState::Idle)).collect();
    let mut next = shape.clients;
    let mut open = 0;
    let mut late: Vec<usize> = Vec::new();
    while open > 0 || operations.len() < shape.operations as usize {
        if !late.is_empty() && random.random_bool(LATE_EFFECT_PROBABILITY) {
            let id = late.swap_remove(random.random_range(0..late.len()));
            apply(&mut state, &operations[id].op);
        }
        let place = random.random_range(0..clients.len());
        let (client, client_state) = &mut clients[place];
        match std::mem::replace(client_state, ClientState::Idle) {
            ClientState::Idle if operations.len() < shape.operations as usize => {
                let (op, invoked) = (next_op(random), next_event());
                *client_state = ClientState::Invoked(operations.len());
                operations.push(Operation {
                    client: *client,
                    op,
                    invoked,
                    outcome: Outcome::Failed,
                });
                open += 1;
            }
            ClientState::Idle => {}
            waits if !random.random_bool(shape.eager) => *client_state = waits,
            ClientState::Invoked(id) if random.random_bool(shape.failed) => {
                operations[id].outcome = Outcome::Failed;
                open -= 1;
            }
            ClientState::Invoked(id) if random.random_bool(shape.unknown / 2.0) => {
                operations[id].outcome = Outcome::Unknown;
                if random.random_bool(0.5) {
                    late.push(id);
                }
                (*client, next, open) = (Client(next), next + 1, open - 1);
            }
            ClientState::Invoked(id) => {
                *client_state = ClientState::Applied(id, apply(&mut state, &operations[id].op))
            }
            ClientState::Applied(id, _) if random.random_bool(shape.unknown / 2.0) => {
                operations[id].outcome = Outcome::Unknown;
                (*client, next, open) = (Client(next), next + 1, open - 1);
            }
            ClientState::Applied(id, ret) => {
                operations[id].outcome = Outcome::Returned { at: next_event(), ret };
                open -= 1;
            }
        }
    }
    History::new(operations).expect("a generated history is well-formed")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::brute_force;
    use crate::history::{OpId, Subhistory};
    use crate::models::{Counter, CounterOp, QueueOp, RegisterOp, RegisterRet};
    use crate::value::ValueId;

    /// Generates a history of a register with few values, some of whose reads are wrong.
    pub(crate) fn registers(
        random: &mut Random,
        shape: &Shape,
    ) -> History<RegisterOp, RegisterRet> {
        let next_op = |random: &mut Random| {
            let (one, other) =
                (ValueId(random.random_range(0..4)), ValueId(random.random_range(0..4)));
            match random.random_range(0..5) {
                0..3 => RegisterOp::Read,
                3 => RegisterOp::Write(one),
                _ => RegisterOp::Cas { from: one, to: other },
            }
        };
        let mut errors = random.clone();
        let apply = |state: &mut ValueId, op: &RegisterOp| match *op {
            RegisterOp::Read if errors.random_bool(0.1) => RegisterRet::Value(ValueId(1)),
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
        history(random, shape, ValueId::NULL, next_op, apply)
    }

    /// Generates a history of a queue with unique values. A dequeue takes the item at the position
    /// that `wrong` draws below the given length.
    pub(crate) fn queues(
        seed: u64,
        shape: &Shape,
        mut wrong: impl FnMut(&mut Random, usize) -> usize,
    ) -> History<QueueOp, ValueId> {
        let mut next = 0;
        let next_op = |random: &mut Random| match random.random_bool(0.5) {
            true => {
                next += 1;
                QueueOp::Enqueue(ValueId(next))
            }
            false => QueueOp::Dequeue,
        };
        let mut errors = random(seed);
        let apply = |queue: &mut Vec<ValueId>, op: &QueueOp| match op {
            QueueOp::Enqueue(value) => {
                queue.push(*value);
                ValueId::NULL
            }
            QueueOp::Dequeue if queue.is_empty() => ValueId::NULL,
            QueueOp::Dequeue => queue.remove(wrong(&mut errors, queue.len())),
        };
        history(&mut random(seed), shape, Vec::new(), next_op, apply)
    }

    #[test]
    fn generated_histories_are_linearizable_and_changed_reads_are_caught() {
        let shape =
            Shape { operations: 9, clients: 3, unknown: 0.1, failed: 0.1, ..Shape::default() };
        let mut caught = 0;
        for seed in 0..200 {
            let next_op = |random: &mut Random| match random.random_bool(0.5) {
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
            let made = history(&mut random(seed), &shape, 0, next_op, apply);
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
        let not_failed = |(id, operation): (u32, &Operation<CounterOp, Option<i64>>)| {
            (operation.outcome != Outcome::Failed).then_some(OpId(id))
        };
        let ids: Vec<OpId> = (0..).zip(history.operations()).filter_map(not_failed).collect();
        brute_force::linearizable(&Counter::default(), Subhistory::new(history, &ids))
    }
}
