//! Repair of damaged entries: their contents come from any other member that has the same entries,
//! whichever node leads (docs/REPAIR.md, R5). Requests and replies concern no term.

pub(crate) mod serving;
pub(crate) mod state;

use alloc::vec::Vec;

use crate::log::Log;
use crate::raft::api::action::{Action, MessageRejectReason};
use crate::raft::common::Common;
use crate::raft::repair::state::Repair;
use crate::types::{Body, DamagedEntry, Entry, EntryId, Index, Instant, NodeId, SnapshotMeta};

/// Records that the disk has lost the contents of these entries.
pub(crate) fn on_damaged(common: &mut Common, entries: &[DamagedEntry]) {
    entries.iter().for_each(|entry| common.journal.mark_damaged(entry.id));
}

/// Records that these entries are intact on the disk again.
pub(crate) fn on_repaired(common: &mut Common, repaired: &[EntryId]) {
    assert!(common.health.repair.is_writing, "contract: a repair was requested");
    common.health.repair.is_writing = false;
    for id in repaired {
        let membership = common.health.repair.memberships.remove(&id.index);
        common.journal.mark_repaired(*id, membership.as_ref());
    }
    if repaired.is_empty() {
        // The contents did not match, or share a sector with an entry that is still missing.
        common.health.repair.due = common.now().after(common.config().heartbeat_interval);
    } else {
        common.health.repair.due = common.now();
    }
}

/// Takes the next step of the repair, if one is due. `leader` is the leader that this node knows.
pub(crate) fn advance(common: &mut Common, leader: Option<NodeId>) {
    if common.log().damaged_entries() == 0 {
        let Repair { is_writing, adopting, .. } = common.health.repair;
        common.health.repair = Repair { is_writing, adopting, ..Repair::default() };
        return;
    }
    let is_blocked = common.log().first_damaged_after(common.log().committed()).is_some();
    let since = common.health.repair.blocked_since.unwrap_or(common.now());
    common.health.repair.blocked_since = is_blocked.then_some(since);
    if common.health.repair.is_writing {
        return;
    }
    let in_memory = damaged_in_memory(common.log());
    if !in_memory.is_empty() {
        return write(common, in_memory);
    }
    if common.health.repair.due <= common.now() {
        request(common, leader);
    }
}

/// Returns the first damaged entries that are still in memory.
fn damaged_in_memory(log: &Log) -> Vec<Entry> {
    let mut found: Vec<Entry> = Vec::new();
    let mut next = log.first_damaged_after(log.tail_first().previous());
    while let Some(index) = next.filter(|_| found.len() < Body::ENTRIES_MAX) {
        found.extend(log.in_memory(index).cloned());
        next = log.first_damaged_after(index);
    }
    found
}

/// Requests the next damaged entries from the next member.
fn request(common: &mut Common, leader: Option<NodeId>) {
    let log = common.log();
    let first = log.first_damaged_after(common.health.repair.through);
    let first = first.or_else(|| log.first_damaged_after(Index::ZERO));
    let first = first.expect("the caller checked that an entry is damaged");
    let mut last = first;
    while log.is_damaged(last.next()) && last.0 - first.0 + 1 < Body::ENTRIES_MAX as u64 {
        last = last.next();
    }
    let term = log.term_at(first).expect("a damaged entry is in the log");
    let Some((member, is_last)) = next_member(common, leader) else {
        common.health.repair.due = Instant::NEVER;
        return;
    };
    if is_last {
        // Every member was asked, so the others may have later entries only.
        common.health.repair.through = last;
    }
    let retry_after = common.config().heartbeat_interval;
    common.health.repair.asked = Some(member);
    common.health.repair.due = common.now().after(retry_after);
    common.send(member, Body::RequestEntries { first: EntryId::new(term, first), last });
}

/// Returns the member to ask next, each in turn, by id; and whether it is the last in that order.
/// The leader counts as a member, because a membership that this node lacks may name it.
fn next_member(common: &Common, leader: Option<NodeId>) -> Option<(NodeId, bool)> {
    let own = common.id();
    let mut others: Vec<NodeId> = common.log().membership().ids().chain(leader).collect();
    others.retain(|id| *id != own);
    others.sort_unstable();
    let after = |asked: NodeId| others.iter().find(|id| **id > asked);
    let next = common.health.repair.asked.and_then(after).or_else(|| others.first()).copied()?;
    Some((next, others.last() == Some(&next)))
}

/// Handles a reply: writes the contents that it has, or begins to receive its snapshot.
pub(crate) fn on_reply(
    common: &mut Common,
    from: NodeId,
    entries: Vec<Entry>,
    snapshot: Option<SnapshotMeta>,
) {
    let log = common.log();
    let is_wanted = |entry: &Entry| log.has(entry.id) && log.is_damaged(entry.id.index);
    let wanted: Vec<Entry> = entries.into_iter().filter(is_wanted).collect();
    let covering = snapshot.filter(|meta| covers_damage(log, meta));
    if !wanted.is_empty() && !common.health.repair.is_writing {
        return write(common, wanted);
    }
    match covering {
        Some(meta) if wanted.is_empty() => {
            common.output.push(Action::ReceiveSnapshot { from, meta });
        }
        _ => {
            let name = "RequestEntriesReply";
            common.reject_message(from, name, MessageRejectReason::StaleReply);
        }
    }
}

/// Whether the snapshot replaces damaged entries of this log that no snapshot of this node covers.
fn covers_damage(log: &Log, meta: &SnapshotMeta) -> bool {
    let last = meta.last.index;
    log.last_before_damage() < last && last <= log.durable() && log.has(meta.last)
}

/// Passes contents of damaged entries to the disk.
fn write(common: &mut Common, entries: Vec<Entry>) {
    assert!(!common.health.repair.is_writing, "one repair is under way at a time");
    let last = entries.last().expect("a repair has contents").id.index;
    common.health.repair.memberships.extend(entries.iter().filter_map(Entry::membership));
    common.health.repair.through = last;
    common.health.repair.is_writing = true;
    common.output.push(Action::Repair(entries));
}

/// Begins to adopt a received snapshot that covers damaged entries of this log, and returns true;
/// returns false if it covers none.
pub(crate) fn adopt_snapshot(common: &mut Common, meta: &SnapshotMeta) -> bool {
    let covers = covers_damage(common.log(), meta);
    if covers {
        common.health.repair.adopting = Some(meta.last);
        common.output.push(Action::AdoptSnapshot(meta.clone()));
    }
    covers
}
