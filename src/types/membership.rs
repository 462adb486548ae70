//! Who counts.

use alloc::vec::Vec;

use crate::types::id::NodeId;

/// The members of the cluster: voters, and learners that store the log without a vote.
///
/// While a change is under way the membership is *joint* (Raft §6): the incoming and the outgoing
/// voters must each agree by themselves. The lists are sorted and free of repetition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Membership {
    incoming: Vec<NodeId>,
    outgoing: Vec<NodeId>,
    learners: Vec<NodeId>,
}

impl Membership {
    /// The most ids that the three lists may have together. Nothing stores, sends or starts with
    /// more: a copy of the superblock has room for as many.
    pub const MEMBERS_MAX: usize = 448;

    /// A membership of `voters` alone; their order and repetitions do not matter.
    pub fn new(voters: impl IntoIterator<Item = NodeId>) -> Membership {
        Membership { incoming: sorted(voters), outgoing: Vec::new(), learners: Vec::new() }
    }

    /// The same membership, joint with the `outgoing` voters. An empty list leaves it simple.
    #[must_use]
    pub fn joint_with(mut self, outgoing: impl IntoIterator<Item = NodeId>) -> Membership {
        self.outgoing = sorted(outgoing);
        self
    }

    /// The same membership with `learners`; one that is a voter too counts as a voter.
    #[must_use]
    pub fn with_learners(mut self, learners: impl IntoIterator<Item = NodeId>) -> Membership {
        self.learners = sorted(learners);
        let (incoming, outgoing) = (&self.incoming, &self.outgoing);
        self.learners.retain(|id| !incoming.contains(id) && !outgoing.contains(id));
        self
    }

    /// The voters that will remain; all of them, unless the membership is joint.
    #[must_use]
    pub fn incoming(&self) -> &[NodeId] {
        &self.incoming
    }

    /// The voters before the change under way; empty unless the membership is joint.
    #[must_use]
    pub fn outgoing(&self) -> &[NodeId] {
        &self.outgoing
    }

    /// The members without a vote.
    #[must_use]
    pub fn learners(&self) -> &[NodeId] {
        &self.learners
    }

    /// The incoming voters, the outgoing voters and the learners, in the order in which they are
    /// stored and sent.
    #[must_use]
    pub fn lists(&self) -> [&[NodeId]; 3] {
        [&self.incoming, &self.outgoing, &self.learners]
    }

    /// How many ids the three lists have together; whoever is in both halves counts twice. At most
    /// [`Membership::MEMBERS_MAX`] are allowed.
    #[must_use]
    pub fn listed(&self) -> usize {
        self.lists().iter().map(|list| list.len()).sum()
    }

    /// Whether `id` votes, in either half.
    #[must_use]
    pub fn is_voter(&self, id: NodeId) -> bool {
        self.incoming.contains(&id) || self.outgoing.contains(&id)
    }

    /// Whether `id` is a voter or a learner.
    #[must_use]
    pub fn is_member(&self, id: NodeId) -> bool {
        self.is_voter(id) || self.learners.contains(&id)
    }

    /// Every voter of either half once, in ascending order.
    #[must_use]
    pub fn voters(&self) -> Vec<NodeId> {
        sorted(self.incoming.iter().chain(&self.outgoing).copied())
    }

    /// Every member once, in ascending order.
    #[must_use]
    pub fn members(&self) -> Vec<NodeId> {
        sorted(self.incoming.iter().chain(&self.outgoing).chain(&self.learners).copied())
    }
}

fn sorted(ids: impl IntoIterator<Item = NodeId>) -> Vec<NodeId> {
    let mut list: Vec<NodeId> = ids.into_iter().collect();
    list.sort_unstable();
    list.dedup();
    list
}
