//! The recording of one run: every event in order, what each node was like after it, and what
//! brought it about. Explanations and pictures are made of it.

mod book;
mod event;
mod recorder;
mod words;

pub use book::{Record, Recording};
pub use event::{Event, EventId, Lost, Sent, Taken, Way, What};
pub(crate) use recorder::Recorder;
pub use recorder::Until;
