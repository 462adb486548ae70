//! The object that clients use, for the checker: their operations and results, in the terms of a
//! model without a cluster and a log.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use quorate::machine::StateMachine;
use quorate_checker::budget::Budget;
use quorate_checker::check::check;
use quorate_checker::history::{Client, EventIndex, History, OpId as Place, Operation, Outcome};
use quorate_checker::model::Model;
use quorate_checker::relaxed::{Freshness, ReadGuarantee, SessionOrder, staleness};
use quorate_checker::stream::{Alarm, Stream};
use quorate_checker::verdict::{Counterexample, Verdict};

use crate::values::time::SimTime;
use crate::workload::request::OpId;
use crate::workload::self_model::{MachineOperation, SelfModel};

/// A model of the object that a workload's clients use, and the parsers of their bytes.
pub struct Object(Box<dyn ErasedObject>);

/// Parses an operation of a client; returns `None` if it writes nothing and returns no information.
pub type ParseOperation<M> = fn(&M, RequestBytes<'_>) -> Option<<M as Model>::Op>;

/// Parses the result of an operation; returns `None` if it wrote nothing and returns no
/// information.
pub type ParseResult<M> = fn(&M, &<M as Model>::Op, &[u8]) -> Option<<M as Model>::Ret>;

/// The bytes of a client's operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestBytes<'a> {
    /// A command, for the log.
    Command(&'a [u8]),
    /// A query, for a read.
    Query(&'a [u8]),
}

/// The result of checking a whole history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HistoryResult {
    /// The result of the check at the end: of all that was not checked during the run, or of the
    /// whole history if it has stale reads.
    pub(crate) verdict: Result<(), String>,
    /// Whether the check reached a result within its budget.
    pub(crate) is_decided: bool,
    /// Whether a part of the history was checked during the run.
    pub(crate) is_streamed: bool,
}

trait ErasedObject: Send + Sync {
    fn boxed(&self) -> Box<dyn ErasedObject>;
    fn invoked(&mut self, op: OpId, request: RequestBytes<'_>, is_repeated: bool);
    fn set_time(&mut self, time: SimTime);
    fn answered(&mut self, op: OpId, result: &[u8], freshness: Freshness) -> Result<(), String>;
    fn failed(&mut self, op: OpId) -> Result<(), String>;
    fn unknown(&mut self, op: OpId);
    fn finish(&self, budget: &Budget<'_>) -> HistoryResult;
}

struct TypedObject<M: Model> {
    model: Arc<M>,
    parse_operation: ParseOperation<M>,
    parse_result: ParseResult<M>,
    /// The incremental check of the history during the run, if the model supports it.
    stream: Option<Stream<M::Op, M::Ret>>,
    operations: Vec<Operation<M::Op, M::Ret>>,
    /// The number of each operation in the run.
    names: Vec<OpId>,
    open: BTreeMap<OpId, OpenOperation>,
    /// The reads with a possibly stale result, and the freshness that the result claims.
    stale_reads: BTreeMap<Place, Freshness>,
    now: u32,
    /// The time of each event in nanoseconds, by its number. Numbers start at 1.
    times: Vec<u64>,
    time: u64,
}

/// An operation of the run without an outcome.
#[derive(Clone, Copy)]
struct OpenOperation {
    /// The place of the operation in the history.
    place: Place,
    /// Whether its client resends it: then a reply may come after the client gave up.
    is_repeated: bool,
}

impl Object {
    /// Returns the object that `model` describes, with the parsers of its commands, queries and
    /// results.
    ///
    /// If the model has a [`Model::stream`], the first impossible result stops the run. Everything
    /// that the stream does not decide is checked at the end.
    #[must_use]
    pub fn new<M>(
        model: M,
        parse_operation: ParseOperation<M>,
        parse_result: ParseResult<M>,
    ) -> Object
    where
        M: Model<Op: Send, Ret: Send> + Send + 'static,
    {
        let model = Arc::new(model);
        let stream = Arc::clone(&model).stream();
        Object(Box::new(TypedObject {
            model,
            parse_operation,
            parse_result,
            stream,
            operations: Vec::new(),
            names: Vec::new(),
            open: BTreeMap::new(),
            stale_reads: BTreeMap::new(),
            now: 0,
            times: vec![0],
            time: 0,
        }))
    }

    /// Returns the object whose model is a state machine: `fresh` creates the machine. A state of
    /// the model is a snapshot, compared by its digest, so a snapshot must be the whole state; a
    /// step clones the machine that is in that state. The machine always gets the same index, so a
    /// machine whose replies depend on the index needs another model.
    #[must_use]
    pub fn machine<S: StateMachine + Clone + Send + 'static>(
        fresh: impl Fn() -> S + Clone + Send + Sync + 'static,
    ) -> Object {
        Object::new(
            SelfModel::new(fresh),
            |_, request| {
                Some(match request {
                    RequestBytes::Command(command) => MachineOperation::Command(command.into()),
                    RequestBytes::Query(query) => MachineOperation::Query(query.into()),
                })
            },
            |_, _, result| Some(result.into()),
        )
    }

    /// Records that an operation starts. If `is_repeated`, a reply may come after its client gave
    /// up.
    pub(crate) fn invoked(&mut self, op: OpId, request: RequestBytes<'_>, is_repeated: bool) {
        self.0.invoked(op, request, is_repeated);
    }

    /// Sets the time of the next events, and returns the object for them.
    pub(crate) fn at(&mut self, time: SimTime) -> &mut Object {
        self.0.set_time(time);
        self
    }

    /// Records that an operation returns. Only its first result counts; `freshness` is in
    /// nanoseconds.
    ///
    /// # Errors
    /// A sentence that says why the result is impossible, if that is known already.
    pub(crate) fn answered(
        &mut self,
        op: OpId,
        result: &[u8],
        freshness: Freshness,
    ) -> Result<(), String> {
        self.0.answered(op, result, freshness)
    }

    /// Records that an operation certainly had no effect.
    ///
    /// # Errors
    /// The same as for [`Object::answered`].
    pub(crate) fn failed(&mut self, op: OpId) -> Result<(), String> {
        self.0.failed(op)
    }

    /// Records that a client gave up: the operation may take effect at any time, or never.
    pub(crate) fn unknown(&mut self, op: OpId) {
        self.0.unknown(op);
    }

    /// Checks the history at the end of the run.
    ///
    /// # Panics
    /// In a build with debug assertions, if a second check finds a violation in the operations that
    /// the incremental one passed.
    pub(crate) fn finish(&self, budget: &Budget<'_>) -> HistoryResult {
        self.0.finish(budget)
    }
}

impl<M> ErasedObject for TypedObject<M>
where
    M: Model<Op: Send, Ret: Send> + Send + 'static,
{
    fn boxed(&self) -> Box<dyn ErasedObject> {
        Box::new(TypedObject {
            model: Arc::clone(&self.model),
            parse_operation: self.parse_operation,
            parse_result: self.parse_result,
            stream: self.stream.clone(),
            operations: self.operations.clone(),
            names: self.names.clone(),
            open: self.open.clone(),
            stale_reads: self.stale_reads.clone(),
            now: self.now,
            times: self.times.clone(),
            time: self.time,
        })
    }

    fn invoked(&mut self, op: OpId, request: RequestBytes<'_>, is_repeated: bool) {
        let Some(asked) = (self.parse_operation)(&self.model, request) else { return };
        let invoked = self.next_event();
        let place =
            Place(u32::try_from(self.operations.len()).expect("fewer than 2^32 operations"));
        if let Some(stream) = &mut self.stream {
            let number = stream.invoke(asked.clone());
            debug_assert_eq!(number, place, "both numbers are equal");
        }
        self.open.insert(op, OpenOperation { place, is_repeated });
        // A client of the simulator may continue after an operation with an unknown outcome, so
        // every operation counts as an operation of its own client.
        let (client, outcome) = (Client(place.0), Outcome::Unknown);
        self.operations.push(Operation { client, op: asked, invoked, outcome });
        self.names.push(op);
    }

    fn set_time(&mut self, time: SimTime) {
        self.time = time.0;
    }

    fn answered(&mut self, op: OpId, result: &[u8], freshness: Freshness) -> Result<(), String> {
        let Some(OpenOperation { place, .. }) = self.open.remove(&op) else { return Ok(()) };
        let at = self.next_event();
        let request = &self.operations[place.0 as usize].op;
        let Some(ret) = (self.parse_result)(&self.model, request, result) else {
            return self.mark_failed(place);
        };
        let is_old = freshness != Freshness::Current;
        let alarm = self.stream.as_mut().and_then(|stream| match is_old {
            // Stale reads are checked at the end of the run.
            true => stream.failed(place),
            false => stream.returned(place, &ret),
        });
        if is_old {
            self.stale_reads.insert(place, freshness);
        }
        self.operations[place.0 as usize].outcome = Outcome::Returned { at, ret };
        alarm.map_or(Ok(()), |alarm| Err(self.describe_alarm(alarm)))
    }

    fn failed(&mut self, op: OpId) -> Result<(), String> {
        let Some(OpenOperation { place, .. }) = self.open.remove(&op) else { return Ok(()) };
        self.mark_failed(place)
    }

    fn unknown(&mut self, op: OpId) {
        if self.open.get(&op).is_some_and(|open| open.is_repeated) {
            return;
        }
        if let Some(OpenOperation { place, .. }) = self.open.remove(&op)
            && let Some(stream) = &mut self.stream
        {
            stream.unknown(place);
        }
    }

    fn finish(&self, budget: &Budget<'_>) -> HistoryResult {
        let is_streamed = |asked: &M::Op| self.stream.as_ref().is_some_and(|s| s.decides(asked));
        if cfg!(debug_assertions) {
            let verdict = self.check_selected(budget, is_streamed);
            assert!(!matches!(verdict, Verdict::NotLinearizable(_)), "no alarm, but {verdict:?}");
        }
        let verdict = match self.stale_reads.is_empty() {
            true => self.check_selected(budget, |asked| !is_streamed(asked)),
            false => self.check_with_stale_reads(budget),
        };
        let returned = |operation: &&Operation<_, _>| operation.ret().is_some();
        let mut returned = self.operations.iter().filter(returned);
        HistoryResult {
            is_decided: !matches!(verdict, Verdict::Unknown(_)),
            is_streamed: returned.any(|operation| is_streamed(&operation.op)),
            verdict: match verdict {
                Verdict::NotLinearizable(evidence) => Err(self.describe_counterexample(&evidence)),
                Verdict::Linearizable | Verdict::Unknown(_) => Ok(()),
            },
        }
    }
}

impl<M: Model> TypedObject<M> {
    fn next_event(&mut self) -> EventIndex {
        self.now += 1;
        self.times.push(self.time);
        EventIndex(self.now)
    }

    /// Records that the operation at `place` certainly had no effect.
    fn mark_failed(&mut self, place: Place) -> Result<(), String> {
        self.operations[place.0 as usize].outcome = Outcome::Failed;
        let alarm = self.stream.as_mut().and_then(|stream| stream.failed(place));
        alarm.map_or(Ok(()), |alarm| Err(self.describe_alarm(alarm)))
    }

    /// Checks the operations that `checked` selects, except stale reads.
    fn check_selected(&self, budget: &Budget<'_>, checked: impl Fn(&M::Op) -> bool) -> Verdict {
        let history = History::new(self.operations.clone()).expect("event numbers ascend");
        let history = history.with_outcomes(|place, operation| {
            match checked(&operation.op) && !self.stale_reads.contains_key(&place) {
                true => operation.outcome.clone(),
                false => Outcome::Failed,
            }
        });
        check(&*self.model, &history, budget)
    }

    /// Checks all operations; a stale read must be only as fresh as its result claims.
    fn check_with_stale_reads(&self, budget: &Budget<'_>) -> Verdict {
        let history = History::new(self.operations.clone()).expect("event numbers ascend");
        let current = Freshness::Current;
        let guarantee = ReadGuarantee {
            freshness: &|place, _| self.stale_reads.get(&place).copied().unwrap_or(current),
            clock: &|moment| self.times[moment.0 as usize],
            session: SessionOrder::None,
        };
        staleness::check(&*self.model, &history, &guarantee, budget)
    }

    /// Describes the violation of an `alarm`.
    fn describe_alarm(&self, alarm: Alarm) -> String {
        let Operation { op: asked, outcome, .. } = &self.operations[alarm.operation.0 as usize];
        let key = self.model.key(asked);
        let evidence = match self.check_selected(&Budget::default(), |op| self.model.key(op) == key)
        {
            Verdict::NotLinearizable(evidence) => Some(evidence),
            Verdict::Unknown(_) => alarm.counterexample,
            Verdict::Linearizable => panic!("{alarm:?}, but a check finds nothing"),
        };
        let why = evidence
            .map_or("no order explains it".to_owned(), |it| self.describe_counterexample(&it));
        let outcome = match outcome {
            Outcome::Returned { ret, .. } => self.model.describe_ret(asked, ret),
            Outcome::Failed | Outcome::Unknown => "no result".to_owned(),
        };
        let (OpId(name), call) = (self.name(alarm.operation), self.model.describe_op(asked));
        format!("operation {name}, {call}, returned {outcome}: {why}")
    }

    /// Returns the number in the run of the operation at `place`.
    fn name(&self, place: Place) -> OpId {
        self.names[place.0 as usize]
    }

    /// Describes `evidence`, with the numbers of its operations in the run.
    fn describe_counterexample(&self, evidence: &Counterexample) -> String {
        let named = |place: &Place| {
            let (Place(number), OpId(name)) = (place, self.name(*place));
            format!("{number} is operation {name}")
        };
        let named: Vec<String> = evidence.operations.iter().map(named).collect();
        format!("{} ({})", evidence.reason, named.join(", "))
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
