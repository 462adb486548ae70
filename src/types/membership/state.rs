//! A membership: its members, who votes, and how far a change of it is.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use crate::types::id::NodeId;
use crate::types::membership::member::{Lineage, Member};
use crate::types::membership::voters::Voters;

/// The members of the cluster: voters, and learners that store the log without a vote.
///
/// While its voters are exchanged a membership is *joint* (Raft §6): the incoming and the outgoing
/// voters must each agree by themselves. Before, as long as some of the voters to come lack the
/// log, it is *staged*: they are learners, and the voters wanted stand beside those in force.
/// A clone shares everything.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Membership(pub(super) Arc<Parts>);

#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Parts {
    /// By ascending id.
    pub(super) members: Vec<Member>,
    pub(super) incoming: Voters,
    pub(super) outgoing: Voters,
    pub(super) wanted: Voters,
    /// The oldest first.
    pub(super) lineages: Vec<Lineage>,
}

impl Membership {
    /// The most voters that one set of them may have.
    pub const VOTERS_MAX: usize = 64;
    /// The most bytes that [`Membership::encode`] may give. Nothing stores, sends or starts with
    /// more: a copy of the superblock has room for as many.
    pub const BYTES_MAX: usize = 3584;
    /// The most members that [`Membership::BYTES_MAX`] leaves room for, if none has an address.
    pub const MEMBERS_MAX: usize = (Membership::BYTES_MAX - 2) / 27;

    /// A membership of `voters` alone, each with the default priority and no address; their order
    /// and repetitions do not matter.
    pub fn new(voters: impl IntoIterator<Item = NodeId>) -> Membership {
        let incoming = Voters::new(voters);
        let members = incoming.iter().copied().map(Member::new).collect();
        Membership::of(Parts { members, incoming, ..Parts::default() })
    }

    fn of(parts: Parts) -> Membership {
        Membership(Arc::new(parts))
    }

    /// The same membership, joint with the `outgoing` voters. None of them leaves it simple.
    #[must_use]
    pub fn joint_with(mut self, outgoing: impl IntoIterator<Item = NodeId>) -> Membership {
        let parts = Arc::make_mut(&mut self.0);
        parts.outgoing = Voters::new(outgoing);
        for voter in parts.outgoing.iter() {
            admit(&mut parts.members, *voter);
        }
        self
    }

    /// The same membership with `learners`; one that is a voter too counts as a voter.
    #[must_use]
    pub fn with_learners(mut self, learners: impl IntoIterator<Item = NodeId>) -> Membership {
        let parts = Arc::make_mut(&mut self.0);
        for learner in learners {
            admit(&mut parts.members, learner);
        }
        self
    }

    /// The same membership, whose incoming voters give `holder` the casting vote.
    ///
    /// # Panics
    /// If the holder is none of them.
    #[must_use]
    pub fn with_casting(mut self, holder: NodeId) -> Membership {
        let incoming = &mut Arc::make_mut(&mut self.0).incoming;
        *incoming = core::mem::take(incoming).with_casting(Some(holder));
        self
    }

    /// The same membership, in which `member` takes the place of who has its id.
    ///
    /// # Panics
    /// If nobody has it.
    #[must_use]
    pub fn with_member(mut self, member: Member) -> Membership {
        let members = &mut Arc::make_mut(&mut self.0).members;
        let known = members.iter_mut().find(|known| known.id == member.id);
        *known.expect("contract: a member takes a member's place") = member;
        self
    }

    /// The voters that will remain; all of them, unless the membership is joint.
    #[must_use]
    pub fn incoming(&self) -> &Voters {
        &self.0.incoming
    }

    /// The voters before the change under way; empty unless the membership is joint.
    #[must_use]
    pub fn outgoing(&self) -> &Voters {
        &self.0.outgoing
    }

    /// The voters that are to take over once they have the log; empty unless the membership is
    /// staged.
    #[must_use]
    pub fn wanted(&self) -> &Voters {
        &self.0.wanted
    }

    /// Whether the voters are being exchanged (Raft §6).
    #[must_use]
    pub fn is_joint(&self) -> bool {
        !self.0.outgoing.is_empty()
    }

    /// Whether voters to come still have to get the log.
    #[must_use]
    pub fn is_staged(&self) -> bool {
        !self.0.wanted.is_empty()
    }

    /// Whether no change is under way.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        !self.is_joint() && !self.is_staged()
    }

    /// Every member, by ascending id.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.0.members
    }

    /// Whether it is the membership of a node that has none yet.
    #[must_use]
    pub fn is_nobody(&self) -> bool {
        self.0.members.is_empty()
    }

    /// The member with this id.
    #[must_use]
    pub fn member(&self, id: NodeId) -> Option<&Member> {
        let members = &self.0.members;
        let found = members.binary_search_by_key(&id, |member| member.id);
        found.ok().map(|position| &members[position])
    }

    /// Every member's id, in ascending order.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> {
        self.0.members.iter().map(|member| member.id)
    }

    /// The members without a vote, in ascending order.
    pub fn learners(&self) -> impl Iterator<Item = NodeId> {
        self.ids().filter(|id| !self.is_voter(*id))
    }

    /// Every voter of either half once, in ascending order.
    pub fn voters(&self) -> impl Iterator<Item = NodeId> {
        self.ids().filter(|id| self.is_voter(*id))
    }

    /// Whether `id` votes, in either half.
    #[must_use]
    pub fn is_voter(&self, id: NodeId) -> bool {
        self.0.incoming.contains(&id) || self.0.outgoing.contains(&id)
    }

    /// Whether `id` is a voter or a learner.
    #[must_use]
    pub fn is_member(&self, id: NodeId) -> bool {
        self.member(id).is_some()
    }

    /// The member's priority; 0 of a stranger.
    #[must_use]
    pub fn priority(&self, id: NodeId) -> u8 {
        self.member(id).map_or(0, |member| member.priority)
    }

    /// Whether the two share everything, and are equal without a look.
    #[must_use]
    pub fn is_same(&self, other: &Membership) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// Adds a member of this id unless there is one.
pub(super) fn admit(members: &mut Vec<Member>, id: NodeId) {
    if let Err(position) = members.binary_search_by_key(&id, |member| member.id) {
        members.insert(position, Member::new(id));
    }
}

impl Default for Membership {
    /// Nobody.
    fn default() -> Membership {
        Membership::of(Parts::default())
    }
}

impl fmt::Display for Membership {
    /// The voters, those before them, those wanted, and the learners: `{n1 n2*} from {n1 n2 n3}
    /// wanted {n1 n4} learners {n4}`, where a star marks the holder of the casting vote.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.incoming())?;
        if self.is_joint() {
            write!(f, " from {}", self.outgoing())?;
        }
        if self.is_staged() {
            write!(f, " wanted {}", self.wanted())?;
        }
        let learners = Voters::new(self.learners());
        if !learners.is_empty() {
            write!(f, " learners {learners}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
