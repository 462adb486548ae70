//! Parses Porcupine's events and operations in JSON: calls and returns that are matched by id, or
//! whole operations with times.

use std::borrow::Cow;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::formats::builder::{Completion, EventPosition, Events, HistoryBuilder};
use crate::formats::error::{OffsetError, Parsed};
use crate::formats::form::{Form, Forms, Kind};
use crate::formats::json;
use crate::formats::lines::{self, Header};
use crate::formats::notation::Notation;
use crate::formats::scan::Scanner;

/// All calls and returns, in the order of their times.
#[derive(Debug)]
pub(super) struct Porcupine<'a> {
    text: &'a str,
    records: Vec<EventRecord>,
    /// The number of operations in the header, and the byte offset of that field.
    ops: Option<(u32, usize)>,
}

/// A call or a return.
#[derive(Clone, Copy, Debug)]
struct EventRecord {
    /// The time in a file of operations; 0 in a file of events, whose order is the clock.
    time: i64,
    returns: bool,
    /// The id that matches a call and its return.
    id: i64,
    client: u32,
    line: u32,
    /// The byte offset of the record.
    at: usize,
    /// The byte offset of the arguments or the result, if there is one.
    value: Option<usize>,
}

/// The style of a file: events or operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Events,
    Operations,
}

impl Style {
    fn of(root: Form<'_, '_>) -> Option<Style> {
        let has = |name: &str| root.member(name).is_some();
        match (has("Kind"), has("Call")) {
            (true, false) => Some(Style::Events),
            (false, true) => Some(Style::Operations),
            _ => None,
        }
    }
}

impl<'a> Porcupine<'a> {
    /// Returns true if `text` begins with an event or an operation of this notation.
    pub(super) fn begins(text: &str, bytes_max: usize) -> bool {
        let mut forms = Forms::default();
        let mut scanner = Scanner::limited(text, 0, bytes_max);
        let read = json::value(&mut scanner, &mut forms);
        read.is_ok() && forms.at(0).and_then(Style::of).is_some()
    }

    /// Parses the text after the header: values in sequence, or in one array.
    pub(super) fn read(
        text: &'a str,
        header: &Header<'_>,
        bytes_max: usize,
    ) -> Parsed<Porcupine<'a>> {
        let mut read = Reading { records: Vec::new(), style: None, line: 1, counted: 0 };
        let mut outside = Scanner::new(text, header.end.min(text.len()), text.len());
        outside.skip(json::is_space);
        let array = outside.peek() == Some(b'[');
        outside.at += usize::from(array);
        let mut forms = Forms::default();
        loop {
            outside.skip(json::is_space);
            match outside.peek() {
                None if !array => break,
                Some(b']') if array && read.records.is_empty() => break,
                _ => {}
            }
            forms.clear();
            let start = outside.at;
            let mut scanner = Scanner::limited(text, start, bytes_max);
            let value = json::value(&mut scanner, &mut forms);
            value.map_err(|error| scanner.unless_too_long(start, error))?;
            outside.at = scanner.at;
            if let Some(root) = forms.at(0) {
                read.count_lines(text, start);
                read.value(root)?;
            }
            outside.skip(json::is_space);
            match outside.peek() {
                Some(b',') if array => outside.at += 1,
                Some(b']') if array => break,
                _ if array => return Err(outside.expected("`,` or `]`")),
                _ => {}
            }
        }
        if array {
            outside.at += 1;
            json::end(&mut outside, "the end")?;
        }
        let mut records = read.records;
        if read.style == Some(Style::Operations) {
            // Intervals are closed, so a call at the time of another return is concurrent with it.
            records.sort_by_key(|record| (record.time, record.returns));
        }
        Ok(Porcupine { text, records, ops: header.ops })
    }
}

/// The records parsed so far.
struct Reading {
    records: Vec<EventRecord>,
    style: Option<Style>,
    /// The line at `counted`, from 1.
    line: u32,
    /// The offset up to which the newlines are counted.
    counted: usize,
}

impl Reading {
    fn count_lines(&mut self, text: &str, at: usize) {
        let newlines = text.as_bytes()[self.counted..at].iter().filter(|byte| **byte == b'\n');
        let newlines = u32::try_from(newlines.count()).unwrap_or(u32::MAX);
        self.line = self.line.saturating_add(newlines);
        self.counted = at;
    }

