//! Scripted requests: operations on the key-value store that a scenario sends, each with the result
//! that the scenario may expect.

use std::fmt;

use quorate::types::{ReadLevel, parse_duration};

use crate::faults::operation::{Extent, Planned, Syntax};
use crate::faults::selector::NodeSelector;
use crate::faults::strike::Strike;
use crate::values::words;
use crate::values::words::{Exact, SyntaxError, Words};

/// One request of a client to the simulator's key-value store.
///
/// The client resends it until it is answered or the request timeout is over. A write is executed
/// at most once, however often it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptedRequest {
    /// The operation on the store.
    pub operation: ScriptedOperation,
    /// The node that gets the request first, or any node if `None`. A read is sent to this node
    /// only; a write is redirected from it to the leader.
    pub via: Option<NodeSelector>,
    /// The answer that the scenario expects.
    pub expected: ExpectedAnswer,
}

/// Whether a scenario expects an answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpectedAnswer {
    /// The scenario states no expectation of the request.
    Unspecified,
    /// The client gets the expected answer.
    Answer,
    /// The client gets no answer before its request timeout.
    NoAnswer,
}

/// An operation on the key-value store. A missing key has the value `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScriptedOperation {
    /// Sets the key to the value.
    Put(String, String),
    /// Sets the key to the second value if it has the first one (compare-and-swap).
    Swap(String, Option<String>, String),
    /// Reads the key at this read level; the last field is the value that the scenario expects, if
    /// any.
    Get(String, ReadLevel, Option<Option<String>>),
}

/// The outcome of a scripted request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScriptedOutcome {
    /// The write was executed.
    Done,
    /// The key has this value. For a compare-and-swap: the value differs from the expected one, so
    /// nothing was written.
    Value(Option<String>),
    /// The answer says that the store declines the request.
    Declined,
    /// The client got no reply before its request timeout.
    NoReply,
}

/// The word for a missing value.
const NOTHING: &str = "nothing";

/// The read levels with their scenario words; the first one is the default.
const LEVELS: [(ReadLevel, &str); 4] = [
    (ReadLevel::Linearizable, "linearizable"),
    (ReadLevel::Lease, "lease"),
    (ReadLevel::Replica, "replica"),
    (ReadLevel::Local, "local"),
];

impl ScriptedRequest {
    /// The verbs of scripted requests.
    pub(crate) const NAMES: [&'static str; 3] = ["put", "cas", "get"];

    /// Returns true if the outcome is the expected one.
    #[must_use]
    pub fn is_met_by(&self, answer: &ScriptedOutcome) -> bool {
        if self.expected == ExpectedAnswer::NoAnswer {
            return *answer == ScriptedOutcome::NoReply;
        }
        match (&self.operation, answer) {
            (ScriptedOperation::Get(_, _, Some(expected)), ScriptedOutcome::Value(value)) => {
                value == expected
            }
            (ScriptedOperation::Get(_, _, None), ScriptedOutcome::Value(_))
            | (ScriptedOperation::Put(..) | ScriptedOperation::Swap(..), ScriptedOutcome::Done) => {
                true
            }
            _ => false,
        }
    }

    /// Returns the key of the request.
    #[must_use]
    pub fn key(&self) -> &str {
        match &self.operation {
            ScriptedOperation::Put(key, _)
            | ScriptedOperation::Swap(key, ..)
            | ScriptedOperation::Get(key, ..) => key,
        }
    }

    /// Parses the arguments of `put`.
    fn put(words: &mut Words<'_>) -> Result<ScriptedRequest, SyntaxError> {
        let expected = "a key and its value, like x=1";
        let (key, value) = words.read(expected, |word| pair(word).filter(|(_, v)| v != NOTHING))?;
        ScriptedRequest::of(ScriptedOperation::Put(key, value), words)
    }

    /// Parses the arguments of `cas`.
    fn swap(words: &mut Words<'_>) -> Result<ScriptedRequest, SyntaxError> {
        let (key, from) = words.read("a key and its value, like x=1 or x=nothing", pair)?;
        words.need("->")?;
        let to = words.read("a value", |word| text(word).filter(|to| to != NOTHING))?;
        ScriptedRequest::of(ScriptedOperation::Swap(key, value(from), to), words)
    }

    /// Parses the arguments of `get` without `expect`.
    fn get(words: &mut Words<'_>) -> Result<ScriptedRequest, SyntaxError> {
        let key = words.read("a key", text)?;
        ScriptedRequest::read_of(key, None, words)
    }

    /// Parses the words after `expect put`, `expect cas` or `expect get`, up to the time.
    pub(crate) fn expected(
        name: &str,
        words: &mut Words<'_>,
    ) -> Result<ScriptedRequest, SyntaxError> {
        let request = match name {
            "put" => ScriptedRequest::put(words)?,
            "cas" => ScriptedRequest::swap(words)?,
            _ => {
                let expected = "a key and its value, like x=1 or x=nothing";
                let (key, expected) = words.read(expected, pair)?;
                ScriptedRequest::read_of(key, Some(value(expected)), words)?
            }
        };
        Ok(ScriptedRequest { expected: ExpectedAnswer::Answer, ..request })
    }

    /// Parses the words after `expect no answer to`, up to the time: a request as a line of the
    /// scenario sends it.
    pub(crate) fn unanswered(
        name: &str,
        words: &mut Words<'_>,
    ) -> Result<ScriptedRequest, SyntaxError> {
        let request = match name {
            "put" => ScriptedRequest::put(words)?,
            "cas" => ScriptedRequest::swap(words)?,
            _ => ScriptedRequest::get(words)?,
        };
        Ok(ScriptedRequest { expected: ExpectedAnswer::NoAnswer, ..request })
    }

    fn read_of(
        key: String,
        expected: Option<Option<String>>,
        words: &mut Words<'_>,
    ) -> Result<ScriptedRequest, SyntaxError> {
        let get = ScriptedOperation::Get(key, ReadLevel::Linearizable, expected);
        let mut request = ScriptedRequest::of(get, words)?;
        let ScriptedOperation::Get(_, level, _) = &mut request.operation else {
            return Ok(request);
        };
        *level = match words.peek().filter(|word| !["at", ","].contains(word)) {
            None => ReadLevel::Linearizable,
            Some(word) => match parse_duration(word) {
                Some(age) => {
                    words.duration()?;
                    ReadLevel::Bounded(age)
                }
                None => {
                    let names = LEVELS.map(|(_, name)| name);
                    LEVELS[words.name("read level", &names)?].0
                }
            },
        };
        Ok(request)
    }

    /// Parses `via NODE`, if it comes next, and returns the request for the operation.
    fn of(
        operation: ScriptedOperation,
        words: &mut Words<'_>,
    ) -> Result<ScriptedRequest, SyntaxError> {
        let via = if words.accept("via") { Some(NodeSelector::read(words)?) } else { None };
        Ok(ScriptedRequest { operation, via, expected: ExpectedAnswer::Unspecified })
    }
}

/// Returns the word if it is a key or a value: at most 64 letters, digits and `._/`, without a
/// node's name in it.
fn text(word: &str) -> Option<String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._/".contains(c);
    let is_text = !word.is_empty() && word.len() <= 64 && word.chars().all(fits);
    (is_text && words::nodes_in(word).next().is_none()).then(|| word.to_owned())
}

