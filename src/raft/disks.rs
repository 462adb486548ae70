//! A leader tells the disks of its peers apart: what one disk promised, no other is held to, and an
//! older image of a disk is not the disk.

use crate::progress::Progress;
use crate::raft::action::{Action, Refusal};
use crate::raft::common::Common;
use crate::raft::leader::Leader;
use crate::types::{Body, Incarnation, Index, Member, Membership, Message};

impl Leader {
    /// Whether what a peer says counts, as far as its disk goes. What another disk of it
    /// acknowledged counts for nothing from now on; and an older image is told that it does not.
    pub(crate) fn recognizes(&mut self, common: &mut Common, message: &Message) -> bool {
        if !message.body.counts() {
            return true;
        }
        let (from, disk) = (message.from, message.incarnation);
        let last = common.log.last().index;
        let Some((_, progress)) = self.peers.iter_mut().find(|(id, _)| *id == from) else {
            return true;
        };
        if progress.incarnation == Incarnation::default() {
            progress.incarnation = disk;
        } else if progress.incarnation != disk {
            progress.meet(disk, last);
            self.changing.catching_up.retain(|(id, _)| *id != from);
        }
        let acknowledged = progress.matched();
        if let Body::HeartbeatReply { round, durable, .. } = message.body
            && round <= self.round
            && has_forgotten(progress, round, durable)
        {
            progress.distrust(last);
            common.actions.push(Action::OlderImage { node: from, acknowledged, durable });
        }
        if progress.is_older_image {
            common.refuse(from, message.body.name(), Refusal::OlderImage);
            common.send(from, Body::Stranger);
        }
        !progress.is_older_image
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

/// Whether a peer lacks what it acknowledged. Its answer to `round` left after all that it had
/// acknowledged when that round began; within one leader's term its disk never has less than that.
fn has_forgotten(progress: &Progress, round: u64, durable: Index) -> bool {
    round > progress.matched_in && durable < progress.matched()
}
