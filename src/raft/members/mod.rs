//! The node's place in the cluster: the incarnation of its disk, its bootstrap, and the membership
//! that it reported last.

pub(crate) mod survival;

use crate::raft::bootstrap::Bootstrap;
use crate::types::{Incarnation, Instant, Membership, NodeId};

/// The node's own identity, and the membership that it last reported to the driver.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Members {
    /// The incarnation of the node's disk.
    incarnation: Incarnation,
    /// The bootstrap under way, while a bootstrap peer has no membership.
    bootstrap: Option<Bootstrap>,
    /// Whether the node has reported `Action::UnknownIncarnation` since its start.
    reported_unknown_incarnation: bool,
    /// The membership that was reported last; at the start, the active one.
    reported: Membership,
}

impl Members {
    pub(crate) fn new(
        incarnation: Incarnation,
        active: Membership,
        bootstrap: Option<Bootstrap>,
    ) -> Members {
        let is_allowed = bootstrap.is_none() || active.is_empty();
        assert!(is_allowed, "only a node without a membership bootstraps");
        Members { incarnation, bootstrap, reported_unknown_incarnation: false, reported: active }
    }

    pub(crate) fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// Whether the node `own`, with its present disk, is an incoming voter of the membership.
    pub(crate) fn is_incoming_voter(&self, own: NodeId, membership: &Membership) -> bool {
        let member = membership.member(own);
        membership.incoming().contains(&own)
            && member.is_some_and(|member| member.accepts_incarnation(self.incarnation))
    }

    pub(crate) fn bootstrap(&self) -> Option<&Bootstrap> {
        self.bootstrap.as_ref()
    }

    pub(crate) fn bootstrap_mut(&mut self) -> Option<&mut Bootstrap> {
        self.bootstrap.as_mut()
    }

    pub(crate) fn end_bootstrap(&mut self) {
        self.bootstrap = None;
    }

    /// When the next bootstrap probes are due.
    pub(crate) fn deadline(&self) -> Instant {
        self.bootstrap.as_ref().map_or(Instant::NEVER, Bootstrap::due)
    }

    /// Records that the membership does not name this node's disk; returns true the first time.
    pub(crate) fn report_unknown_incarnation(&mut self) -> bool {
        !core::mem::replace(&mut self.reported_unknown_incarnation, true)
    }

    /// The membership that was reported last.
    pub(crate) fn reported(&self) -> &Membership {
        &self.reported
    }

    pub(crate) fn set_reported(&mut self, membership: Membership) {
        self.reported = membership;
    }

    /// Panics if the last reported membership is not the `active` one.
    pub(crate) fn assert_invariants(&self, active: &Membership) {
        assert!(self.reported.ptr_eq(active), "a step reports the active membership");
    }
}
