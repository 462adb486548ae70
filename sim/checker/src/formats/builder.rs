//! Builds a history event by event, and rejects events that no sequential clients can produce.

use std::borrow::Cow;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::formats::any::ModelHistory;
use crate::formats::error::{OffsetError, Parsed};
use crate::formats::form::{Form, Kind, printable};
use crate::formats::notation::{Call, Notation, Response};
use crate::history::{Client, EventIndex, History, Operation, Outcome};

/// The events of a file in one of the notations.
pub(super) trait Events<'a> {
    /// Adds all events to `builder`.
    fn feed<M: Notation>(self, builder: &mut HistoryBuilder<'a, M>) -> Parsed<()>;
}

/// A history that is being read.
pub(super) struct HistoryBuilder<'a, M: Notation> {
    model: M,
    nothing_is_read: bool,
    operations: Vec<Operation<M::Op, M::Ret>>,
    /// The line of each event, from 1.
    lines: Vec<u32>,
    clients: HashMap<u32, ClientState<'a>, FixedState>,
}

/// The state of a client of the history.
enum ClientState<'a> {
    Idle,
    /// The client has a pending operation.
    Pending {
        id: u32,
        f: Cow<'a, str>,
        key: Option<Kind<'a>>,
        /// Whether its argument is true or false.
        takes_truth: bool,
    },
    /// The client cannot invoke anything, because its last operation has an unknown outcome.
    Retired,
}

/// The position of an event in the file, and its client.
#[derive(Clone, Copy, Debug)]
pub(super) struct EventPosition {
    /// The byte offset of the event.
    pub(super) at: usize,
    /// The line of the event, from 1.
    pub(super) line: u32,
    /// The number of the client.
    pub(super) client: u32,
}

/// The completion of an operation.
#[derive(Clone, Copy, Debug)]
pub(super) enum Completion<'t, 'a> {
    /// The operation returned this result.
    Returned(Option<Form<'t, 'a>>),
    /// The operation took effect. The value is its result, or may just repeat the arguments.
    Acknowledged(Option<Form<'t, 'a>>),
    /// The operation had no effect because its condition was false: a failed compare-and-set.
    ConditionFailed,
    /// The operation certainly had no effect.
    Failed,
    /// The outcome is unknown.
    Unknown,
}

