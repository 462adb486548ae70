//! Recordings of real nodes, replayed, merged in causal order, described and checked.
//!
//! A node records the inputs of its core (`docs/RECORDING.md`). This module replays the recordings
//! of several nodes, merges their steps so that no message arrives before it was sent, and passes
//! each step on as an [`Event`]. An [`Account`] turns events into lines for people, and
//! [`RecordingChecks`] checks those invariants of the simulator that recordings can decide.

mod account;
mod checks;
mod clocks;
mod elections;
mod event;
mod leaders;
mod merge;
mod messages;
mod node_recording;
mod playback;
mod recorded_times;
mod silences;
mod skeleton;
mod source;
mod state_changes;

pub(crate) use account::note_of;
pub use account::{Account, AccountLine, Note};
pub use checks::{CheckedRecordings, FirstViolation, RecordingChecks};
pub use clocks::ClockOffset;
pub(crate) use clocks::clock_lead;
pub use elections::{Campaign, Election, LastHeard, StepPlace};
pub use event::{CoreState, Event, EventKind};
pub use leaders::Leadership;
pub use merge::{Merged, merge};
pub(crate) use messages::digest_of;
pub use node_recording::{NodeRecording, RecordedStart, by_node, survey};
pub use playback::{Playback, PlaybackError};
pub use recorded_times::RecordedTimes;
pub use skeleton::Skeleton;
pub use source::Source;
pub use state_changes::{StateChange, state_changes};
