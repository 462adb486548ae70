//! The sequential specification of an object: the trait that a user implements.

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

use crate::budget::Budget;
use crate::history::{EventIndex, Subhistory};
use crate::stream::Stream;
use crate::verdict::Verdict;

/// The sequential specification of an object: how its state changes when operations run one at a
/// time.
///
/// Only `init` and `step` are required. The other methods are optional hints that make checking
/// faster. A wrong hint makes verdicts wrong; [`crate::hints::check_hints`] finds wrong hints.
pub trait Model: Sync {
    /// The state of the object.
    type State: Clone + Debug + Eq + Hash;
    /// An operation with its arguments. Equal values are the same invocation.
    type Op: Clone + Debug + Eq + Hash + Sync;
    /// A returned value. Equal values are the same response.
    type Ret: Clone + Debug + Eq + Hash + Sync;

    /// Returns the state before the first operation.
    fn init(&self) -> Self::State;

    /// Returns the state after `op`, invoked in `state`, returned `ret`, or `None` if `op` cannot
    /// return that in this state. Without `ret` the result is unknown: any result is allowed.
    fn step(
        &self,
        state: &Self::State,
        op: &Self::Op,
        ret: Option<&Self::Ret>,
    ) -> Option<Self::State>;

    /// Returns the independent object that `op` accesses. A history is linearizable if its
    /// subhistory on each object is (Herlihy & Wing 1990, §3.2, locality; P-compositionality).
    /// If any operation has no key, it may access all objects, and the history is checked as a
    /// whole. Sharing a key between two objects is correct, but slower.
    fn key(&self, op: &Self::Op) -> Option<u64> {
        let _ = op;
        None
    }

    /// Returns the effect that `op` can have on the state if it returned `ret`.
    fn effect(&self, op: &Self::Op, ret: Option<&Self::Ret>) -> Effect {
        let _ = (op, ret);
        Effect::Update
    }

    /// Returns the access of `op` to a register if it returned `ret`, or `None` if the operation is
    /// no register access. If every operation of a key is a [`RegisterAccess`], or is read-only and
    /// did not return, the search never calls [`step`](Model::step).
    fn register_access(&self, op: &Self::Op, ret: Option<&Self::Ret>) -> Option<RegisterAccess> {
        let _ = (op, ret);
        None
    }

    /// Returns the value that the register that `op` accesses has before the first operation. It is
    /// the same for all operations with the same key.
    fn register_init(&self, op: &Self::Op) -> u64 {
        let _ = op;
        0
    }

    /// Returns a deadline for each operation of `part`, all of which have one key: the event by
    /// which the operation must take effect if its outcome is unknown. If some linearization
    /// explains the responses up to `end`, then so does one in which the operation took effect by
    /// its deadline, or never. A response after `end` counts as an unknown outcome, and an
    /// invocation after `end` does not count. Returns `None` if the model cannot decide.
    fn unknown_deadlines(
        &self,
        part: Subhistory<'_, Self::Op, Self::Ret>,
        end: EventIndex,
    ) -> Option<Vec<EventIndex>> {
        let _ = (part, end);
        None
    }

    /// Returns an event for each operation of `part`, all of which have one key. If the operation
    /// returned and changed nothing, the state that it observed was impossible before that event,
    /// because no operation that leads to the state had been invoked. The event is used where reads
    /// may be stale; for other operations any event will do. Returns `None` if the model cannot
    /// decide.
    fn observable_since(
        &self,
        part: Subhistory<'_, Self::Op, Self::Ret>,
    ) -> Option<Vec<EventIndex>> {
        let _ = part;
        None
    }

    /// Returns the number of bytes that `state` holds and that hashing it does not show, such as
    /// interned texts. They count towards the memory of a search.
    fn unhashed_bytes(&self, state: &Self::State) -> usize {
        let _ = state;
        0
    }

    /// Decides the operations of one key by an algorithm for this object, which may search a part
    /// of the orders within the budget. Returns `None` if the algorithm does not apply, or cannot
    /// decide.
    fn decide(
        &self,
        part: Subhistory<'_, Self::Op, Self::Ret>,
        budget: &Budget<'_>,
    ) -> Option<Verdict> {
        let _ = (part, budget);
        None
    }

    /// Returns a check of this object that runs while the object is used, if there is one.
    fn stream(self: Arc<Self>) -> Option<Stream<Self::Op, Self::Ret>>
    where
        Self: Sized,
    {
        None
    }

    /// Formats an invocation: `put k 3`.
    fn describe_op(&self, op: &Self::Op) -> String {
        format!("{op:?}")
    }

    /// Formats the value that `op` returned: `3`. Empty if the response carries no value.
    fn describe_ret(&self, op: &Self::Op, ret: &Self::Ret) -> String {
        let _ = op;
        format!("{ret:?}")
    }

    /// Formats a state of the object.
    fn describe_state(&self, state: &Self::State) -> String {
        format!("{state:?}")
    }
}

/// The effect that an operation, with a known or unknown result, can have on the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// No effect in any state in which the operation is legal. An operation that happens to leave
    /// the current state as it is does not qualify: a write of the current value is not a read.
    ReadOnly,
    /// Legal in every state, and the state after it does not depend on the state before it.
    BlindWrite,
    /// Any effect on the state.
    Update,
}

/// An operation on a register. Values are equal if their numbers are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RegisterAccess {
    /// The operation observed that the register has this value.
    ReadEqual(u64),
    /// The operation observed that the register does not have this value.
    ReadNotEqual(u64),
    /// The operation sets the register to this value.
    Write(u64),
    /// The operation sets the register to `to` if its value is `from`. If it returned, the value
    /// was `from`. If its outcome is unknown and the value is another one, it has no effect.
    CompareAndSet {
        /// The value that the register must have.
        from: u64,
        /// The value that the register has afterwards.
        to: u64,
    },
}
