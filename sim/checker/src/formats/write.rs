//! Writes a history as JSON lines, `history/1`.

use std::io::{self, Write};

use crate::formats::any::{AnyHistory, NotationVisitor};
use crate::formats::notation::{Notation, OutputValue};
use crate::history::{EventIndex, History, Operation, Outcome};
use crate::value::Value;

/// Writes `history` with the name `name` as JSON lines that [`parse`](crate::formats::parse) reads.
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

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Invoke,
    Ok,
    Fail,
}

impl NotationVisitor for HistoryWriter<'_> {
    type Out = io::Result<()>;

    fn visit<M: Notation>(self, model: &M, history: &History<M::Op, M::Ret>) -> io::Result<()> {
        let mut line = String::from("{\"format\":\"history/1\",\"name\":");
        quote(self.name, &mut line);
        line.push_str(",\"model\":");
        quote(M::NAME, &mut line);
        line.push_str(",\"init\":");
        put(&model.write_init(), &mut line);
        line.push_str(if self.keyed { ",\"keyed\":true" } else { "" });
        line.push_str(if self.overdraft { ",\"overdraft\":true" } else { "" });
        line.push_str(&format!(",\"ops\":{}}}\n", history.operations().len()));
        self.out.write_all(line.as_bytes())?;
        for event in events(history) {
            line.clear();
            let operation = &history.operations()[event.id as usize];
            put_event(model, operation, event, &mut line);
            self.out.write_all(line.as_bytes())?;
        }
        Ok(())
    }
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

fn put_event<M: Notation>(
    model: &M,
    operation: &Operation<M::Op, M::Ret>,
    event: Event,
    line: &mut String,
) {
    let kind = match event.kind {
        Kind::Invoke => "invoke",
        Kind::Ok => "ok",
        Kind::Fail => "fail",
    };
    let call = model.write_op(&operation.op);
    line.push_str(&format!(
        "{{\"type\":\"{kind}\",\"id\":{},\"process\":{},\"f\":\"{}\"",
        event.id, operation.client.0, call.f
    ));
    if let Some(key) = &call.key {
        line.push_str(",\"key\":");
        put_value(key, line);
    }
    let (name, piece) = match event.kind {
        Kind::Invoke => ("value", call.value),
        Kind::Ok => {
            let ret = operation.ret();
            ("result", ret.and_then(|ret| model.write_ret(&operation.op, ret)))
        }
        Kind::Fail => ("", None),
    };
    if let Some(piece) = piece {
        line.push_str(&format!(",\"{name}\":"));
        put(&piece, line);
    }
    line.push_str("}\n");
}

fn put(piece: &OutputValue, line: &mut String) {
    match piece {
        OutputValue::Value(value) => put_value(value, line),
        OutputValue::Object(members) => {
            line.push('{');
            for (place, (name, value)) in members.iter().enumerate() {
                line.push_str(if place == 0 { "" } else { "," });
                quote(name, line);
                line.push(':');
                put_value(value, line);
            }
            line.push('}');
        }
    }
}

fn put_value(value: &Value, line: &mut String) {
    match value {
        Value::Null => line.push_str("null"),
        Value::Bool(truth) => line.push_str(if *truth { "true" } else { "false" }),
        Value::Integer(number) => line.push_str(&number.to_string()),
        Value::Text(text) => quote(text, line),
        Value::List(items) => {
            line.push('[');
            for (place, item) in items.iter().enumerate() {
                line.push_str(if place == 0 { "" } else { "," });
                put_value(item, line);
            }
            line.push(']');
        }
    }
}

fn quote(text: &str, line: &mut String) {
    line.push('"');
    for character in text.chars() {
        match character {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            control if control < ' ' => {
                line.push_str(&format!("\\u{:04x}", u32::from(control)));
            }
            other => line.push(other),
        }
    }
    line.push('"');
}
