//! Feeding one peer: the next entries it lacks, within its window and the bounds on messages.

use alloc::vec::Vec;

use crate::log::Slice;
use crate::progress::{Mode, Progress, Window};
use crate::raft::common::Common;
use crate::raft::input::Consumer;
use crate::raft::snapshots;
use crate::types::{Body, Entry, EntryId, Index, NodeId};

/// The bounds on what is on its way to one peer.
pub(crate) fn window(common: &Common) -> Window {
    Window {
        messages_max: common.config.inflight_messages_max,
        entries_max: common.config.inflight_entries_max,
        bytes_max: common.config.inflight_bytes_max,
    }
}

/// The index of the first entry of all.
const FIRST: Index = Index(1);

/// Sends the peer what it lacks, as far as its window and the disk allow; or else an empty append,
/// if it does not know its log for the leader's, or it is time that it [hears](owes_commit) what is
/// committed. A peer that needs more than the log still has is offered a snapshot: the entries
/// before the base, or the first membership, which is no entry. `round` is the last round of
/// heartbeats sent.
pub(crate) fn feed(
    common: &mut Common,
    peer: NodeId,
    progress: &mut Progress,
    (round, tells_commit): (u64, bool),
) {
    let forgotten = common.log.membership_at(Index::ZERO).is_none();
    if progress.next() <= common.log.base().index || (progress.next() == FIRST && forgotten) {
        return snapshots::offer(common, peer, progress, round);
    }
    let last = common.log.last().index;
    progress.resume(last);
    let window = window(common);
    while progress.next() <= last && progress.may_send(&window) {
        let Some(entries) = next_entries(common, peer, progress, &window) else { break };
        send_entries(common, peer, progress, entries, round);
    }
    let owes_append = progress.owes_append() && is_idle(common, progress);
    if owes_append || (tells_commit && owes_commit(common, progress)) {
        send_entries(common, peer, progress, Vec::new(), round);
    }
}

/// Whether the peer streams and has been sent every entry.
fn is_idle(common: &Common, progress: &Progress) -> bool {
    progress.mode() == Mode::Replicate && progress.next() > common.log.last().index
}

/// Whether more is committed than the peer was told, and no entries are to follow that say so.
pub(crate) fn owes_commit(common: &Common, progress: &Progress) -> bool {
    is_idle(common, progress) && progress.committed_sent < common.log.committed()
}

/// Sends the peer entries that came from the disk, if it still wants them.
pub(crate) fn feed_fetched(
    common: &mut Common,
    peer: NodeId,
    progress: &mut Progress,
    entries: Vec<Entry>,
    round: u64,
) {
    let window = window(common);
    let wanted = entries.first().is_some_and(|entry| entry.id.index == progress.next());
    if wanted
        && progress.may_send(&window)
        && let Some(entries) = fitting(common, progress, entries, &window)
    {
        send_entries(common, peer, progress, entries, round);
    }
}

/// The next entries for a peer; `None` if they are on the disk or do not fit the window.
fn next_entries(
    common: &mut Common,
    peer: NodeId,
    progress: &mut Progress,
    window: &Window,
) -> Option<Vec<Entry>> {
    let (room_entries, room_bytes) = progress.inflight().room(window);
    let entries_max = room_entries.min(common.config.message_entries_max);
    let bytes_max = room_bytes.min(common.config.message_bytes_max);
    let (first, last) = (progress.next(), common.log.last().index);
    match common.log.slice(first, last, entries_max, bytes_max) {
        Slice::Hot(entries) => fitting(common, progress, entries, window),
        Slice::Cold { last } => {
            common.fetch(Consumer::Peer(peer), first, last);
            None
        }
    }
}

/// As many of `entries` as one message and the window may carry. The first one is left out only
/// if others are on their way; then the peer waits until they have arrived.
fn fitting(
    common: &Common,
    progress: &mut Progress,
    mut entries: Vec<Entry>,
    window: &Window,
) -> Option<Vec<Entry>> {
    let (room_entries, room_bytes) = progress.inflight().room(window);
    let bytes_max = room_bytes.min(common.config.message_bytes_max);
    let mut bytes = 0;
    let count = entries.iter().take_while(|entry| {
        bytes += entry.bytes();
        bytes <= bytes_max
    });
    let count = count.count().min(room_entries).min(common.config.message_entries_max);
    let alone = progress.inflight().entries() == 0;
    entries.truncate(count.max(usize::from(alone)));
    if entries.is_empty() {
        progress.wait_for_room();
        return None;
    }
    Some(entries)
}

fn send_entries(
    common: &mut Common,
    peer: NodeId,
    progress: &mut Progress,
    entries: Vec<Entry>,
    round: u64,
) {
    let prev_index = progress.next().previous();
    let prev_term = common.log.term_at(prev_index).expect("a leader knows what it sends after");
    let prev = EntryId::new(prev_term, prev_index);
    let last = entries.last().map_or(prev_index, |entry| entry.id.index);
    let bytes = entries.iter().map(Entry::bytes).sum();
    progress.sent(last, entries.len(), bytes, round);
    let committed = common.log.committed();
    progress.committed_sent = committed;
    common.send(peer, Body::AppendEntries { prev, entries, committed });
}
