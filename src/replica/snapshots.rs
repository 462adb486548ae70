//! Snapshots of a node: taking, sending and receiving them, and the log compaction they allow.

use core::mem::{Discriminant, discriminant};
use core::time::Duration;
use std::sync::Arc;

use crate::log::Log;
use crate::replica::config::ReplicaConfig;
use crate::replica::output::Output;
use crate::replica::snapshot_receiver::{REPEAT_FACTOR_MAX, SnapshotReceiver};
use crate::replica::snapshot_sender::{PartRequest, SnapshotSender};
use crate::replica::snapshot_taker::SnapshotTaker;
use crate::storage::{AbandonReason, Event, PartOutcome, SnapshotEvent, Storage, StorageError};
use crate::types::{
    Entry, EntryId, Index, Instant, NodeId, Packet, Root, SnapshotMeta, SnapshotPart,
    SnapshotTransfer, SnapshotTransferBody,
};

/// The snapshots that the node takes, sends and receives.
#[derive(Clone, Debug)]
pub(crate) struct Snapshots {
    id: NodeId,
    trailing: u64,
    taker: SnapshotTaker,
    receiver: SnapshotReceiver,
    sender: SnapshotSender,
    /// The time since which an applied entry has been damaged, or the time at which the node last
    /// requested a snapshot because of it.
    damaged_since: Option<Instant>,
    /// Whether a kept snapshot is damaged, and no other one was begun or installed since.
    must_replace: bool,
    /// The time that the node waits for the content of a damaged applied entry before it requests a
    /// snapshot of its own state.
    repair_patience: Duration,
    pub(crate) counts: SnapshotCounts,
    /// Why a snapshot last could not be received; `None` again once one is.
    not_received: Option<Discriminant<AbandonReason>>,
    /// Why a snapshot of the node's own state last could not be taken; `None` again once one is.
    not_taken: Option<Discriminant<AbandonReason>>,
}

/// The counts of a node's snapshots since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SnapshotCounts {
    /// The snapshots that the node took of its own state.
    pub taken: u64,
    /// The snapshots that it received completely.
    pub received: u64,
    /// The snapshots of its own state that it did not take, because they exceed its limits, its
    /// disk is full or damaged, or the state cannot be read.
    pub take_failed: u64,
    /// The snapshots that it did not receive, because they exceed its limits, or its disk is full
    /// or damaged.
    pub receive_failed: u64,
    /// The received parts of snapshots whose bytes were wrong.
    pub parts_corrupt: u64,
}

/// A step of a snapshot that the rest of the node must handle.
#[derive(Clone, Debug)]
pub(crate) enum SnapshotProgress {
    /// A snapshot of this node's state machine is completely written.
    Taken(SnapshotMeta),
    /// A snapshot from a peer is completely written.
    Received(SnapshotMeta),
    /// The reply to a peer's request for a part.
    Served(Output),
    /// A kept snapshot is found to be damaged; another one is requested.
    Damaged(StorageError),
    /// The snapshot of a peer that ends at this entry cannot be received.
    NotReceived(EntryId, AbandonReason),
    /// A snapshot of the node's own state machine cannot be taken.
    NotTaken(AbandonReason),
}

impl Snapshots {
    /// `last` is the last index of the current snapshot.
    pub(crate) fn new(config: &ReplicaConfig, last: Index) -> Snapshots {
        let rate = config.snapshot_bytes_per_second;
        let (entries_max, bytes_max) = (config.snapshot_entries, config.snapshot_bytes);
        let retry = config.space_retry;
        let wait_max = config.part_timeout.saturating_mul(REPEAT_FACTOR_MAX);
        Snapshots {
            id: config.raft.id,
            trailing: config.trailing_entries,
            taker: SnapshotTaker::new(entries_max, bytes_max, rate, retry, last),
            receiver: SnapshotReceiver::new(config),
            sender: SnapshotSender::new(config.parts_inflight_max, rate, wait_max),
            damaged_since: None,
            must_replace: false,
            repair_patience: config.raft.election_timeout_max * 2,
            counts: SnapshotCounts::default(),
            not_received: None,
            not_taken: None,
        }
    }

    /// Returns the time by which [`Snapshots::advance`] must be called.
    pub(crate) fn deadline(&self) -> Instant {
        let (taker, receiver) = (self.taker.deadline(), self.receiver.deadline());
        taker.min(receiver).min(self.sender.deadline())
    }

