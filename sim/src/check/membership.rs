//! Membership changes: S22, and campaigns of nodes that have no vote: L6.

use std::sync::Arc;

use quorate::raft::{RoleName, Status};
use quorate::types::{
    Body, EntryId, Incarnation, Index, Member, Membership, MembershipSource, Message, NodeId, Write,
};

use crate::check::electorate::Electorate;
use crate::check::finding::{CheckResult, L6, S22};
use crate::check::known::Known;
use crate::check::model::Model;
use crate::check::nodes::Slot;
use crate::check::rule::Rule;

/// Checks the memberships in the nodes' logs, and those that the nodes use.
#[derive(Clone, Debug)]
pub(super) struct MembershipSteps {
    /// For each node, the last membership that it used and the last one in its log, once the two
    /// were found to be equal.
    equal: Vec<Option<[Arc<Electorate>; 2]>>,
}

impl Rule for MembershipSteps {
    fn new(known: &Known) -> MembershipSteps {
        MembershipSteps { equal: vec![None; known.model.nodes.len()] }
    }

    fn started(&mut self, known: &Known, status: &Status) -> CheckResult {
        self.stepped(known, status)
    }

    /// Checks the membership that a node uses after an input.
    fn stepped(&mut self, known: &Known, status: &Status) -> CheckResult {
        let (model, id) = (&known.model, status.id);
        let (slot, node) = (model.slot(id), model.of(id));
        let log = &node.memory.log;
        let (used, latest) = (model.electorate(slot), node.known_electorate(status.snapshot));
        let membership = &used.membership;
        let campaigns = matches!(status.role, RoleName::PreCandidate | RoleName::Candidate);
        let votes = |membership: &Membership| {
            membership.incoming().contains(&id) || membership.outgoing().contains(&id)
        };
        // Until its removal is committed, a removed node may be the only electable one
        // (thesis §4.2.2).
        let committed = || log.electorate_at(status.committed);
        if campaigns && !votes(membership) && !votes(&committed().membership) {
            return L6
                .violated(format!("{id} is a {} but has no vote in {membership}", status.role));
        }
        // The checks see the entries that a step appends only later, when the driver passes them to
        // the disk.
        let bootstraps = latest.membership.is_empty() && status.last == EntryId::ZERO;
        if status.last != log.last_id() || bootstraps || self.are_equal(slot, used, latest) {
            return Ok(());
        }
        let latest = &latest.membership;
        S22.violated(format!(
            "{id} uses the membership {membership}, but the last membership in its log is {latest}"
        ))
    }

    /// Checks a write after the model applied it: each membership must be a safe step from the
    /// membership before it in the log.
    fn submitted(&mut self, known: &Known, id: NodeId, write: &Write) -> CheckResult {
        let Some(first) = write.entries.first() else { return Ok(()) };
        let model = &known.model;
        let log = &model.of(id).memory.log;
        for [(before_at, before), (at, after)] in log.changes_from(first.id.index) {
            // A node that joined later may not know the first membership.
            if before.membership.is_empty() {
                continue;
            }
            check_lineages(model, id, *at, [&before.membership, &after.membership])?;
            // A last survivor removes the dead voters at once, in the middle of any change, so its
            // quorum need not intersect theirs.
            if model.last_survivor_enabled && is_survivors_of(&before.membership, &after.membership)
            {
                continue;
            }
            let before_id = log.id_at(*before_at);
            if before_id.is_none() || before_id != model.committed.id_at(*before_at) {
                return S22.violated(format!(
                    "{id} writes a membership at index {at}, but its previous membership, at index \
                     {before_at}, is not committed"
                ));
            }
            check_follows(id, *at, before, after)?;
            check_unpinned(id, *at, [&before.membership, &after.membership])?;
            check_caught_up(known, id, *before_at, [&before.membership, &after.membership])?;
        }
        Ok(())
    }

    /// Checks that a node that reports the first membership of the cluster has that membership on
    /// its disk.
    fn sent(&mut self, known: &Known, message: &Message) -> CheckResult {
        let Body::Bootstrapped { membership, source: MembershipSource::Reply, .. } = &message.body
        else {
            return Ok(());
        };
        let id = message.from;
        let has = &known.model.of(id).disk.log.electorate_at(Index::ZERO).membership;
        if has == membership {
            return Ok(());
        }
        S22.violated(format!(
            "{id} reports that the cluster was bootstrapped with {membership}, but the first \
             membership on its disk is {has}"
        ))
    }

