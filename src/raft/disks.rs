//! A leader tells the disks of its peers apart: what one disk promised, no other is held to, and an
//! older image of a disk is not the disk.

use crate::raft::action::{Action, Refusal};
use crate::raft::common::Common;
use crate::raft::leader::Leader;
use crate::types::{Body, Incarnation, Index, Member, Membership, NodeId};

impl Leader {
    /// A peer is about to be heard, with this disk. What another disk acknowledged counts for
    /// nothing. False if the disk is an older image of itself.
    pub(crate) fn meet_disk(
        &mut self,
        common: &Common,
        from: NodeId,
        incarnation: Incarnation,
    ) -> bool {
        let last = common.log.last().index;
        let Some((_, progress)) = self.peers.iter_mut().find(|(id, _)| *id == from) else {
            return true;
        };
        if progress.incarnation != incarnation {
            // Before its first answer nothing is known of it that could be wrong.
            if progress.incarnation != Incarnation::default() {
                progress.meet(incarnation, last);
                self.changing.catching_up.retain(|(id, _)| *id != from);
            }
            progress.incarnation = incarnation;
        }
        !progress.is_older_image
    }

    /// Whether the peer still has what it acknowledged. Its answer to `round` left after everything
    /// that it had acknowledged when that round began; within this leader's term it never has less
    /// than that on its disk.
    pub(crate) fn recognizes(
        &mut self,
        common: &mut Common,
        from: NodeId,
        round: u64,
        durable: Index,
    ) -> bool {
        let last = common.log.last().index;
        let Some((_, progress)) = self.peers.iter_mut().find(|(id, _)| *id == from) else {
            return true;
        };
        let acknowledged = progress.matched();
        if round > self.round || round <= progress.matched_in || durable >= acknowledged {
            return true;
        }
        progress.distrust(last);
        common.actions.push(Action::OlderImage { node: from, acknowledged, durable });
        common.refuse(from, "HeartbeatReply", Refusal::OlderImage);
        common.send(from, Body::Stranger);
        false
    }

    /// The next membership, which names the disks of its voters as far as they were heard: from
    /// here on no other disk votes or acknowledges in their place.
    pub(crate) fn name_disks(&self, common: &Common, mut next: Membership) -> Membership {
        for id in next.incoming().clone().iter() {
            let Some(member) = next.member(*id) else { continue };
            let heard = self.peers.iter().find(|(peer, _)| peer == id);
            let incarnation = match heard {
                _ if *id == common.id() => common.incarnation,
                Some((_, progress)) => progress.incarnation,
                None => continue,
            };
            if member.incarnation == Incarnation::default() {
                let named = Member { incarnation, ..member.clone() };
                next = next.with_member(named);
            }
        }
        next
    }
}
