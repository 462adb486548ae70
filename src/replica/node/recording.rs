//! The recording of a node's consensus algorithm.

use crate::recording::{Recorder, RecorderConfig};
use crate::replica::node::Node;

impl Node {
    /// Records the inputs of the consensus algorithm from now on, as `docs/RECORDING.md` describes.
    /// Call it before [`Node::start`], so that the recording has every step.
    pub fn record(&mut self, config: RecorderConfig) {
        self.raft.record(config);
    }

    /// Returns the recorder, if the node records. The driver takes the finished blocks after each
    /// step.
    pub fn recorder(&mut self) -> Option<&mut Recorder> {
        self.raft.recorder()
    }

    /// Ends the recording. The blocks that the driver has not taken are lost.
    pub fn stop_recording(&mut self) {
        self.raft.stop_recording();
    }
}
