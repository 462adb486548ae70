//! A whole node: the algorithm with its log store on one side, sessions and the user's state
//! machine on the other, wired. Still without IO: inputs in, outputs out.
//!
//! The two sides, [`Node`] and [`Worker`], share nothing and meet only in [`Output::Work`] and
//! [`Input::Done`]: a driver may run each on a thread of its own, and a slow apply or a large
//! snapshot never stops a heartbeat.

mod chains;
mod config;
mod conflicts;
mod imprints;
mod input;
mod node;
mod open;
mod output;
mod pace;
mod receiving;
mod requests;
mod serving;
mod snapshots;
mod taking;
mod validation;
mod worker;

pub use config::{ReplicaConfig, ReplicaConfigError};
pub use input::{Done, Input};
pub use node::Node;
pub use open::{OpenError, Replica};
pub use output::{Note, Output, Verdict, Watch, Work};
pub use worker::Worker;

pub use crate::types::Standing;
