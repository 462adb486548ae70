//! JSON lines, `history/1`: a header, and an event on each further line.

use std::borrow::Cow;

use crate::formats::building::{Building, Ending, Events, Place};
use crate::formats::fault::Fault;
use crate::formats::form::{Form, Forms, Kind};
use crate::formats::json;
use crate::formats::notation::Notation;
use crate::formats::object::Object;
use crate::formats::scan::Scanner;

/// What the first line of a file says.
#[derive(Debug, Default)]
pub(super) struct Header<'a> {
    /// The forms of the line; `init` is one of them.
    pub(super) forms: Forms<'a>,
    /// The byte after the line, if it is a header.
    pub(super) end: usize,
    /// How many lines end before that.
    pub(super) lines: u32,
    /// What the file calls itself.
    pub(super) name: Option<String>,
    /// What it is a history of.
    pub(super) object: Option<Object>,
    /// Whether there is an object for each key.
    pub(super) keyed: bool,
    /// Whether a bank's accounts may owe.
    pub(super) overdraft: bool,
    /// How many operations there are, and where that is said.
    pub(super) ops: Option<(u32, usize)>,
}

impl<'a> Header<'a> {
    /// Reads the first line that is not blank, if it is a header of `format`.
    pub(super) fn read(text: &'a str, format: &str, bytes_max: usize) -> Result<Header<'a>, Fault> {
        let mut lines = Lines { text, at: 0, line: 0, bytes_max, ops: None };
        let mut header = Header::default();
        let Some((start, end)) = lines.next_line()? else { return Ok(header) };
        let mut forms = Forms::default();
        let mut scanner = Scanner::new(text, start, end);
        // What is no JSON object is no header, and is told when it is read as what it must be.
        if text.as_bytes().get(start) != Some(&b'{') {
            return Ok(header);
        }
        if json::value(&mut scanner, &mut forms).is_err() {
            return Ok(header);
        }
        let Some(root) = forms.at(0) else { return Ok(header) };
        let Some(found) = root.member("format") else { return Ok(header) };
        if found.name() != Some(format) {
            return Err(found.expected(&format!("\"{format}\"")));
        }
        header.fields(root)?;
        (header.end, header.lines) = (lines.at, lines.line);
        header.forms = forms;
        Ok(header)
    }

    fn fields(&mut self, root: Form<'_, 'a>) -> Result<(), Fault> {
        for (name, value) in root.members("a header")? {
            match name.name().unwrap_or("") {
                "name" if !value.is_null() => {
                    let name = value.name().ok_or_else(|| value.expected("a text"))?;
                    self.name = Some(name.to_owned());
                }
                "model" => {
                    let name = value.name().ok_or_else(|| value.expected("a model's name"))?;
                    let object = Object::by_name(name);
                    self.object = Some(object.map_err(|what| Fault::new(value.place(), what))?);
                }
                "keyed" => self.keyed = value.truth()?,
                "overdraft" => self.overdraft = value.truth()?,
                "ops" if !value.is_null() => {
                    self.ops = Some((value.unsigned("a number of operations")?, value.place()));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// What it says of the object before the first operation.
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
    /// The lines of `text` after its header.
    pub(super) fn new(text: &'a str, header: &Header<'a>, bytes_max: usize) -> Lines<'a> {
        Lines { text, at: header.end, line: header.lines, bytes_max, ops: header.ops }
    }

    /// Where the next line that is not blank begins and ends.
    pub(super) fn next_line(&mut self) -> Result<Option<(usize, usize)>, Fault> {
        while self.at < self.text.len() {
            let start = self.at;
            let rest = &self.text[start..];
            let end = rest.find('\n').map_or(self.text.len(), |length| start + length);
            self.at = end + 1;
            self.line = self.line.saturating_add(1);
            if end - start > self.bytes_max {
                let what = format!("this line is longer than {} bytes", self.bytes_max);
                return Err(Fault::new(start, what));
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

/// What one line says.
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
    fn read(root: Form<'t, 'a>) -> Result<Event<'t, 'a>, Fault> {
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
                return Err(Fault::new(name.place(), "this name is here twice"));
            }
        }
        Ok(event)
    }
}

impl<'a> Events<'a> for Lines<'a> {
    fn feed<M: Notation>(mut self, building: &mut Building<'a, M>) -> Result<(), Fault> {
        let mut forms = Forms::default();
        while let Some((start, end)) = self.next_line()? {
            forms.clear();
            let mut scanner = Scanner::new(self.text, start, end);
            json::value(&mut scanner, &mut forms)?;
            scanner.skip(json::is_space);
            if scanner.peek().is_some() {
                return Err(scanner.expected("the end of the line"));
            }
            if let Some(root) = forms.at(0) {
                happen(building, root, self.line)?;
            }
        }
        counted(self.ops, building.count())
    }
}

/// That there are as many operations as `said`, at a place of the text.
pub(super) fn counted(said: Option<(u32, usize)>, count: u32) -> Result<(), Fault> {
    match said {
        Some((ops, at)) if ops != count => {
            let what = format!("the header says {ops} operations, and there are {count}");
            Err(Fault::new(at, what))
        }
        _ => Ok(()),
    }
}

/// One event happens.
fn happen<'a, M: Notation>(
    building: &mut Building<'a, M>,
    root: Form<'_, 'a>,
    line: u32,
) -> Result<(), Fault> {
    const TYPE: &str = "\"invoke\", \"ok\", \"fail\" or \"info\"";
    let event = Event::read(root)?;
    let field = |form: Option<_>, name: &str| {
        form.ok_or_else(|| Fault::new(root.place(), format!("this event has no `{name}`")))
    };
    let kind = field(event.kind, "type")?;
    let id_form = field(event.id, "id")?;
    let id = id_form.unsigned("the number of an operation")?;
    let process = field(event.process, "process")?;
    let client = process.unsigned("the number of a process")?;
    let place = Place { at: root.place(), line, client };
    let ending = match kind.name().unwrap_or("") {
        "invoke" => {
            if id != building.count() {
                let what = format!("{}, the next number of an operation", building.count());
                return Err(id_form.expected(&what));
            }
            let f = field(event.f, "f")?;
            let Kind::Text(name) = f.kind() else { return Err(f.expected("a text")) };
            if let Some(result) = event.result {
                return Err(result.expected("no result: it is only invoked here"));
            }
            return building.invoke(place, Cow::clone(name), (event.key, event.value));
        }
        "ok" => Ending::Returned(event.result),
        "fail" => Ending::Failed,
        "info" => Ending::Unknown,
        _ => return Err(kind.expected(TYPE)),
    };
    if building.open(client) != Some(id) {
        return Err(match building.client_of(id) {
            None => id_form.expected("an operation that was invoked"),
            Some(other) if other != client => {
                process.expected(&format!("{other}, whose operation {id} is"))
            }
            Some(_) => {
                Fault::new(id_form.place(), format!("operation {id} has a completion already"))
            }
        });
    }
    building.end(place, (event.f, event.key), ending)
}
