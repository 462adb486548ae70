//! Porcupine's events and operations, in JSON: calls and returns that are matched by number, or
//! whole operations with times.

use std::borrow::Cow;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::formats::building::{Building, Ending, Events, Place};
use crate::formats::fault::Fault;
use crate::formats::form::{Form, Forms, Kind};
use crate::formats::json;
use crate::formats::lines::{self, Header};
use crate::formats::notation::Notation;
use crate::formats::scan::Scanner;

/// All calls and returns, in the order in which they happen.
#[derive(Debug)]
pub(super) struct Porcupine<'a> {
    text: &'a str,
    halves: Vec<Half>,
    /// How many operations its header says there are, and where.
    ops: Option<(u32, usize)>,
}

/// A call or a return.
#[derive(Clone, Copy, Debug)]
struct Half {
    /// When, among whole operations; in the order of lines otherwise.
    time: i64,
    returns: bool,
    /// What calls and returns are matched by.
    id: i64,
    client: u32,
    line: u32,
    /// Where it stands.
    at: usize,
    /// Where what is asked or told stands; nowhere if nothing is told.
    value: Option<usize>,
}

/// Whether these are events or operations.
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
    /// Whether `text` begins with an event or an operation of this notation.
    pub(super) fn begins(text: &str, bytes_max: usize) -> bool {
        let mut forms = Forms::default();
        let mut scanner = Scanner::limited(text, 0, bytes_max);
        let read = json::value(&mut scanner, &mut forms);
        read.is_ok() && forms.at(0).and_then(Style::of).is_some()
    }

    /// Reads what comes after the header: values one after the other, or in one array.
    pub(super) fn read(
        text: &'a str,
        header: &Header<'_>,
        bytes_max: usize,
    ) -> Result<Porcupine<'a>, Fault> {
        let mut read = Reading { halves: Vec::new(), style: None, line: 1, counted: 0 };
        let mut outside = Scanner::new(text, header.end.min(text.len()), text.len());
        outside.skip(json::is_space);
        let array = outside.peek() == Some(b'[');
        outside.at += usize::from(array);
        let mut forms = Forms::default();
        loop {
            outside.skip(json::is_space);
            match outside.peek() {
                None if !array => break,
                Some(b']') if array && read.halves.is_empty() => break,
                _ => {}
            }
            forms.clear();
            let start = outside.at;
            let mut scanner = Scanner::limited(text, start, bytes_max);
            let value = json::value(&mut scanner, &mut forms);
            value.map_err(|fault| scanner.unless_too_long(start, fault))?;
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
            outside.skip(json::is_space);
            if outside.peek().is_some() {
                return Err(outside.expected("the end"));
            }
        }
        let mut halves = read.halves;
        if read.style == Some(Style::Operations) {
            // Intervals are closed: what returns when another is called is concurrent with it.
            halves.sort_by_key(|half| (half.time, half.returns));
        }
        Ok(Porcupine { text, halves, ops: header.ops })
    }
}

/// What is read so far.
struct Reading {
    halves: Vec<Half>,
    style: Option<Style>,
    line: u32,
    counted: usize,
}

impl Reading {
    fn count_lines(&mut self, text: &str, at: usize) {
        let newlines = text.as_bytes()[self.counted..at].iter().filter(|byte| **byte == b'\n');
        let newlines = u32::try_from(newlines.count()).unwrap_or(u32::MAX);
        self.line = self.line.saturating_add(newlines);
        self.counted = at;
    }

