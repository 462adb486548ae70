//! A proposal: a command that a user asks the leader to append to the log.

use crate::types::acknowledge::Acknowledge;
use crate::types::entry::Command;
use crate::types::id::Tag;

/// A command to append to the log, with the caller's tag and the required acknowledgement.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Proposal {
    /// Identifies the proposal in its outcome; no other pending request of the node has the same
    /// tag.
    pub tag: Tag,
    /// The condition under which the proposal is acknowledged.
    pub acknowledge: Acknowledge,
    /// The bytes of the command, which the log replicates.
    pub command: Command,
}
