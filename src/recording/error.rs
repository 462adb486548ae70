//! The errors of a recording that cannot be read or replayed any further.

use std::fmt;

use crate::recording::block::{FORMAT, LAYOUT};
use crate::recording::step::Step;
use crate::types::text::texts;

/// A failure at a place of a recording. Everything before that place was read, and replayed if this
/// is a replay, without an error.
#[derive(Debug)]
pub struct RecordingError {
    /// The offset of the block or of the record that failed, in bytes.
    pub offset: u64,
    /// The reason why it failed.
    pub reason: RecordingErrorReason,
}

/// The reason why a recording cannot be read or replayed any further.
#[derive(Debug)]
#[non_exhaustive]
pub enum RecordingErrorReason {
    /// The file cannot be read.
    Io(std::io::Error),
    /// No block begins here: the bytes are not a recording.
    NotABlock,
    /// The file ends within the block.
    Cut {
        /// The number of bytes that are missing.
        missing: u64,
    },
    /// The checksum of the block is wrong.
    Damaged,
    /// The recording has a format that this program does not know.
    OtherFormat {
        /// The format of the recording.
        found: u64,
    },
    /// States and inputs have a different layout than those of this program.
    OtherLayout {
        /// The layout of the recording.
        found: u64,
        /// The version of the library that recorded.
        version: String,
    },
    /// The checksum is right, but the content is impossible.
    Invalid(String),
    /// The actions of the step are not those that were recorded: this program decides differently
    /// from the one that recorded, or its core is not deterministic.
    ActionsDiffer(Box<Step>),
    /// The replayed state at a checkpoint is not the recorded one, although all actions before it
    /// are.
    StateDiffers {
        /// The number of the next record.
        record: u64,
        /// The first line in which the states differ: the recorded one, then the replayed one.
        lines: Box<(String, String)>,
    },
    /// The core panicked at this input: an invariant is broken, or the driver broke its contract.
    Panicked {
        /// The number of the record.
        record: u64,
        /// The message of the panic.
        message: String,
    },
}

texts! {
    RecordingErrorReason:
    Self::Io(error) => "cannot be read: {error}";
    Self::NotABlock => "no block of a recording begins here";
    Self::Cut { missing } => "the file ends {missing} bytes before the end of a block";
    Self::Damaged => "a block is damaged: its checksum is wrong";
    Self::OtherFormat { found } =>
        "the recording has format {found}; this program reads format {FORMAT}";
    Self::OtherLayout { found, version } =>
        "quorate {version} recorded states of layout {found}; this program, quorate {}, replays \
         layout {LAYOUT}", env!("CARGO_PKG_VERSION");
    Self::Invalid(reason) => "the content of a block is impossible: {reason}";
    Self::ActionsDiffer(step) => "{step}";
    Self::StateDiffers { record, lines } =>
        "before record {record}, the replayed state differs from the checkpoint: recorded `{}`, \
         replayed `{}`", lines.0, lines.1;
    Self::Panicked { record, message } => "the core panics at record {record}: {message}";
}

impl fmt::Display for RecordingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "offset {}: {}", self.offset, self.reason)
    }
}

impl std::error::Error for RecordingError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.reason {
            RecordingErrorReason::Io(error) => Some(error),
            _ => None,
        }
    }
}
