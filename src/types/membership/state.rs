//! Memberships: the members, the voter sets, and the phase of a membership change.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use crate::types::id::NodeId;
use crate::types::membership::member::{Lineage, Member};
use crate::types::membership::voters::Voters;
use crate::types::text::debug_as_display;

/// The members of the cluster: voters, and learners that store the log without a vote.
///
/// While its voters change, a membership is *joint* (Raft §6): the incoming and the outgoing voters
/// must each agree by themselves. Before that, while some of the target voters lack the log, it is
/// *staged*: the target voters are listed in addition to the incoming ones, and the new ones are
/// learners. A clone shares its storage. The default has no members.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Membership(pub(super) Arc<Parts>);

#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Parts {
    /// Sorted by ascending id, without repetition.
    pub(super) members: Vec<Member>,
    pub(super) incoming: Voters,
    pub(super) outgoing: Voters,
    pub(super) target: Voters,
    /// In the order in which they began, the oldest first.
    pub(super) lineages: Vec<Lineage>,
    /// Derived from `members` by [`Membership::from_parts`].
    summary: Summary,
}

/// The facts about all members that a node needs in nearly every step.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Summary {
    /// Whether some member is a suspended voter.
    has_suspended: bool,
    /// The highest priority of a member; 0 if there is none.
    priority_max: u8,
}

impl Membership {
    /// The maximum number of voters in one voter set.
    pub const VOTERS_MAX: usize = 64;
    /// The maximum size of an encoded membership in bytes. A copy of the superblock has room for no
    /// more, so that no node stores, sends or starts with a larger one.
    pub const BYTES_MAX: usize = 3584;
    /// The maximum number of members within [`Membership::BYTES_MAX`], if none has an address.
    pub const MEMBERS_MAX: usize = (Membership::BYTES_MAX - 2) / 27;

    /// Returns a membership of `voters` alone, each with the default priority and no address. Order
    /// and repetitions do not matter.
    pub fn new(voters: impl IntoIterator<Item = NodeId>) -> Membership {
        let incoming = Voters::new(voters);
        let members = incoming.iter().copied().map(Member::new).collect();
        Membership::from_parts(Parts { members, incoming, ..Parts::default() })
    }

    pub(super) fn from_parts(mut parts: Parts) -> Membership {
        let members = &parts.members;
        parts.summary = Summary {
            has_suspended: members.iter().any(Member::is_suspended),
            priority_max: members.iter().map(|member| member.priority).max().unwrap_or(0),
        };
        let membership = Membership(Arc::new(parts));
        membership.assert_invariants();
        membership
    }

    /// Panics if the parts contradict one another.
    pub(super) fn assert_invariants(&self) {
        let Parts { members, incoming, outgoing, target, lineages, .. } = &*self.0;
        let is_sorted = members.is_sorted_by(|one, next| one.id < next.id);
        debug_assert!(is_sorted, "members are in the order of their ids");
        let are_members = |voters: &Voters| voters.iter().all(|id| self.is_member(*id));
        debug_assert!(are_members(incoming), "every incoming voter is a member");
        debug_assert!(are_members(outgoing), "every outgoing voter is a member");
        debug_assert!(are_members(target), "every target voter is a member");
        assert!(lineages.len() <= Membership::LINEAGES_MAX, "lineages are bounded");
        let holds = |voters: &Voters| voters.casting().is_none_or(|id| voters.contains(&id));
        debug_assert!(holds(incoming), "an incoming voter has the incoming casting vote");
        debug_assert!(holds(outgoing), "an outgoing voter has the outgoing casting vote");
        debug_assert!(holds(target), "a target voter has the casting vote of the target");
    }

    /// Returns the same membership, joint with the `outgoing` voters; not joint if there are none.
    #[must_use]
    pub fn joint_with(self, outgoing: impl IntoIterator<Item = NodeId>) -> Membership {
        let mut parts = Arc::unwrap_or_clone(self.0);
        parts.outgoing = Voters::new(outgoing);
        for voter in parts.outgoing.iter() {
            admit(&mut parts.members, *voter);
        }
        Membership::from_parts(parts)
    }

    /// Returns the same membership with `learners` added. A node that is a voter stays a voter.
    #[must_use]
    pub fn with_learners(self, learners: impl IntoIterator<Item = NodeId>) -> Membership {
        let mut parts = Arc::unwrap_or_clone(self.0);
        for learner in learners {
            admit(&mut parts.members, learner);
        }
        Membership::from_parts(parts)
    }

    /// Returns the same membership, in which `holder` has the casting vote of the incoming voters.
    ///
    /// # Panics
    /// If `holder` is not an incoming voter.
    #[must_use]
    pub fn with_casting(self, holder: NodeId) -> Membership {
        let mut parts = Arc::unwrap_or_clone(self.0);
        parts.incoming = parts.incoming.with_casting(Some(holder));
        Membership::from_parts(parts)
    }

