//! The leader's automatic membership changes and transfers. When a heartbeat is due, the leader may
//! take the casting vote, suspend a silent voter or all dead ones, readmit one, or transfer its
//! leadership to a voter of higher priority or with a faster disk.

use crate::raft::api::config::Suspension;
use crate::raft::common::Common;
use crate::raft::leader::change::{self, ChangeInProgress};
use crate::raft::leader::peers::Peers;
use crate::types::{
    Body, Change, EntryId, Lineage, Member, Membership, NodeId, PendingTransition, RejectReason,
};

/// Whether this leader may begin a transfer by itself. A joint change must be completed first,
/// because the next leader would have to finish it. A staged change does not prevent a transfer,
/// because its new voters may never catch up.
pub(crate) fn may_transfer(common: &Common, blocked: Option<RejectReason>) -> bool {
    !common.log().membership().is_joint() && change::may_append_step(common, blocked)
}

/// Returns the membership change that this leader makes by itself now, if there is one.
pub(crate) fn automatic_change(
    common: &mut Common,
    peers: &Peers,
    change: &ChangeInProgress,
) -> Option<Change> {
    let (own, membership) = (common.id(), common.log().membership());
    let voters = membership.incoming();
    let is_survivor_mode = common.survival.is_on();
    let takes_casting_vote = common.config().casting_vote
        && !is_survivor_mode
        && voters.can_split()
        && voters.contains(&own)
        && voters.casting() != Some(own);
    if takes_casting_vote {
        return Some(Change::new().casting(Some(own)));
    }
    if is_survivor_mode {
        return readmittable_voter(common, peers, change).map(|id| Change::new().voter(id));
    }
    let suspension = common.config().suspension?;
    if !common.timing.may_suspend(common.now()) {
        return None;
    }
    let step = match readmittable_voter(common, peers, change) {
        Some(id) => Change::new().voter(id),
        None => Change::new().suspend(voter_to_suspend(common, peers, suspension)?),
    };
    common.timing.delay_suspension(common.now().after(suspension.pause));
    Some(step)
}

/// Panics if an automatic change takes votes and leaves fewer voters than `Suspension::voters_min`.
pub(crate) fn assert_enough_voters(common: &Common, changed: &Membership) {
    let (voters, target) = (changed.incoming().len(), changed.target().len());
    let voters_min = common.config().suspension.map_or(0, |rules| rules.voters_min);
    let takes_none = target == 0 || target >= voters;
    assert!(takes_none || target >= voters_min, "a suspension leaves enough voters");
}

/// Returns the membership without the votes of the dead voters; `None` if there are none, if no
/// voter would remain, or if the disk is full. This step may interrupt any change, which could
/// otherwise wait for the dead voters forever. Only the remaining voters must agree to it, because
/// a voter that is silent for so long is dead and cannot continue alone (`docs/SURVIVOR.md`). No
/// voter would remain if this leader itself has no vote and all voters are dead: it then waits
/// until one of them returns.
pub(crate) fn surviving_membership(
    common: &Common,
    change: &mut ChangeInProgress,
) -> Option<Membership> {
    let (own, membership) = (common.id(), common.log().membership());
    let silent = |id: NodeId| id != own && common.survival.is_silent(id, common.now());
    let is_unneeded = common.health.disk_full || !membership.voters().any(silent);
    let lineage =
        Lineage { by: own, at: EntryId::new(common.term(), common.log().last().index.next()) };
    let left = (!is_unneeded).then(|| membership.without_voters(silent).with_lineage(lineage));
    let left = left.filter(|left| left.voters().next().is_some())?;
    change.on_voters_died(membership, &left);
    Some(left)
}

/// Returns a suspended voter that is back and has caught up, so that its readmission needs no
/// catch-up.
fn readmittable_voter(common: &Common, peers: &Peers, change: &ChangeInProgress) -> Option<NodeId> {
    let suspended = |member: &&Member| member.pending == PendingTransition::Promote;
    let mut members = common.log().membership().members().iter().filter(suspended);
    members
        .find(|member| change.new_voter_keeps_up(common, peers, member.id))
        .map(|member| member.id)
}

/// Returns the voter that has been silent for the longest time, if it must be suspended: its
/// silence has reached `rules.after`, and there are more voters than `rules.voters_min`.
fn voter_to_suspend(common: &Common, peers: &Peers, rules: Suspension) -> Option<NodeId> {
    let membership = common.log().membership();
    if membership.incoming().len() <= rules.voters_min {
        return None;
    }
    let (id, peer) =
        peers.incoming_voters(membership).min_by_key(|(_, peer)| peer.last_contact())?;
    (common.now() >= peer.last_contact().after(rules.after)).then_some(id)
}

/// Sends [`Body::TakeoverAllowed`] to each incoming voter that has every committed entry on its
/// disk, if this leader has heard from it recently: no node then counts the voter as dead before
/// the message arrives. Every later commit waits for the incoming voters, because the message is
/// sent only while the active membership is committed.
pub(crate) fn allow_takeover(common: &mut Common, peers: &Peers) {
    let membership = common.log().membership().clone();
    if common.log().membership_index() > common.log().committed() {
        return;
    }
    for (id, progress) in peers.iter() {
        let may_take_over = membership.incoming().contains(&id)
            && progress.counts()
            && progress.matched() >= common.log().committed()
            && common.survival.is_fresh(id, common.now());
        if may_take_over {
            common.send(id, Body::TakeoverAllowed);
        }
    }
}
