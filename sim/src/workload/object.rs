//! The object that clients believe they use: what they ask and are told, in the words of a model
//! that knows no cluster and no log.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use quorate::machine::StateMachine;
use quorate_checker::budget::Budget;
use quorate_checker::check::check;
use quorate_checker::history::{Client, History, Moment, OpId as Place, Operation, Outcome};
use quorate_checker::model::Model;
use quorate_checker::relaxed::{Freshness, Promise, Session, staleness};
use quorate_checker::stream::{Alarm, Stream};
use quorate_checker::verdict::{Evidence, Verdict};

use crate::request::OpId;
use crate::time::SimTime;
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

/// What became of a history that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    /// What is known of all that was not decided on the way.
    pub(crate) verdict: Result<(), String>,
    /// Whether that was all there is to know.
    pub(crate) is_decided: bool,
    /// Whether something was decided on the way.
    pub(crate) is_streamed: bool,
}

trait ErasedObject: Send + Sync {
    fn boxed(&self) -> Box<dyn ErasedObject>;
    fn invoked(&mut self, op: OpId, question: Question<'_>, is_repeated: bool);
    fn time_is(&mut self, time: SimTime);
    fn told(&mut self, op: OpId, told: &[u8], freshness: Freshness) -> Result<(), String>;
    fn failed(&mut self, op: OpId) -> Result<(), String>;
    fn unknown(&mut self, op: OpId);
    fn ended(&self, budget: &Budget<'_>) -> Ended;
}

struct Typed<M: Model> {
    model: Arc<M>,
    reads: Reading<M>,
    hears: Hearing<M>,
    /// What is said of the history while it happens, if that can be.
    stream: Option<Stream<M::Op, M::Ret>>,
    operations: Vec<Operation<M::Op, M::Ret>>,
    /// What the run calls each of them.
    names: Vec<OpId>,
    open: BTreeMap<OpId, Open>,
    /// The reads that were answered with what may be old, and how old.
    old: BTreeMap<Place, Freshness>,
    now: u32,
    /// When each moment was, from the first on.
    times: Vec<u64>,
    time: u64,
}

/// An operation of the run that has no outcome.
#[derive(Clone, Copy)]
struct Open {
    /// Where it stands in the history.
    place: Place,
    /// Whether its client asks again, so that an answer may come when it no longer waits for one.
    is_repeated: bool,
}

impl Object {
    /// The object that `model` describes, with how its commands, queries, replies and answers read.
    ///
    /// If the model has a [`Model::stream`], a run stops at the first answer that cannot be. What
    /// that does not decide on is checked at the end.
    #[must_use]
    pub fn new<M>(model: M, reads: Reading<M>, hears: Hearing<M>) -> Object
    where
        M: Model<Op: Send, Ret: Send> + Send + 'static,
    {
        let model = Arc::new(model);
        let stream = Arc::clone(&model).stream();
        Object(Box::new(Typed {
            model,
            reads,
            hears,
            stream,
            operations: Vec::new(),
            names: Vec::new(),
            open: BTreeMap::new(),
            old: BTreeMap::new(),
            now: 0,
            times: vec![0],
            time: 0,
        }))
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

    /// An operation is invoked. One that `is_repeated` may be answered after its client gave up.
    pub(crate) fn invoked(&mut self, op: OpId, question: Question<'_>, is_repeated: bool) {
        self.0.invoked(op, question, is_repeated);
    }

    /// What happens next happens at `time`.
    pub(crate) fn time_is(&mut self, time: SimTime) {
        self.0.time_is(time);
    }

    /// An operation is answered. Only the first answer counts; it is as fresh as promised, in
    /// nanoseconds.
    ///
    /// # Errors
    /// Why that cannot be, in a sentence, if it is known already.
    pub(crate) fn told(
        &mut self,
        op: OpId,
        told: &[u8],
        freshness: Freshness,
    ) -> Result<(), String> {
        self.0.told(op, told, freshness)
    }

    /// An operation certainly had no effect.
    ///
    /// # Errors
    /// As of [`Object::told`].
    pub(crate) fn failed(&mut self, op: OpId) -> Result<(), String> {
        self.0.failed(op)
    }

    /// A client gave up: the operation may take effect at any time, or never.
    pub(crate) fn unknown(&mut self, op: OpId) {
        self.0.unknown(op);
    }

    /// Nothing more happens.
    ///
    /// # Panics
    /// In a build with debug assertions, if a check of what was decided on the way comes to
    /// something else.
    pub(crate) fn ended(&self, budget: &Budget<'_>) -> Ended {
        self.0.ended(budget)
    }
}

impl<M> ErasedObject for Typed<M>
where
    M: Model<Op: Send, Ret: Send> + Send + 'static,
{
    fn boxed(&self) -> Box<dyn ErasedObject> {
        Box::new(Typed {
            model: Arc::clone(&self.model),
            reads: self.reads,
            hears: self.hears,
            stream: self.stream.clone(),
            operations: self.operations.clone(),
            names: self.names.clone(),
            open: self.open.clone(),
            old: self.old.clone(),
            now: self.now,
            times: self.times.clone(),
            time: self.time,
        })
    }

    fn invoked(&mut self, op: OpId, question: Question<'_>, is_repeated: bool) {
        let Some(asked) = (self.reads)(&self.model, question) else { return };
        let invoked = self.moment();
        let place = Place(u32::try_from(self.operations.len()).expect("four billion at most"));
        if let Some(stream) = &mut self.stream {
            let number = stream.invoke(asked.clone());
            debug_assert_eq!(number, place, "both count alike");
        }
        self.open.insert(op, Open { place, is_repeated });
        // A client of the world may go on after an operation whose outcome it never learned, so
        // every operation counts as a client of its own.
        let (client, outcome) = (Client(place.0), Outcome::Unknown);
        self.operations.push(Operation { client, op: asked, invoked, outcome });
        self.names.push(op);
    }

    fn time_is(&mut self, time: SimTime) {
        self.time = time.0;
    }

    fn told(&mut self, op: OpId, told: &[u8], freshness: Freshness) -> Result<(), String> {
        let Some(Open { place, .. }) = self.open.remove(&op) else { return Ok(()) };
        let at = self.moment();
        let asked = &self.operations[place.0 as usize].op;
        let Some(ret) = (self.hears)(&self.model, asked, told) else { return self.fails(place) };
        let is_old = freshness != Freshness::Current;
        let alarm = self.stream.as_mut().and_then(|stream| match is_old {
            // It is looked at when the run is over.
            true => stream.failed(place),
            false => stream.returned(place, &ret),
        });
        if is_old {
            self.old.insert(place, freshness);
        }
        self.operations[place.0 as usize].outcome = Outcome::Returned { at, ret };
        alarm.map_or(Ok(()), |alarm| Err(self.wrong(alarm)))
    }

    fn failed(&mut self, op: OpId) -> Result<(), String> {
        let Some(Open { place, .. }) = self.open.remove(&op) else { return Ok(()) };
        self.fails(place)
    }

    fn unknown(&mut self, op: OpId) {
        if self.open.get(&op).is_some_and(|open| open.is_repeated) {
            return;
        }
        if let Some(Open { place, .. }) = self.open.remove(&op)
            && let Some(stream) = &mut self.stream
        {
            stream.unknown(place);
        }
    }

    fn ended(&self, budget: &Budget<'_>) -> Ended {
        let is_streamed = |asked: &M::Op| self.stream.as_ref().is_some_and(|s| s.decides(asked));
        if cfg!(debug_assertions) {
            let verdict = self.checked(budget, is_streamed);
            assert!(!matches!(verdict, Verdict::NotLinearizable(_)), "silent, but {verdict:?}");
        }
        let verdict = match self.old.is_empty() {
            true => self.checked(budget, |asked| !is_streamed(asked)),
            false => self.checked_with_old(budget),
        };
        let returned = |operation: &&Operation<_, _>| operation.ret().is_some();
        let mut returned = self.operations.iter().filter(returned);
        Ended {
            is_decided: !matches!(verdict, Verdict::Unknown(_)),
            is_streamed: returned.any(|operation| is_streamed(&operation.op)),
            verdict: match verdict {
                Verdict::NotLinearizable(evidence) => Err(self.sentence(&evidence)),
                Verdict::Linearizable | Verdict::Unknown(_) => Ok(()),
            },
        }
    }
}

impl<M: Model> Typed<M> {
    fn moment(&mut self) -> Moment {
        self.now += 1;
        self.times.push(self.time);
        Moment(self.now)
    }

    /// The operation at `place` certainly had no effect.
    fn fails(&mut self, place: Place) -> Result<(), String> {
        self.operations[place.0 as usize].outcome = Outcome::Failed;
        let alarm = self.stream.as_mut().and_then(|stream| stream.failed(place));
        alarm.map_or(Ok(()), |alarm| Err(self.wrong(alarm)))
    }

    /// The verdict of a check of the operations that ask what is `checked`, save old reads.
    fn checked(&self, budget: &Budget<'_>, checked: impl Fn(&M::Op) -> bool) -> Verdict {
        let history = History::new(self.operations.clone()).expect("moments ascend");
        let history = history.with_outcomes(|place, operation| {
            match checked(&operation.op) && !self.old.contains_key(&place) {
                true => operation.outcome.clone(),
                false => Outcome::Failed,
            }
        });
        check(&*self.model, &history, budget)
    }

    /// The verdict of a check of all operations, in which old reads are no older than promised.
    fn checked_with_old(&self, budget: &Budget<'_>) -> Verdict {
        let history = History::new(self.operations.clone()).expect("moments ascend");
        let current = Freshness::Current;
        let promise = Promise {
            freshness: &|place, _| self.old.get(&place).copied().unwrap_or(current),
            clock: &|moment| self.times[moment.0 as usize],
            session: Session::Free,
        };
        staleness::check(&*self.model, &history, &promise, budget)
    }

    /// What is wrong, now that there is an `alarm`.
    fn wrong(&self, alarm: Alarm) -> String {
        let Operation { op: asked, outcome, .. } = &self.operations[alarm.operation.0 as usize];
        let key = self.model.key(asked);
        let evidence = match self.checked(&Budget::default(), |op| self.model.key(op) == key) {
            Verdict::NotLinearizable(evidence) => Some(evidence),
            Verdict::Unknown(_) => alarm.evidence,
            Verdict::Linearizable => panic!("{alarm:?}, but a check finds nothing"),
        };
        let why = evidence.map_or("no order explains it".to_owned(), |it| self.sentence(&it));
        let outcome = match outcome {
            Outcome::Returned { ret, .. } => self.model.ret_words(asked, ret),
            Outcome::Failed | Outcome::Unknown => "nothing".to_owned(),
        };
        let (OpId(name), call) = (self.name(alarm.operation), self.model.call_words(asked));
        format!("operation {name}, {call}, came to {outcome}: {why}")
    }

    /// What the run calls the operation at `place`.
    fn name(&self, place: Place) -> OpId {
        self.names[place.0 as usize]
    }

    /// Why `evidence` is wrong, and what the run calls the operations that it numbers.
    fn sentence(&self, evidence: &Evidence) -> String {
        let named = |place: &Place| {
            let (Place(number), OpId(name)) = (place, self.name(*place));
            format!("{number} is operation {name}")
        };
        let named: Vec<String> = evidence.operations.iter().map(named).collect();
        format!("{} ({})", evidence.because, named.join(", "))
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
