//! The JSON messages between the test harness and the nodes, one per line.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// A message from `src` to `dest`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Message {
    pub(super) src: String,
    pub(super) dest: String,
    pub(super) body: Map<String, Value>,
}

/// The error codes of the test harness's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    /// The request may have been executed, or may be executed later.
    Timeout = 0,
    /// The type of the request is unknown.
    NotSupported = 10,
    /// The request was not executed, and will not be.
    Unavailable = 11,
    /// The request lacks a field.
    Malformed = 12,
    /// There is no such key.
    NoKey = 20,
    /// The key does not have the value that the compare expected.
    Mismatch = 22,
}

/// Returns the body of an error message.
pub(super) fn error_body(code: Code, text: &str) -> Value {
    json!({ "type": "error", "code": code as u8, "text": text })
}

impl Message {
    pub(super) fn kind(&self) -> &str {
        self.body.get("type").and_then(Value::as_str).unwrap_or_default()
    }

    /// Returns the `msg_id` of the message, to which its answer refers.
    pub(super) fn number(&self) -> Option<u64> {
        self.body.get("msg_id").and_then(Value::as_u64)
    }

    /// Returns a field that the request must have.
    pub(super) fn field(&self, name: &str) -> Result<&Value, Value> {
        let missing =
            || error_body(Code::Malformed, &format!("a {} request needs a `{name}`", self.kind()));
        self.body.get(name).ok_or_else(missing)
    }

    /// Builds the answer to this message, addressed to its original sender.
    pub(super) fn answer(&self, own: &str, answer: Value) -> Message {
        let mut body = match answer {
            Value::Object(body) => body,
            other => Map::from_iter([("answer".to_owned(), other)]),
        };
        if let Some(number) = self.body.get("msg_id") {
            body.insert("in_reply_to".to_owned(), number.clone());
        }
        Message { src: own.to_owned(), dest: self.src.clone(), body }
    }
}
