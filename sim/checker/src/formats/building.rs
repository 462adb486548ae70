//! Puts a history together, event by event, and refuses what no clients could have done.

use std::borrow::Cow;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::formats::any::Of;
use crate::formats::fault::Fault;
use crate::formats::form::{Form, Kind, shortened};
use crate::formats::notation::{Call, Notation, Start, Told};
use crate::history::{Client, History, Moment, Operation, Outcome};

/// Events in one of the notations.
pub(super) trait Events<'a> {
    /// Makes all of them happen.
    fn feed<M: Notation>(self, building: &mut Building<'a, M>) -> Result<(), Fault>;
}

/// A history that is being read.
pub(super) struct Building<'a, M: Notation> {
    model: M,
    nothing_is_read: bool,
    operations: Vec<Operation<M::Op, M::Ret>>,
    /// The line of each moment.
    lines: Vec<u32>,
    clients: HashMap<u32, Doing<'a>, FixedState>,
}

/// What a client is about.
enum Doing<'a> {
    Nothing,
    /// It waits for this operation.
    Waits {
        id: u32,
        f: Cow<'a, str>,
        key: Option<Kind<'a>>,
    },
    /// It never learned what became of its last operation.
    Gone,
}

/// Something that happens, where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The byte.
    pub(super) at: usize,
    /// The line, from 1.
    pub(super) line: u32,
    /// The client.
    pub(super) client: u32,
}

/// How an operation ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ending<'t, 'a> {
    /// It returned this.
    Returned(Option<Form<'t, 'a>>),
    /// It took effect; of what it returned only this is told, which may just repeat the call.
    Done(Option<Form<'t, 'a>>),
    /// It certainly had no effect, because what it asks for was not so: a failed compare-and-set.
    Refused,
    /// It certainly had no effect.
    Failed,
    /// Nobody knows.
    Unknown,
}

