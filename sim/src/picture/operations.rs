//! What clients asked for, and what they were told.

use std::collections::BTreeMap;
use std::fmt;

use quorate::machine;
use quorate_page::document::{Operation, Outcome, Weight};

use crate::picture::words::{self, Words};
use crate::record::{Event, Record, What};
use crate::request::OpId;

/// The operations of a run.
pub(crate) struct Operations<'a> {
    words: Words<'a>,
    clients: BTreeMap<OpId, u16>,
    /// By the number of the operation: where it is in the list.
    places: BTreeMap<OpId, usize>,
    operations: Vec<Operation>,
}

impl fmt::Debug for Operations<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operations").field("operations", &self.operations).finish_non_exhaustive()
    }
}

impl<'a> Operations<'a> {
    /// None yet; whose they will be is known already.
    pub(crate) fn new(record: &Record, words: Words<'a>) -> Operations<'a> {
        let asked = record.events.iter().filter_map(|event| match event.what {
            What::Asked { client, op: Some(op), .. } => Some((op, client)),
            _ => None,
        });
        Operations {
            words,
            clients: asked.collect(),
            places: BTreeMap::new(),
            operations: Vec::new(),
        }
    }

    /// The client whose event it is, if it is one's.
    pub(crate) fn client_of(&self, what: &What) -> Option<u16> {
        match what {
            What::Invoked { op, .. } | What::Rejected { op, .. } | What::Unknown(op) => {
                self.clients.get(op).copied()
            }
            _ => None,
        }
    }

    /// The next event, which is in this place of the document.
    pub(crate) fn take(&mut self, place: u32, event: &Event) {
        let now = event.at.0;
        match &event.what {
            What::Invoked { op, level } => {
                // What no node was ever asked for has no lane.
                let Some(client) = self.clients.get(op) else { return };
                self.places.insert(*op, self.operations.len());
                let call = level.map_or("command".to_owned(), |level| format!("read, {level}"));
                self.operations.push(Operation {
                    client: *client,
                    call,
                    result: String::new(),
                    invoked: now,
                    returned: None,
                    outcome: Outcome::Unknown,
                    event: Some(place),
                    weight: Weight::Beside,
                    place: None,
                });
            }
            What::Submitted(write) => {
                let commands = write.entries.iter();
                let commands = commands.filter_map(|entry| words::command_of(entry, self.words));
                for (op, command) in commands {
                    if let Some(place) = self.places.get(&op) {
                        self.operations[*place].call = command;
                    }
                }
            }
            What::Replied { op, id, outcome } => {
                let result = match &**outcome {
                    machine::Outcome::Reply(_) => format!("at {}", id.index),
                    other => format!("{other:?}"),
                };
                self.end(*op, now, Outcome::Returned, result);
            }
            What::Served { op, applied, .. } => {
                self.end(*op, now, Outcome::Returned, format!("of {applied}"));
            }
            What::Rejected { op, reason } => {
                self.end(*op, now, Outcome::Failed, reason.to_string());
            }
            What::Unknown(op) => self.end(*op, now, Outcome::Unknown, String::new()),
            _ => {}
        }
    }

    /// The first answer counts: a repetition may be answered long after.
    fn end(&mut self, op: OpId, now: u64, outcome: Outcome, result: String) {
        let Some(operation) = self.places.get(&op).map(|place| &mut self.operations[*place]) else {
            return;
        };
        if operation.returned.is_none() {
            (operation.returned, operation.outcome, operation.result) =
                (Some(now), outcome, result);
        }
    }

    /// The names of the clients, and what they asked.
    pub(crate) fn finish(self) -> (Vec<String>, Vec<Operation>) {
        let clients = self.clients.values().max().map_or(0, |last| last + 1);
        ((0..clients).map(|client| format!("client {client}")).collect(), self.operations)
    }
}