    /// Checks a node's report that entry `entry` completes a membership change.
    fn membership_changed(&mut self, known: &Known, id: NodeId, entry: EntryId) -> CheckResult {
        let model = &known.model;
        let electorates = model.committed.electorates();
        let place = electorates.binary_search_by_key(&entry.index, |(index, _)| *index);
        let is_committed = model.committed.has(entry);
        let Some(place) = place.ok().filter(|_| is_committed) else {
            return S22.violated(format!(
                "{id} reports a membership change as complete with entry {entry}, but that entry \
                 is not a committed membership"
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
}

impl MembershipSteps {
    /// Whether the membership that a node uses equals the last one in its log.
    fn are_equal(&mut self, slot: Slot, used: &Arc<Electorate>, latest: &Arc<Electorate>) -> bool {
        let equal = &mut self.equal[slot.0];
        let is_known = |[used_before, latest_before]: &[Arc<Electorate>; 2]| {
            Arc::ptr_eq(used_before, used) && Arc::ptr_eq(latest_before, latest)
        };
        if equal.as_ref().is_some_and(is_known) {
            return true;
        }
        let are_equal = used.membership == latest.membership;
        *equal = are_equal.then(|| [Arc::clone(used), Arc::clone(latest)]);
        are_equal
    }
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

/// Checks that the membership after a joint one accepts any disk of a member that has lost its
/// vote, because only a vote depends on the disk that cast it. Otherwise a member that returns with
/// another disk would be rejected forever (`Membership::leave_joint`).
fn check_unpinned(id: NodeId, at: Index, [joint, left]: [&Membership; 2]) -> CheckResult {
    if joint.outgoing().is_empty() || !left.outgoing().is_empty() {
        return Ok(());
    }
    let has_lost_vote = |member: &&Member| {
        joint.outgoing().contains(&member.id) && !joint.incoming().contains(&member.id)
    };
    let mut without_vote = left.members().iter().filter(has_lost_vote);
    let pinned = without_vote.find(|member| member.incarnation != Incarnation::default());
    let Some(Member { id: member, incarnation, .. }) = pinned else { return Ok(()) };
    S22.violated(format!(
        "{id} changes its membership at index {at} from {joint} to {left}, but still accepts \
         {member}, which has lost its vote, with disk {incarnation} only"
    ))
}

/// Checks that a leader makes a staged membership, at index `at`, joint only once each new voter
/// has the log up to `at` on its disk (thesis §4.2.1). A suspended voter that returns is exempt,
/// because it may have caught up before the change was staged.
fn check_caught_up(
    known: &Known,
    id: NodeId,
    at: Index,
    [staged, joint]: [&Membership; 2],
) -> CheckResult {
    let model = &known.model;
    let node = model.of(id);
    let leads = node.status.is_some_and(|status| node.leads(status.term));
    let is_joined = leads && !staged.target().is_empty() && !joint.outgoing().is_empty();
    if !is_joined || model.last_survivor_enabled {
        return Ok(());
    }
    let earlier = &node.memory.log.electorate_at(at.previous()).membership;
    let was_suspended = |id: NodeId| earlier.member(id).is_some_and(Member::is_suspended);
    let new = model.nodes.iter().filter(|node| {
        let id = node.id;
        joint.incoming().contains(&id) && !staged.is_voter(id) && !was_suspended(id)
    });
    let ends = new.filter_map(|node| {
        let disk = node.disk_named_by(joint)?;
        Some((node.id, node.counted_of(disk).log.last()))
    });
    let Some((voter, last)) = ends.into_iter().find(|(_, last)| *last < at) else { return Ok(()) };
    S22.violated(format!(
        "{id} makes the membership {staged} joint, but the log of the new voter {voter} ends at \
         index {last}, before that membership at index {at}"
    ))
}

/// Checks that a membership keeps the last lineage of the membership before it, and that survivors
/// that continue without the other voters begin a new lineage.
fn check_lineages(
    model: &Model,
    id: NodeId,
    at: Index,
    [was, is]: [&Membership; 2],
) -> CheckResult {
    if !is.descends_from(was) {
        return S22.violated(format!(
            "{id} changes its membership at index {at} from {was} to {is}, but loses the record \
             of a takeover by survivors"
        ));
    }
    let begins = is.lineages().last().is_some_and(|last| !was.lineages().contains(last));
    let continues = model.last_survivor_enabled && is_survivors_of(was, is) && !is_step(was, is);
    if begins || !continues {
        return Ok(());
    }
    S22.violated(format!(
        "{id} changes its membership at index {at} from {was} to {is}, which continues without the \
         other voters, but does not record that"
    ))
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
