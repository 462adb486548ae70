//! What becomes of a membership: staged, joint, left.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use crate::types::id::NodeId;
use crate::types::membership::error::ChangeError;
use crate::types::membership::member::{Address, Fate, Incarnation, Member};
use crate::types::membership::state::{Membership, Parts, admit};
use crate::types::membership::voters::Voters;

/// What is to be different about a membership: any number of nodes at once. What is not named
/// stays.
///
/// ```
/// use quorate::types::{Change, Membership, NodeId};
///
/// let three = Membership::new([1, 2, 3].map(NodeId));
/// let replace = Change::new().voter(NodeId(4)).remove(NodeId(3));
/// let staged = three.changed(&replace).expect("3 is a member, and voters remain");
/// assert_eq!(staged.to_string(), "{n1 n2 n3} wanted {n1 n2 n4} learners {n4}");
/// assert_eq!(staged.entered(None).left().to_string(), "{n1 n2 n4}");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Change {
    pub(super) edits: Vec<Edit>,
}

/// One thing that is to be different.
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
    /// A learner until it is heard of again, and then a voter.
    Suspended,
    Nothing,
}

impl Change {
    /// Nothing is different.
    #[must_use]
    pub fn new() -> Change {
        Change::default()
    }

    /// The node votes: who is no member becomes a learner first, until it has the log.
    #[must_use]
    pub fn voter(self, id: NodeId) -> Change {
        self.with(Edit::Role(id, Role::Voter))
    }

    /// The node is a learner, whether it was a voter or nothing.
    #[must_use]
    pub fn learner(self, id: NodeId) -> Change {
        self.with(Edit::Role(id, Role::Learner))
    }

    /// The node is no member any more.
    #[must_use]
    pub fn remove(self, id: NodeId) -> Change {
        self.with(Edit::Role(id, Role::Nothing))
    }

    /// The voter is a learner until it is heard of again.
    #[must_use]
    pub fn suspend(self, id: NodeId) -> Change {
        self.with(Edit::Role(id, Role::Suspended))
    }

    /// The voter holds the casting vote, or nobody does. A leader whose configuration says so
    /// takes it over.
    #[must_use]
    pub fn casting(self, holder: Option<NodeId>) -> Change {
        self.with(Edit::Casting(holder))
    }

    /// The member is this life of its disk, and no other. A voter whose disk is known stays that
    /// one: its vote is taken first, and given back to the other.
    #[must_use]
    pub fn incarnation(self, id: NodeId, incarnation: Incarnation) -> Change {
        self.with(Edit::Incarnation(id, incarnation))
    }

    /// The member is reached there.
    #[must_use]
    pub fn address(self, id: NodeId, address: Address) -> Change {
        self.with(Edit::Address(id, address))
    }

    /// The member has this priority.
    #[must_use]
    pub fn priority(self, id: NodeId, priority: u8) -> Change {
        self.with(Edit::Priority(id, priority))
    }

    fn with(mut self, edit: Edit) -> Change {
        self.edits.push(edit);
        self
    }

