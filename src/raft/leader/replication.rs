//! Replication to one peer: the entries it lacks, within its in-flight window and message bounds.

use crate::log::{Log, Slice};
use crate::progress::{Mode, Progress, Window};
use crate::raft::api::input::Consumer;
use crate::raft::common::Common;
use crate::raft::journal::snapshots;
use crate::raft::leader::peers::Peers;
use crate::types::{Body, Entries, EntryId, Index, Instant, NodeId};

/// The configured in-flight window of every peer.
#[inline]
fn window(common: &Common) -> Window {
    Window {
        messages_max: common.config().inflight_messages_max,
        entries_max: common.config().inflight_entries_max,
        bytes_max: common.config().inflight_bytes_max,
    }
}

/// The index of a log's first entry.
const FIRST: Index = Index(1);

/// Whether the leader has sent every entry and the commit index to every peer.
#[inline]
pub(crate) fn is_complete(common: &Common, peers: &Peers) -> bool {
    peers.iter().all(|(_, progress)| is_up_to_date(common, progress, true))
}

/// Sends every peer the entries and the commit index that it lacks. `commit_due` is the time to
/// send the commit index in a message of its own; `None` if no peer needed that in the previous
/// step. Returns the `commit_due` of the next step.
pub(crate) fn replicate(
    common: &mut Common,
    peers: &mut Peers,
    commit_due: Option<Instant>,
) -> Option<Instant> {
    let due = commit_due.unwrap_or(common.now().after(common.config().commit_delay));
    let is_due = due <= common.now();
    let mut is_needed = false;
    for (id, progress) in peers.iter_mut() {
        if !is_up_to_date(common, progress, is_due) {
            replicate_to(common, id, progress, is_due);
        }
        is_needed |= needs_commit(common, progress);
    }
    is_needed.then_some(due)
}

/// Sends the peer the entries that it lacks, within its window; entries that are only on the disk
/// are fetched first. Then sends an empty append if the peer must still report whether its log
/// matches, or if the commit index is due (`commit_due`) and the peer [lacks it](needs_commit). A
/// peer that [needs a snapshot](needs_snapshot) is only offered one.
#[inline]
fn replicate_to(common: &mut Common, peer: NodeId, progress: &mut Progress, commit_due: bool) {
    if needs_snapshot(common.log(), progress.next()) {
        return snapshots::offer(common, peer, progress);
    }
    let last = common.log().last().index;
    progress.resume(last);
    let window = window(common);
    while progress.next() <= last && progress.may_send(&window) {
        let Some(next) = next_entries(common, peer, progress, &window) else { break };
        send_entries(common, peer, progress, next);
    }
    if progress.needs_append() || (commit_due && needs_commit(common, progress)) {
        send_entries(common, peer, progress, Batch::default());
    }
}

/// Whether a peer whose next entry is at `next` needs a snapshot, because that entry is compacted,
/// or is damaged, not in memory, and covered by this node's snapshot. A peer that needs the first
/// entry also needs a membership. The entries may contain none, because the cluster's first
/// membership is not an entry; so once memberships were compacted, the peer needs a snapshot.
#[inline]
fn needs_snapshot(log: &Log, next: Index) -> bool {
    next <= log.base().index
        || (next <= log.snapshot().index && log.is_damaged(next) && next < log.tail_first())
        || (next == FIRST && !log.has_all_memberships())
}

/// Panics if more is in flight to the peer than its window allows.
pub(crate) fn assert_within_window(common: &Common, progress: &Progress) {
    let (window, inflight) = (window(common), progress.inflight());
    assert!(inflight.messages() <= window.messages_max, "the window bounds messages");
    assert!(inflight.entries() <= window.entries_max, "the window bounds entries");
    let alone = inflight.entries() <= 1;
    assert!(alone || inflight.bytes() <= window.bytes_max, "the window bounds bytes");
}

/// Panics if the peer lacks entries that it would never get, because the leader waits neither for
/// its reply nor for the disk.
pub(crate) fn assert_progress(common: &Common, peer: NodeId, progress: &Progress) {
    let (log, next) = (common.log(), progress.next());
    let lacks_none = next > log.last().index;
    let awaits_reply = match progress.mode() {
        Mode::Probe { paused } | Mode::Snapshot { paused, .. } => paused,
        Mode::Replicate => progress.inflight().messages() > 0,
    };
    let awaits_disk = common.apply.is_fetching(Consumer::Peer(peer)) || log.is_damaged(next);
    assert!(lacks_none || awaits_reply || awaits_disk, "a peer gets the entries that it lacks");
}

/// Whether [`replicate_to`] would send nothing to the peer.
#[inline]
fn is_up_to_date(common: &Common, progress: &Progress, commit_due: bool) -> bool {
    is_idle(common, progress)
        && !progress.needs_append()
        && !(commit_due && needs_commit(common, progress))
}

