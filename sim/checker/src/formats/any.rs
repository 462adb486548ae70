//! A history of any of the objects that files can be about.

use crate::budget::Budget;
use crate::check::check;
use crate::formats::notation::Notation;
use crate::history::{History, OpId};
use crate::model::Model;
use crate::models::{
    Bank, Counter, Keyed, Kv, List, Lock, Queue, Register, Set, Stack, Transactions,
};
use crate::verdict::Verdict;

/// An object, and a history of it.
#[derive(Clone, Debug)]
pub struct Of<M: Model> {
    /// The object.
    pub model: M,
    /// What its clients asked and were told.
    pub history: History<M::Op, M::Ret>,
}

/// Does something with a history, whatever it is of.
pub trait Visitor {
    /// What comes of it.
    type Out;

    /// Does it.
    fn visit<M: Model>(self, model: &M, history: &History<M::Op, M::Ret>) -> Self::Out;
}

macro_rules! histories {
    ($($(#[doc = $doc:literal])* $name:ident: $model:ty;)*) => {
        /// A history, with the object that it is of.
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        pub enum AnyHistory {
            $($(#[doc = $doc])* $name(Of<$model>),)*
        }

        $(impl From<Of<$model>> for AnyHistory {
            fn from(of: Of<$model>) -> AnyHistory {
                AnyHistory::$name(of)
            }
        })*

        impl AnyHistory {
            /// Does what `visitor` does.
            pub fn visit<V: Visitor>(&self, visitor: V) -> V::Out {
                match self {
                    $(AnyHistory::$name(of) => visitor.visit(&of.model, &of.history),)*
                }
            }

            /// Does what only the notation's own files do.
            pub(super) fn noted<V: Noted>(&self, visitor: V) -> V::Out {
                match self {
                    $(AnyHistory::$name(of) => visitor.visit(&of.model, &of.history),)*
                }
            }
        }
    };
}

histories! {
    /// Of one register.
    Register: Register;
    /// Of a register for each key.
    Kv: Kv;
    /// Of several registers, read and written together.
    Transactions: Transactions;
    /// Of lists.
    List: List;
    /// Of a lock.
    Lock: Lock;
    /// Of a set.
    Set: Set;
    /// Of a counter.
    Counter: Counter;
    /// Of a queue.
    Queue: Queue;
    /// Of a stack.
    Stack: Stack;
    /// Of a bank.
    Bank: Bank;
    /// Of a lock for each key.
    Locks: Keyed<Lock>;
    /// Of a set for each key.
    Sets: Keyed<Set>;
    /// Of a counter for each key.
    Counters: Keyed<Counter>;
    /// Of a queue for each key.
    Queues: Keyed<Queue>;
    /// Of a stack for each key.
    Stacks: Keyed<Stack>;
    /// Of a bank for each key.
    Banks: Keyed<Bank>;
}

/// As [`Visitor`], for those that write.
pub(super) trait Noted {
    type Out;
    fn visit<M: Notation>(self, model: &M, history: &History<M::Op, M::Ret>) -> Self::Out;
}

struct Check<'b, 'a>(&'b Budget<'a>);

impl Visitor for Check<'_, '_> {
    type Out = Verdict;

    fn visit<M: Model>(self, model: &M, history: &History<M::Op, M::Ret>) -> Verdict {
        check(model, history, self.0)
    }
}

struct Count;

impl Visitor for Count {
    type Out = (usize, usize);

    fn visit<M: Model>(self, model: &M, history: &History<M::Op, M::Ret>) -> (usize, usize) {
        let operations = history.operations();
        let mut keys: Vec<Option<u64>> =
            operations.iter().map(|operation| model.key(&operation.op)).collect();
        keys.sort_unstable();
        keys.dedup();
        (operations.len(), keys.len())
    }
}

struct Words(OpId);

impl Visitor for Words {
    type Out = (String, Option<String>);

    fn visit<M: Model>(self, model: &M, history: &History<M::Op, M::Ret>) -> Self::Out {
        let operation = history.operation(self.0);
        let ret = operation.ret().map(|ret| model.ret_words(&operation.op, ret));
        (model.call_words(&operation.op), ret)
    }
}

impl AnyHistory {
    /// Decides whether it is linearizable, as [`check`] does.
    #[must_use]
    pub fn check(&self, budget: &Budget<'_>) -> Verdict {
        self.visit(Check(budget))
    }

    /// How many operations it has, and on how many keys; those without one are one.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        self.visit(Count)
    }

    /// What an operation asked and, if that is known, returned, in words.
    ///
    /// # Panics
    /// If the history has no such operation.
    #[must_use]
    pub fn words(&self, id: OpId) -> (String, Option<String>) {
        self.visit(Words(id))
    }
}
