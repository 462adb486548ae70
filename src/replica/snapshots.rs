//! How snapshots are taken, sent and received beside everything else, and what of the log they make
//! superfluous.

use crate::raft::Status;
use crate::replica::config::ReplicaConfig;
use crate::replica::output::Output;
use crate::replica::receiving::{Offer, Receiving};
use crate::replica::serving::{Serving, Wanted};
use crate::replica::taking::Taking;
use crate::storage::{Event, Storage};
use crate::types::{
    Entry, EntryId, Index, Instant, Membership, NodeId, Packet, SnapshotMeta, Transfer,
    TransferBody,
};

/// The snapshots that come and go.
#[derive(Clone, Debug)]
pub(crate) struct Snapshots {
    id: NodeId,
    trailing: u64,
    taking: Taking,
    receiving: Receiving,
    serving: Serving,
}

impl Snapshots {
    /// `ends` is where the last two snapshots end.
    pub(crate) fn new(config: &ReplicaConfig, members: usize, ends: (Index, Index)) -> Snapshots {
        let rate = config.snapshot_bytes_per_second;
        let (entries_max, bytes_max) = (config.snapshot_entries, config.snapshot_bytes);
        Snapshots {
            id: config.raft.id,
            trailing: config.trailing_entries,
            taking: Taking::new(entries_max, bytes_max, rate, ends),
            receiving: Receiving::new(config.parts_inflight_max, config.part_patience),
            serving: Serving::new(members * config.parts_inflight_max, rate),
        }
    }

    /// When [`Snapshots::advance`] has something to do at the latest.
    pub(crate) fn deadline(&self) -> Instant {
        let (taking, receiving) = (self.taking.deadline(), self.receiving.deadline());
        taking.min(receiving).min(self.serving.deadline())
    }

    /// The machine gets these entries.
    pub(crate) fn count(&mut self, entries: &[Entry]) {
        self.taking.count(entries);
    }

    /// Asks for whatever is due now.
    pub(crate) fn advance(
        &mut self,
        now: Instant,
        storage: &mut Storage,
        events: &mut Vec<Event>,
        outputs: &mut Vec<Output>,
    ) {
        if self.taking.begin(self.serving.is_busy()) {
            outputs.push(Output::Freeze);
        }
        if let Some(bytes) = self.taking.view(now) {
            outputs.push(Output::View { bytes });
        }
        if let Some(wanted) = self.serving.begin(now) {
            storage.read_part(wanted.root, wanted.part, events);
        }
        if let Some(root) = self.receiving.root()
            && let Some((to, parts)) = self.receiving.ask(now, storage.wanted_parts())
        {
            for part in parts {
                let body = TransferBody::Request(part);
                let transfer = Transfer { from: self.id, to, root, body };
                outputs.push(Output::Send(Packet::Transfer(transfer)));
            }
        }
    }

    /// The worker froze a view of the state after `last`.
    pub(crate) fn on_frozen(
        &mut self,
        last: EntryId,
        membership: &Membership,
        storage: &mut Storage,
        events: &mut Vec<Event>,
    ) {
        if self.taking.frozen() {
            storage.begin_snapshot(last, membership.clone(), events);
        }
    }

    /// The driver read more of the view.
    pub(crate) fn on_viewed(
        &mut self,
        now: Instant,
        bytes: Vec<u8>,
        storage: &mut Storage,
        events: &mut Vec<Event>,
    ) {
        if let Some(ends) = self.taking.viewed(now, bytes.len()) {
            storage.write_snapshot(bytes, ends, events);
        }
    }

    /// The store wants so many bytes more of the view.
    pub(crate) fn on_wants(&mut self, bytes: usize) {
        self.taking.wants(bytes);
    }

    /// The snapshot that was being taken comes to nothing.
    pub(crate) fn on_abandoned(&mut self) {
        self.taking.end();
    }

    /// The view cannot be read on.
    pub(crate) fn on_view_failed(&mut self, storage: &mut Storage, events: &mut Vec<Event>) {
        if self.taking.is_under_way() {
            storage.abandon_snapshot(events);
            self.taking.end();
        }
    }

    /// The node's own snapshot is in force: up to where the log may be forgotten.
    pub(crate) fn on_taken(&mut self, meta: &SnapshotMeta) -> Index {
        self.taking.end();
        self.taking.ended(meta.last.index);
        self.taking.base(self.trailing)
    }

    /// A received snapshot is in force.
    pub(crate) fn on_installed(&mut self, meta: &SnapshotMeta) {
        self.taking.ended(meta.last.index);
    }

    /// A leader offers a snapshot.
    pub(crate) fn on_offer(
        &mut self,
        now: Instant,
        from: NodeId,
        meta: SnapshotMeta,
        storage: &mut Storage,
        events: &mut Vec<Event>,
    ) {
        if self.receiving.offered(now, from, meta.clone()) == Offer::New {
            storage.receive_snapshot(meta, events);
        }
    }

    /// The snapshot that was being received is whole, or comes to nothing.
    pub(crate) fn on_received(&mut self) {
        self.receiving.end();
    }

    /// A peer wants a part, or sends one.
    pub(crate) fn on_transfer(
        &mut self,
        now: Instant,
        transfer: Transfer,
        storage: &mut Storage,
        events: &mut Vec<Event>,
    ) {
        let Transfer { from, root, body, .. } = transfer;
        let awaited = self.receiving.root() == Some(root);
        match body {
            TransferBody::Request(part) => self.serving.wanted(Wanted { by: from, root, part }),
            TransferBody::Bytes(part, bytes) if awaited => {
                if storage.receive_part(part, &bytes, events) {
                    self.receiving.arrived(now, part);
                }
            }
            TransferBody::Gone if awaited => {
                storage.abandon_receiving(events);
                self.receiving.end();
            }
            TransferBody::Bytes(..) | TransferBody::Gone => {}
        }
    }

    /// The store read the part that a peer waits for, or has it no longer.
    pub(crate) fn on_part_read(&mut self, now: Instant, bytes: Option<Vec<u8>>) -> Output {
        let wanted = self.serving.finish(now, bytes.as_ref().map_or(0, Vec::len));
        let body = match bytes {
            Some(bytes) => TransferBody::Bytes(wanted.part, bytes.into()),
            None => TransferBody::Gone,
        };
        let transfer = Transfer { from: self.id, to: wanted.by, root: wanted.root, body };
        Output::Send(Packet::Transfer(transfer))
    }
}