impl<'a, M: Notation> Building<'a, M> {
    /// Of nothing yet.
    pub(super) fn new(start: &Start<'_, '_>) -> Result<Building<'a, M>, Fault> {
        let (model, nothing_is_read) = (M::start(start)?, start.nothing_is_read);
        let (operations, lines) = (Vec::new(), Vec::new());
        let clients = HashMap::with_hasher(FixedState::default());
        Ok(Building { model, nothing_is_read, operations, lines, clients })
    }

    /// How many operations there are.
    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.operations.len()).unwrap_or(u32::MAX)
    }

    fn moment(&mut self, place: Place) -> Result<Moment, Fault> {
        let moment = u32::try_from(self.lines.len()).ok().filter(|moment| *moment < u32::MAX);
        let Some(moment) = moment else {
            return Err(Fault::new(place.at, "a history has at most four billion events"));
        };
        self.lines.push(place.line);
        Ok(Moment(moment))
    }

    /// A client asks.
    pub(super) fn invoke(
        &mut self,
        place: Place,
        f: Cow<'a, str>,
        (key, value): (Option<Form<'_, 'a>>, Option<Form<'_, 'a>>),
    ) -> Result<(), Fault> {
        let client = place.client;
        match self.clients.get(&client) {
            None | Some(Doing::Nothing) => {}
            Some(Doing::Waits { id, .. }) => {
                let what = format!("process {client} waits for operation {id}");
                return Err(Fault::new(place.at, what));
            }
            Some(Doing::Gone) => {
                let what = format!(
                    "process {client} has an operation of unknown outcome, and can have no more"
                );
                return Err(Fault::new(place.at, what));
            }
        }
        if let Some(key) = key.filter(|_| !M::KEYS) {
            let what = format!("no key: this {} has none", M::NAME);
            return Err(key.expected(&what));
        }
        let nothing_is_read = self.nothing_is_read;
        let call = Call { at: place.at, f: &f, key, value, nothing_is_read };
        let op = self.model.call(&call)?;
        let (id, invoked) = (self.count(), self.moment(place)?);
        let operation =
            Operation { client: Client(client), op, invoked, outcome: Outcome::Unknown };
        self.operations.push(operation);
        let key = key.map(|key| key.kind().clone());
        self.clients.insert(client, Doing::Waits { id, f, key });
        Ok(())
    }

    /// The operation that a client waits for.
    pub(super) fn open(&self, client: u32) -> Option<u32> {
        match self.clients.get(&client) {
            Some(Doing::Waits { id, .. }) => Some(*id),
            _ => None,
        }
    }

    /// Whether a client may ask for something.
    pub(super) fn is_free(&self, client: u32) -> bool {
        matches!(self.clients.get(&client), None | Some(Doing::Nothing))
    }

    /// Whose the operation is, if there is such a one.
    pub(super) fn client_of(&self, id: u32) -> Option<u32> {
        self.operations.get(id as usize).map(|operation| operation.client.0)
    }

    /// The operation that a client waits for ends. Where `f` and `key` are told they must be as
    /// they were.
    pub(super) fn end(
        &mut self,
        place: Place,
        (f, key): (Option<Form<'_, 'a>>, Option<Form<'_, 'a>>),
        ending: Ending<'_, 'a>,
    ) -> Result<(), Fault> {
        let doing = self.clients.entry(place.client).or_insert(Doing::Nothing);
        let next = if matches!(ending, Ending::Unknown) { Doing::Gone } else { Doing::Nothing };
        let Doing::Waits { id, f: asked, key: of } = std::mem::replace(doing, next) else {
            let what = format!("process {} has no operation under way", place.client);
            return Err(Fault::new(place.at, what));
        };
        if let Some(f) = f.filter(|f| f.name() != Some(&asked)) {
            return Err(f.expected(&format!("`{}`, which was asked", shortened(&asked))));
        }
        if let Some(key) = key.filter(|key| of.as_ref().is_none_or(|of| !may_be(of, key.kind()))) {
            return Err(key.expected("the key that was asked for"));
        }
        let operation = &self.operations[id as usize];
        let nothing_is_read = self.nothing_is_read;
        let told = |result| Told { at: place.at, f: &asked, result, nothing_is_read };
        let ret = match ending {
            Ending::Unknown => return Ok(()),
            Ending::Failed => {
                self.operations[id as usize].outcome = Outcome::Failed;
                return Ok(());
            }
            Ending::Returned(result) => self.model.answer(&operation.op, &told(result))?,
            Ending::Done(result) => self.done(&operation.op, told(result))?,
            Ending::Refused => {
                let no = self.model.refused(&operation.op);
                match no {
                    Some(ret) => ret,
                    None => {
                        self.operations[id as usize].outcome = Outcome::Failed;
                        return Ok(());
                    }
                }
            }
        };
        let at = self.moment(place)?;
        self.operations[id as usize].outcome = Outcome::Returned { at, ret };
        Ok(())
    }

    /// The answer to `op` where a notation repeats the arguments of what returns nothing.
    fn done(&self, op: &M::Op, told: Told<'_, 'a>) -> Result<M::Ret, Fault> {
        let Some(done) = self.model.done(op) else { return self.model.answer(op, &told) };
        let truth = told.result.is_some_and(|result| matches!(result.kind(), Kind::Bool(_)));
        let answer = truth.then(|| self.model.answer(op, &told).ok()).flatten();
        Ok(answer.unwrap_or(done))
    }

    /// The whole history, with the line of each moment.
    pub(super) fn finish(self) -> Result<(Of<M>, Vec<u32>), Fault> {
        let history = History::new(self.operations);
        let history = history.map_err(|malformed| Fault::new(0, malformed.to_string()))?;
        Ok((Of { model: self.model, history }, self.lines))
    }
}

/// Whether two keys may be one: lists are not looked into.
fn may_be(one: &Kind<'_>, other: &Kind<'_>) -> bool {
    match (one, other) {
        (Kind::List(_) | Kind::Tuple(_), Kind::List(_) | Kind::Tuple(_)) => true,
        _ => one == other,
    }
}
