//! Memberships: S22, and the part of L6 about who stands for election.

use std::sync::Arc;

use quorate::raft::{RoleName, Status};
use quorate::types::{Body, Bringer, EntryId, Index, Membership, Message, NodeId};

use crate::check::electorate::Electorate;
use crate::check::finding::{L6, S22, Verdict};
use crate::check::model::Model;
use crate::check::nodes::Slot;

/// A node gave a write to its disk, the first entry of which is at `first`; called once the model
/// has it. Each membership must follow the one before it in that log.
pub(super) fn submitted(model: &Model, slot: Slot, first: Index) -> Verdict {
    let node = model.node(slot);
    for [(before_at, before), (at, after)] in node.memory.log.changes_from(first) {
        // Of a node that came later, the log need not say who counted at first.
        if before.membership.is_nobody() {
            continue;
        }
        // The dead lose their votes at once, in the middle of any change: who is left shares no
        // quorum with them.
        if model.survives && is_left_of(&before.membership, &after.membership) {
            continue;
        }
        let before_id = node.memory.log.id_at(*before_at);
        if before_id.is_none() || before_id != model.committed.id_at(*before_at) {
            let id = node.id;
            return S22.broken(format!(
                "{id} has a membership at {at} while the one at {before_at} is not committed"
            ));
        }
        follows(node.id, *at, before, after)?;
    }
    Ok(())
}

fn follows(id: NodeId, at: Index, before: &Arc<Electorate>, after: &Arc<Electorate>) -> Verdict {
    let (was, is) = (&before.membership, &after.membership);
    if !is_step(was, is) {
        return S22.broken(format!("{id} goes at {at} from {was} to {is}: that is no step"));
    }
    if !before.shares_quorums(after) {
        return S22
            .broken(format!("{id} goes at {at} from {was} to {is}: both could decide at once"));
    }
    Ok(())
}

/// Whether somebody is left of those who had votes, and nobody has or is to have one who had not.
fn is_left_of(was: &Membership, is: &Membership) -> bool {
    let wanted = is.wanted().iter().all(|id| was.wanted().contains(id));
    let left = is.voters().count();
    let stay = is.voters().all(|id| was.is_voter(id));
    stay && wanted && left > 0 && left < was.voters().count()
}

/// Whether one membership may come right after the other: the voters that decide stay, or decide
/// together with those to come, or give way to those with whom they decided (Raft §6).
fn is_step(was: &Membership, is: &Membership) -> bool {
    let (joint, staged) = (!is.outgoing().is_empty(), !is.wanted().is_empty());
    if is.incoming().is_empty() || joint && staged {
        return false;
    }
    let stay = is.incoming() == was.incoming();
    if !was.outgoing().is_empty() {
        stay && !joint && !staged
    } else if !was.wanted().is_empty() {
        // Who is to hold the casting vote shows only when the step is taken.
        let joins = is.outgoing() == was.incoming() && is.incoming()[..] == was.wanted()[..];
        if joint { joins } else { stay && !staged }
    } else if joint {
        is.outgoing() == was.incoming()
    } else {
        stay
    }
}

/// A node took an input, and says that `membership` is in force.
pub(super) fn stepped(
    model: &mut Model,
    slot: Slot,
    status: &Status,
    membership: &Membership,
) -> Verdict {
    let id = model.node(slot).id;
    let stands = matches!(status.role, RoleName::PreCandidate | RoleName::Candidate);
    let votes = |membership: &Membership| {
        membership.incoming().contains(&id) || membership.outgoing().contains(&id)
    };
    // As long as its leave is not committed, perhaps nobody else can be elected (thesis §4.2.2).
    let known = || model.node(slot).memory.log.electorate_at(status.committed);
    if stands && !votes(membership) && !votes(&known().membership) {
        return L6.broken(format!("{id} is {} without a vote in {membership}", status.role));
    }
    model.goes_by(slot, membership);
    // What a step adds to the log is shown after it, when it is given to the disk.
    let log = &model.node(slot).memory.log;
    let founds = log.electorate().membership.is_nobody() && status.last == EntryId::ZERO;
    if status.last != log.last_id() || founds || model.goes_by_log(slot) {
        return Ok(());
    }
    let latest = &model.node(slot).memory.log.electorate().membership;
    S22.broken(format!("{id} goes by {membership} though its log says {latest}"))
}

/// A node says that the cluster is founded: its disk has that.
pub(super) fn sent(model: &Model, from: Slot, message: &Message) -> Verdict {
    let Body::Founded { membership, bringer: Bringer::Answer, .. } = &message.body else {
        return Ok(());
    };
    let node = model.node(from);
    let has = &node.disk.log.electorate_at(Index::ZERO).membership;
    if has == membership {
        return Ok(());
    }
    let id = node.id;
    S22.broken(format!("{id} calls the cluster founded as {membership} while its disk has {has}"))
}

/// A node says that a change of the membership is complete with the entry `entry`.
pub(super) fn changed(model: &Model, id: NodeId, entry: EntryId) -> Verdict {
    let electorates = model.committed.electorates();
    let place = electorates.binary_search_by_key(&entry.index, |(index, _)| *index);
    let is_committed = model.committed.has(entry);
    let Some(place) = place.ok().filter(|_| is_committed) else {
        return S22.broken(format!(
            "{id} calls a change complete with {entry}, which is no committed membership"
        ));
    };
    let membership = &electorates[place].1.membership;
    if membership.outgoing().is_empty() && membership.wanted().is_empty() {
        return Ok(());
    }
    S22.broken(format!("{id} calls a change complete with {entry}, which is {membership}"))
}
