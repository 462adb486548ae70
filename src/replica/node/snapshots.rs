//! Snapshot handling of a node: own snapshots, those from peers, and restoring from one.

use crate::raft;
use crate::replica::node::{Compaction, Node, Task};
use crate::replica::output::{Note, Output, Work};
use crate::replica::snapshots::SnapshotProgress;
use crate::storage::SnapshotEvent;
use crate::types::{NodeId, Packet, SnapshotMeta, SnapshotTransfer, SnapshotTransferBody};

impl Node {
    /// Handles a transfer message. Parts are served to members only, and a node whose state machine
    /// is not usable serves none.
    pub(super) fn on_transfer(&mut self, transfer: SnapshotTransfer) {
        let is_request = matches!(transfer.body, SnapshotTransferBody::Request(_));
        let is_member = self.raft.membership().is_member(transfer.from);
        if is_request && !(is_member && self.validation.is_usable()) {
            let SnapshotTransfer { from: to, to: from, root, .. } = transfer;
            let gone = SnapshotTransfer { from, to, root, body: SnapshotTransferBody::Gone };
            return self.outputs.push(Output::Send(Packet::SnapshotTransfer(gone)));
        }
        let (storage, events) = (&mut self.storage, &mut self.events);
        self.snapshots.on_transfer(self.now, transfer, storage, events);
    }

    /// Handles a snapshot event of the store.
    pub(super) fn on_snapshot_event(&mut self, event: SnapshotEvent) {
        let chunk_bytes = self.config.storage.snapshots.chunk_bytes as usize;
        let progress = self.snapshots.on_event(self.now, event, chunk_bytes);
        self.on_snapshot_progress(progress);
    }

    /// Handles a step of a snapshot.
    pub(super) fn on_snapshot_progress(&mut self, progress: Option<SnapshotProgress>) {
        match progress {
            Some(SnapshotProgress::Taken(meta)) => {
                self.storage.set_snapshot(meta, &mut self.events)
            }
            Some(SnapshotProgress::Received(meta))
                if self.validation.may_rebuild_from(
                    &meta,
                    self.storage.snapshot(),
                    self.raft.log(),
                ) =>
            {
                self.validation.rebuild_from(meta.clone());
                self.storage.set_snapshot(meta, &mut self.events);
            }
            Some(SnapshotProgress::Received(meta)) => {
                self.notes.push(|| Note::SnapshotReceived(meta.clone()));
                self.inputs.push_back(raft::Input::SnapshotReceived { meta });
            }
            Some(SnapshotProgress::Served(output)) => self.outputs.push(output),
            Some(SnapshotProgress::Damaged(damage)) => {
                // A replacement of an older snapshot must end after the current one, and without
                // this no-op there might be no later state.
                self.inputs.push_back(raft::Input::AppendNoop);
                self.outputs.push(Output::KeptSnapshotDamaged(damage));
            }
            Some(SnapshotProgress::NotTaken(reason)) => {
                self.outputs.push(Output::SnapshotNotTaken(reason));
            }
            Some(SnapshotProgress::NotReceived(last, reason)) => {
                self.outputs.push(Output::SnapshotNotReceived { last, reason });
            }
            None => {}
        }
    }

    /// Handles a snapshot that the store has recorded as the current one. Returns the compaction of
    /// the log that the snapshot allows; `None` for the snapshot of a rebuild, because the start of
    /// the rebuild compacts the log.
    pub(super) fn on_snapshot_recorded(&mut self, meta: SnapshotMeta) -> Option<Compaction> {
        if self.validation.rebuild_snapshot() == Some(&meta) {
            self.snapshots.on_installed(&meta);
            return None;
        }
        self.notes.push(|| Note::SnapshotTaken(meta.clone()));
        let base = self.snapshots.on_recorded(&meta, self.storage.previous_snapshot());
        Some(Compaction { input: raft::Input::SnapshotTaken { meta, base }, base })
    }

    /// Restores the state machine from an installed snapshot. The outcomes of the covered entries
    /// are unknown on this node.
    pub(super) fn on_restore(&mut self, meta: SnapshotMeta) {
        if !self.validation.may_restore() {
            return;
        }
        let lost = self.requests.skipped(meta.last.index);
        self.outputs.extend(lost.map(|tag| Output::Unknown { tag }));
        self.snapshots.on_installed(&meta);
        let (task, work) = match self.validation.is_usable() {
            true => (Task::Restoring, Work::Restore(meta)),
            false => (Task::Rebuilding, Work::Rebuild(meta)),
        };
        assert_eq!(self.task, Task::Idle, "a restore starts between two batches");
        self.task = task;
        self.outputs.push(Output::Work(work));
    }

    /// Handles a peer's offer of a snapshot. No transfer starts while the worker restores, or is
    /// about to: the store keeps the last two snapshots only, so further received ones could
    /// remove the file that the worker reads.
    pub(super) fn on_snapshot_offer(&mut self, from: NodeId, meta: SnapshotMeta) {
        let log = self.raft.log();
        let may_restore = self.validation.may_restore();
        let will_restore = may_restore && log.applied() < log.snapshot().index;
        let may_start = !will_restore && !matches!(self.task, Task::Restoring | Task::Rebuilding);
        let (storage, events) = (&mut self.storage, &mut self.events);
        self.snapshots.on_offer(self.now, from, &meta, may_start, storage, events);
    }
}
