//! What clients asked, what they were told, and in which order the two happened.

mod operation;
mod part;
mod recorder;

pub use operation::{Client, History, Malformed, Moment, OpId, Operation, Outcome};
pub use part::Part;
pub use recorder::{Pending, Recorder};
