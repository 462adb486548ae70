//! The errors of starting a node.

use crate::raft::api::config::ConfigError;
use crate::types::text::texts;

/// Why a node cannot start.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration is invalid.
    Config(ConfigError),
    /// The restored state contradicts itself, or a part of it is invalid; the text names what is
    /// wrong.
    Restored(&'static str),
}

texts! { StartError:
    Self::Config(error) => "{error}";
    Self::Restored(reason) => "the restored state is inconsistent: {reason}";
}

impl core::error::Error for StartError {}
