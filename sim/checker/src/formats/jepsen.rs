//! Parses Jepsen's notations: `history.edn`, and the lines of its log.

use std::borrow::Cow;

use crate::formats::builder::{Completion, EventPosition, Events, HistoryBuilder};
use crate::formats::edn;
use crate::formats::error::{OffsetError, Parsed};
use crate::formats::form::{Form, Forms, Kind};
use crate::formats::notation::{Notation, Step};
use crate::formats::object::Object;
use crate::formats::scan::Scanner;

/// An invocation or a completion.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event<'t, 'a> {
    place: EventPosition,
    kind: Type,
    f: Form<'t, 'a>,
    key: Option<Form<'t, 'a>>,
    value: Option<Form<'t, 'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    Invoke,
    Ok,
    Fail,
    Info,
}

type Handler<'h, 'a> = dyn FnMut(Event<'_, 'a>) -> Parsed<()> + 'h;

/// A text with events of clients.
pub(super) trait Jepsen<'a>: Copy {
    /// The model of the history unless another one is named.
    const DEFAULT_OBJECT: Option<Object>;

    /// Calls `handle` with each event of a client, in order.
    fn each(&self, handle: &mut Handler<'_, 'a>) -> Parsed<()>;

    /// Returns the events, for building a history.
    fn events(&self, found: Findings, failed_cas_is_read: bool) -> JepsenEvents<Self> {
        JepsenEvents { source: *self, keyed: found.keyed, failed_cas_is_read }
    }
}

/// Properties of a whole text that determine how its events are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Findings {
    /// Whether every invocation has a `:key` beside its `:value`.
    pub(super) key_fields: bool,
    /// Whether values are pairs of an independent key and a value: every invocation has such a
    /// pair, or one is tagged as a pair.
    pub(super) keyed: bool,
    /// Whether every operation is a transaction of one step.
    pub(super) single_steps: bool,
}

impl Findings {
    /// Examines every event of `source`.
    pub(super) fn of<'a>(source: &impl Jepsen<'a>) -> Parsed<Findings> {
        let mut found = Findings { key_fields: true, keyed: true, single_steps: true };
        let mut tuples = false;
        let mut invocations = 0_u64;
        source.each(&mut |event| {
            if event.kind == Type::Invoke {
                invocations += 1;
                found.key_fields &= event.key.is_some();
                found.keyed &= event.value.is_some_and(|value| looks_keyed(event.f, value));
                tuples |= event.value.is_some_and(|v| matches!(v.kind(), Kind::Tuple(_)));
                let only = |value: Form<'_, '_>| Step::only(value).is_ok();
                found.single_steps &=
                    event.f.name() == Some("txn") && event.value.is_some_and(only);
            }
            Ok(())
        })?;
        if invocations == 0 {
            return Ok(Findings { key_fields: false, keyed: false, single_steps: false });
        }
        found.keyed |= tuples;
        Ok(found)
    }
}

/// Returns true if `value` may be a pair of an independent key and a value of `f`. Where the value
/// of `f` is itself a pair or a list, it must be nested in a pair.
fn looks_keyed(f: Form<'_, '_>, value: Form<'_, '_>) -> bool {
    let Ok([key, about]) = value.pair("a key and a value") else { return false };
    match f.name() {
        Some("cas") => about.is_list(),
        Some("txn") => !key.is_list() && about.is_list(),
        _ => true,
    }
}

/// The events of a text, and how to read them.
#[derive(Clone, Copy, Debug)]
pub(super) struct JepsenEvents<J> {
    source: J,
    keyed: bool,
    failed_cas_is_read: bool,
}

impl<'a, J: Jepsen<'a>> Events<'a> for JepsenEvents<J> {
    fn feed<M: Notation>(self, builder: &mut HistoryBuilder<'a, M>) -> Parsed<()> {
        self.source.each(&mut |event| {
            let Event { place, f, .. } = event;
            let (mut key, mut value) = (event.key, event.value);
            if self.keyed && matches!(event.kind, Type::Invoke | Type::Ok) {
                let missing = || OffsetError::new(place.at, "expected a key and a value");
                let [first, second] = value.ok_or_else(missing)?.pair("a key and a value")?;
                (key, value) = (Some(first), Some(second));
            }
            let completion = match event.kind {
                Type::Invoke => {
                    let name = match f.kind() {
                        Kind::Text(text) => Cow::clone(text),
                        Kind::Word(word) => Cow::Borrowed(word.strip_prefix(':').unwrap_or(word)),
                        _ => return Err(f.expected("the name of an operation")),
                    };
                    return builder.invoke(place, name, key, value);
                }
                Type::Ok => Completion::Acknowledged(value),
                Type::Fail if self.failed_cas_is_read => Completion::ConditionFailed,
                Type::Fail => Completion::Failed,
                Type::Info => Completion::Unknown,
            };
            builder.end(place, Some(f), key, completion)
        })
    }
}

/// Parses the type of an event.
fn type_of(form: Form<'_, '_>) -> Parsed<Type> {
    match form.name() {
        Some("invoke") => Ok(Type::Invoke),
        Some("ok") => Ok(Type::Ok),
        Some("fail") => Ok(Type::Fail),
        Some("info") => Ok(Type::Info),
        _ => Err(form.expected(":invoke, :ok, :fail or :info")),
    }
}

/// Parses the number of a client. Returns `None` for other processes, such as the nemesis.
fn client_of(process: Form<'_, '_>) -> Parsed<Option<u32>> {
    match process.kind() {
        Kind::Integer(_) | Kind::Number(_) => process.unsigned("the number of a process").map(Some),
        _ => Ok(None),
    }
}

/// A history in EDN: maps in sequence, or in one vector or list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edn<'a> {
    text: &'a str,
    bytes_max: usize,
}

