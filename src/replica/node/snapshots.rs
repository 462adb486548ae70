//! What a node does about snapshots: its own, those that peers send, and starting over from one.

use crate::raft;
use crate::replica::node::{Node, Task};
use crate::replica::output::{Note, Output, Work};
use crate::replica::snapshots::Heard;
use crate::storage::SnapshotEvent;
use crate::types::{NodeId, Packet, SnapshotMeta, Standing, Transfer, TransferBody};

impl Node {
    /// A peer wants a part of a snapshot, or sends one.
    pub(super) fn on_transfer(&mut self, transfer: Transfer) {
        if !self.validation.stands() && matches!(transfer.body, TransferBody::Request(_)) {
            let Transfer { from: to, to: from, root, .. } = transfer;
            let gone = Transfer { from, to, root, body: TransferBody::Gone };
            return self.outputs.push(Output::Send(Packet::Transfer(gone)));
        }
        let (storage, events) = (&mut self.storage, &mut self.events);
        let membership = self.raft.membership();
        self.snapshots.on_transfer(self.now, transfer, membership, storage, events);
    }

    /// Something became of a snapshot in the store.
    pub(super) fn on_snapshot_event(&mut self, event: SnapshotEvent) {
        let chunk_bytes = self.config.storage.snapshots.chunk_bytes as usize;
        match self.snapshots.on_event(self.now, event, chunk_bytes) {
            Some(Heard::Taken(meta)) => self.storage.set_snapshot(meta, &mut self.events),
            Some(Heard::Received(meta)) if self.may_rebuild_from(&meta) => {
                self.validation.rebuild_from(meta.clone());
                self.storage.set_snapshot(meta, &mut self.events);
            }
            Some(Heard::Received(meta)) => {
                self.note(|| Note::SnapshotReceived(meta.clone()));
                self.tell(raft::Input::SnapshotReceived { meta });
            }
            Some(Heard::Served(output)) => self.outputs.push(output),
            None => {}
        }
    }

    /// This node's own snapshot is in force. The log that this makes superfluous may go: first the
    /// algorithm forgets it, then the disk.
    pub(super) fn on_snapshot_recorded(&mut self, meta: SnapshotMeta) {
        if self.validation.rebuilds_from() == Some(&meta) {
            return self.snapshots.on_installed(&meta);
        }
        self.note(|| Note::SnapshotTaken(meta.clone()));
        let base = self.snapshots.on_taken(&meta);
        self.step_raft(raft::Input::SnapshotTaken { meta, base });
        self.storage.forget(base, &mut self.events);
    }

    /// The machine starts over from a snapshot that is installed: what became of the entries it
    /// covers is not known here.
    pub(super) fn on_restore(&mut self, meta: SnapshotMeta) {
        if self.validation.standing() == Standing::Divided {
            return;
        }
        let lost = self.requests.skipped(meta.last.index);
        self.outputs.extend(lost.map(|tag| Output::Unknown { tag }));
        self.snapshots.on_installed(&meta);
        let (task, work) = match self.validation.stands() {
            true => (Task::Restores, Work::Restore(meta)),
            false => (Task::Rebuilds, Work::Rebuild(meta)),
        };
        assert_eq!(self.task, Task::Idle, "a machine starts over between two batches");
        self.task = task;
        self.outputs.push(Output::Work(work));
    }

    /// A peer offers a snapshot. None begins to be received while the machine starts over: of two
    /// that were put in force meanwhile, the second would have the file removed that is being read.
    pub(super) fn on_snapshot_offer(&mut self, from: NodeId, meta: SnapshotMeta) {
        let may_begin = !matches!(self.task, Task::Restores | Task::Rebuilds);
        let (storage, events) = (&mut self.storage, &mut self.events);
        self.snapshots.on_offer(self.now, (from, meta), may_begin, storage, events);
    }
}
