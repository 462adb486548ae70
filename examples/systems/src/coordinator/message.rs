//! What clients say to the coordinator and are told: commands, queries, and the replies to both.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The most letters, in bytes, of a key.
pub const KEY_BYTES_MAX: usize = 64;
/// The most bytes of a value.
pub const VALUE_BYTES_MAX: usize = 1024;
/// The most pairs on one page of them: the longest ones fit into one reply.
pub const PAGE_MAX: usize = 50;

/// What changes something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// The key has this value from now on.
    Put {
        /// The key.
        key: String,
        /// Its value.
        value: String,
    },
    /// The key has this value from now on, if it has the one expected.
    PutIf {
        /// The key.
        key: String,
        /// What it has; none if it is to have no value.
        expected: Option<String>,
        /// Its value.
        value: String,
    },
    /// The key has no value any more.
    Delete {
        /// The key.
        key: String,
    },
}

/// What is asked without changing anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Query {
    /// The value of a key.
    Get(String),
    /// Keys and their values, by key: up to [`PAGE_MAX`] of those after this one, or of the first.
    Pairs(Option<String>),
}

/// What is replied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// The value is put.
    Put,
    /// The key had this value, and has none any more.
    Deleted(String),
    /// The key has this value.
    Value(String),
    /// Keys and their values, by key.
    Pairs(Vec<(String, String)>),
    /// Nothing happened.
    Refused(Refusal),
}

/// Why nothing is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// The key has no value.
    NoValue(String),
    /// The key has another value than expected: this one, or none.
    Other {
        /// The key.
        key: String,
        /// What it has.
        value: Option<String>,
    },
    /// A key is empty, or has more than [`KEY_BYTES_MAX`] bytes.
    Key(String),
    /// A value has so many bytes, and that is more than [`VALUE_BYTES_MAX`].
    Value(u64),
    /// There is no room for another key.
    Full,
    /// The bytes are no command, or no query.
    Malformed,
}

impl Command {
    /// The key that it is about.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Command::Put { key, .. } | Command::PutIf { key, .. } | Command::Delete { key } => key,
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Command::Put { key, value } => write!(f, "put {key} {value}"),
            Command::PutIf { key, expected: Some(expected), value } => {
                write!(f, "put {key} {value} if {expected}")
            }
            Command::PutIf { key, expected: None, value } => {
                write!(f, "put {key} {value} if absent")
            }
            Command::Delete { key } => write!(f, "delete {key}"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::NoValue(key) => write!(f, "`{key}` has no value"),
            Refusal::Other { key, value: Some(value) } => {
                write!(f, "`{key}` has another value, `{value}`: nothing happened")
            }
            Refusal::Other { key, value: None } => {
                write!(f, "`{key}` has no value, and one was expected: nothing happened")
            }
            Refusal::Key(key) => {
                write!(f, "`{key}` is no key: one has 1 to {KEY_BYTES_MAX} bytes")
            }
            Refusal::Value(bytes) => {
                write!(f, "a value of {bytes} bytes: give at most {VALUE_BYTES_MAX}")
            }
            Refusal::Full => f.write_str("there is no room for another key: delete one first"),
            Refusal::Malformed => f.write_str(
                "the node does not understand that: client and node are of different versions",
            ),
        }
    }
}
