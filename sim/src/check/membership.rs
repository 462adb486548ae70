//! Membership changes: S22, and campaigns of nodes that have no vote: L6.

use std::sync::Arc;

use quorate::raft::{RoleName, Status};
use quorate::types::{Body, EntryId, Index, Membership, MembershipSource, Message, NodeId};

use crate::check::electorate::Electorate;
use crate::check::finding::{CheckResult, L6, S22};
use crate::check::model::Model;
use crate::check::nodes::Slot;

/// Checks a write after the model applied it, from entry `first` on: each membership must be a safe
/// step from the membership before it in the log.
pub(super) fn submitted(model: &Model, slot: Slot, first: Index) -> CheckResult {
    let node = model.node(slot);
    for [(before_at, before), (at, after)] in node.memory.log.changes_from(first) {
        // A node that joined later may not know the first membership.
        if before.membership.is_empty() {
            continue;
        }
        // A last survivor removes the dead voters at once, in the middle of any change, so its
        // quorum need not intersect theirs.
        if model.last_survivor_enabled && is_survivors_of(&before.membership, &after.membership) {
            continue;
        }
        let before_id = node.memory.log.id_at(*before_at);
        if before_id.is_none() || before_id != model.committed.id_at(*before_at) {
            let id = node.id;
            return S22.violated(format!(
                "{id} writes a membership at index {at}, but its previous membership, at index \
                 {before_at}, is not committed"
            ));
        }
        check_follows(node.id, *at, before, after)?;
    }
    Ok(())
}

fn check_follows(
    id: NodeId,
    at: Index,
    before: &Arc<Electorate>,
    after: &Arc<Electorate>,
) -> CheckResult {
    let (was, is) = (&before.membership, &after.membership);
    if !is_step(was, is) {
        return S22.violated(format!(
            "{id} changes its membership at index {at} from {was} to {is}, which is not a single \
             step of joint consensus"
        ));
    }
    if !before.quorums_intersect(after) {
        return S22.violated(format!(
            "{id} changes its membership at index {at} from {was} to {is}, but the two have \
             quorums that share no node"
        ));
    }
    Ok(())
}

/// Whether `is` has some but not all voters of `was`, no other voters, and no target voters beyond
/// those of `was`.
fn is_survivors_of(was: &Membership, is: &Membership) -> bool {
    let keeps_targets = is.target().iter().all(|id| was.target().contains(id));
    let left = is.voters().count();
    let stay = is.voters().all(|id| was.is_voter(id));
    stay && keeps_targets && left > 0 && left < was.voters().count()
}

/// Whether `is` may directly follow `was`: the voters stay the same, or become joint with the next
/// voters, or a joint membership is left (Raft §6).
fn is_step(was: &Membership, is: &Membership) -> bool {
    let (joint, staged) = (!is.outgoing().is_empty(), !is.target().is_empty());
    if is.incoming().is_empty() || joint && staged {
        return false;
    }
    let stay = is.incoming() == was.incoming();
    if !was.outgoing().is_empty() {
        stay && !joint && !staged
    } else if !was.target().is_empty() {
        // The new holder of the casting vote is named only when the step is taken.
        let joins = is.outgoing() == was.incoming() && is.incoming()[..] == was.target()[..];
        if joint { joins } else { stay && !staged }
    } else if joint {
        is.outgoing() == was.incoming()
    } else {
        stay
    }
}

/// Checks the membership that a node uses after an input.
pub(super) fn stepped(
    model: &mut Model,
    slot: Slot,
    status: &Status,
    membership: &Membership,
) -> CheckResult {
    let id = model.node(slot).id;
    let campaigns = matches!(status.role, RoleName::PreCandidate | RoleName::Candidate);
    let votes = |membership: &Membership| {
        membership.incoming().contains(&id) || membership.outgoing().contains(&id)
    };
    // Until its removal is committed, a removed node may be the only electable one (thesis §4.2.2).
    let known = || model.node(slot).memory.log.electorate_at(status.committed);
    if campaigns && !votes(membership) && !votes(&known().membership) {
        return L6.violated(format!("{id} is a {} but has no vote in {membership}", status.role));
    }
    model.set_membership(slot, membership);
    // The entries that a step appends are observed later, when they are given to the disk.
    let log = &model.node(slot).memory.log;
    let bootstraps = log.electorate().membership.is_empty() && status.last == EntryId::ZERO;
    if status.last != log.last_id() || bootstraps || model.membership_matches_log(slot) {
        return Ok(());
    }
    let latest = &model.node(slot).memory.log.electorate().membership;
    S22.violated(format!(
        "{id} uses the membership {membership}, but the last membership in its log is {latest}"
    ))
}

/// Checks that a node that reports the first membership of the cluster has that membership on its
/// disk.
pub(super) fn sent(model: &Model, from: Slot, message: &Message) -> CheckResult {
    let Body::Bootstrapped { membership, source: MembershipSource::Reply, .. } = &message.body
    else {
        return Ok(());
    };
    let node = model.node(from);
    let has = &node.disk.log.electorate_at(Index::ZERO).membership;
    if has == membership {
        return Ok(());
    }
    let id = node.id;
    S22.violated(format!(
        "{id} reports that the cluster was bootstrapped with {membership}, but the first \
         membership on its disk is {has}"
    ))
}

/// Checks a node's report that entry `entry` completes a membership change.
pub(super) fn change_committed(model: &Model, id: NodeId, entry: EntryId) -> CheckResult {
    let electorates = model.committed.electorates();
    let place = electorates.binary_search_by_key(&entry.index, |(index, _)| *index);
    let is_committed = model.committed.has(entry);
    let Some(place) = place.ok().filter(|_| is_committed) else {
        return S22.violated(format!(
            "{id} reports a membership change as complete with entry {entry}, but that entry is \
             not a committed membership"
        ));
    };
    let membership = &electorates[place].1.membership;
    if membership.outgoing().is_empty() && membership.target().is_empty() {
        return Ok(());
    }
    S22.violated(format!(
        "{id} reports a membership change as complete with entry {entry}, but its membership \
         {membership} is still staged or joint"
    ))
}