impl<'a, M: Notation> HistoryBuilder<'a, M> {
    /// Creates a builder with an empty history of `model`.
    pub(super) fn new(model: M, nothing_is_read: bool) -> HistoryBuilder<'a, M> {
        let (operations, lines) = (Vec::new(), Vec::new());
        let clients = HashMap::with_hasher(FixedState::default());
        HistoryBuilder { model, nothing_is_read, operations, lines, clients }
    }

    /// Returns the number of operations so far.
    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.operations.len()).unwrap_or(u32::MAX)
    }

    fn next_event(&mut self, place: EventPosition) -> Parsed<EventIndex> {
        let next_event =
            u32::try_from(self.lines.len()).ok().filter(|next_event| *next_event < u32::MAX);
        let Some(next_event) = next_event else {
            return Err(OffsetError::new(place.at, "a history has at most four billion events"));
        };
        self.lines.push(place.line);
        Ok(EventIndex(next_event))
    }

    /// Adds the invocation of an operation.
    pub(super) fn invoke(
        &mut self,
        place: EventPosition,
        f: Cow<'a, str>,
        key: Option<Form<'_, 'a>>,
        value: Option<Form<'_, 'a>>,
    ) -> Parsed<()> {
        let client = place.client;
        match self.clients.get(&client) {
            None | Some(ClientState::Idle) => {}
            Some(ClientState::Pending { id, .. }) => {
                let message = format!("process {client} already has a pending operation, {id}");
                return Err(OffsetError::new(place.at, message));
            }
            Some(ClientState::Retired) => {
                let message = format!(
                    "process {client} has an operation of unknown outcome, and may invoke no other"
                );
                return Err(OffsetError::new(place.at, message));
            }
        }
        if let Some(key) = key.filter(|_| !M::KEYS) {
            let message = format!("no key: this {} has none", M::NAME);
            return Err(key.expected(&message));
        }
        let nothing_is_read = self.nothing_is_read;
        let call = Call { at: place.at, f: &f, key, value, nothing_is_read };
        let op = self.model.parse_op(&call)?;
        let (id, invoked) = (self.count(), self.next_event(place)?);
        let operation =
            Operation { client: Client(client), op, invoked, outcome: Outcome::Unknown };
        self.operations.push(operation);
        let key = key.map(|key| key.kind().clone());
        let takes_truth = value.is_some_and(|value| matches!(value.kind(), Kind::Bool(_)));
        self.clients.insert(client, ClientState::Pending { id, f, key, takes_truth });
        Ok(())
    }

    /// Returns the pending operation of a client.
    pub(super) fn open(&self, client: u32) -> Option<u32> {
        match self.clients.get(&client) {
            Some(ClientState::Pending { id, .. }) => Some(*id),
            _ => None,
        }
    }

    /// Returns true if a client may invoke an operation.
    pub(super) fn is_free(&self, client: u32) -> bool {
        matches!(self.clients.get(&client), None | Some(ClientState::Idle))
    }

    /// Returns the client of an operation, if there is such an operation.
    pub(super) fn client_of(&self, id: u32) -> Option<u32> {
        self.operations.get(id as usize).map(|operation| operation.client.0)
    }

    /// Adds the completion of the pending operation of a client. `f` and `key`, if present, must be
    /// those of the invocation.
    pub(super) fn end(
        &mut self,
        place: EventPosition,
        f: Option<Form<'_, 'a>>,
        key: Option<Form<'_, 'a>>,
        completion: Completion<'_, 'a>,
    ) -> Parsed<()> {
        let client_state = self.clients.entry(place.client).or_insert(ClientState::Idle);
        let next = if matches!(completion, Completion::Unknown) {
            ClientState::Retired
        } else {
            ClientState::Idle
        };
        let ClientState::Pending { id, f: invoked_f, key: of, takes_truth } =
            std::mem::replace(client_state, next)
        else {
            let message = format!("process {} has no pending operation", place.client);
            return Err(OffsetError::new(place.at, message));
        };
        if let Some(f) = f.filter(|f| f.name() != Some(&invoked_f)) {
            return Err(f.expected(&format!(
                "`{}`, the operation that was invoked",
                printable(&invoked_f)
            )));
        }
        if let Some(key) = key.filter(|key| of.as_ref().is_none_or(|of| !may_equal(of, key.kind())))
        {
            return Err(key.expected("the key of the invocation"));
        }
        let operation = &self.operations[id as usize];
        let nothing_is_read = self.nothing_is_read;
        let response = |result| Response { at: place.at, f: &invoked_f, result, nothing_is_read };
        let ret = match completion {
            Completion::Unknown => return Ok(()),
            Completion::Failed => {
                self.operations[id as usize].outcome = Outcome::Failed;
                return Ok(());
            }
            Completion::Returned(result) => {
                self.model.parse_ret(&operation.op, &response(result))?
            }
            Completion::Acknowledged(result) => {
                self.acknowledged_ret(&operation.op, takes_truth, response(result))?
            }
            Completion::ConditionFailed => {
                let no = self.model.failed_cas_ret(&operation.op);
                match no {
                    Some(ret) => ret,
                    None => {
                        self.operations[id as usize].outcome = Outcome::Failed;
                        return Ok(());
                    }
                }
            }
        };
        let at = self.next_event(place)?;
        self.operations[id as usize].outcome = Outcome::Returned { at, ret };
        Ok(())
    }

    /// Returns the result of an acknowledged `op`, where the notation repeats the arguments of
    /// operations that return nothing. A truth value is a result, unless the argument is one.
    fn acknowledged_ret(
        &self,
        op: &M::Op,
        takes_truth: bool,
        response: Response<'_, 'a>,
    ) -> Parsed<M::Ret> {
        let Some(done) = self.model.acknowledged_ret(op) else {
            return self.model.parse_ret(op, &response);
        };
        let truth = response.result.is_some_and(|result| matches!(result.kind(), Kind::Bool(_)));
        let answer =
            (truth && !takes_truth).then(|| self.model.parse_ret(op, &response).ok()).flatten();
        Ok(answer.unwrap_or(done))
    }

    /// Returns the whole history, and the line of each event.
    pub(super) fn finish(self) -> Parsed<(ModelHistory<M>, Vec<u32>)> {
        let history = History::new(self.operations);
        let history = history.map_err(|error| OffsetError::new(0, error.to_string()))?;
        Ok((ModelHistory { model: self.model, history }, self.lines))
    }
}

/// Returns true if two keys may be equal. Lists are not compared.
fn may_equal(one: &Kind<'_>, other: &Kind<'_>) -> bool {
    match (one, other) {
        (Kind::List(_) | Kind::Tuple(_), Kind::List(_) | Kind::Tuple(_)) => true,
        _ => one == other,
    }
}
