//! The version of the rules by which commands are applied: a leader does not let it rise beyond
//! what the builds of all members support, and a node whose build does not have it stops applying.

use crate::machine::Request;
use crate::raft;
use crate::replica::node::Node;
use crate::replica::output::Output;
use crate::types::{Index, MachineVersion, NodeId, Proposal, RejectReason, RoleName};

impl Node {
    /// Handles proposals. A leader rejects a raise to a version that a member cannot apply. This
    /// check only keeps members from having to stop applying. It is no guarantee: a member may get
    /// an older build later, or a node may join with one.
    pub(super) fn on_propose(&mut self, mut proposals: Vec<Proposal>) {
        if self.raft.status().role == RoleName::Leader {
            let outputs = &mut self.outputs;
            let (raft, current) = (&self.raft, self.usage.version);
            proposals.retain(|proposal| {
                let raised = Request::raised_version(&proposal.command);
                let reason = raised.and_then(|version| premature(raft, current, version));
                let tag = proposal.tag;
                outputs.extend(reason.map(|reason| Output::Rejected { tag, reason }));
                reason.is_none()
            });
        }
        proposals.iter().for_each(|proposal| self.requests.propose(proposal.tag));
        self.inputs.push_back(raft::Input::Propose(proposals));
    }

    /// Stops applying, before the entry or the snapshot that requires this version of the rules.
    /// The node keeps its state, which is not wrong, but answers nothing from it.
    pub(super) fn stop_applying(&mut self, required: MachineVersion) {
        let max = self.raft.version_max();
        assert!(!required.is_within(max), "this build does not have the version");
        self.validation.require_newer_build(required);
        self.outputs.push(Output::BuildTooOld { required, max });
        self.quarantine();
    }

    /// Ends all work with the state machine, which must not be used.
    pub(super) fn quarantine(&mut self) {
        assert!(!self.validation.is_usable(), "only an unusable state machine is quarantined");
        let lost = self.requests.skipped(Index::MAX);
        self.outputs.extend(lost.map(|tag| Output::Unknown { tag }));
        self.snapshots.abandon_own(&mut self.storage, &mut self.events);
        self.inputs.push_back(raft::Input::Quarantine(true));
    }
}

/// Returns the reason why the version must not be raised now: a member cannot apply it, or has not
/// reported its highest version to this leader. A raise that changes nothing is not premature.
fn premature(
    raft: &raft::Raft,
    current: MachineVersion,
    version: MachineVersion,
) -> Option<RejectReason> {
    let raised = version.max(current);
    if raised == current {
        return None;
    }
    let (own, peers) = (raft.status().id, raft.peers());
    let version_max = |node: NodeId| match peers.iter().find(|peer| peer.id == node) {
        Some(peer) => peer.version_max,
        None => (node == own).then_some(raft.version_max()),
    };
    let reason = |node: NodeId| match version_max(node) {
        None => Some(RejectReason::BuildUnknown { node }),
        Some(version_max) if raised.is_within(version_max) => None,
        Some(version_max) => Some(RejectReason::BuildTooOld { node, version_max }),
    };
    raft.membership().ids().find_map(reason)
}
