//! Writes a history as JSON lines, `history/1`.

use std::io::{self, Write};

use serde::Serialize;

use crate::formats::any::{AnyHistory, NotationVisitor};
use crate::formats::form::Forms;
use crate::formats::json;
use crate::formats::notation::{Call, InitialState, Notation, OutputValue, Response, WrittenOp};
use crate::formats::scan::Scanner;
use crate::history::{EventIndex, History, Operation, Outcome};
use crate::value::Value;

/// Writes `history` with the name `name` as JSON lines that [`parse`](crate::formats::parse) reads.
///
/// An unknown outcome is written as the absence of a completion. A failed operation has its line
/// before the client's next invocation.
///
/// # Errors
/// Returns the error of `out`, or [`InvalidInput`](io::ErrorKind::InvalidInput) for an operation, a
/// result or an initial state that the format has no notation for: for example the value that a put
/// replaced, and the value that a failed compare-and-set found. Then `out` may have received a
/// part.
pub fn write(out: &mut dyn Write, name: &str, history: &AnyHistory) -> io::Result<()> {
    let (keyed, overdraft) = match history {
        AnyHistory::Locks(_)
        | AnyHistory::Sets(_)
        | AnyHistory::Counters(_)
        | AnyHistory::Queues(_)
        | AnyHistory::Stacks(_) => (true, false),
        AnyHistory::Banks(of) => (true, of.model.each.overdraft),
        AnyHistory::Bank(of) => (false, of.model.overdraft),
        _ => (false, false),
    };
    history.visit_notation(HistoryWriter { out, name, keyed, overdraft })
}

struct HistoryWriter<'w> {
    out: &'w mut dyn Write,
    name: &'w str,
    keyed: bool,
    overdraft: bool,
}

/// An event to write: an invocation, a response, or the failure right after an invocation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Event {
    at: EventIndex,
    id: u32,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Invoke,
    Ok,
    Fail,
}

/// The first line of a file.
#[derive(Serialize)]
struct Header<'a> {
    format: &'static str,
    name: &'a str,
    model: &'static str,
    init: OutputValue,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    init_by_key: Vec<[Value; 2]>,
    #[serde(skip_serializing_if = "is_false")]
    keyed: bool,
    #[serde(skip_serializing_if = "is_false")]
    overdraft: bool,
    ops: usize,
}

/// The line of an event.
#[derive(Serialize)]
struct Line {
    #[serde(rename = "type")]
    kind: Kind,
    id: u32,
    process: u32,
    #[serde(flatten)]
    op: WrittenOp,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<OutputValue>,
}

fn is_false(truth: &bool) -> bool {
    !truth
}

impl NotationVisitor for HistoryWriter<'_> {
    type Out = io::Result<()>;

    fn visit<M: Notation>(self, model: &M, history: &History<M::Op, M::Ret>) -> io::Result<()> {
        let HistoryWriter { out, name, keyed, overdraft } = self;
        let (init, ops) = (model.write_init(), history.operations().len());
        let header = Header {
            format: "history/1",
            name,
            model: M::NAME,
            init,
            init_by_key: model.write_init_by_key(),
            keyed,
            overdraft,
            ops,
        };
        check_header(model, &put(out, &header)?)?;
        for event in events(history) {
            let operation = &history.operations()[event.id as usize];
            let text = put(out, &line(model, operation, event))?;
            let reads_back = match event.kind {
                Kind::Invoke => parsed_op(model, &text).as_ref() == Some(&operation.op),
                Kind::Ok => parsed_ret(model, &operation.op, &text).as_ref() == operation.ret(),
                Kind::Fail => true,
            };
            if !reads_back {
                let what = if event.kind == Kind::Ok { "result of operation" } else { "operation" };
                return Err(no_notation(&format!("{what} {}", event.id)));
            }
        }
        Ok(())
    }
}

/// Writes a line, and returns it.
fn put(out: &mut dyn Write, line: &impl Serialize) -> io::Result<String> {
    let mut text = serde_json::to_string(line)?;
    text.push('\n');
    out.write_all(text.as_bytes())?;
    Ok(text)
}

fn no_notation(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("the format has no notation for {what}"))
}

/// Checks that the initial state in the line `text` is that of `model`.
fn check_header<M: Notation>(model: &M, text: &str) -> io::Result<()> {
    let parse = || {
        let forms = parsed(text)?;
        let root = forms.at(0)?;
        let mut again = M::parse_init(&InitialState {
            init: root.member("init"),
            overdraft: root.member("overdraft").is_some(),
            ..InitialState::default()
        })
        .ok()?;
        if let Some(pairs) = root.member("init_by_key") {
            again.parse_init_by_key(pairs, false).ok()?;
        }
        Some(again)
    };
    let reads_back = parse().is_some_and(|again| {
        again.write_init() == model.write_init()
            && again.describe_state(&again.init()) == model.describe_state(&model.init())
            && again.write_init_by_key().len() == model.write_init_by_key().len()
    });
    if reads_back { Ok(()) } else { Err(no_notation("the initial state")) }
}

/// Parses a line that was written.
fn parsed(text: &str) -> Option<Forms<'_>> {
    let mut forms = Forms::default();
    json::value(&mut Scanner::new(text, 0, text.len()), &mut forms).ok()?;
    Some(forms)
}

/// Parses the operation of an invocation that was written.
fn parsed_op<M: Notation>(model: &M, text: &str) -> Option<M::Op> {
    let forms = parsed(text)?;
    let root = forms.at(0)?;
    let (f, key, value) = (root.member("f")?.name()?, root.member("key"), root.member("value"));
    model.parse_op(&Call { at: 0, f, key, value, nothing_is_read: false }).ok()
}

/// Parses the result of `op` from a response that was written.
fn parsed_ret<M: Notation>(model: &M, op: &M::Op, text: &str) -> Option<M::Ret> {
    let forms = parsed(text)?;
    let root = forms.at(0)?;
    let (f, result) = (root.member("f")?.name()?, root.member("result"));
    model.parse_ret(op, &Response { at: 0, f, result, nothing_is_read: false }).ok()
}

/// Returns all events in order. A failure comes right after its invocation.
fn events<O, R>(history: &History<O, R>) -> Vec<Event> {
    let mut events = Vec::with_capacity(history.operations().len() * 2);
    for (id, operation) in (0..).zip(history.operations()) {
        events.push(Event { at: operation.invoked, id, kind: Kind::Invoke });
        match operation.outcome {
            Outcome::Returned { at, .. } => events.push(Event { at, id, kind: Kind::Ok }),
            Outcome::Failed => {
                events.push(Event { at: operation.invoked, id, kind: Kind::Fail });
            }
            Outcome::Unknown => {}
        }
    }
    events.sort_unstable();
    events
}

fn line<M: Notation>(model: &M, operation: &Operation<M::Op, M::Ret>, event: Event) -> Line {
    let Event { id, kind, .. } = event;
    let mut op = model.write_op(&operation.op);
    let mut result = None;
    if kind != Kind::Invoke {
        op.value = None;
    }
    if kind == Kind::Ok {
        result = operation.ret().and_then(|ret| model.write_ret(&operation.op, ret));
    }
    Line { kind, id, process: operation.client.0, op, result }
}
