//! What a user wants in the log.

use crate::types::acknowledge::Acknowledge;
use crate::types::entry::Command;
use crate::types::id::Tag;

/// A command that a user wants in the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Proposal {
    /// Comes back with the outcome; no other request that waits has it.
    pub tag: Tag,
    /// When it counts as done.
    pub acknowledge: Acknowledge,
    /// The bytes to replicate.
    pub command: Command,
}
