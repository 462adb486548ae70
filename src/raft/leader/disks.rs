//! The identities of the peers' disks: acknowledgements of one disk do not count for another, and
//! replies of a disk that lost acknowledged entries do not count at all.

use crate::progress::Progress;
use crate::raft::api::action::{Action, MessageRejectReason};
use crate::raft::common::Common;
use crate::raft::leader::peers::Peers;
use crate::types::{Body, Incarnation, Member, Membership, Message};

/// Resets the leader's view of the peer if the message shows that the peer has a different disk
/// than before. Returns true after a reset. `round` is the last heartbeat round sent.
#[inline]
pub(crate) fn reset_if_replaced(
    common: &Common,
    progress: &mut Progress,
    message: &Message,
    round: u64,
) -> bool {
    let answered = match message.body {
        Body::HeartbeatReply { round: answered, .. } if answered <= round => Some(answered),
        _ => None,
    };
    progress.replied_from(message.incarnation, answered, round, common.log().last().index)
}

/// Whether the leader may handle the message, given the disk that it comes from; otherwise rejects
/// it. A message from a disk other than the peer's known one is rejected. So is a message from a
/// disk that was rolled back to an older image, until the peer reports that it is uncertain: the
/// leader answers with [`Body::LogRolledBack`]. `round` is the last heartbeat round sent.
#[inline]
pub(crate) fn accepts_disk_of(
    common: &mut Common,
    progress: &mut Progress,
    message: &Message,
    round: u64,
) -> bool {
    assert!(message.body.requires_known_disk(), "other messages count from any disk");
    if message.incarnation != progress.incarnation() {
        let reason = MessageRejectReason::UnknownIncarnation;
        common.reject_message(message.from, message.body.name(), reason);
        return false;
    }
    let (from, last) = (message.from, common.log().last().index);
    let acknowledged = progress.matched();
    if let Body::HeartbeatReply { round: replied, durable, ready, .. } = message.body
        && !ready.is_uncertain
        && replied <= round
        && progress.lacks_acknowledged_entries(replied, durable)
    {
        progress.mark_rolled_back(replied, last);
        common.output.push(Action::RolledBackDisk { node: from, acknowledged, durable });
    }
    let reports_it = matches!(message.body, Body::HeartbeatReply { round, ready, .. }
        if ready.is_uncertain && round > progress.acked_round());
    let is_rejected = progress.disk_rolled_back() && !reports_it;
    if is_rejected {
        common.reject_message(from, message.body.name(), MessageRejectReason::RolledBackDisk);
        common.send(from, Body::LogRolledBack);
    }
    !is_rejected
}

/// Returns `next` with the incarnations of its incoming voters' disks, as far as this leader knows
/// them: from then on, no other disk votes or acknowledges in their place.
pub(crate) fn with_known_incarnations(
    common: &Common,
    peers: &Peers,
    mut next: Membership,
) -> Membership {
    for id in next.incoming().clone().iter() {
        let Some(member) = next.member(*id) else { continue };
        let incarnation = match peers.get(*id) {
            _ if *id == common.id() => common.members.incarnation(),
            Some(progress) => progress.incarnation(),
            None => continue,
        };
        if member.incarnation == Incarnation::default() {
            let named = Member { incarnation, ..member.clone() };
            next = next.with_member(named);
        }
    }
    next
}
