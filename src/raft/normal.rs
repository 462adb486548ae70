//! A node as far as its later steps can tell: what makes two states of it one.
//!
//! Whoever explores every state a node can get into would never be done if clocks, counters and
//! chance told states apart that behave alike.

use crate::raft::drift::Drift;
use crate::raft::jitter::Jitter;
use crate::raft::loan::Answered;
use crate::raft::refusals::Refusals;
use crate::raft::{Raft, Role};
use crate::types::{Instant, NodeId, WriteId};

impl Raft {
    /// The same node, in the form that every node which behaves alike has: writes are numbered
    /// from the first that is not durable on, refusals are not counted yet, and chance starts
    /// over. Every instant the node knows, its clock's among them, becomes what `instant` makes of
    /// it; what is equal has to stay so, and what is earlier may not become later.
    ///
    /// Returned with the number of the last durable write before. As long as the node takes no
    /// read, the two differ in nothing but how long they wait for an election.
    #[must_use]
    pub fn normal_form(&self, instant: impl Fn(Instant) -> Instant) -> (Raft, WriteId) {
        let mut normal = self.clone();
        normal.drop_what_is_void();
        normal.common.refusals = Refusals::default();
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

    /// Forgets instants that decide nothing: when a leader was heard of that is not known any
    /// more, and when to do what this node will never do by itself.
    fn drop_what_is_void(&mut self) {
        let Raft { common, role } = self;
        if let Role::Follower(follower) = role
            && follower.leader.is_none()
        {
            follower.forget_contact(common.now);
        }
        if common.outbox.under_way_since().is_none() {
            *common.outbox.instant() = common.now;
        }
        let membership = common.log.membership();
        let priority = |id: NodeId| membership.priority(id);
        if membership.ids().all(|id| priority(id) == priority(common.id())) {
            common.drift = Drift::default();
        }
        if !common.is_promised() {
            common.promised_until = common.now;
        }
        if common.config.lease.is_none() {
            common.fresh = None;
            common.answered = Answered::default();
            match role {
                Role::Follower(follower) => follower.borrowing.forget_answers(),
                Role::Leader(leader) => leader.tenure.forget_rounds(),
                Role::PreCandidate(_) | Role::Candidate(_) => {}
            }
        }
        if common.config.removal.is_none() {
            common.removal_not_before = common.now;
        }
    }

    fn instants(&mut self, mut each: impl FnMut(&mut Instant)) {
        let Raft { common, role } = self;
        each(&mut common.now);
        each(&mut common.removal_not_before);
        each(&mut common.promised_until);
        common.fresh.iter_mut().for_each(|fresh| each(&mut fresh.since));
        each(common.drift.instant());
        common.survival.instants().for_each(&mut each);
        each(common.outbox.instant());
        if let Some(founding) = &mut common.founding {
            each(&mut founding.due);
        }
        match role {
            Role::Follower(follower) => follower.instants().for_each(each),
            Role::PreCandidate(candidate) => each(&mut candidate.deadline),
            Role::Candidate(candidate) => each(&mut candidate.deadline),
            Role::Leader(leader) => leader.instants().for_each(each),
        }
    }
}
