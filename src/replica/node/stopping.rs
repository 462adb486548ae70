//! The end of a node: it rejects and ends requests.

use crate::replica::input::Input;
use crate::replica::node::{Node, Stage};
use crate::replica::output::Output;
use crate::storage::StorageError;
use crate::types::RejectReason;

impl Node {
    /// Rejects requests with [`RejectReason::Stopped`], and ignores all other inputs.
    pub(super) fn reject_stopped(&mut self, input: Input) {
        assert!(self.stage != Stage::Running, "a running node handles its inputs");
        let stopped = |tag| Output::Rejected { tag, reason: RejectReason::Stopped };
        match input {
            Input::Propose(proposals) => {
                self.outputs.extend(proposals.into_iter().map(|proposal| stopped(proposal.tag)));
            }
            Input::Read { tag, .. }
            | Input::ChangeMembership { tag, .. }
            | Input::CancelMembershipChange { tag }
            | Input::TransferLeadership { tag, .. } => self.outputs.push(stopped(tag)),
            _ => {}
        }
    }

    /// Stops the node because of an error.
    pub(super) fn stop(&mut self, failure: StorageError) {
        self.stage = Stage::Stopped;
        self.end_requests();
        self.outputs.push(Output::Stopped(failure));
    }

    /// Ends all pending requests: reads as rejected, proposals and other requests with an unknown
    /// outcome.
    pub(super) fn end_requests(&mut self) {
        let (proposals, reads) = self.requests.take_all();
        self.outputs.extend(proposals.into_iter().map(|tag| Output::Unknown { tag }));
        let stopped = |tag| Output::Rejected { tag, reason: RejectReason::Stopped };
        self.outputs.extend(reads.into_iter().map(stopped));
        assert!(self.requests.len() == 0, "every pending request has ended");
    }
}
