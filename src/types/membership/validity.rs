//! Validity of memberships: the rules that each one must obey.

use crate::types::id::NodeId;
use crate::types::membership::error::ChangeError;
use crate::types::membership::member::{Member, PendingTransition};
use crate::types::membership::state::{Membership, Parts};

impl Membership {
    /// Returns the rule that the membership violates, or `None` if it is valid. No node stores,
    /// sends or starts with an invalid one. [`Membership::changed`] and the steps after it give
    /// valid memberships.
    #[must_use]
    pub fn violation(&self) -> Option<ChangeError> {
        let parts = &*self.0;
        let sizes = [&parts.incoming, &parts.outgoing, &parts.target].map(|voters| voters.len());
        if sizes.iter().any(|size| *size > Membership::VOTERS_MAX) {
            return Some(ChangeError::TooManyVoters);
        }
        if self.bytes() > Membership::BYTES_MAX {
            return Some(ChangeError::TooLarge);
        }
        if self.member(NodeId(0)).is_some() {
            return Some(ChangeError::IdIsZero);
        }
        self.conflicting_roles().map(ChangeError::ConflictingRoles)
    }

    /// Returns a member with conflicting roles. A membership is never both staged and joint. A
    /// member to remove is a voter before the change and not after it; a member to promote is not a
    /// voter after the change.
    fn conflicting_roles(&self) -> Option<NodeId> {
        let Parts { members, incoming, outgoing, target, .. } = &*self.0;
        if self.is_joint() && self.is_staged() {
            return target.first().copied();
        }
        let (now, then) = match (self.is_joint(), self.is_staged()) {
            (true, _) => (outgoing, incoming),
            (_, true) => (incoming, target),
            _ => (incoming, incoming),
        };
        let contradicts = |member: &&Member| match member.pending {
            PendingTransition::None => false,
            PendingTransition::Remove => !now.contains(&member.id) || then.contains(&member.id),
            PendingTransition::Promote => then.contains(&member.id),
        };
        members.iter().find(contradicts).map(|member| member.id)
    }
}