/// Whether the leader streams to the peer ([`Mode::Replicate`]) and has sent it every entry.
#[inline]
fn is_idle(common: &Common, progress: &Progress) -> bool {
    matches!(progress.mode(), Mode::Replicate) && progress.next() > common.log().last().index
}

/// Whether the peer lacks the latest commit index, and the leader has no entry left to send with
/// it.
#[inline]
fn needs_commit(common: &Common, progress: &Progress) -> bool {
    is_idle(common, progress) && progress.committed_sent() < common.log().committed()
}

/// Sends entries from the disk to the peer if they are still its next ones.
pub(crate) fn send_fetched(
    common: &mut Common,
    peer: NodeId,
    progress: &mut Progress,
    entries: Entries,
) {
    let window = window(common);
    let is_next = entries.first().is_some_and(|entry| entry.id.index == progress.next());
    if is_next && progress.may_send(&window) {
        let next = limited_to_window(common, progress, entries, &window);
        if let Some(next) = fitting(progress, next, &window, common.config().message_bytes_max) {
            send_entries(common, peer, progress, next);
        }
    }
}

/// The entries of one message.
#[derive(Debug, Default)]
struct Batch {
    entries: Entries,
    /// The size of the entries in bytes.
    bytes: usize,
}

/// Returns the next entries for the peer; `None` if they do not fit the window, if the next one is
/// damaged, or if they are only on the disk. In the last case it fetches them.
#[inline]
fn next_entries(
    common: &mut Common,
    peer: NodeId,
    progress: &mut Progress,
    window: &Window,
) -> Option<Batch> {
    let (room_entries, room_bytes) = progress.room(window);
    let entries_max = room_entries.min(common.config().message_entries_max);
    let bytes_max = room_bytes.min(common.config().message_bytes_max);
    let (first, last) = (progress.next(), common.log().last().index);
    assert!(first <= last, "the peer lacks an entry");
    assert!(first > common.log().base().index, "the log has the peer's next entry");
    match common.log().slice(first, last, entries_max, bytes_max) {
        Slice::Hot { entries, bytes } => {
            let message_bytes_max = common.config().message_bytes_max;
            fitting(progress, Batch { entries, bytes }, window, message_bytes_max)
        }
        Slice::Cold { last } => {
            common.fetch(Consumer::Peer(peer), first, last);
            None
        }
        // The peer gets the entry once another node has provided its content.
        Slice::Damaged => None,
    }
}

/// Limits `entries` to one message and to the window, but to no less than one entry.
fn limited_to_window(
    common: &Common,
    progress: &Progress,
    mut entries: Entries,
    window: &Window,
) -> Batch {
    let (room_entries, room_bytes) = progress.room(window);
    let bytes_max = room_bytes.min(common.config().message_bytes_max);
    entries.truncate(room_entries.min(common.config().message_entries_max));
    let mut bytes = 0;
    let count = entries.iter().take_while(|entry| {
        let fits = bytes == 0 || bytes + entry.bytes() <= bytes_max;
        bytes += if fits { entry.bytes() } else { 0 };
        fits
    });
    let count = count.count();
    entries.truncate(count);
    Batch { entries, bytes }
}

/// Returns the entries if they fit the window. A single entry that is too large is sent alone once
/// nothing else is in flight.
#[inline]
fn fitting(
    progress: &mut Progress,
    batch: Batch,
    window: &Window,
    message_bytes_max: usize,
) -> Option<Batch> {
    let (_, room_bytes) = progress.inflight().room(window);
    let fits = !batch.entries.is_empty() && batch.bytes <= room_bytes.min(message_bytes_max);
    let alone = progress.inflight().entries() == 0;
    if fits || (alone && !batch.entries.is_empty()) {
        return Some(batch);
    }
    progress.wait_for_room();
    None
}

fn send_entries(
    common: &mut Common,
    peer: NodeId,
    progress: &mut Progress,
    Batch { entries, bytes }: Batch,
) {
    let prev_index = progress.next().previous();
    let prev_term =
        common.log().term_at(prev_index).expect("the log has the previous entry's term");
    let prev = EntryId::new(prev_term, prev_index);
    let last = entries.last().map_or(prev_index, |entry| entry.id.index);
    let first = entries.first().map(|entry| entry.id.index);
    assert!(first.is_none_or(|first| first == prev_index.next()), "entries follow `prev`");
    assert!(progress.matched() <= prev_index, "matched entries are not sent again");
    let is_after_first = prev_index > Index::ZERO || first.is_none();
    let has_memberships = || common.log().has_all_memberships();
    assert!(is_after_first || has_memberships(), "the first entry relies on a membership");
    progress.sent(last, entries.len(), bytes);
    let committed = common.log().committed();
    progress.record_committed_sent(committed);
    common.send(peer, Body::AppendEntries { prev, entries, committed });
}
