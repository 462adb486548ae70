//! The lines of JSON that a test bench and the nodes say to one another, one message each.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// A message: who says what to whom.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Line {
    pub(super) src: String,
    pub(super) dest: String,
    pub(super) body: Map<String, Value>,
}

/// Why an operation came to nothing, or may have: the bench's numbers for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    /// It may have happened, or happen yet.
    Timeout = 0,
    /// Nobody here knows such a request.
    NotSupported = 10,
    /// It did not happen, and will not.
    Unavailable = 11,
    /// The request lacks something.
    Malformed = 12,
    /// There is no such key.
    NoKey = 20,
    /// The key has another value.
    Mismatch = 22,
}

/// The body of an answer that says why not.
pub(super) fn refusal(code: Code, text: &str) -> Value {
    json!({ "type": "error", "code": code as u8, "text": text })
}

impl Line {
    pub(super) fn kind(&self) -> &str {
        self.body.get("type").and_then(Value::as_str).unwrap_or_default()
    }

    /// The number that an answer refers to.
    pub(super) fn number(&self) -> Option<u64> {
        self.body.get("msg_id").and_then(Value::as_u64)
    }

    /// A field that the request must have.
    pub(super) fn field(&self, name: &str) -> Result<&Value, Value> {
        let missing = || refusal(Code::Malformed, &format!("a {} has a `{name}`", self.kind()));
        self.body.get(name).ok_or_else(missing)
    }

    /// The answer to this message, to whoever sent it first.
    pub(super) fn answer(&self, own: &str, answer: Value) -> Line {
        let mut body = match answer {
            Value::Object(body) => body,
            other => Map::from_iter([("answer".to_owned(), other)]),
        };
        if let Some(number) = self.body.get("msg_id") {
            body.insert("in_reply_to".to_owned(), number.clone());
        }
        Line { src: own.to_owned(), dest: self.src.clone(), body }
    }
}
