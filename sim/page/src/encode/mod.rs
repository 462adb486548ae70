//! Encodes a document as bytes, with each value as its difference from the one before.
//!
//! `assets/read/` decodes the same fields in the same order, for the page.

mod writer;

use crate::document::{
    Delivery, Document, Entry, Event, Fault, Lane, Message, Operation, State, Table, Violation,
    Write,
};
use crate::encode::writer::Writer;

/// The version of the encoding, which is its first number.
pub(crate) const VERSION: u64 = 1;

/// Encodes the document.
///
/// # Panics
///
/// If an event, message or write refers to an event, node or client that does not exist, or if an
/// event is earlier than the one before it.
pub(crate) fn encoded(document: &Document) -> Vec<u8> {
    document.assert_consistent();
    let mut to = Writer::default();
    to.number(VERSION);
    to.text(&document.name);
    to.text(&document.title);
    to.number(document.clock as u64);
    list(&mut to, &document.facts, |to, fact| {
        to.text(&fact.label);
        to.text(&fact.value);
        to.number(u64::from(fact.code));
    });
    list(&mut to, &document.nodes, |to, name| to.text(name));
    list(&mut to, &document.clients, |to, name| to.text(name));
    events(&mut to, document);
    messages(&mut to, document);
    writes(&mut to, &document.writes);
    operations(&mut to, &document.operations);
    faults(&mut to, &document.faults);
    list(&mut to, document.violation.as_slice(), |to, Violation { event, check, finding }| {
        to.number(u64::from(*event));
        to.text(check);
        to.text(finding);
    });
    list(&mut to, &document.explanation, |to, sentence| {
        to.text(&sentence.text);
        to.option(sentence.event.map(u64::from));
    });
    list(&mut to, &document.tables, table);
    to.finish()
}

fn list<T>(to: &mut Writer, items: &[T], mut each: impl FnMut(&mut Writer, &T)) {
    to.number(items.len() as u64);
    items.iter().for_each(|item| each(to, item));
}

fn events(to: &mut Writer, document: &Document) {
    let mut time = 0;
    let mut states = vec![State::default(); document.nodes.len()];
    let mut place = 0;
    list(to, &document.events, |to, event| {
        to.number(event.at - time);
        time = event.at;
        to.number(match event.lane {
            Lane::Cluster => 0,
            Lane::Node(node) => 1 + 2 * u64::from(node),
            Lane::Client(client) => 2 + 2 * u64::from(client),
        });
        to.number(event.kind as u64);
        to.text(&event.text);
        list(to, &event.causes, |to, cause| to.number(place - u64::from(*cause)));
        match (&event.state, event.lane) {
            (Some(is), Lane::Node(node)) => state(to, is, &mut states[usize::from(node)]),
            _ => to.number(0),
        }
        log(to, event);
        place += 1;
    });
}

/// Writes one more than a bit set of the changed fields, and then the changes.
fn state(to: &mut Writer, is: &State, was: &mut State) {
    let (new, old) = (numbers(is), numbers(was));
    let changed = |place: usize| new[place] != old[place];
    let bits = (0..new.len()).filter(|place| changed(*place)).map(|place| 1 << place);
    let detail = if is.detail == was.detail { 0 } else { 1 << new.len() };
    to.number(1 + bits.sum::<u64>() + detail);
    for place in (0..new.len()).filter(|place| changed(*place)) {
        to.difference(new[place], old[place]);
    }
    if detail != 0 {
        to.text(&is.detail);
    }
    was.clone_from(is);
}

fn numbers(state: &State) -> [u64; 10] {
    // Destructured completely, so that a new field cannot be forgotten here.
    let State {
        condition,
        role,
        term,
        leader,
        base,
        snapshot,
        applied,
        committed,
        durable,
        last,
        detail: _,
    } = state;
    let leader = leader.map_or(0, |leader| u64::from(leader) + 1);
    let (condition, role) = (*condition as u64, *role as u64);
    [condition, role, *term, leader, *base, *snapshot, *applied, *committed, *durable, *last]
}

fn log(to: &mut Writer, event: &Event) {
    let Some(change) = &event.log else { return to.number(0) };
    to.number(1 + change.entries.len() as u64);
    to.number(change.keep);
    let mut term = 0;
    for Entry { term: is, text } in &change.entries {
        to.difference(*is, term);
        term = *is;
        to.text(text);
    }
}

fn messages(to: &mut Writer, document: &Document) {
    let mut before = 0;
    list(to, &document.messages, |to, message| {
        let Message { sent, from, to: target, topic, text, delivery } = message;
        to.difference(u64::from(*sent), before);
        before = u64::from(*sent);
        to.number(u64::from(*from));
        to.number(u64::from(*target));
        to.number(*topic as u64);
        to.text(text);
        match delivery {
            Delivery::InFlight => to.number(0),
            Delivery::Arrived(event) => {
                to.number(1);
                to.difference(u64::from(*event), before);
            }
            Delivery::Lost(at) => {
                to.number(2);
                to.difference(*at, document.events[*sent as usize].at);
            }
        }
    });
}

fn writes(to: &mut Writer, writes: &[Write]) {
    let mut before = 0;
    list(to, writes, |to, write| {
        to.number(u64::from(write.node));
        to.text(&write.text);
        to.difference(u64::from(write.submitted), before);
        before = u64::from(write.submitted);
        to.option(write.ended.map(|event| u64::from(event) - before));
        to.number(write.outcome as u64);
    });
}

fn operations(to: &mut Writer, operations: &[Operation]) {
    let mut before = 0;
    list(to, operations, |to, operation| {
        to.number(u64::from(operation.client));
        to.text(&operation.call);
        to.text(&operation.result);
        to.difference(operation.invoked, before);
        before = operation.invoked;
        to.option(operation.returned.map(|at| at - before));
        to.number(operation.outcome as u64);
        to.option(operation.event.map(u64::from));
        to.number(operation.relevance as u64);
        to.option(operation.place.map(u64::from));
    });
}

fn faults(to: &mut Writer, faults: &[Fault]) {
    list(to, faults, |to, fault| {
        to.text(&fault.text);
        to.number(fault.from);
        to.option(fault.until.map(|until| until - fault.from));
        list(to, &fault.nodes, |to, node| to.number(u64::from(*node)));
        to.option(fault.event.map(u64::from));
    });
}

fn table(to: &mut Writer, table: &Table) {
    to.text(&table.title);
    to.text(&table.note);
    list(to, &table.columns, |to, title| to.text(title));
    list(to, &table.rows, |to, row| row.iter().for_each(|cell| to.text(cell)));
    to.option(table.marked.map(u64::from));
}
