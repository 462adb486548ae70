//! A history of any of the models that files can contain.

use crate::budget::Budget;
use crate::check::check;
use crate::explain;
use crate::formats::notation::Notation;
use crate::history::{History, OpId};
use crate::model::Model;
use crate::models::{
    Bank, Counter, Keyed, Kv, List, Lock, Queue, Register, Set, Stack, Transactions,
};
use crate::verdict::{Counterexample, Verdict};

/// A history and the model of its object.
#[derive(Clone, Debug)]
pub struct ModelHistory<M: Model> {
    /// The model of the object.
    pub model: M,
    /// The operations on the object.
    pub history: History<M::Op, M::Ret>,
}

/// A generic function over a history of any model.
pub trait Visitor {
    /// The result of the visit.
    type Out;

    /// Called once with the model and its history.
    fn visit<M: Model>(self, model: &M, history: &History<M::Op, M::Ret>) -> Self::Out;
}

macro_rules! histories {
    ($($(#[doc = $doc:literal])* $name:ident: $model:ty;)*) => {
        /// A history of one of the known models.
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        pub enum AnyHistory {
            $($(#[doc = $doc])* $name(ModelHistory<$model>),)*
        }

        $(impl From<ModelHistory<$model>> for AnyHistory {
            fn from(of: ModelHistory<$model>) -> AnyHistory {
                AnyHistory::$name(of)
            }
        })*

        impl AnyHistory {
            /// Calls `visitor` with the model and the history.
            pub fn visit<V: Visitor>(&self, visitor: V) -> V::Out {
                match self {
                    $(AnyHistory::$name(of) => visitor.visit(&of.model, &of.history),)*
                }
            }

            /// Calls `visitor` with the model and the history, for models that have a notation.
            pub(super) fn visit_notation<V: NotationVisitor>(&self, visitor: V) -> V::Out {
                match self {
                    $(AnyHistory::$name(of) => visitor.visit(&of.model, &of.history),)*
                }
            }
        }
    };
}

histories! {
    /// A history of one register.
    Register: Register;
    /// A history of a register for each key.
    Kv: Kv;
    /// A history of several registers, read and written in transactions.
    Transactions: Transactions;
    /// A history of append-only lists.
    List: List;
    /// A history of one lock.
    Lock: Lock;
    /// A history of one set.
    Set: Set;
    /// A history of one counter.
    Counter: Counter;
    /// A history of one queue.
    Queue: Queue;
    /// A history of one stack.
    Stack: Stack;
    /// A history of one bank.
    Bank: Bank;
    /// A history of a lock for each key.
    Locks: Keyed<Lock>;
    /// A history of a set for each key.
    Sets: Keyed<Set>;
    /// A history of a counter for each key.
    Counters: Keyed<Counter>;
    /// A history of a queue for each key.
    Queues: Keyed<Queue>;
    /// A history of a stack for each key.
    Stacks: Keyed<Stack>;
    /// A history of a bank for each key.
    Banks: Keyed<Bank>;
}

/// Like [`Visitor`], for models that have a notation in files.
pub(super) trait NotationVisitor {
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

struct Minimise<'b, 'a>(&'b Counterexample, &'b Budget<'a>);

impl Visitor for Minimise<'_, '_> {
    type Out = Counterexample;

    fn visit<M: Model>(self, model: &M, history: &History<M::Op, M::Ret>) -> Counterexample {
        explain::minimise(model, history, self.0, self.1)
    }
}

struct Lanes<'a>(&'a Counterexample);

impl Visitor for Lanes<'_> {
    type Out = String;

    fn visit<M: Model>(self, model: &M, history: &History<M::Op, M::Ret>) -> String {
        explain::lanes(model, history, self.0)
    }
}

struct Page<'a>(&'a Counterexample);

impl Visitor for Page<'_> {
    type Out = String;

    fn visit<M: Model>(self, model: &M, history: &History<M::Op, M::Ret>) -> String {
        explain::page(model, history, self.0)
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
        let ret = operation.ret().map(|ret| model.describe_ret(&operation.op, ret));
        (model.describe_op(&operation.op), ret)
    }
}

impl AnyHistory {
    /// Decides whether the history is linearizable, as [`check`] does.
    #[must_use]
    pub fn check(&self, budget: &Budget<'_>) -> Verdict {
        self.visit(Check(budget))
    }

    /// Returns a minimal part of `counterexample`, as [`explain::minimise`] does.
    #[must_use]
    pub fn minimise(&self, counterexample: &Counterexample, budget: &Budget<'_>) -> Counterexample {
        self.visit(Minimise(counterexample, budget))
    }

    /// Draws `counterexample` as text, as [`explain::lanes`] does.
    #[must_use]
    pub fn lanes(&self, counterexample: &Counterexample) -> String {
        self.visit(Lanes(counterexample))
    }

    /// Renders `counterexample` as a page, as [`explain::page`] does.
    #[must_use]
    pub fn page(&self, counterexample: &Counterexample) -> String {
        self.visit(Page(counterexample))
    }

    /// Returns the number of operations and the number of keys. Operations without a key share one.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        self.visit(Count)
    }

    /// Describes the invocation of an operation, and its result if it is known.
    ///
    /// # Panics
    /// If the history has no such operation.
    #[must_use]
    pub fn words(&self, id: OpId) -> (String, Option<String>) {
        self.visit(Words(id))
    }
}