    fn value(&mut self, root: Form<'_, '_>) -> Result<(), Fault> {
        let style = Style::of(root)
            .ok_or_else(|| root.expected("an event with `Kind`, or an operation with `Call`"))?;
        if *self.style.get_or_insert(style) != style {
            return Err(Fault::new(root.place(), "events and operations do not mix"));
        }
        let client = match root.member("ClientId").filter(|client| !client.is_null()) {
            Some(client) => client.unsigned("the number of a client")?,
            None => 0,
        };
        let field = |name: &str| {
            let missing = || Fault::new(root.place(), format!("there is no `{name}` here"));
            root.member(name).ok_or_else(missing)
        };
        let half = Half {
            time: 0,
            returns: false,
            id: self.halves.len() as i64,
            client,
            line: self.line,
            at: root.place(),
            value: None,
        };
        let place = |form: Form<'_, '_>| Some(form.place());
        match style {
            Style::Events => self.halves.push(Half {
                returns: field("Kind")?.truth()?,
                id: field("Id")?.integer("the number of an operation")?,
                value: root.member("Value").and_then(place),
                ..half
            }),
            Style::Operations => {
                let time = field("Call")?.integer("a time")?;
                let input = field("Input")?;
                self.halves.push(Half { time, value: place(input), ..half });
                let Some(end) = root.member("Return").filter(|end| !end.is_null()) else {
                    return Ok(());
                };
                let ends = end.integer("a time")?;
                if ends < time {
                    return Err(end.expected(&format!("{time}, when it was called, or later")));
                }
                let value = root.member("Output").and_then(place);
                self.halves.push(Half { time: ends, returns: true, value, ..half });
            }
        }
        Ok(())
    }
}

/// What an operation's number is known for.
#[derive(Clone, Copy)]
enum Known {
    OfClient(u32),
    Returned,
}

impl<'a> Events<'a> for Porcupine<'a> {
    fn feed<M: Notation>(self, building: &mut Building<'a, M>) -> Result<(), Fault> {
        let mut known: HashMap<i64, Known, FixedState> =
            HashMap::with_hasher(FixedState::default());
        let mut spare = self.halves.iter().map(|half| half.client).max().unwrap_or(0);
        let mut forms = Forms::default();
        for half in &self.halves {
            forms.clear();
            if let Some(at) = half.value {
                let mut scanner = Scanner::new(self.text, at, self.text.len());
                json::value(&mut scanner, &mut forms)?;
            }
            let value = forms.at(0).filter(|value| !value.is_null());
            let place = |client| Place { at: half.at, line: half.line, client };
            if half.returns {
                let client = match known.insert(half.id, Known::Returned) {
                    Some(Known::OfClient(client)) => client,
                    Some(Known::Returned) => {
                        let what = format!("operation {} has returned already", half.id);
                        return Err(Fault::new(half.at, what));
                    }
                    None => {
                        let what = format!("operation {} was never called", half.id);
                        return Err(Fault::new(half.at, what));
                    }
                };
                building.end(place(client), (None, None), ending(value)?)?;
                continue;
            }
            // Clients of this notation need not wait: whose turn it is not is somebody else.
            let mut client = half.client;
            if !building.is_free(client) {
                let next = spare.checked_add(1);
                spare = next.ok_or_else(|| Fault::new(half.at, "there are too many clients"))?;
                client = spare;
            }
            if known.insert(half.id, Known::OfClient(client)).is_some() {
                return Err(Fault::new(half.at, format!("operation {} is called twice", half.id)));
            }
            let missing = || Fault::new(half.at, "expected what was asked, found nothing");
            let value = value.ok_or_else(missing)?;
            let f = value.member("f").ok_or_else(|| value.expected("an object with `f`"))?;
            let Kind::Text(name) = f.kind() else { return Err(f.expected("a text")) };
            let (key, argument) = (value.member("key"), value.member("value"));
            building.invoke(place(client), Cow::clone(name), (key, argument))?;
        }
        lines::counted(self.ops, building.count())
    }
}

/// How an operation ends that is told `value`.
fn ending<'t, 'a>(value: Option<Form<'t, 'a>>) -> Result<Ending<'t, 'a>, Fault> {
    let Some(value) = value else { return Ok(Ending::Returned(None)) };
    if !matches!(value.kind(), Kind::Map(_)) {
        return Err(value.expected("an object, with `result` if there is one"));
    }
    match value.member("type") {
        None => Ok(Ending::Returned(value.member("result"))),
        Some(kind) => match kind.name() {
            Some("ok") => Ok(Ending::Returned(value.member("result"))),
            Some("fail") => Ok(Ending::Failed),
            Some("info") => Ok(Ending::Unknown),
            _ => Err(kind.expected("\"ok\", \"fail\" or \"info\"")),
        },
    }
}
