//! What an object does when one client at a time uses it: the one thing a user writes.

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

use crate::budget::Budget;
use crate::history::{Moment, Part};
use crate::stream::Stream;
use crate::verdict::Verdict;

/// An object, used by one client at a time.
///
/// Only `init` and `step` must be written. What the other methods say is a hint that makes checking
/// faster; a wrong one makes it wrong, and [`crate::hints::check_hints`] finds it.
pub trait Model: Sync {
    /// What the object remembers.
    type State: Clone + Debug + Eq + Hash;
    /// What a client asks. Equal ones ask the same.
    type Op: Clone + Debug + Eq + Hash + Sync;
    /// What a client is told. Equal ones tell the same.
    type Ret: Clone + Debug + Eq + Hash + Sync;

    /// The state before the first operation.
    fn init(&self) -> Self::State;

    /// The state after `op`, asked in `state`, returned `ret`; nothing if it cannot return that
    /// there. Without `ret` its result is unknown, and whatever it may have been is allowed.
    fn step(
        &self,
        state: &Self::State,
        op: &Self::Op,
        ret: Option<&Self::Ret>,
    ) -> Option<Self::State>;

    /// Which of several independent objects `op` is for: a history is linearizable if it is for
    /// each of them (Herlihy & Wing 1990, §3.2, locality). Operations without a key may touch all
    /// of them, and keep them together. Two objects may share a key: it costs time, no more.
    fn key(&self, op: &Self::Op) -> Option<u64> {
        let _ = op;
        None
    }

    /// What `op` can do to the state, if it returned `ret`.
    fn effect(&self, op: &Self::Op, ret: Option<&Self::Ret>) -> Effect {
        let _ = (op, ret);
        Effect::Update
    }

    /// What `op`, if it returned `ret`, is to an object that is one value; nothing if it is
    /// something else. Where all operations of a key are some [`Cell`], that is all that is asked
    /// of them, and [`step`](Model::step) is not.
    fn cell(&self, op: &Self::Op, ret: Option<&Self::Ret>) -> Option<Cell> {
        let _ = (op, ret);
        None
    }

    /// The value of every [`Cell`] before the first operation.
    fn cell_init(&self) -> u64 {
        0
    }

    /// When each operation of `part`, all of one key, lapses, if its outcome is unknown: if some
    /// order explains what was told up to `end`, then one does in which it took effect by then, or
    /// never. What returned after `end` counts as unknown, too, and what was invoked later not at
    /// all. Nothing if that cannot be told.
    fn lapses(&self, part: Part<'_, Self::Op, Self::Ret>, end: Moment) -> Option<Vec<Moment>> {
        let _ = (part, end);
        None
    }

    /// For each operation of `part`, all of one key, that returned and changed nothing: a moment
    /// before which what it showed was never so, as nobody had asked for what would make it so. It
    /// is asked where reads may be old; of other operations any moment will do. Nothing if that
    /// cannot be told.
    fn shown_since(&self, part: Part<'_, Self::Op, Self::Ret>) -> Option<Vec<Moment>> {
        let _ = part;
        None
    }

    /// Bytes that `state` keeps where hashing it does not show them, such as texts that numbers in
    /// it stand for: they count as memory that a search holds.
    fn hidden_bytes(&self, state: &Self::State) -> usize {
        let _ = state;
        0
    }

    /// Decides on the operations of one key by what is known of this very object, without search;
    /// nothing if it cannot tell.
    fn decide(&self, part: Part<'_, Self::Op, Self::Ret>, budget: &Budget<'_>) -> Option<Verdict> {
        let _ = (part, budget);
        None
    }

    /// A check of this very object that goes on while it is used; nothing if there is none.
    fn stream(self: Arc<Self>) -> Option<Stream<Self::Op, Self::Ret>>
    where
        Self: Sized,
    {
        None
    }

    /// `op`, asked, in words: `put k 3`.
    fn call_words(&self, op: &Self::Op) -> String {
        format!("{op:?}")
    }

    /// What `op` returned, in words: `3`; empty if there is nothing to say.
    fn ret_words(&self, op: &Self::Op, ret: &Self::Ret) -> String {
        let _ = op;
        format!("{ret:?}")
    }

    /// `state` in words.
    fn state_words(&self, state: &Self::State) -> String {
        format!("{state:?}")
    }
}

/// What an operation that returned something, or nothing known, can do to the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing, in whatever state it is legal. That it happens to change nothing *now* is not
    /// enough: a write of the present value is no observation.
    Observe,
    /// It is legal in every state, and the state after it does not depend on the one before.
    Overwrite,
    /// Anything.
    Update,
}

/// An operation on one value. Values are equal if their numbers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cell {
    /// It showed that the value is this.
    Holds(u64),
    /// It showed that the value is another one.
    Differs(u64),
    /// It makes the value this.
    Becomes(u64),
    /// It makes the value `to` if it is `from`. If it returned, it was; if its outcome is unknown
    /// and the value is another one, it does nothing.
    Swaps {
        /// What it must be.
        from: u64,
        /// What it becomes then.
        to: u64,
    },
}
