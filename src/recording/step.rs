//! A replayed step, and its text when its actions are not the recorded ones.

use std::fmt;

use crate::raft::{Action, Input};
use crate::types::Instant;

/// One step of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The number of the step since the start of the node.
    pub record: u64,
    /// The time of the step, on the node's own clock.
    pub now: Instant,
    /// The input of the step; its commands may be stand-ins.
    pub input: Input,
    /// The actions of this program's core.
    pub actions: Vec<Action>,
}

impl fmt::Display for Step {
    /// Writes the step as one whose actions differ.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Step { record, now, input, actions } = self;
        write!(f, "record {record} at {now}, {input}: the actions are not the recorded ones, but")?;
        if actions.is_empty() {
            f.write_str(" none")?;
        }
        for (place, action) in actions.iter().enumerate() {
            write!(f, "{} {action}", if place == 0 { "" } else { ";" })?;
        }
        Ok(())
    }
}