    /// Panics if the store takes or receives another snapshot than the node waits for, or does not
    /// read the part that the node waits for. `in_progress` is the last entry of the snapshot that
    /// the store works on, and whether it receives it.
    pub(crate) fn assert_in_progress(
        &self,
        in_progress: Option<(EntryId, bool)>,
        reads_part: bool,
    ) {
        let takes = in_progress.is_some_and(|(_, is_received)| !is_received);
        assert!(takes == self.taker.is_writing(), "the store takes the node's snapshot");
        let received = in_progress.filter(|(_, is_received)| *is_received).map(|(last, _)| last);
        assert!(received == self.receiver.last(), "the store receives the snapshot of a peer");
        assert!(reads_part || !self.sender.is_reading(), "the store reads the part for a peer");
    }

    /// Whether a snapshot of the node's own state waits until the store records it, or a later one.
    pub(crate) fn is_recording(&self) -> bool {
        self.taker.is_recording()
    }

    /// Counts entries that go to the state machine, towards the next snapshot. If a kept snapshot
    /// is damaged and none is being received, requests another one. If the damaged one is not the
    /// current snapshot, its replacement must end later than the current one, and may have waited
    /// for these entries.
    pub(crate) fn count(&mut self, entries: &[Entry]) {
        self.taker.count(entries);
        if self.must_replace && self.receiver.root().is_none() {
            self.taker.demand_if_idle();
        }
    }

    /// Requests a snapshot of the current state, for a peer or an operator.
    pub(crate) fn demand(&mut self) {
        self.taker.demand();
    }

    /// Requests a snapshot if an entry that the state machine has applied stays damaged: perhaps no
    /// member has the content of the entry, but this node's state includes its effect. Until the
    /// entry is repaired or a snapshot covers it, this node acknowledges no entry after it.
    pub(crate) fn cover_damage(&mut self, now: Instant, log: &Log) {
        let damaged = log.first_damaged_after(log.snapshot().index);
        if damaged.is_none_or(|index| index > log.applied()) {
            self.damaged_since = None;
            return;
        }
        assert!(damaged > Some(log.snapshot().index), "the snapshot covers what is before it");
        let since = *self.damaged_since.get_or_insert(now);
        assert!(since <= now, "the time never goes back");
        if now >= since.after(self.repair_patience) {
            self.damaged_since = Some(now);
            self.taker.demand_if_idle();
        }
    }

    /// Requests what is due now. It requests a view only if the state `is_usable`.
    pub(crate) fn advance(
        &mut self,
        now: Instant,
        is_usable: bool,
        storage: &mut Storage,
        events: &mut Vec<Event>,
        outputs: &mut Vec<Output>,
    ) {
        self.taker.retry(now);
        if self.taker.drop_view() {
            outputs.push(Output::DropView);
        }
        if is_usable && self.taker.start(self.sender.is_busy(now)) {
            outputs.push(Output::FreezeView);
        }
        if let Some(bytes) = self.taker.view(now) {
            outputs.push(Output::ReadView { bytes });
        }
        if let Some(request) = self.sender.start(now) {
            storage.serve_part(request.root, request.part, events);
        }
        if self.receiver.root().is_some()
            && let Some((root, parts)) = storage.parts_to_request()
            && let Some((to, parts)) = self.receiver.request(now, root, parts)
        {
            assert!(!parts.is_empty(), "a request names parts");
            for part in parts {
                let body = SnapshotTransferBody::Request(part);
                let transfer = SnapshotTransfer { from: self.id, to, root, body };
                outputs.push(Output::Send(Packet::SnapshotTransfer(transfer)));
            }
        }
    }

    /// Handles a frozen view of the state after `last`.
    pub(crate) fn on_frozen(&mut self, last: EntryId) {
        self.taker.on_frozen(last);
    }

    /// Begins to write the frozen view once the log is durable up to the view's last entry. The
    /// view takes the place of a snapshot that is being received if that one does not end later, or
    /// if its source may be gone. While any other snapshot is being received, the node requests its
    /// own again later. The membership at the last entry is unknown if an installed snapshot has
    /// overtaken the view, or if the node joined later. Without the membership, no snapshot is
    /// taken.
    pub(crate) fn write_frozen(
        &mut self,
        now: Instant,
        log: &Log,
        storage: &mut Storage,
        events: &mut Vec<Event>,
    ) {
        let Some(last) = self.taker.write(log.durable()) else { return };
        assert!(last.index <= log.durable(), "a snapshot covers durable entries only");
        let Some(membership) = log.membership_at(last.index) else { return self.taker.end() };
        if self.receiver.gives_way_to(last.index, now) {
            storage.abandon_snapshot(events);
            // Another offer must not replace the node's own snapshot at once.
            self.receiver.failed(now);
        }
        if storage.take_snapshot(last, membership.clone(), events) {
            self.must_replace = false;
        } else if self.receiver.root().is_some() {
            self.taker.failed(now);
        } else {
            self.taker.end();
            if self.must_replace && last.index < log.applied() {
                // The state machine has applied entries since the view was frozen, so a later
                // snapshot can be taken.
                self.taker.demand();
            }
        }
    }

