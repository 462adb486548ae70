//! The results of replaying recordings, from which the text, the JSON, the page and the
//! explanations are made.

use std::ops::RangeInclusive;

use quorate::types::NodeId;

use crate::cli::panics;
use crate::record::{BuiltRecord, RecordBuilder};
use crate::recordings::{
    Account, AccountLine, CheckedRecordings, Election, Event, Leadership, Merged, NodeRecording,
    PlaybackError, RecordingChecks, merge,
};
use crate::values::time::SimTime;

/// Everything that the command found in the recordings.
pub(super) struct Found {
    pub(super) recordings: Vec<NodeRecording>,
    /// The errors of files in which no segment could be read.
    pub(super) unread: Vec<PlaybackError>,
    pub(super) lines: Vec<AccountLine>,
    pub(super) elections: Vec<Election>,
    pub(super) leaders: Vec<Leadership>,
    pub(super) merged: Merged,
    pub(super) checks: Vec<CheckedRecordings>,
}

impl Found {
    /// Replays the recordings together, and also passes each event to `each`.
    pub(super) fn new(
        recordings: Vec<NodeRecording>,
        unread: Vec<PlaybackError>,
        mut each: impl FnMut(&Event<'_>),
    ) -> Found {
        let nodes: Vec<NodeId> = recordings.iter().map(|recording| recording.node).collect();
        let (mut account, mut checks) = (Account::default(), RecordingChecks::new(&nodes));
        let merged = panics::silenced(|| {
            merge(&recordings, |event| {
                account.observe(event);
                checks.observe(event);
                each(event);
            })
        });
        let (lines, elections) = account.finish();
        let (leaders, checks) = (Leadership::all(&lines), checks.finish(&merged));
        Found { recordings, unread, lines, elections, leaders, merged, checks }
    }

    /// The errors of all files.
    pub(super) fn errors(&self) -> impl Iterator<Item = &PlaybackError> {
        self.recordings.iter().flat_map(|recording| &recording.errors).chain(&self.unread)
    }

    /// Whether a check is violated.
    pub(super) fn is_violated(&self) -> bool {
        self.checks.iter().any(|checked| checked.violation.is_some())
    }

    /// Replays the recordings again, and returns the record of the window, with at most about
    /// `events_max` events.
    pub(super) fn record(&self, window: RangeInclusive<SimTime>, events_max: usize) -> BuiltRecord {
        let nodes: Vec<NodeId> = self.recordings.iter().map(|recording| recording.node).collect();
        let mut builder = RecordBuilder::new(&nodes, window, events_max);
        let late = self.recordings.iter().filter(|recording| {
            recording.starts.first().is_some_and(|start| start.first_record > 0)
        });
        late.for_each(|recording| builder.begins_late(recording.node));
        let mut checks = RecordingChecks::new(&nodes);
        let mut is_violated = false;
        let merged = panics::silenced(|| {
            merge(&self.recordings, |event| {
                checks.observe(event);
                builder.observe(event);
                if let Some(first) = checks.first_violation().filter(|_| !is_violated) {
                    is_violated = true;
                    builder.violated(first);
                }
            })
        });
        let checked = checks.finish(&merged);
        let violations = checked.iter().filter_map(|checked| checked.violation.as_ref());
        let first = violations.min_by_key(|violation| violation.at);
        first.filter(|_| !is_violated).into_iter().for_each(|it| builder.violated_earlier(it));
        builder.finish(&merged.clocks)
    }
}
