//! What no membership may be.

use crate::types::id::NodeId;
use crate::types::membership::error::ChangeError;
use crate::types::membership::member::{Fate, Member};
use crate::types::membership::state::{Membership, Parts};

impl Membership {
    /// Why no node stores, sends or starts with the membership, if none does. What
    /// [`Membership::changed`] gives, and whatever becomes of that, has no flaw.
    #[must_use]
    pub fn flaw(&self) -> Option<ChangeError> {
        let parts = &*self.0;
        let largest = [&parts.incoming, &parts.outgoing, &parts.wanted].map(|voters| voters.len());
        if largest.iter().any(|voters| *voters > Membership::VOTERS_MAX) {
            return Some(ChangeError::TooManyVoters);
        }
        if self.bytes() > Membership::BYTES_MAX {
            return Some(ChangeError::TooLarge);
        }
        if self.member(NodeId(0)).is_some() {
            return Some(ChangeError::IdIsZero);
        }
        self.contradiction().map(ChangeError::Contradiction)
    }

    /// A member that is to become two things: one change at a time, who leaves is on the way out,
    /// and who returns has no vote to come.
    fn contradiction(&self) -> Option<NodeId> {
        let Parts { members, incoming, outgoing, wanted, .. } = &*self.0;
        if self.is_joint() && self.is_staged() {
            return wanted.first().copied();
        }
        let (now, then) = match (self.is_joint(), self.is_staged()) {
            (true, _) => (outgoing, incoming),
            (_, true) => (incoming, wanted),
            _ => (incoming, incoming),
        };
        let contradicts = |member: &&Member| match member.fate {
            Fate::Stays => false,
            Fate::Leaves => !now.contains(&member.id) || then.contains(&member.id),
            Fate::Returns => then.contains(&member.id),
        };
        members.iter().find(contradicts).map(|member| member.id)
    }
}
