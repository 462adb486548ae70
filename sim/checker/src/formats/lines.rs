//! Parses JSON lines, `history/1`: a header, and an event on each further line.

use std::borrow::Cow;

use crate::formats::builder::{Completion, EventPosition, Events, HistoryBuilder};
use crate::formats::error::{OffsetError, Parsed};
use crate::formats::form::{Form, Forms, Kind};
use crate::formats::json;
use crate::formats::notation::Notation;
use crate::formats::object::Object;
use crate::formats::scan::Scanner;

/// The fields of the first line of a file.
#[derive(Debug, Default)]
pub(super) struct Header<'a> {
    /// The forms of the line; `init` is one of them.
    pub(super) forms: Forms<'a>,
    /// The byte offset after the line, or 0 if it is not a header.
    pub(super) end: usize,
    /// The number of lines up to that offset.
    pub(super) lines: u32,
    /// The name of the history.
    pub(super) name: Option<String>,
    /// The model of the history.
    pub(super) object: Option<Object>,
    /// Whether there is an object for each key.
    pub(super) keyed: bool,
    /// Whether balances of a bank may be negative.
    pub(super) overdraft: bool,
    /// The number of operations, and the byte offset of that field.
    pub(super) ops: Option<(u32, usize)>,
}

impl<'a> Header<'a> {
    /// Parses the first line that is not blank, if it is a header of `format`.
    pub(super) fn read(text: &'a str, format: &str, bytes_max: usize) -> Parsed<Header<'a>> {
        let mut lines = Lines { text, at: 0, line: 0, bytes_max, ops: None };
        let mut header = Header::default();
        let Some((start, end)) = lines.next_line()? else { return Ok(header) };
        let mut forms = Forms::default();
        let mut scanner = Scanner::new(text, start, end);
        // A line that is not a JSON object is not a header; its error is reported when it is parsed
        // as an event.
        if text.as_bytes().get(start) != Some(&b'{') {
            return Ok(header);
        }
        if json::value(&mut scanner, &mut forms).is_err() {
            return Ok(header);
        }
        let Some(root) = forms.at(0) else { return Ok(header) };
        let Some(found) = root.member("format") else { return Ok(header) };
        // Events on the line of the header would not be read.
        json::end(&mut scanner, "the end of the line")?;
        if found.name() != Some(format) {
            return Err(found.expected(&format!("\"{format}\"")));
        }
        header.fields(root)?;
        (header.end, header.lines) = (lines.at, lines.line);
        header.forms = forms;
        Ok(header)
    }

    fn fields(&mut self, root: Form<'_, 'a>) -> Parsed<()> {
        root.without_repeats(&[
            "format",
            "name",
            "model",
            "keyed",
            "overdraft",
            "ops",
            "init",
            "init_by_key",
        ])?;
        for (name, value) in root.members("a header")? {
            match name.name().unwrap_or("") {
                "name" if !value.is_null() => {
                    let name = value.name().ok_or_else(|| value.expected("a string"))?;
                    self.name = Some(name.to_owned());
                }
                "model" => {
                    let name = value.name().ok_or_else(|| value.expected("a model's name"))?;
                    let object = Object::by_name(name);
                    self.object =
                        Some(object.map_err(|message| OffsetError::new(value.offset(), message))?);
                }
                "keyed" => self.keyed = value.truth()?,
                "overdraft" => self.overdraft = value.truth()?,
                "ops" if !value.is_null() => {
                    self.ops = Some((value.unsigned("a number of operations")?, value.offset()));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Returns the form of the initial values of single keys.
    pub(super) fn init_by_key(&self) -> Option<Form<'_, 'a>> {
        self.forms.at(0).and_then(|root| root.member("init_by_key"))
    }

    /// Returns the form of the state before the first operation.
    pub(super) fn init(&self) -> Option<Form<'_, 'a>> {
        self.forms.at(0).and_then(|root| root.member("init"))
    }
}

/// The lines after the header.
#[derive(Clone, Debug)]
pub(super) struct Lines<'a> {
    text: &'a str,
    at: usize,
    line: u32,
    bytes_max: usize,
    ops: Option<(u32, usize)>,
}

impl<'a> Lines<'a> {
    /// Creates the lines of `text` after its header.
    pub(super) fn new(text: &'a str, header: &Header<'a>, bytes_max: usize) -> Lines<'a> {
        Lines { text, at: header.end, line: header.lines, bytes_max, ops: header.ops }
    }

    /// Returns the start and end of the next line that is not blank.
    pub(super) fn next_line(&mut self) -> Parsed<Option<(usize, usize)>> {
        while self.at < self.text.len() {
            let start = self.at;
            let rest = &self.text[start..];
            let end = rest.find('\n').map_or(self.text.len(), |length| start + length);
            self.at = end + 1;
            self.line = self.line.saturating_add(1);
            if end - start > self.bytes_max {
                let message = format!("this line is longer than {} bytes", self.bytes_max);
                return Err(OffsetError::new(start, message));
            }
            let line = &self.text[start..end];
            let blank = line.bytes().take_while(|byte| json::is_space(*byte)).count();
            if blank < line.len() {
                return Ok(Some((start + blank, end)));
            }
        }
        Ok(None)
    }
}

/// The fields of one event.
#[derive(Debug, Default)]
struct Event<'t, 'a> {
    kind: Option<Form<'t, 'a>>,
    id: Option<Form<'t, 'a>>,
    process: Option<Form<'t, 'a>>,
    f: Option<Form<'t, 'a>>,
    key: Option<Form<'t, 'a>>,
    value: Option<Form<'t, 'a>>,
    result: Option<Form<'t, 'a>>,
}

impl<'t, 'a> Event<'t, 'a> {
    fn read(root: Form<'t, 'a>) -> Parsed<Event<'t, 'a>> {
        let mut event = Event::default();
        for (name, value) in root.members("an event: a JSON object")? {
            let field = match name.name().unwrap_or("") {
                "type" => &mut event.kind,
                "id" => &mut event.id,
                "process" => &mut event.process,
                "f" => &mut event.f,
                "key" => &mut event.key,
                "value" => &mut event.value,
                "result" => &mut event.result,
                _ => continue,
            };
            if field.replace(value).is_some() {
                return Err(OffsetError::new(name.offset(), "this field occurs twice"));
            }
        }
        Ok(event)
    }
}

impl<'a> Events<'a> for Lines<'a> {
    fn feed<M: Notation>(mut self, builder: &mut HistoryBuilder<'a, M>) -> Parsed<()> {
        let mut forms = Forms::default();
        while let Some((start, end)) = self.next_line()? {
            forms.clear();
            let mut scanner = Scanner::new(self.text, start, end);
            json::value(&mut scanner, &mut forms)?;
            json::end(&mut scanner, "the end of the line")?;
            if let Some(root) = forms.at(0) {
                apply_event(builder, root, self.line)?;
            }
        }
        check_count(self.ops, builder.count())
    }
}

/// Checks that the header's number of operations, if it has one, is `count`.
pub(super) fn check_count(stated: Option<(u32, usize)>, count: u32) -> Parsed<()> {
    match stated {
        Some((ops, at)) if ops != count => {
            let message = format!("the header states {ops} operations, but there are {count}");
            Err(OffsetError::new(at, message))
        }
        _ => Ok(()),
    }
}

/// Adds one event to the history.
fn apply_event<'a, M: Notation>(
    builder: &mut HistoryBuilder<'a, M>,
    root: Form<'_, 'a>,
    line: u32,
) -> Parsed<()> {
    const TYPE: &str = "\"invoke\", \"ok\", \"fail\" or \"info\"";
    let event = Event::read(root)?;
    let field = |form: Option<_>, name: &str| {
        form.ok_or_else(|| OffsetError::new(root.offset(), format!("this event has no `{name}`")))
    };
    let kind = field(event.kind, "type")?;
    let id_form = field(event.id, "id")?;
    let id = id_form.unsigned("the number of an operation")?;
    let process = field(event.process, "process")?;
    let client = process.unsigned("the number of a process")?;
    let place = EventPosition { at: root.offset(), line, client };
    let completion = match kind.name().unwrap_or("") {
        "invoke" => {
            if id != builder.count() {
                let message = format!("{}, the next number of an operation", builder.count());
                return Err(id_form.expected(&message));
            }
            let f = field(event.f, "f")?;
            let Kind::Text(name) = f.kind() else { return Err(f.expected("a string")) };
            if let Some(result) = event.result {
                return Err(result.expected("no result in an invocation"));
            }
            return builder.invoke(place, Cow::clone(name), event.key, event.value);
        }
        "ok" => Completion::Returned(event.result),
        "fail" => Completion::Failed,
        "info" => Completion::Unknown,
        _ => return Err(kind.expected(TYPE)),
    };
    if builder.open(client) != Some(id) {
        return Err(match builder.client_of(id) {
            None => id_form.expected("an operation that was invoked"),
            Some(other) if other != client => {
                process.expected(&format!("{other}, the process that invoked operation {id}"))
            }
            Some(_) => OffsetError::new(
                id_form.offset(),
                format!("operation {id} has a completion already"),
            ),
        });
    }
    builder.end(place, event.f, event.key, completion)
}
