//! The object that clients believe they use: what they ask and are told, in the words of a model
//! that knows no cluster and no log.

use std::collections::BTreeMap;
use std::fmt;

use quorate::machine::StateMachine;
use quorate_checker::budget::Budget;
use quorate_checker::check::check;
use quorate_checker::history::{Client, History, Moment, Operation, Outcome};
use quorate_checker::model::Model;
use quorate_checker::verdict::Verdict;

use crate::request::OpId;
use crate::workload::itself::{Asked, Itself};

/// A model of the object that a workload's clients use, and how their bytes read in its words.
pub struct Object(Box<dyn ErasedObject>);

/// Reads what a client asks; none if it changes nothing and shows nothing.
pub type Reading<M> = fn(&M, Question<'_>) -> Option<<M as Model>::Op>;

/// Reads what a client is told; none if the operation changed nothing and shows nothing.
pub type Hearing<M> = fn(&M, &<M as Model>::Op, &[u8]) -> Option<<M as Model>::Ret>;

/// What a client asks, as bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question<'a> {
    /// A command, to be carried out.
    Command(&'a [u8]),
    /// A query, to be answered.
    Query(&'a [u8]),
}

trait ErasedObject: Send + Sync {
    fn boxed(&self) -> Box<dyn ErasedObject>;
    fn invoked(&mut self, op: OpId, question: Question<'_>);
    fn told(&mut self, op: OpId, told: &[u8]);
    fn failed(&mut self, op: OpId);
    fn verdict(&self, budget: &Budget<'_>) -> Verdict;
}

#[derive(Clone)]
struct Typed<M: Model> {
    model: M,
    reads: Reading<M>,
    hears: Hearing<M>,
    operations: Vec<Operation<M::Op, M::Ret>>,
    /// Where each operation of the run that has no outcome stands.
    open: BTreeMap<OpId, usize>,
    now: u32,
}

impl Object {
    /// The object that `model` describes, with how its commands, queries, replies and answers read.
    #[must_use]
    pub fn new<M>(model: M, reads: Reading<M>, hears: Hearing<M>) -> Object
    where
        M: Model<Op: Send, Ret: Send> + Clone + Send + 'static,
    {
        let (operations, open) = (Vec::new(), BTreeMap::new());
        Object(Box::new(Typed { model, reads, hears, operations, open, now: 0 }))
    }

    /// A state machine as its own model: `fresh` makes it, and every step starts one from a
    /// snapshot. It is always told the same index: a machine whose replies depend on that needs
    /// another model.
    #[must_use]
    pub fn machine<S: StateMachine>(
        fresh: impl Fn() -> S + Clone + Send + Sync + 'static,
    ) -> Object {
        Object::new(
            Itself(fresh),
            |_, question| {
                Some(match question {
                    Question::Command(command) => Asked::Command(command.into()),
                    Question::Query(query) => Asked::Query(query.into()),
                })
            },
            |_, _, told| Some(told.into()),
        )
    }

    /// An operation is invoked.
    pub(crate) fn invoked(&mut self, op: OpId, question: Question<'_>) {
        self.0.invoked(op, question);
    }

    /// An operation is answered. Only the first answer counts.
    pub(crate) fn told(&mut self, op: OpId, told: &[u8]) {
        self.0.told(op, told);
    }

    /// An operation certainly had no effect.
    pub(crate) fn failed(&mut self, op: OpId) {
        self.0.failed(op);
    }

    /// Whether what clients saw so far is linearizable.
    pub(crate) fn verdict(&self, budget: &Budget<'_>) -> Verdict {
        self.0.verdict(budget)
    }
}

impl<M> ErasedObject for Typed<M>
where
    M: Model<Op: Send, Ret: Send> + Clone + Send + 'static,
{
    fn boxed(&self) -> Box<dyn ErasedObject> {
        Box::new(self.clone())
    }

    fn invoked(&mut self, op: OpId, question: Question<'_>) {
        let Some(asked) = (self.reads)(&self.model, question) else { return };
        let invoked = self.moment();
        self.open.insert(op, self.operations.len());
        // A client of the world may go on after an operation whose outcome it never learned, so
        // every operation counts as a client of its own.
        let client = Client(u32::try_from(self.operations.len()).expect("four billion at most"));
        self.operations.push(Operation { client, op: asked, invoked, outcome: Outcome::Unknown });
    }

    fn told(&mut self, op: OpId, told: &[u8]) {
        let Some(place) = self.open.remove(&op) else { return };
        let at = self.moment();
        let operation = &mut self.operations[place];
        operation.outcome = match (self.hears)(&self.model, &operation.op, told) {
            Some(ret) => Outcome::Returned { at, ret },
            None => Outcome::Failed,
        };
    }

    fn failed(&mut self, op: OpId) {
        if let Some(place) = self.open.remove(&op) {
            self.operations[place].outcome = Outcome::Failed;
        }
    }

    fn verdict(&self, budget: &Budget<'_>) -> Verdict {
        let history = History::new(self.operations.clone()).expect("moments ascend");
        check(&self.model, &history, budget)
    }
}

impl<M: Model> Typed<M> {
    fn moment(&mut self) -> Moment {
        self.now += 1;
        Moment(self.now)
    }
}

impl Clone for Object {
    fn clone(&self) -> Object {
        Object(self.0.boxed())
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
}
