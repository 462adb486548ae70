//! All that `cargo sim replay` finds in recordings, for its texts.

use crate::recordings::{
    AccountLine, CheckedRecordings, Leadership, Merged, NodeRecording, PlaybackError,
};

/// All that the command found.
pub(super) struct Found {
    pub(super) recordings: Vec<NodeRecording>,
    /// The failures of files without a single segment.
    pub(super) unread: Vec<PlaybackError>,
    pub(super) lines: Vec<AccountLine>,
    pub(super) leaders: Vec<Leadership>,
    pub(super) merged: Merged,
    pub(super) checks: Vec<CheckedRecordings>,
}
