//! Why a node cannot start.

use core::fmt;

use crate::raft::config::ConfigError;

/// Why a node cannot start.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration makes no sense.
    Config(ConfigError),
    /// What was restored contradicts itself; the text says how.
    Restored(&'static str),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Config(error) => error.fmt(f),
            StartError::Restored(what) => write!(f, "the restored state is wrong: {what}"),
        }
    }
}

impl core::error::Error for StartError {}
