//! The recording of one run: every event in order, the status of its node after it, and its cause.
//! Explanations and pages are generated from a recording.

mod event;
mod recorded_run;
mod recorder;
mod words;

pub use event::{Delivery, Event, EventId, EventKind, InputKind, LossReason, Sent};
pub use recorded_run::{Record, Recording};
pub use recorder::RecordUntil;
pub(crate) use recorder::Recorder;
