//! Requests of other nodes for the contents of entries that their disks lost.

use alloc::boxed::Box;

use crate::log::{Log, Slice};
use crate::raft::api::action::MessageRejectReason;
use crate::raft::api::input::Consumer;
use crate::raft::common::Common;
use crate::types::{Body, Entries, EntryId, Index, NodeId};

/// Replies with the requested entries, as many as one message holds, or reads them from the disk
/// first. While it reads entries for a node, it drops further requests of that node, which repeats
/// them.
pub(crate) fn on_request(common: &mut Common, from: NodeId, first: EntryId, last: Index) {
    if !common.log().membership().is_member(from) {
        let reason = MessageRejectReason::NotMember;
        return common.reject_message(from, "RequestEntries", reason);
    }
    let (log, config) = (common.log(), common.config());
    let is_known = log.has(first) || first.index < log.base().index;
    let start = is_known.then(|| first_intact(log, first.index.max(log.base().index.next()), last));
    let Some(start) = start.flatten() else {
        return reply(common, from, first.index, Entries::new());
    };
    match log.slice(start, last, config.message_entries_max, config.message_bytes_max) {
        Slice::Hot { entries, .. } => reply(common, from, first.index, entries),
        Slice::Cold { last } => {
            common.fetch(Consumer::Repair { peer: from, first: first.index }, start, last);
        }
        Slice::Damaged => unreachable!("the first entry is intact"),
    }
}

/// Returns the index of the first entry in the range that is intact or in memory.
fn first_intact(log: &Log, first: Index, last: Index) -> Option<Index> {
    let last = last.min(log.last().index);
    let mut index = first;
    while log.is_damaged(index) && index < log.tail_first() {
        index = index.next();
    }
    (index <= last).then_some(index)
}

/// Sends the entries that the disk returned to the node that requested those from `first` on.
pub(crate) fn on_fetched(common: &mut Common, to: NodeId, first: Index, entries: Entries) {
    if !entries.is_empty() {
        reply(common, to, first, entries);
    }
}

/// Sends the entries, and this node's snapshot if they lack the requested entry `first` and the
/// snapshot covers it.
fn reply(common: &mut Common, to: NodeId, first: Index, entries: Entries) {
    let snapshot = common.journal.snapshot();
    let lacks_first = entries.first().is_none_or(|entry| entry.id.index > first);
    let covers = lacks_first && snapshot.last.index >= first;
    let snapshot = covers.then(|| Box::new(snapshot.clone()));
    common.send(to, Body::RequestEntriesReply { entries, snapshot });
}
