//! The recording of one run: every event in order, the status of its node after it, and its cause.
//! Explanations and pages are generated from a recording.

mod event;
mod record_builder;
mod recorded_run;
mod recorder;
mod words;

pub(crate) use event::NodeWork;
pub use event::{Delivery, Event, EventId, EventKind, InputKind, LossReason, RecordedLog, Sent};
pub use record_builder::{BuiltRecord, RecordBuilder};
pub use recorded_run::{Record, RecordOrigin, Recording};
pub use recorder::RecordUntil;
pub(crate) use recorder::Recorder;
