//! The protocol of the coordinator: commands, queries, and the replies to both.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The maximum length of a key, in bytes.
pub const KEY_BYTES_MAX: usize = 64;
/// The maximum length of a value, in bytes.
pub const VALUE_BYTES_MAX: usize = 1024;
/// The maximum number of pairs in one page; a page of the longest pairs fits into one reply.
pub const PAGE_MAX: usize = 50;

/// A command, replicated through the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Sets the value of a key.
    Put {
        /// The key to change.
        key: String,
        /// The new value of the key.
        value: String,
    },
    /// Sets the value of a key if its current value is the expected one.
    PutIf {
        /// The key to change.
        key: String,
        /// The expected current value; `None` if the key must have no value.
        expected: Option<String>,
        /// The new value of the key.
        value: String,
    },
    /// Deletes the value of a key.
    Delete {
        /// The key to change.
        key: String,
    },
}

/// A query, which does not change the state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Query {
    /// Returns the value of a key.
    Get(String),
    /// Returns up to [`PAGE_MAX`] pairs in key order, after this key or from the first.
    Pairs(Option<String>),
}

/// A reply to a command or a query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// The value was set.
    Put,
    /// This value was deleted.
    Deleted(String),
    /// The current value of the key.
    Value(String),
    /// A page of pairs in key order.
    Pairs(Vec<(String, String)>),
    /// The request was rejected and had no effect.
    Rejected(RejectReason),
}

/// The reason for a rejection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum RejectReason {
    /// The key, which has no value.
    #[error("`{0}` has no value")]
    NoValue(String),
    /// The current value of the key differs from the expected one.
    #[error(fmt = value_differs)]
    ValueDiffers {
        /// The key to change.
        key: String,
        /// The current value, or `None`.
        value: Option<String>,
    },
    /// A key is empty or has more than [`KEY_BYTES_MAX`] bytes.
    #[error("invalid key `{0}`: use 1 to {KEY_BYTES_MAX} bytes")]
    Key(String),
    /// The length of a value in bytes, which exceeds [`VALUE_BYTES_MAX`].
    #[error("the value has {0} bytes: use at most {VALUE_BYTES_MAX}")]
    Value(u64),
    /// The limit of keys is reached.
    #[error("the limit of keys is reached: delete one first")]
    Full,
    /// The bytes are not a valid command or query.
    #[error("invalid request: client and node may have different versions")]
    InvalidRequest,
}

impl Command {
    /// Returns the key that the command changes.
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

fn value_differs(key: &String, value: &Option<String>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match value {
        Some(value) => {
            write!(f, "the value of `{key}` is `{value}`, not the expected one: nothing changed")
        }
        None => write!(f, "`{key}` has no value, but one was expected: nothing changed"),
    }
}