    fn value(&mut self, root: Form<'_, '_>) -> Parsed<()> {
        root.without_repeats(&[
            "Kind", "Id", "Value", "ClientId", "Input", "Call", "Output", "Return",
        ])?;
        let style = Style::of(root)
            .ok_or_else(|| root.expected("an event with `Kind`, or an operation with `Call`"))?;
        if *self.style.get_or_insert(style) != style {
            return Err(OffsetError::new(root.offset(), "the file mixes events and operations"));
        }
        let client = match root.member("ClientId").filter(|client| !client.is_null()) {
            Some(client) => client.unsigned("the number of a client")?,
            None => 0,
        };
        let field = |name: &str| {
            let missing = || OffsetError::new(root.offset(), format!("there is no `{name}` here"));
            root.member(name).ok_or_else(missing)
        };
        let record = EventRecord {
            time: 0,
            returns: false,
            id: self.records.len() as i64,
            client,
            line: self.line,
            at: root.offset(),
            value: None,
        };
        let place = |form: Form<'_, '_>| Some(form.offset());
        match style {
            Style::Events => self.records.push(EventRecord {
                returns: field("Kind")?.truth()?,
                id: field("Id")?.integer("the number of an operation")?,
                value: root.member("Value").and_then(place),
                ..record
            }),
            Style::Operations => {
                let time = field("Call")?.integer("a time")?;
                let input = field("Input")?;
                self.records.push(EventRecord { time, value: place(input), ..record });
                let Some(end) = root.member("Return").filter(|end| !end.is_null()) else {
                    return Ok(());
                };
                let ends = end.integer("a time")?;
                if ends < time {
                    return Err(end.expected(&format!("{time}, the time of the call, or later")));
                }
                let value = root.member("Output").and_then(place);
                self.records.push(EventRecord { time: ends, returns: true, value, ..record });
            }
        }
        Ok(())
    }
}

/// The state of an id.
#[derive(Clone, Copy)]
enum CallState {
    Open(u32),
    Returned,
}

impl<'a> Events<'a> for Porcupine<'a> {
    fn feed<M: Notation>(self, builder: &mut HistoryBuilder<'a, M>) -> Parsed<()> {
        let mut calls: HashMap<i64, CallState, FixedState> =
            HashMap::with_hasher(FixedState::default());
        let mut spare = self.records.iter().map(|record| record.client).max().unwrap_or(0);
        let mut forms = Forms::default();
        for record in &self.records {
            forms.clear();
            if let Some(at) = record.value {
                let mut scanner = Scanner::new(self.text, at, self.text.len());
                json::value(&mut scanner, &mut forms)?;
            }
            let value = forms.at(0).filter(|value| !value.is_null());
            let place = |client| EventPosition { at: record.at, line: record.line, client };
            if record.returns {
                let client = match calls.insert(record.id, CallState::Returned) {
                    Some(CallState::Open(client)) => client,
                    Some(CallState::Returned) => {
                        let message = format!("operation {} has returned already", record.id);
                        return Err(OffsetError::new(record.at, message));
                    }
                    None => {
                        let message = format!("operation {} was never called", record.id);
                        return Err(OffsetError::new(record.at, message));
                    }
                };
                builder.end(place(client), None, None, completion(value)?)?;
                continue;
            }
            // Clients of this notation need not be sequential; further operations get a spare
            // client.
            let mut client = record.client;
            if !builder.is_free(client) {
                let next = spare.checked_add(1);
                spare =
                    next.ok_or_else(|| OffsetError::new(record.at, "there are too many clients"))?;
                client = spare;
            }
            if calls.insert(record.id, CallState::Open(client)).is_some() {
                return Err(OffsetError::new(
                    record.at,
                    format!("operation {} is called twice", record.id),
                ));
            }
            let missing =
                || OffsetError::new(record.at, "expected the arguments of the call, found nothing");
            let value = value.ok_or_else(missing)?;
            if matches!(value.kind(), Kind::Map(_)) {
                value.without_repeats(&["f", "key", "value"])?;
            }
            let f = value.member("f").ok_or_else(|| value.expected("an object with `f`"))?;
            let Kind::Text(name) = f.kind() else { return Err(f.expected("a string")) };
            let (key, argument) = (value.member("key"), value.member("value"));
            builder.invoke(place(client), Cow::clone(name), key, argument)?;
        }
        lines::check_count(self.ops, builder.count())
    }
}

/// Parses the completion of an operation from the value of its return.
fn completion<'t, 'a>(value: Option<Form<'t, 'a>>) -> Parsed<Completion<'t, 'a>> {
    let Some(value) = value else { return Ok(Completion::Returned(None)) };
    if !matches!(value.kind(), Kind::Map(_)) {
        return Err(value.expected("an object, with `result` if there is one"));
    }
    value.without_repeats(&["type", "result"])?;
    match value.member("type") {
        None => Ok(Completion::Returned(value.member("result"))),
        Some(kind) => match kind.name() {
            Some("ok") => Ok(Completion::Returned(value.member("result"))),
            Some("fail") => Ok(Completion::Failed),
            Some("info") => Ok(Completion::Unknown),
            _ => Err(kind.expected("\"ok\", \"fail\" or \"info\"")),
        },
    }
}