fn pair(word: &str) -> Option<(String, String)> {
    let (key, value) = word.split_once('=')?;
    Some((text(key)?, text(value)?))
}

/// Returns the value of a word, or `None` for a missing value.
fn value(word: String) -> Option<String> {
    (word != NOTHING).then_some(word)
}

/// Prints a value, or the word for a missing one.
struct ValueText<'a>(&'a Option<String>);

impl fmt::Display for ValueText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_deref().unwrap_or(NOTHING))
    }
}

impl Planned for ScriptedRequest {
    fn syntax<V: From<ScriptedRequest>>() -> Vec<Syntax<V>> {
        vec![
            Syntax {
                verb: "put",
                arguments: "KEY=VALUE [via NODE]".to_owned(),
                summary: "A client sets the key to the value, and sends the request to this node \
                          first.",
                read: |words| Ok(ScriptedRequest::put(words)?.into()),
            },
            Syntax {
                verb: "cas",
                arguments: "KEY=VALUE -> VALUE [via NODE]".to_owned(),
                summary: "A client sets the key to the second value if it has the first one; \
                          `nothing` as the first value means that the key is missing.",
                read: |words| Ok(ScriptedRequest::swap(words)?.into()),
            },
            Syntax {
                verb: "get",
                arguments: "KEY [via NODE] [LEVEL]".to_owned(),
                summary: "A client reads the key, at this node only.",
                read: |words| Ok(ScriptedRequest::get(words)?.into()),
            },
        ]
    }

    fn extent(&self) -> Extent {
        Extent { nodes: self.via.into_iter().collect(), duration: None }
    }

    fn strike(&self) -> Strike<'_> {
        Strike::Request
    }
}

impl fmt::Display for ScriptedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.operation {
            ScriptedOperation::Put(key, value) => write!(f, "put {key}={value}")?,
            ScriptedOperation::Swap(key, from, to) => {
                write!(f, "cas {key}={} -> {to}", ValueText(from))?
            }
            ScriptedOperation::Get(key, _, None) => write!(f, "get {key}")?,
            ScriptedOperation::Get(key, _, Some(value)) => {
                write!(f, "get {key}={}", ValueText(value))?
            }
        }
        if let Some(via) = self.via {
            write!(f, " via {via}")?;
        }
        match self.operation {
            ScriptedOperation::Get(_, ReadLevel::Bounded(age), _) => write!(f, " {}", Exact(age)),
            ScriptedOperation::Get(_, level, _) if level != ReadLevel::Linearizable => {
                let name = LEVELS.iter().find(|(known, _)| *known == level);
                write!(f, " {}", name.map_or("", |(_, name)| name))
            }
            _ => Ok(()),
        }
    }
}

impl ScriptedOutcome {
    /// Describes the outcome for the request's key, as it follows `observed:`.
    #[must_use]
    pub fn describe(&self, key: &str) -> String {
        match self {
            ScriptedOutcome::Done => "that the write was executed".to_owned(),
            ScriptedOutcome::Value(value) => format!("{key}={}", ValueText(value)),
            ScriptedOutcome::Declined => "that the request was declined".to_owned(),
            ScriptedOutcome::NoReply => "no answer".to_owned(),
        }
    }
}
