//! Repair of damaged entries: their contents come from any other member that has the same entries,
//! whichever node leads (docs/REPAIR.md, R5). Requests and replies are handled in any term.

pub(crate) mod serving;
pub(crate) mod state;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;

use crate::log::Log;
use crate::raft::api::action::{Action, MessageRejectReason};
use crate::raft::common::Common;
use crate::raft::journal::snapshots;
use crate::types::{Body, DamagedEntry, Entries, Entry, EntryId, Index, NodeId, SnapshotMeta};

/// Records that the disk has lost the contents of these entries. The log drops those that the
/// snapshot covers, together with all entries before them: perhaps no other member has their
/// contents, and a peer that needs them gets the snapshot.
pub(crate) fn on_damaged(common: &mut Common, entries: &[DamagedEntry]) {
    let before = common.log().damaged_entries();
    entries.iter().for_each(|entry| common.journal.mark_damaged(entry.id));
    if common.log().damaged_entries() > before {
        let due = common.now().after(common.config().heartbeat_interval);
        common.health.repair.progressed();
        common.health.repair.due = common.health.repair.due.min(due);
    }
    common.journal.drop_covered_damage();
}

/// Records that these entries are intact on the disk again.
pub(crate) fn on_repaired(common: &mut Common, repaired: &[EntryId]) {
    assert!(common.health.repair.is_writing, "contract: a repair was requested");
    common.health.repair.is_writing = false;
    let written = common.health.repair.membership.take();
    for id in repaired {
        let membership = written.as_ref().filter(|(index, _)| *index == id.index);
        common.journal.mark_repaired(*id, membership.map(|(_, membership)| membership));
    }
    if repaired.is_empty() {
        // The contents did not match, or share a sector with an entry that is still missing.
        let pause = common.health.repair.pause(common.config().heartbeat_interval);
        common.health.repair.due = common.now().after(pause);
    } else {
        common.health.repair.progressed();
        common.health.repair.due = common.now();
        common.health.repair.is_memory_next = true;
    }
}

/// Whether an entry is damaged. If none is, clears the record of the requests so far.
#[inline]
pub(crate) fn is_needed(common: &mut Common) -> bool {
    let has_damage = common.log().damaged_entries() > 0;
    if !has_damage {
        common.health.repair.forget_requests();
    }
    has_damage
}

/// Takes the next step of the repair of damaged entries, if one is due. `leader` is the leader that
/// this node knows.
pub(crate) fn advance(common: &mut Common, leader: Option<NodeId>) {
    let is_blocked = common.log().first_damaged_after(common.log().committed()).is_some();
    let since = common.health.repair.blocked_since.unwrap_or(common.now());
    common.health.repair.blocked_since = is_blocked.then_some(since);
    if common.health.repair.is_writing || common.health.repair.due > common.now() {
        return;
    }
    let uses_memory = core::mem::take(&mut common.health.repair.is_memory_next);
    let in_memory = if uses_memory { damaged_in_memory(common.log()) } else { Vec::new() };
    if in_memory.is_empty() {
        common.health.repair.is_memory_next = true;
        request(common, leader);
    } else {
        write(common, in_memory);
    }
}

/// Returns the damaged entries that are still in memory, up to the number that one message holds.
fn damaged_in_memory(log: &Log) -> Vec<Entry> {
    let mut found: Vec<Entry> = Vec::new();
    let mut next = log.first_damaged_after(log.tail_first().previous());
    while let Some(index) = next.filter(|_| found.len() < Body::ENTRIES_MAX) {
        found.extend(log.in_memory(index).cloned());
        next = log.first_damaged_after(index);
    }
    found
}

/// Requests a range of damaged entries from the next member. Once it has sent as many requests for
/// a range as there are other members, it turns to the next range, because perhaps no member has
/// the contents of this one. After the last range it begins again, and asks half as often if
/// members have replied without the contents.
fn request(common: &mut Common, leader: Option<NodeId>) {
    let (now, interval) = (common.now(), common.config().heartbeat_interval);
    // The time of the next step if there is no member to ask.
    common.health.repair.due = now.after(interval);
    let members = other_members(common, leader);
    let asked = common.health.repair.asked;
    let later = members.iter().find(|id| asked.is_some_and(|asked| **id > asked));
    let Some(member) = later.or_else(|| members.first()).copied() else { return };
    if common.health.repair.requests >= members.len() {
        common.health.repair.request_after(next_range(common).1);
        if common.log().first_damaged_after(common.health.repair.through).is_none() {
            common.health.repair.restarted();
        }
    }
    let (first, last) = next_range(common);
    let term = common.log().term_at(first).expect("a damaged entry is in the log");
    common.health.repair.requested(member, interval, now);
    common.send(member, Body::RequestEntries { first: EntryId::new(term, first), last });
}

/// Returns the first and the last index of the damaged entries to request next.
fn next_range(common: &Common) -> (Index, Index) {
    let log = common.log();
    let first = log.first_damaged_after(common.health.repair.through);
    let first = first.or_else(|| log.first_damaged_after(Index::ZERO));
    let first = first.expect("the caller checked that an entry is damaged");
    let mut last = first;
    while log.is_damaged(last.next()) && last.0 - first.0 + 1 < Body::ENTRIES_MAX as u64 {
        last = last.next();
    }
    (first, last)
}

