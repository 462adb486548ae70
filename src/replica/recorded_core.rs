//! The consensus algorithm of a node, with a recorder if its inputs are recorded.

use std::ops::Deref;

use crate::raft::{Action, Input, Raft};
use crate::recording::{Recorder, RecorderConfig};
use crate::types::Instant;

/// The consensus algorithm of a node. Every step passes through this type, so that a recorder sees
/// all of them.
#[derive(Clone, Debug)]
pub(crate) struct Core {
    raft: Raft,
    recorder: Option<Box<Recorder>>,
}

impl Core {
    /// Passes one input to the algorithm, through the recorder if there is one.
    pub(crate) fn step(&mut self, now: Instant, input: Input, actions: &mut Vec<Action>) {
        match &mut self.recorder {
            Some(recorder) => recorder.step(&mut self.raft, now, input, actions),
            None => self.raft.step(now, input, actions),
        }
    }

    /// Records the inputs from the next one on.
    pub(crate) fn record(&mut self, config: RecorderConfig) {
        self.recorder = Some(Box::new(Recorder::new(config)));
    }

    pub(crate) fn stop_recording(&mut self) {
        self.recorder = None;
    }

    pub(crate) fn recorder(&mut self) -> Option<&mut Recorder> {
        self.recorder.as_deref_mut()
    }
}

impl From<Raft> for Core {
    fn from(raft: Raft) -> Core {
        Core { raft, recorder: None }
    }
}

impl Deref for Core {
    type Target = Raft;

    fn deref(&self) -> &Raft {
        &self.raft
    }
}
