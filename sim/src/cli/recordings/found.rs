//! The results of `cargo sim replay`, from which its text and its JSON are made.

use crate::recordings::{
    AccountLine, CheckedRecordings, Leadership, Merged, NodeRecording, PlaybackError,
};

/// Everything that the command found in the recordings.
pub(super) struct Found {
    pub(super) recordings: Vec<NodeRecording>,
    /// The errors of files in which no segment could be read.
    pub(super) unread: Vec<PlaybackError>,
    pub(super) lines: Vec<AccountLine>,
    pub(super) leaders: Vec<Leadership>,
    pub(super) merged: Merged,
    pub(super) checks: Vec<CheckedRecordings>,
}