    /// Returns the same membership, in which `member` replaces the member with its id.
    ///
    /// # Panics
    /// If there is no member with its id.
    #[must_use]
    pub fn with_member(self, member: Member) -> Membership {
        let mut parts = Arc::unwrap_or_clone(self.0);
        let known = parts.members.iter_mut().find(|known| known.id == member.id);
        *known.expect("contract: the id is that of a member") = member;
        Membership::from_parts(parts)
    }

    /// Returns the voters that remain after the change; all voters unless the membership is joint.
    #[must_use]
    pub fn incoming(&self) -> &Voters {
        &self.0.incoming
    }

    /// Returns the voters from before the change; empty unless the membership is joint.
    #[must_use]
    pub fn outgoing(&self) -> &Voters {
        &self.0.outgoing
    }

    /// Returns the voters that a staged change leads to, once they have the log; empty unless the
    /// membership is staged.
    #[must_use]
    pub fn target(&self) -> &Voters {
        &self.0.target
    }

    /// Returns true if two voter sets must agree (Raft §6).
    #[must_use]
    pub fn is_joint(&self) -> bool {
        !self.0.outgoing.is_empty()
    }

    /// Returns true if a change waits for its target voters to get the log.
    #[must_use]
    pub fn is_staged(&self) -> bool {
        !self.0.target.is_empty()
    }

    /// Returns true if no change is in flight.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        !self.is_joint() && !self.is_staged()
    }

    /// Whether no change is in flight, and no member is a suspended voter.
    #[inline]
    pub(crate) fn is_at_rest(&self) -> bool {
        self.is_settled() && !self.0.summary.has_suspended
    }

    /// Whether the node `id` is a member, and none has a higher priority.
    #[inline]
    pub(crate) fn has_highest_priority(&self, id: NodeId) -> bool {
        let highest = self.0.summary.priority_max;
        self.members().iter().any(|member| member.id == id && member.priority == highest)
    }

    /// Returns every member, by ascending id.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.0.members
    }

    /// Returns true if there are no members, as on a node that has not received a membership yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.members.is_empty()
    }

    /// Returns the member with this id.
    #[must_use]
    pub fn member(&self, id: NodeId) -> Option<&Member> {
        let members = &self.0.members;
        let found = members.binary_search_by_key(&id, |member| member.id);
        found.ok().map(|position| &members[position])
    }

    /// Returns the id of every member, in ascending order.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> {
        self.0.members.iter().map(|member| member.id)
    }

    /// Returns true if there is a member, with or without a vote, other than `own`.
    #[cfg(feature = "std")]
    pub(crate) fn has_other_member(&self, own: NodeId) -> bool {
        self.ids().any(|member| member != own)
    }

    /// Returns the members without a vote, in ascending order.
    pub fn learners(&self) -> impl Iterator<Item = NodeId> {
        self.ids().filter(|id| !self.is_voter(*id))
    }

    /// The members that are suspended voters, in ascending order.
    pub(crate) fn suspended(&self) -> impl Iterator<Item = NodeId> {
        self.members().iter().filter(|member| member.is_suspended()).map(|member| member.id)
    }

    /// Returns every incoming or outgoing voter once, in ascending order.
    pub fn voters(&self) -> impl Iterator<Item = NodeId> {
        self.ids().filter(|id| self.is_voter(*id))
    }

    /// Returns true if `id` is an incoming or outgoing voter.
    #[must_use]
    pub fn is_voter(&self, id: NodeId) -> bool {
        self.0.incoming.contains(&id) || self.0.outgoing.contains(&id)
    }

    /// Returns true if `id` is a voter or a learner.
    #[must_use]
    pub fn is_member(&self, id: NodeId) -> bool {
        self.member(id).is_some()
    }

    /// Returns the member's priority, or 0 for a node that is not a member.
    #[must_use]
    pub fn priority(&self, id: NodeId) -> u8 {
        self.member(id).map_or(0, |member| member.priority)
    }

    /// Returns true if the two share their storage, and so are equal without a comparison.
    #[must_use]
    pub fn ptr_eq(&self, other: &Membership) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// Adds a default member with this id unless there is one.
pub(super) fn admit(members: &mut Vec<Member>, id: NodeId) {
    if let Err(position) = members.binary_search_by_key(&id, |member| member.id) {
        members.insert(position, Member::new(id));
    }
}

impl fmt::Display for Membership {
    /// Writes the incoming, outgoing and target voters, and the learners: `{n1 n2*} from {n1 n2 n3}
    /// learners {n4}` or `{n1 n2} target {n1 n4} learners {n4}`. A star marks the holder of the
    /// casting vote.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.incoming())?;
        if self.is_joint() {
            write!(f, " from {}", self.outgoing())?;
        }
        if self.is_staged() {
            write!(f, " target {}", self.target())?;
        }
        let learners = Voters::new(self.learners());
        if !learners.is_empty() {
            write!(f, " learners {learners}")?;
        }
        Ok(())
    }
}

debug_as_display!(Membership);