impl<'a> Edn<'a> {
    /// Creates the history of `text`, with maps of at most `bytes_max` bytes.
    pub(super) fn new(text: &'a str, bytes_max: usize) -> Edn<'a> {
        Edn { text, bytes_max }
    }
}

impl<'a> Jepsen<'a> for Edn<'a> {
    const DEFAULT_OBJECT: Option<Object> = None;

    fn each(&self, handle: &mut Handler<'_, 'a>) -> Parsed<()> {
        let mut forms = Forms::default();
        let mut outside = Scanner::new(self.text, 0, self.text.len());
        edn::skip_space(&mut outside);
        let close = match outside.peek() {
            Some(b'[') => Some(b']'),
            Some(b'(') => Some(b')'),
            _ => None,
        };
        outside.at += usize::from(close.is_some());
        // The line at `counted`, the offset up to which the newlines are counted.
        let (mut line, mut counted) = (1_u32, 0_usize);
        loop {
            edn::skip_space(&mut outside);
            let start = outside.at;
            forms.clear();
            let mut scanner = Scanner::limited(self.text, start, self.bytes_max);
            let more = edn::form(&mut scanner, &mut forms);
            if !more.map_err(|error| scanner.unless_too_long(start, error))? {
                outside.at = scanner.at;
                break;
            }
            outside.at = scanner.at;
            let newlines = self.text.as_bytes()[counted..start].iter().filter(|b| **b == b'\n');
            line = line.saturating_add(u32::try_from(newlines.count()).unwrap_or(u32::MAX));
            counted = start;
            if let Some(event) = forms.at(0).map(|root| in_map(root, line)).transpose()?.flatten() {
                handle(event)?;
            }
        }
        if let Some(close) = close {
            if outside.peek() != Some(close) {
                return Err(outside.expected(&format!("`{}`", char::from(close))));
            }
            outside.at += 1;
            edn::skip_space(&mut outside);
        }
        match outside.peek() {
            None => Ok(()),
            Some(_) => Err(outside.expected("the end")),
        }
    }
}

/// Parses a map as an event; returns `None` if the event is not of a client.
fn in_map<'t, 'a>(root: Form<'t, 'a>, line: u32) -> Parsed<Option<Event<'t, 'a>>> {
    let (mut kind, mut process, mut f, mut key, mut value) = (None, None, None, None, None);
    for (name, form) in root.members("an operation: a map")? {
        let field = match name.name().unwrap_or("") {
            "type" => &mut kind,
            "process" => &mut process,
            "f" => &mut f,
            "key" => &mut key,
            "value" => &mut value,
            _ => continue,
        };
        if field.replace(form).is_some() {
            return Err(OffsetError::new(name.offset(), "this key occurs twice"));
        }
    }
    let missing =
        |name: &str| OffsetError::new(root.offset(), format!("this operation has no :{name}"));
    let process = process.ok_or_else(|| missing("process"))?;
    let Some(client) = client_of(process)? else { return Ok(None) };
    let kind = type_of(kind.ok_or_else(|| missing("type"))?)?;
    let f = f.ok_or_else(|| missing("f"))?;
    Ok(Some(Event {
        place: EventPosition { at: root.offset(), line, client },
        kind,
        f,
        key,
        value,
    }))
}

/// The lines of a log in which `jepsen.util` reports operations. Other lines are skipped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Log<'a> {
    text: &'a str,
    bytes_max: usize,
}

impl<'a> Log<'a> {
    /// Creates the log of `text`, with lines of at most `bytes_max` bytes.
    pub(super) fn new(text: &'a str, bytes_max: usize) -> Log<'a> {
        Log { text, bytes_max }
    }
}

/// The text before the operation on a line of the log.
const LOG_MARKER: &str = "jepsen.util - ";

impl<'a> Jepsen<'a> for Log<'a> {
    const DEFAULT_OBJECT: Option<Object> = Some(Object::Register);

    fn each(&self, handle: &mut Handler<'_, 'a>) -> Parsed<()> {
        let mut forms = Forms::default();
        let mut events = 0_u64;
        let mut start = 0;
        for (line, text) in (1_u32..).zip(self.text.split('\n')) {
            let at = text.find(LOG_MARKER).map(|before| start + before + LOG_MARKER.len());
            let end = start + text.len();
            if text.len() > self.bytes_max {
                let message = format!("this line is longer than {} bytes", self.bytes_max);
                return Err(OffsetError::new(start, message));
            }
            start = end + 1;
            let Some(at) = at else { continue };
            let mut scanner = Scanner::new(self.text, at, end);
            edn::skip_space(&mut scanner);
            if !scanner.peek().is_some_and(|byte| byte.is_ascii_digit()) {
                continue;
            }
            // Only the first operation of a line is read.
            if let Some(more) = self.text[at..end].find(LOG_MARKER) {
                let message = "a second operation on one line: lines end with a line feed";
                return Err(OffsetError::new(at + more, message));
            }
            forms.clear();
            let mut places = [0; 4];
            for place in &mut places {
                *place = forms.count();
                edn::form(&mut scanner, &mut forms)?;
            }
            let [process, kind, f, value] = places.map(|place| forms.at(place));
            let (Some(process), Some(kind), Some(f)) = (process, kind, f) else {
                return Err(scanner.expected("a process, a type and an operation"));
            };
            let Some(client) = client_of(process)? else { continue };
            let place = EventPosition { at: process.offset(), line, client };
            events += 1;
            handle(Event { place, kind: type_of(kind)?, f, key: None, value })?;
        }
        match events {
            0 => Err(OffsetError::new(
                0,
                "expected a history, found no operation in any known notation",
            )),
            _ => Ok(()),
        }
    }
}
