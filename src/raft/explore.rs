//! The normal form of a node, for explorers that visit every reachable state.
//!
//! Clocks, counters and random numbers would otherwise distinguish states that behave alike, and
//! the exploration would not end.

use crate::raft::api::rejected_messages::RejectedMessages;
use crate::raft::election::jitter::Jitter;
use crate::raft::leader::transfer_backoff::PriorityTransferBackoff;
use crate::raft::reads::read_lease::AnsweredRound;
use crate::raft::{Raft, Role};
use crate::types::{Instant, NodeId, WriteId};

impl Raft {
    /// Returns the node in its normal form, which is equal for all nodes that behave alike, and the
    /// number that the last durable write had before.
    ///
    /// Writes are renumbered from the first one that is not durable, rejected messages are not
    /// counted, and the jitter is reset. Every instant in the node's state, its clock included, is
    /// mapped by `instant`, which must keep equal instants equal and must not swap their order. As
    /// long as the node takes no read, it behaves like its normal form except for its election
    /// timeouts.
    #[must_use]
    pub fn normal_form(&self, instant: impl Fn(Instant) -> Instant) -> (Raft, WriteId) {
        let mut normal = self.clone();
        normal.clear_irrelevant_instants();
        normal.common.rejected_messages = RejectedMessages::default();
        normal.common.jitter = Jitter::new(0);
        let durable = normal.common.outbox.renumber();
        if let Role::Candidate(candidate) = &mut normal.role
            && let Some(write) = candidate.own_vote()
        {
            write.0 -= durable.0;
        }
        normal.instants(|known| *known = instant(*known));
        (normal, durable)
    }

    /// Resets the instants that decide nothing: the last contact with a leader that is no longer
    /// known, and the times of actions that this node never takes.
    fn clear_irrelevant_instants(&mut self) {
        let Raft { common, role } = self;
        if let Role::Follower(follower) = role
            && follower.leader.is_none()
        {
            follower.reset_contact(common.now);
        }
        if common.outbox.oldest_write_since().is_none() {
            *common.outbox.instant() = common.now;
        }
        let membership = common.log.membership();
        let priority = |id: NodeId| membership.priority(id);
        if membership.ids().all(|id| priority(id) == priority(common.id())) {
            common.priority_transfer_backoff = PriorityTransferBackoff::default();
        }
        if !common.withholds_vote() {
            common.vote_withheld_until = common.now;
        }
        if common.config.lease.is_none() {
            common.freshness_bound = None;
            common.answered_round = AnsweredRound::default();
            match role {
                Role::Follower(follower) => follower.read_lease.forget_replies(),
                Role::Leader(leader) => leader.leader_lease.forget_rounds(),
                Role::PreCandidate(_) | Role::Candidate(_) => {}
            }
        }
        if common.config.suspension.is_none() {
            common.suspension_not_before = common.now;
        }
    }

    fn instants(&mut self, mut each: impl FnMut(&mut Instant)) {
        let Raft { common, role } = self;
        each(&mut common.now);
        each(&mut common.suspension_not_before);
        each(&mut common.vote_withheld_until);
        common.freshness_bound.iter_mut().for_each(|fresh| each(&mut fresh.since));
        each(common.priority_transfer_backoff.instant());
        common.survival.instants().for_each(&mut each);
        each(common.outbox.instant());
        if let Some(bootstrap) = &mut common.bootstrap {
            each(&mut bootstrap.due);
        }
        match role {
            Role::Follower(follower) => follower.instants().for_each(each),
            Role::PreCandidate(candidate) => each(&mut candidate.deadline),
            Role::Candidate(candidate) => each(&mut candidate.deadline),
            Role::Leader(leader) => leader.instants().for_each(each),
        }
    }
}