    /// The node that is to become two things.
    fn contradiction(&self) -> Option<NodeId> {
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
    /// The membership after the first step of a change: staged if it alters the voters or the
    /// casting vote, else complete.
    ///
    /// # Errors
    /// Why it cannot be changed so.
    ///
    /// # Panics
    /// If a change is under way already.
    pub fn changed(&self, change: &Change) -> Result<Membership, ChangeError> {
        assert!(self.is_settled(), "contract: one change at a time");
        if let Some(id) = change.contradiction() {
            return Err(ChangeError::Contradiction(id));
        }
        let mut parts = Parts::clone(&self.0);
        let mut voters: Vec<NodeId> = parts.incoming.to_vec();
        let roles = change.edits.iter().filter_map(|edit| match edit {
            Edit::Role(id, role) => Some((*id, *role)),
            _ => None,
        });
        for (id, role) in roles {
            parts.give(id, role, &mut voters)?;
        }
        let kept = parts.incoming.casting().filter(|holder| voters.contains(holder));
        let mut casting = kept;
        for edit in &change.edits {
            match edit {
                Edit::Role(..) => {}
                Edit::Casting(holder) => casting = *holder,
                Edit::Incarnation(id, incarnation) => parts.name(*id, *incarnation)?,
                Edit::Address(id, address) => parts.find(*id)?.address = address.clone(),
                Edit::Priority(id, priority) => parts.find(*id)?.priority = *priority,
            }
        }
        if voters.is_empty() {
            return Err(ChangeError::NoVoters);
        }
        if let Some(holder) = casting.filter(|holder| !voters.contains(holder)) {
            return Err(ChangeError::CastingWithoutVote(holder));
        }
        let wanted = Voters::new(voters).with_casting(casting);
        if wanted != parts.incoming {
            parts.wanted = wanted;
        }
        parts.fit_lineages();
        let changed = Membership(Arc::new(parts));
        changed.flaw().map_or(Ok(changed), Err)
    }

    /// A staged membership with the change given up: its voters stay voters, and its learners
    /// learners.
    #[must_use]
    pub fn given_up(&self) -> Membership {
        let mut parts = Parts::clone(&self.0);
        parts.wanted = Voters::default();
        let Parts { members, incoming, .. } = &mut parts;
        let voters = members.iter_mut().filter(|member| incoming.contains(&member.id));
        voters.for_each(|member| member.fate = Fate::Stays);
        Membership(Arc::new(parts))
    }

    /// A staged membership made joint (Raft §6). An even set that `casting` is in gives it the
    /// casting vote; if that leaves the voters as they are, there is nothing to agree on.
    #[must_use]
    pub fn entered(&self, casting: Option<NodeId>) -> Membership {
        let mut parts = Parts::clone(&self.0);
        let wanted = core::mem::take(&mut parts.wanted);
        let holder = casting.filter(|id| wanted.can_split() && wanted.contains(id));
        let holder = holder.or(wanted.casting());
        let incoming = wanted.with_casting(holder);
        if incoming == parts.incoming {
            return self.given_up();
        }
        parts.outgoing = core::mem::replace(&mut parts.incoming, incoming);
        Membership(Arc::new(parts))
    }

    /// The membership without the vote of those that are `silent`, who are learners until they are
    /// back. A change under way goes on with the others, or is given up if nobody is left of those
    /// that were to vote.
    ///
    /// Only who knows that the silent decide nothing by themselves may use it: its quorums need not
    /// meet those of the membership before.
    #[must_use]
    pub fn without(&self, silent: impl Fn(NodeId) -> bool) -> Membership {
        let mut parts = Parts::clone(&self.0);
        let left = |voters: &Voters| {
            let left = Voters::new(voters.iter().copied().filter(|id| !silent(*id)));
            let casting = voters.casting().filter(|id| left.contains(id));
            left.with_casting(casting)
        };
        for member in parts.members.iter_mut().filter(|member| silent(member.id)) {
            let votes = self.is_voter(member.id) || self.wanted().contains(&member.id);
            if votes && member.fate == Fate::Stays {
                member.fate = Fate::Returns;
            }
        }
        parts.incoming = left(&parts.incoming);
        parts.outgoing = left(&parts.outgoing);
        parts.wanted = left(&parts.wanted);
        if parts.incoming.is_empty() {
            parts.incoming = core::mem::take(&mut parts.outgoing);
        }
        if parts.wanted == parts.incoming {
            parts.wanted = Voters::default();
        }
        let Parts { members, incoming, outgoing, wanted, .. } = &mut parts;
        members.retain(|member| {
            let votes = incoming.contains(&member.id) || outgoing.contains(&member.id);
            member.fate != Fate::Leaves || votes
        });
        if outgoing.is_empty() && wanted.is_empty() {
            let voters = members.iter_mut().filter(|member| incoming.contains(&member.id));
            voters.for_each(|member| member.fate = Fate::Stays);
        }
        Membership(Arc::new(parts))
    }

    /// A joint membership left: the incoming voters decide alone (Raft §6). Who lost its vote may
    /// come back with any disk.
    #[must_use]
    pub fn left(&self) -> Membership {
        let mut parts = Parts::clone(&self.0);
        let outgoing = core::mem::take(&mut parts.outgoing);
        parts.members.retain(|member| member.fate != Fate::Leaves);
        let Parts { members, incoming, .. } = &mut parts;
        let lost = |id: &NodeId| outgoing.contains(id) && !incoming.contains(id);
        let losers = members.iter_mut().filter(|member| lost(&member.id));
        losers.for_each(|member| member.incarnation = Incarnation::default());
        Membership(Arc::new(parts))
    }
}

impl Parts {
    fn find(&mut self, id: NodeId) -> Result<&mut Member, ChangeError> {
        let found = self.members.binary_search_by_key(&id, |member| member.id);
        found.map(|position| &mut self.members[position]).map_err(|_| ChangeError::NotMember(id))
    }

    /// The disk of a voter that is known has promised what another has not.
    fn name(&mut self, id: NodeId, incarnation: Incarnation) -> Result<(), ChangeError> {
        let votes = self.incoming.contains(&id);
        let member = self.find(id)?;
        if votes && !member.may_be(incarnation) {
            return Err(ChangeError::OtherDisk(id));
        }
        member.incarnation = incarnation;
        Ok(())
    }

    /// Makes the node what it is to be; `voters` are those wanted.
    fn give(
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
                self.find(id)?.fate = Fate::Stays;
            }
            Role::Learner => {
                admit(&mut self.members, id);
                self.find(id)?.fate = Fate::Stays;
            }
            Role::Suspended => self.find(id)?.fate = Fate::Returns,
            Role::Nothing if votes => self.find(id)?.fate = Fate::Leaves,
            Role::Nothing => {
                self.find(id)?;
                self.members.retain(|member| member.id != id);
            }
        }
        Ok(())
    }
}

impl fmt::Display for Change {
    /// `+n4 -n3 ?n5 casting=n1 n2@host:1 n2!200`: voters, removals, learners, and the rest;
    /// `nothing` if nothing is different.
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
                Edit::Role(id, Role::Nothing) => write!(f, "-{id}"),
                Edit::Casting(Some(id)) => write!(f, "casting={id}"),
                Edit::Casting(None) => f.write_str("casting=nobody"),
                Edit::Incarnation(id, incarnation) => write!(f, "{id}#{incarnation}"),
                Edit::Address(id, address) => write!(f, "{id}@{address}"),
                Edit::Priority(id, priority) => write!(f, "{id}!{priority}"),
            }?;
        }
        Ok(())
    }
}
