//! The identities of the peers' disks: acknowledgements of one disk do not count for another, and
//! replies of a disk that lost acknowledged entries do not count at all.

use crate::progress::Progress;
use crate::raft::api::action::{Action, MessageRejectReason};
use crate::raft::common::Common;
use crate::raft::leader::Leader;
use crate::types::{Body, Incarnation, Index, Member, Membership, Message};

impl Leader {
    /// Whether the message comes from a disk whose replies count. The progress of a peer with a new
    /// disk is reset: the leader knows of no entry that this disk has. A message from a disk that
    /// was rolled back to an older image is rejected, and the peer is sent
    /// [`Body::UnknownIncarnation`].
    pub(crate) fn accepts_disk_of(&mut self, common: &mut Common, message: &Message) -> bool {
        if !message.body.requires_known_disk() {
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
            progress.reset_for_disk(disk, last);
            self.change_in_progress.catching_up.retain(|(id, _)| *id != from);
        }
        let acknowledged = progress.matched();
        if let Body::HeartbeatReply { round, durable, .. } = message.body
            && round <= self.round
            && lacks_acknowledged_entries(progress, round, durable)
        {
            progress.mark_rolled_back(last);
            common.actions.push(Action::RolledBackDisk { node: from, acknowledged, durable });
        }
        if progress.disk_rolled_back {
            common.reject_message(from, message.body.name(), MessageRejectReason::RolledBackDisk);
            common.send(from, Body::UnknownIncarnation);
        }
        !progress.disk_rolled_back
    }

    /// Returns `next` with the incarnations of its voters' disks, as far as this leader knows them:
    /// from then on, no other disk votes or acknowledges in their place.
    pub(crate) fn with_known_incarnations(
        &self,
        common: &Common,
        mut next: Membership,
    ) -> Membership {
        for id in next.incoming().clone().iter() {
            let Some(member) = next.member(*id) else { continue };
            let peer = self.peers.iter().find(|(other, _)| other == id);
            let incarnation = match peer {
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

/// Whether the peer's disk lacks entries that the peer acknowledged. The reply to `round` was sent
/// after the acknowledgements that the leader had received before that round, and a correct disk
/// does not lose acknowledged entries within the leader's term.
fn lacks_acknowledged_entries(progress: &Progress, round: u64, durable: Index) -> bool {
    round > progress.matched_round && durable < progress.matched()
}
