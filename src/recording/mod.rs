//! The flight recorder: every input of a node's core, so that a replay repeats its decisions.
//!
//! [`Raft::step`](crate::raft::Raft::step) depends on nothing but the state, the time and the
//! input. A [`Recorder`] keeps the time and the input of each step, with a digest of its actions,
//! and now and then the whole state: a checkpoint, from which a [`Replay`] can begin. A replay
//! checks that this program's core takes the recorded actions.
//!
//! ```
//! use quorate::raft::{Config, Input, Raft};
//! use quorate::recording::{Recorded, RecorderConfig, Replay, Replayed};
//! use quorate::types::{Instant, Membership, NodeId, Restored};
//!
//! let restored = Restored::fresh(Membership::new([NodeId(1)]));
//! let raft = Raft::new(Config::new(NodeId(1)), restored, 7, Instant(0)).expect("it is valid");
//! let mut raft = Recorded::new(raft, RecorderConfig::default());
//! let (mut actions, mut file) = (Vec::new(), Vec::new());
//! raft.step(raft.deadline(), Input::Timeout, &mut actions);
//! raft.recorder().finish_block();
//! while let Some(block) = raft.recorder().next_block() {
//!     file.extend_from_slice(block.bytes());
//! }
//! let replayed: Result<Vec<Replayed>, _> = Replay::new(&file[..]).collect();
//! let replayed = replayed.expect("the recording is intact, and the actions are the same");
//! assert!(matches!(&replayed[1], Replayed::Step(step) if step.actions == actions));
//! ```

mod block;
mod commands;
mod decoding;
mod digest;
mod encoding;
mod error;
mod intact;
mod reader;
mod recorder;
mod replay;
mod step;
#[cfg(test)]
mod tests;

pub use block::{Block, FORMAT, Header, LAYOUT};
pub use commands::Contents;
pub use error::{RecordingError, RecordingErrorReason};
pub use intact::{EXTENSION, FOLDER, IntactPart};
pub use recorder::{Recorded, Recorder, RecorderConfig};
pub use replay::{Replay, Replayed};
pub use step::Step;
