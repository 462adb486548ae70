//! The errors of starting a node.

use core::fmt;

use crate::raft::api::config::ConfigError;

/// Why a node cannot start.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration is invalid.
    Config(ConfigError),
    /// The restored state contradicts itself; the text names the contradiction.
    Restored(&'static str),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Config(error) => error.fmt(f),
            StartError::Restored(reason) => {
                write!(f, "the restored state is inconsistent: {reason}")
            }
        }
    }
}

impl core::error::Error for StartError {}