    /// Handles the bytes of the view that the driver read; empty at the end of the view.
    pub(crate) fn on_viewed(
        &mut self,
        now: Instant,
        bytes: Vec<u8>,
        storage: &mut Storage,
        events: &mut Vec<Event>,
    ) {
        if !self.taker.on_viewed(now, bytes.len()) {
            return;
        }
        if bytes.is_empty() {
            storage.end_snapshot(events);
        } else {
            storage.write_snapshot(bytes, events);
        }
    }

    /// Handles a view that cannot be frozen or read. Returns the step that the rest of the node
    /// must handle.
    pub(crate) fn on_view_failed(
        &mut self,
        now: Instant,
        storage: &mut Storage,
        events: &mut Vec<Event>,
    ) -> Option<SnapshotProgress> {
        if !self.taker.view_failed(now) {
            return None;
        }
        storage.abandon_snapshot(events);
        self.not_taken(AbandonReason::Unreadable)
    }

    /// Counts a failed snapshot of the node's own state. Returns the step that reports the reason,
    /// unless the previous failure had the same reason.
    fn not_taken(&mut self, reason: AbandonReason) -> Option<SnapshotProgress> {
        self.counts.take_failed += 1;
        let is_new = is_new_reason(&mut self.not_taken, &reason);
        is_new.then_some(SnapshotProgress::NotTaken(reason))
    }

    /// Abandons the snapshot that is being taken.
    pub(crate) fn abandon_own(&mut self, storage: &mut Storage, events: &mut Vec<Event>) {
        // Before the view is frozen, the store does not write a snapshot of this node, and may be
        // receiving one.
        if self.taker.is_writing() {
            storage.abandon_snapshot(events);
        }
        self.taker.end();
    }

    /// Handles a snapshot that the store has recorded as the current one: one of this node, or one
    /// that it adopted. `previous` is the last index of the readable snapshot before it, or 0.
    /// Returns the index through which the log may be compacted: the log keeps the last
    /// `trailing_entries` that the snapshot covers, and all entries after `previous`.
    pub(crate) fn on_recorded(&mut self, meta: &SnapshotMeta, previous: Index) -> Index {
        self.counts.taken += u64::from(self.taker.set_last(meta.last.index));
        let base = previous.min(Index(meta.last.index.0.saturating_sub(self.trailing)));
        assert!(base <= meta.last.index, "only covered entries are compacted");
        assert!(base <= previous, "the log reaches back to the previous snapshot");
        base
    }

    /// Handles a received snapshot that is the current one now.
    pub(crate) fn on_installed(&mut self, meta: &SnapshotMeta) {
        self.must_replace = false;
        self.taker.set_last(meta.last.index);
    }

    /// Handles a peer's offer of a snapshot. Receiving a new snapshot starts only if `may_start`.
    pub(crate) fn on_offer(
        &mut self,
        now: Instant,
        from: NodeId,
        meta: &SnapshotMeta,
        may_start: bool,
        storage: &mut Storage,
        events: &mut Vec<Event>,
    ) {
        let receives = self.receiver.root().is_some();
        if self.receiver.on_offer(now, from, meta, may_start)
            && !storage.receive_snapshot(meta, events)
        {
            if receives {
                storage.abandon_snapshot(events);
            }
            self.receiver.end();
        }
    }

