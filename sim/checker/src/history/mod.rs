//! Histories: operations with their invocations, responses and outcomes, in one total order.

mod operation;
mod recorder;
mod subhistory;

pub use operation::{Client, EventIndex, History, HistoryError, OpId, Operation, Outcome};
pub use recorder::{Pending, Recorder};
pub use subhistory::Subhistory;