/// Returns the other members, by id. The leader counts as a member, because a membership that this
/// node lacks may contain it.
fn other_members(common: &Common, leader: Option<NodeId>) -> Vec<NodeId> {
    let mut others: Vec<NodeId> = common.log().membership().ids().chain(leader).collect();
    others.retain(|id| *id != common.id());
    others.sort_unstable();
    others.dedup();
    others
}

/// Handles a reply: writes the contents in it, unless a write is under way. If the reply lacks the
/// first damaged entry, also requests the snapshot that the reply offers, because contents that
/// share a sector with the first damaged entry cannot be written before that entry.
pub(crate) fn on_reply(
    common: &mut Common,
    from: NodeId,
    leader: Option<NodeId>,
    entries: Entries,
    snapshot: Option<SnapshotMeta>,
) {
    common.health.repair.answered();
    let log = common.log();
    let first = log.first_damaged_after(Index::ZERO);
    let is_after = |damaged| entries.first().is_none_or(|entry| entry.id.index > damaged);
    let lacks_first = first.is_some_and(is_after);
    let is_wanted = |entry: &Entry| log.has(entry.id) && log.is_damaged(entry.id.index);
    let wanted = limit(log, entries.into_iter().filter(is_wanted).collect());
    let is_useful = lacks_first && other_members(common, leader).contains(&from);
    let replacing = snapshot.filter(|meta| is_useful && replaces_damage(common, meta));
    let written = wanted.last().filter(|_| !common.health.repair.is_writing);
    let written = written.map(|entry| entry.id.index);
    if replacing.is_none() && written.is_none() {
        let reason = MessageRejectReason::StaleReply;
        return common.reject_message(from, "RequestEntriesReply", reason);
    }
    if let Some(meta) = replacing {
        snapshots::receive(common, from, meta);
    }
    if let Some(last) = written {
        common.health.repair.request_after(last);
        write(common, wanted);
    }
}

/// Whether this node may receive a snapshot in place of damaged entries although no leader has
/// offered it.
fn replaces_damage(common: &Common, meta: &SnapshotMeta) -> bool {
    !snapshots::is_of_diverged_log(common, meta)
        && (covers_damage(common.log(), meta) || is_ahead(common, meta))
}

/// Whether the snapshot replaces damaged entries of this log that no snapshot of this node covers.
/// A correct snapshot has the membership that this log has at the snapshot's last entry.
fn covers_damage(log: &Log, meta: &SnapshotMeta) -> bool {
    let last = meta.last.index;
    let is_durable = last <= log.durable() && log.has(meta.last);
    let membership = log.membership_at(last).filter(|_| !log.has_unknown_membership());
    let is_contradicted = membership.is_some_and(|membership| *membership != meta.membership);
    log.last_before_damage() < last && is_durable && !is_contradicted
}

/// Whether the snapshot ends after this log, and so replaces all of it. The leader may have
/// nothing else to send: its window may be full of entries that this node does not acknowledge.
fn is_ahead(common: &Common, meta: &SnapshotMeta) -> bool {
    meta.last.index > common.log().last().index && meta.last.term <= common.term()
}

/// Limits contents that a peer sent to one write. A membership that this node does not know is
/// written alone, because the node uses its content once the disk reports the entry as intact. If
/// it were written with other entries, the disk could report the entry as intact with the content
/// of an earlier write instead of this one.
fn limit(log: &Log, mut contents: Vec<Entry>) -> Vec<Entry> {
    let is_unknown = |entry: &Entry| log.is_unknown_membership(entry.id.index);
    let known = contents.iter().position(is_unknown).unwrap_or(contents.len());
    contents.truncate(known.max(1));
    contents
}

/// Passes contents of damaged entries to the disk.
fn write(common: &mut Common, entries: Vec<Entry>) {
    assert!(!common.health.repair.is_writing, "one repair is under way at a time");
    assert!(!entries.is_empty(), "a repair has contents");
    let unknown = entries.iter().find(|it| common.log().is_unknown_membership(it.id.index));
    assert!(unknown.is_none() || entries.len() == 1, "an unknown membership is written alone");
    common.health.repair.membership = unknown.and_then(Entry::membership);
    common.health.repair.is_writing = true;
    common.output.push(Action::Repair(entries));
}

/// Begins to adopt a received snapshot that covers damaged entries of this log, and returns true;
/// returns false if it covers none, or if the disk is already adopting a snapshot. Commits the
/// entries that the snapshot covers, so that none of them is truncated before the adoption ends.
pub(crate) fn adopt_snapshot(common: &mut Common, meta: &SnapshotMeta) -> bool {
    let adopts =
        covers_damage(common.log(), meta) && !common.health.repair.is_adopting(common.log());
    if adopts {
        common.journal.commit(meta.last.index);
        common.health.repair.adopting = Some(meta.last);
        common.output.push(Action::AdoptSnapshot(meta.clone()));
    }
    adopts
}
