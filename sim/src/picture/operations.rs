//! The clients' operations and their results.

use std::collections::BTreeMap;
use std::fmt;

use quorate::machine;
use quorate_page::document::{Operation, Outcome, Relevance};

use crate::picture::text::{self, CommandText};
use crate::record::{Event, EventKind, Record};
use crate::workload::request::OpId;

/// The operations of a run.
pub(crate) struct Operations<'a> {
    format: CommandText<'a>,
    clients: BTreeMap<OpId, u16>,
    /// The position of each operation in the list.
    places: BTreeMap<OpId, usize>,
    operations: Vec<Operation>,
}

impl fmt::Debug for Operations<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operations").field("operations", &self.operations).finish_non_exhaustive()
    }
}

impl<'a> Operations<'a> {
    /// Creates an empty list; the clients of the operations come from the recorded requests.
    pub(crate) fn new(record: &Record, format: CommandText<'a>) -> Operations<'a> {
        let requests = record.events.iter().filter_map(|event| match event.kind {
            EventKind::RequestReceived { client, op: Some(op), .. } => Some((op, client)),
            _ => None,
        });
        Operations {
            format,
            clients: requests.collect(),
            places: BTreeMap::new(),
            operations: Vec::new(),
        }
    }

    /// The client of the event, if it is an event of a client.
    pub(crate) fn client_of(&self, kind: &EventKind) -> Option<u16> {
        match kind {
            EventKind::Invoked { op, .. }
            | EventKind::Rejected { op, .. }
            | EventKind::Unknown(op) => self.clients.get(op).copied(),
            _ => None,
        }
    }

    /// Adds the next event; `place` is its position in the document.
    pub(crate) fn take(&mut self, place: u32, event: &Event) {
        let now = event.at.0;
        match &event.kind {
            EventKind::Invoked { op, level, command } => {
                // An operation that no node received has no lane.
                let Some(client) = self.clients.get(op) else { return };
                self.places.insert(*op, self.operations.len());
                let call = match level {
                    None => text::shortened(&(self.format)(command)),
                    Some(level) => format!("read, {level}"),
                };
                self.operations.push(Operation {
                    client: *client,
                    call,
                    result: String::new(),
                    invoked: now,
                    returned: None,
                    outcome: Outcome::Unknown,
                    event: Some(place),
                    relevance: Relevance::Context,
                    place: None,
                });
            }
            EventKind::Replied { op, id, outcome } => {
                let result = match &**outcome {
                    machine::Outcome::Reply(_) => format!("at index {}", id.index),
                    other => format!("{other:?}"),
                };
                self.finish_operation(*op, now, Outcome::Returned, result);
            }
            EventKind::Served { op, applied, .. } => {
                self.finish_operation(
                    *op,
                    now,
                    Outcome::Returned,
                    format!("state after index {applied}"),
                );
            }
            EventKind::Rejected { op, reason } => {
                self.finish_operation(*op, now, Outcome::Failed, reason.to_string());
            }
            EventKind::Unknown(op) => {
                self.finish_operation(*op, now, Outcome::Unknown, String::new())
            }
            _ => {}
        }
    }

    /// Sets the result of an operation; a later result of a retry is ignored.
    fn finish_operation(&mut self, op: OpId, now: u64, outcome: Outcome, result: String) {
        let Some(operation) = self.places.get(&op).map(|place| &mut self.operations[*place]) else {
            return;
        };
        if operation.returned.is_none() {
            (operation.returned, operation.outcome, operation.result) =
                (Some(now), outcome, result);
        }
    }

    /// Returns the names of the clients, and the operations.
    pub(crate) fn finish(self) -> (Vec<String>, Vec<Operation>) {
        let clients = self.clients.values().max().map_or(0, |last| last + 1);
        ((0..clients).map(|client| format!("client {client}")).collect(), self.operations)
    }
}
