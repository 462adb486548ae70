//! Writes a history as JSON lines, `history/1`.

use std::io::{self, Write};

use serde::Serialize;

use crate::formats::any::{AnyHistory, NotationVisitor};
use crate::formats::notation::{Notation, OutputValue, WrittenOp};
use crate::history::{EventIndex, History, Operation, Outcome};
use crate::value::Value;

/// Writes `history` with the name `name` as JSON lines that [`parse`](crate::formats::parse) reads.
/// It does not read two results of a [`Kv`](crate::models::Kv), because the format has no notation
/// for them: the value that a put replaced, and the value that a failed compare-and-set found.
///
/// An unknown outcome is written as the absence of a completion. A failed operation has its line
/// before the client's next invocation.
///
/// # Errors
/// Returns the error of `out`.
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
        put(out, &header)?;
        for event in events(history) {
            let operation = &history.operations()[event.id as usize];
            put(out, &line(model, operation, event))?;
        }
        Ok(())
    }
}

fn put(out: &mut dyn Write, line: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    out.write_all(&text)
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