    /// Handles an event of the store. Returns the step that the rest of the node must handle.
    pub(crate) fn on_event(
        &mut self,
        now: Instant,
        event: SnapshotEvent,
        chunk_bytes: usize,
    ) -> Option<SnapshotProgress> {
        match event {
            SnapshotEvent::ReadyForChunk => self.taker.want(chunk_bytes),
            SnapshotEvent::Taken(meta) => {
                self.taker.written(meta.last.index);
                self.not_taken = None;
                return Some(SnapshotProgress::Taken(meta));
            }
            SnapshotEvent::Received(meta) => {
                self.counts.received += 1;
                self.receiver.received();
                self.not_received = None;
                return Some(SnapshotProgress::Received(meta));
            }
            SnapshotEvent::Abandoned { reason: AbandonReason::Superseded, .. } => {
                // The receiver expects the snapshot that has replaced this one.
                if self.taker.is_writing() {
                    self.taker.failed(now);
                }
            }
            SnapshotEvent::Abandoned { last, reason } if self.receiver.last() == Some(last) => {
                match reason {
                    AbandonReason::TooLarge { .. } => self.receiver.too_large(now),
                    _ => self.receiver.failed(now),
                }
                self.counts.receive_failed += 1;
                let is_new = is_new_reason(&mut self.not_received, &reason);
                return is_new.then_some(SnapshotProgress::NotReceived(last, reason));
            }
            SnapshotEvent::Abandoned { reason, .. } => {
                match reason {
                    // The next snapshot would be as large.
                    AbandonReason::TooLarge { .. } => self.taker.end(),
                    _ => self.taker.failed(now),
                }
                return self.not_taken(reason);
            }
            SnapshotEvent::Part { root, part, bytes } => {
                return Some(SnapshotProgress::Served(self.served(now, root, part, Some(bytes))));
            }
            SnapshotEvent::PartUnreadable { .. } => {
                // The peer repeats its request.
                self.sender.finish(now, 0);
            }
            SnapshotEvent::PartUnavailable { root, part } => {
                return Some(SnapshotProgress::Served(self.served(now, root, part, None)));
            }
            // The node answers requests for the parts of the damaged snapshot with `Gone`; peers
            // that need the snapshot get another one.
            SnapshotEvent::Damaged(damage) => {
                self.must_replace = true;
                self.taker.demand();
                return Some(SnapshotProgress::Damaged(damage));
            }
        }
        None
    }

    /// Handles a transfer message. Bytes are accepted from any node, because hashes verify them and
    /// the sender may be a member of a later membership that this node does not have yet.
    pub(crate) fn on_transfer(
        &mut self,
        now: Instant,
        transfer: SnapshotTransfer,
        storage: &mut Storage,
        events: &mut Vec<Event>,
    ) {
        let SnapshotTransfer { from, root, body, .. } = transfer;
        let awaited = self.receiver.root() == Some(root);
        match body {
            SnapshotTransferBody::Request(part) => {
                self.sender.enqueue(now, PartRequest { by: from, root, part });
            }
            SnapshotTransferBody::Bytes(part, bytes) if awaited => {
                match storage.receive_part(root, part, &bytes, events) {
                    PartOutcome::Accepted => self.receiver.on_part(now, part),
                    PartOutcome::Corrupt => self.counts.parts_corrupt += 1,
                    // The store itself abandons a snapshot that is too large.
                    PartOutcome::TooLarge | PartOutcome::NotNeeded => {}
                }
            }
            SnapshotTransferBody::Gone
                if awaited && self.receiver.from() == Some(from) && misses_part(storage) =>
            {
                storage.abandon_snapshot(events);
                self.receiver.end();
            }
            SnapshotTransferBody::Bytes(..) | SnapshotTransferBody::Gone => {}
        }
    }

    /// Returns the reply to the request for this part, with the bytes that the store read, or none.
    fn served(
        &mut self,
        now: Instant,
        root: Root,
        part: SnapshotPart,
        bytes: Option<Arc<[u8]>>,
    ) -> Output {
        let request = self.sender.finish(now, bytes.as_ref().map_or(0, |bytes| bytes.len()));
        assert_eq!(
            (request.root, request.part),
            (root, part),
            "the store reads the requested part"
        );
        let body = match bytes {
            Some(bytes) => SnapshotTransferBody::Bytes(request.part, bytes),
            None => SnapshotTransferBody::Gone,
        };
        let transfer = SnapshotTransfer { from: self.id, to: request.by, root: request.root, body };
        Output::Send(Packet::SnapshotTransfer(transfer))
    }
}

/// Whether the store is receiving a snapshot and needs another part of it now.
fn misses_part(storage: &Storage) -> bool {
    storage.parts_to_request().is_some_and(|(_, parts)| !parts.is_empty())
}

/// Records the reason for a failure. Returns true unless the previous failure had the same reason.
fn is_new_reason(before: &mut Option<Discriminant<AbandonReason>>, reason: &AbandonReason) -> bool {
    let reason = discriminant(reason);
    before.replace(reason) != Some(reason)
}

#[cfg(test)]
mod tests;
