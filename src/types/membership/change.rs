//! Membership changes: a change is staged, then joint, then complete (Raft §6).

use alloc::vec::Vec;
use core::fmt;

use crate::types::id::NodeId;
use crate::types::membership::error::ChangeError;
use crate::types::membership::member::{Address, Incarnation, Member, PendingTransition};
use crate::types::membership::state::{Membership, Parts, admit};
use crate::types::membership::voters::Voters;

/// A requested change of a membership, which may name any number of nodes at once. Members and
/// attributes that it does not name stay as they are.
///
/// ```
/// use quorate::types::{Change, Membership, NodeId};
///
/// let three = Membership::new([1, 2, 3].map(NodeId));
/// let replace = Change::new().voter(NodeId(4)).remove(NodeId(3));
/// let staged = three.changed(&replace).expect("3 is a member, and voters remain");
/// assert_eq!(staged.to_string(), "{n1 n2 n3} target {n1 n2 n4} learners {n4}");
/// assert_eq!(staged.enter_joint(None).leave_joint().to_string(), "{n1 n2 n4}");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Change {
    pub(super) edits: Vec<Edit>,
}

/// One edit of a change.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Edit {
    Role(NodeId, Role),
    Casting(Option<NodeId>),
    Incarnation(NodeId, Incarnation),
    Address(NodeId, Address),
    Priority(NodeId, u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Role {
    Voter,
    Learner,
    /// A learner that becomes a voter again, as [`Change::suspend`] describes.
    Suspended,
    Removed,
}

impl Change {
    /// Returns a change that edits nothing.
    #[must_use]
    pub fn new() -> Change {
        Change::default()
    }

    /// Makes the node a voter. A node that is not a voter yet is a learner until it has the log.
    #[must_use]
    pub fn voter(self, id: NodeId) -> Change {
        self.with(Edit::Role(id, Role::Voter))
    }

    /// Makes the node a learner, whether it was a voter or not a member.
    #[must_use]
    pub fn learner(self, id: NodeId) -> Change {
        self.with(Edit::Role(id, Role::Learner))
    }

    /// Removes the member from the membership.
    #[must_use]
    pub fn remove(self, id: NodeId) -> Change {
        self.with(Edit::Role(id, Role::Removed))
    }

    /// Makes the member a suspended voter: a learner. With `Config::suspension` or
    /// `Config::survivor`, the leader makes the member a voter again once it hears from it and the
    /// member has the log; otherwise only another change does.
    #[must_use]
    pub fn suspend(self, id: NodeId) -> Change {
        self.with(Edit::Role(id, Role::Suspended))
    }

    /// Gives the casting vote to the voter `holder`, or to no voter. A leader takes the casting
    /// vote itself if its `Config::casting_vote` says so.
    #[must_use]
    pub fn casting(self, holder: Option<NodeId>) -> Change {
        self.with(Edit::Casting(holder))
    }

    /// Names the incarnation of the member's disk; votes and acknowledgements of other incarnations
    /// of the node are rejected. The edit cannot replace a voter's known incarnation: suspend or
    /// remove the voter first, then add it with the new incarnation.
    #[must_use]
    pub fn incarnation(self, id: NodeId, incarnation: Incarnation) -> Change {
        self.with(Edit::Incarnation(id, incarnation))
    }

    /// Sets the address of the member. A new one may have no white space and no control characters.
    #[must_use]
    pub fn address(self, id: NodeId, address: Address) -> Change {
        self.with(Edit::Address(id, address))
    }

    /// Sets the member's priority for leadership.
    #[must_use]
    pub fn priority(self, id: NodeId, priority: u8) -> Change {
        self.with(Edit::Priority(id, priority))
    }

    fn with(mut self, edit: Edit) -> Change {
        self.edits.push(edit);
        self
    }

    /// Returns a node to which the change gives two roles.
    fn conflicting_roles(&self) -> Option<NodeId> {
        let mut named = self.edits.iter().filter_map(|edit| match edit {
            Edit::Role(id, _) => Some(*id),
            _ => None,
        });
        let mut seen = Vec::new();
        named.find(|id| {
            let again = seen.contains(id);
            seen.push(*id);
            again
        })
    }
}

impl Membership {
    /// Returns the membership after the first step of a change: staged if the change edits the
    /// voters or the casting vote, else settled.
    ///
    /// # Errors
    /// A [`ChangeError`] if the change is invalid for this membership.
    ///
    /// # Panics
    /// If this membership is staged or joint: one change must complete before the next.
    pub fn changed(&self, change: &Change) -> Result<Membership, ChangeError> {
        assert!(self.is_settled(), "contract: one change at a time");
        if let Some(id) = change.conflicting_roles() {
            return Err(ChangeError::ConflictingRoles(id));
        }
        let mut parts = Parts::clone(&self.0);
        let mut voters: Vec<NodeId> = parts.incoming.to_vec();
        let roles = change.edits.iter().filter_map(|edit| match edit {
            Edit::Role(id, role) => Some((*id, *role)),
            _ => None,
        });
        for (id, role) in roles {
            parts.set_role(id, role, &mut voters)?;
        }
        let kept = parts.incoming.casting().filter(|holder| voters.contains(holder));
        let mut casting = kept;
        for edit in &change.edits {
            match edit {
                Edit::Role(..) => {}
                Edit::Casting(holder) => casting = *holder,
                Edit::Incarnation(id, incarnation) => parts.set_incarnation(*id, *incarnation)?,
                Edit::Address(id, address) => parts.set_address(*id, address)?,
                Edit::Priority(id, priority) => parts.member_mut(*id)?.priority = *priority,
            }
        }
        if voters.is_empty() {
            return Err(ChangeError::NoVoters);
        }
        if let Some(holder) = casting.filter(|holder| !voters.contains(holder)) {
            return Err(ChangeError::CastingWithoutVote(holder));
        }
        let target = Voters::new(voters).with_casting(casting);
        if target != parts.incoming {
            parts.target = target;
        }
        parts.fit_lineages();
        let changed = Membership::from_parts(parts);
        assert!(!changed.is_joint(), "a change begins with its target voters");
        assert!(changed.target() != changed.incoming(), "a staged change changes voters");
        assert_eq!(changed.incoming(), self.incoming(), "the voters decide until they are joint");
        assert_eq!(changed.outgoing(), self.outgoing(), "no voter leaves before that");
        changed.violation().map_or(Ok(changed), Err)
    }

    /// Returns the staged membership with its change cancelled: its voters stay voters, and its
    /// learners stay learners.
    #[must_use]
    pub fn cancelled(&self) -> Membership {
        let mut parts = Parts::clone(&self.0);
        parts.target = Voters::default();
        let Parts { members, incoming, .. } = &mut parts;
        let voters = members.iter_mut().filter(|member| incoming.contains(&member.id));
        voters.for_each(|member| member.pending = PendingTransition::None);
        let next = self.followed_by(parts);
        assert_eq!(next.incoming(), self.incoming(), "a cancelled change keeps the voters");
        next
    }

    /// Returns the joint membership that follows this staged one (Raft §6). If the target voters
    /// are an even set that contains `casting`, that node gets the casting vote. If the result has
    /// the same voters and casting vote as before, the change is cancelled because it changes
    /// nothing.
    ///
    /// # Panics
    /// If this membership is not staged.
    #[must_use]
    pub fn enter_joint(&self, casting: Option<NodeId>) -> Membership {
        assert!(self.is_staged(), "contract: only a staged membership becomes joint");
        let mut parts = Parts::clone(&self.0);
        let target = core::mem::take(&mut parts.target);
        let holder = casting.filter(|id| target.can_split() && target.contains(id));
        let holder = holder.or(target.casting());
        let incoming = target.with_casting(holder);
        if incoming == parts.incoming {
            return self.cancelled();
        }
        parts.outgoing = core::mem::replace(&mut parts.incoming, incoming);
        assert!(parts.target.is_empty(), "a joint membership is not staged");
        let next = self.followed_by(parts);
        assert_eq!(**next.incoming(), **self.target(), "the target voters are the incoming ones");
        assert_eq!(next.outgoing(), self.incoming(), "the voters before must agree, too");
        next
    }

    /// Returns the membership with these parts: the next step of the change in flight.
    fn followed_by(&self, parts: Parts) -> Membership {
        let next = Membership::from_parts(parts);
        debug_assert!(
            self.violation().is_some() || next.violation().is_none(),
            "each step of a change of a valid membership is valid"
        );
        assert_eq!(next.lineages(), self.lineages(), "a step of a change keeps the lineages");
        assert!(!next.is_joint() || !next.is_staged(), "new voters catch up before the joint step");
        let stay = next.ids().all(|id| self.is_member(id));
        debug_assert!(stay, "a step of a change adds no member");
        next
    }

    /// Returns the membership without the votes of the `silent` nodes. They are learners until they
    /// return, and any incarnation of them is accepted from then on. A silent node that the change
    /// in flight removes is no longer a member. The change continues with the other nodes, and is
    /// cancelled if none of its target voters is left.
    ///
    /// The quorums of the result need not intersect those of this membership. The caller must know
    /// that the silent nodes cannot decide anything on their own.
    #[must_use]
    pub fn without_voters(&self, silent: impl Fn(NodeId) -> bool) -> Membership {
        let mut parts = Parts::clone(&self.0);
        let remaining = |voters: &Voters| {
            let remaining = Voters::new(voters.iter().copied().filter(|id| !silent(*id)));
            let casting = voters.casting().filter(|id| remaining.contains(id));
            remaining.with_casting(casting)
        };
        for member in parts.members.iter_mut().filter(|member| silent(member.id)) {
            let votes = self.is_voter(member.id) || self.target().contains(&member.id);
            if votes && member.pending == PendingTransition::None {
                member.pending = PendingTransition::Promote;
            }
            if votes {
                member.incarnation = Incarnation::default();
            }
        }
        parts.incoming = remaining(&parts.incoming);
        parts.outgoing = remaining(&parts.outgoing);
        parts.target = remaining(&parts.target);
        if parts.incoming.is_empty() {
            parts.incoming = core::mem::take(&mut parts.outgoing);
        }
        if parts.target == parts.incoming {
            parts.target = Voters::default();
        }
        let Parts { members, incoming, outgoing, target, .. } = &mut parts;
        members.retain(|member| {
            let votes = incoming.contains(&member.id) || outgoing.contains(&member.id);
            member.pending != PendingTransition::Remove || votes
        });
        if outgoing.is_empty() && target.is_empty() {
            let voters = members.iter_mut().filter(|member| incoming.contains(&member.id));
            voters.for_each(|member| member.pending = PendingTransition::None);
        }
        let decides = |voters: &Voters| voters.iter().any(|id| silent(*id));
        debug_assert!(!decides(&parts.incoming), "no silent node keeps its vote");
        debug_assert!(!decides(&parts.outgoing), "no silent node keeps its old vote");
        debug_assert!(!decides(&parts.target), "no silent node gets a vote");
        let next = self.followed_by(parts);
        assert!(next.unpins_lost_votes_of(self), "a voter that died may return with another disk");
        next
    }

    /// Returns the membership that follows this joint one: the incoming voters decide alone (Raft
    /// §6). A member that stops being a voter is accepted with any incarnation from then on.
    #[must_use]
    pub fn leave_joint(&self) -> Membership {
        let mut parts = Parts::clone(&self.0);
        let outgoing = core::mem::take(&mut parts.outgoing);
        parts.members.retain(|member| member.pending != PendingTransition::Remove);
        let Parts { members, incoming, .. } = &mut parts;
        let lost = |id: &NodeId| outgoing.contains(id) && !incoming.contains(id);
        let without_vote = members.iter_mut().filter(|member| lost(&member.id));
        without_vote.for_each(|member| member.incarnation = Incarnation::default());
        let next = self.followed_by(parts);
        assert!(next.unpins_lost_votes_of(self), "a former voter may have another disk");
        next
    }

    /// Whether this membership accepts any incarnation of the members that had a vote in the
    /// membership `before` and have none now.
    fn unpins_lost_votes_of(&self, before: &Membership) -> bool {
        let has_lost_vote = |id: NodeId| before.is_voter(id) && !self.is_voter(id);
        let is_pinned = |member: &Member| member.incarnation != Incarnation::default();
        !self.members().iter().any(|member| has_lost_vote(member.id) && is_pinned(member))
    }
}

impl Parts {
    fn member_mut(&mut self, id: NodeId) -> Result<&mut Member, ChangeError> {
        let found = self.members.binary_search_by_key(&id, |member| member.id);
        found.map(|position| &mut self.members[position]).map_err(|_| ChangeError::NotMember(id))
    }

    /// Sets the member's incarnation. A voter's known incarnation stays, because only its disk
    /// holds the votes that the voter has cast.
    fn set_incarnation(&mut self, id: NodeId, incarnation: Incarnation) -> Result<(), ChangeError> {
        let votes = self.incoming.contains(&id);
        let member = self.member_mut(id)?;
        if votes && !member.accepts_incarnation(incarnation) {
            return Err(ChangeError::OtherIncarnationVotes(id));
        }
        member.incarnation = incarnation;
        Ok(())
    }

    /// Sets the member's address. The address that the member already has is accepted in any form:
    /// an earlier build may have accepted it, and the member runs with it.
    fn set_address(&mut self, id: NodeId, address: &Address) -> Result<(), ChangeError> {
        let member = self.member_mut(id)?;
        if member.address != *address && !address.is_printable() {
            return Err(ChangeError::InvalidAddress(id));
        }
        member.address = address.clone();
        Ok(())
    }

    /// Gives the node its role; `voters` are the target voters.
    fn set_role(
        &mut self,
        id: NodeId,
        role: Role,
        voters: &mut Vec<NodeId>,
    ) -> Result<(), ChangeError> {
        if id.0 == 0 {
            return Err(ChangeError::IdIsZero);
        }
        let votes = voters.contains(&id);
        voters.retain(|voter| *voter != id);
        match role {
            Role::Voter => {
                admit(&mut self.members, id);
                voters.push(id);
                self.member_mut(id)?.pending = PendingTransition::None;
            }
            Role::Learner => {
                admit(&mut self.members, id);
                self.member_mut(id)?.pending = PendingTransition::None;
            }
            Role::Suspended => self.member_mut(id)?.pending = PendingTransition::Promote,
            Role::Removed if votes => self.member_mut(id)?.pending = PendingTransition::Remove,
            Role::Removed => {
                self.member_mut(id)?;
                self.members.retain(|member| member.id != id);
            }
        }
        debug_assert_eq!(voters.contains(&id), role == Role::Voter, "the node has its role");
        Ok(())
    }
}

impl fmt::Display for Change {
    /// Writes `+n4 -n3 ?n5 ~n6 casting=n1 n2@host:1 n2#1f n2!200`: voters, removals, learners,
    /// suspended voters, and the other edits; `nothing` if there are no edits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.edits.is_empty() {
            return f.write_str("nothing");
        }
        for (position, edit) in self.edits.iter().enumerate() {
            f.write_str(if position == 0 { "" } else { " " })?;
            match edit {
                Edit::Role(id, Role::Voter) => write!(f, "+{id}"),
                Edit::Role(id, Role::Learner) => write!(f, "?{id}"),
                Edit::Role(id, Role::Suspended) => write!(f, "~{id}"),
                Edit::Role(id, Role::Removed) => write!(f, "-{id}"),
                Edit::Casting(Some(id)) => write!(f, "casting={id}"),
                Edit::Casting(None) => f.write_str("casting=none"),
                Edit::Incarnation(id, incarnation) => write!(f, "{id}#{incarnation}"),
                Edit::Address(id, address) => write!(f, "{id}@{address}"),
                Edit::Priority(id, priority) => write!(f, "{id}!{priority}"),
            }?;
        }
        Ok(())
    }
}
