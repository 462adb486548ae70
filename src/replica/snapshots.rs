//! How snapshots are taken, sent and received beside everything else, and what of the log they make
//! superfluous.

use std::sync::Arc;

use crate::replica::config::ReplicaConfig;
use crate::replica::output::Output;
use crate::replica::receiving::{Offer, Receiving};
use crate::replica::serving::{Serving, Wanted};
use crate::replica::taking::Taking;
use crate::storage::{Event, PartOutcome, SnapshotEvent, Storage};
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
    /// How many were taken and received, since the start.
    pub(crate) come: (u64, u64),
}

/// What others have to know of a snapshot.
#[derive(Clone, Debug)]
pub(crate) enum Heard {
    /// One of this node's state machine is whole.
    Taken(SnapshotMeta),
    /// One that a peer sent is whole.
    Received(SnapshotMeta),
    /// A peer gets an answer.
    Served(Output),
}

impl Snapshots {
    /// `ends` is where the last two snapshots end.
    pub(crate) fn new(config: &ReplicaConfig, ends: (Index, Index)) -> Snapshots {
        let rate = config.snapshot_bytes_per_second;
        let (entries_max, bytes_max) = (config.snapshot_entries, config.snapshot_bytes);
        Snapshots {
            id: config.raft.id,
            trailing: config.trailing_entries,
            taking: Taking::new(entries_max, bytes_max, rate, ends),
            receiving: Receiving::new(config.parts_inflight_max, config.part_patience),
            serving: Serving::new(config.parts_inflight_max, rate),
            come: (0, 0),
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

    /// A peer needs a snapshot that ends later than those there are.
    pub(crate) fn demand(&mut self) {
        self.taking.demand();
    }

    /// The state is wrong: no snapshot of it is taken.
    pub(crate) fn disown(&mut self, storage: &mut Storage, events: &mut Vec<Event>) {
        self.on_view_failed(storage, events);
    }

    /// Asks for whatever is due now; for a view only if the state `stands`.
    pub(crate) fn advance(
        &mut self,
        now: Instant,
        stands: bool,
        storage: &mut Storage,
        events: &mut Vec<Event>,
        outputs: &mut Vec<Output>,
    ) {
        if stands && self.taking.begin(self.serving.is_busy()) {
            outputs.push(Output::Freeze);
        }
        if let Some(bytes) = self.taking.view(now) {
            outputs.push(Output::View { bytes });
        }
        if let Some(wanted) = self.serving.begin(now) {
            storage.serve_part(wanted.root, wanted.part, events);
        }
        if self.receiving.root().is_some()
            && let Some((root, parts)) = storage.wanted_parts()
            && let Some((to, parts)) = self.receiving.ask(now, root, parts)
        {
            for part in parts {
                let body = TransferBody::Request(part);
                let transfer = Transfer { from: self.id, to, root, body };
                outputs.push(Output::Send(Packet::Transfer(transfer)));
            }
        }
    }

    /// The worker froze a view of the state after `last`, when `membership` was in force. Nobody
    /// knows that any more if an installed snapshot has overtaken the view; nor does a node that
    /// joined later, and a snapshot that does not say who counts would help no peer.
    pub(crate) fn on_frozen(
        &mut self,
        last: EntryId,
        membership: Option<&Membership>,
        storage: &mut Storage,
        events: &mut Vec<Event>,
    ) {
        let begun =
            |membership: &Membership| storage.take_snapshot(last, membership.clone(), events);
        if self.taking.frozen() && !membership.is_some_and(begun) {
            self.taking.end();
        }
    }

    /// The driver read more of the view, or nothing at its end.
    pub(crate) fn on_viewed(
        &mut self,
        now: Instant,
        bytes: Vec<u8>,
        storage: &mut Storage,
        events: &mut Vec<Event>,
    ) {
        if !self.taking.viewed(now, bytes.len()) {
            return;
        }
        if bytes.is_empty() {
            storage.end_snapshot(events);
        } else {
            storage.write_snapshot(bytes, events);
        }
    }

    /// The view cannot be read on.
    pub(crate) fn on_view_failed(&mut self, storage: &mut Storage, events: &mut Vec<Event>) {
        // Before the view stands the store has begun nothing, and may be receiving.
        if self.taking.is_written() {
            storage.abandon_snapshot(events);
        }
        self.taking.end();
    }

    /// The node's own snapshot is in force: up to where the log may be forgotten.
    pub(crate) fn on_taken(&mut self, meta: &SnapshotMeta) -> Index {
        self.come.0 += 1;
        self.taking.end();
        self.taking.ended(meta.last.index);
        self.taking.base(self.trailing)
    }

    /// A received snapshot is in force.
    pub(crate) fn on_installed(&mut self, meta: &SnapshotMeta) {
        self.taking.ended(meta.last.index);
    }

    /// A peer offers a snapshot. Another than the one that is on its way only comes in if it
    /// `may_begin` to.
    pub(crate) fn on_offer(
        &mut self,
        now: Instant,
        (from, meta): (NodeId, SnapshotMeta),
        may_begin: bool,
        storage: &mut Storage,
        events: &mut Vec<Event>,
    ) {
        if self.receiving.offered(now, from, &meta, may_begin) == Offer::New
            && !storage.receive_snapshot(&meta, events)
        {
            self.receiving.end();
        }
    }

    /// Something became of a snapshot in the store. Returns what others have to know of it.
    pub(crate) fn on_event(
        &mut self,
        now: Instant,
        event: SnapshotEvent,
        chunk_bytes: usize,
    ) -> Option<Heard> {
        match event {
            SnapshotEvent::ChunkWanted => self.taking.wants(chunk_bytes),
            SnapshotEvent::Taken(meta) => {
                self.taking.whole();
                return Some(Heard::Taken(meta));
            }
            SnapshotEvent::Received(meta) => {
                self.come.1 += 1;
                self.receiving.end();
                return Some(Heard::Received(meta));
            }
            SnapshotEvent::Abandoned { last, .. } if self.receiving.last() == Some(last) => {
                self.receiving.end();
            }
            SnapshotEvent::Abandoned { .. } => self.taking.end(),
            SnapshotEvent::Part { bytes, .. } => {
                return Some(Heard::Served(self.served(now, Some(bytes))));
            }
            SnapshotEvent::Gone { .. } => return Some(Heard::Served(self.served(now, None))),
            // Its parts are gone from now on; whoever needs them takes another snapshot.
            SnapshotEvent::Damaged(_) => {}
        }
        None
    }

    /// A peer wants a part, or sends one. Only members are served. Bytes are what their hashes say,
    /// whoever sends them: a leader may have become a member since this node last heard.
    pub(crate) fn on_transfer(
        &mut self,
        now: Instant,
        transfer: Transfer,
        membership: &Membership,
        storage: &mut Storage,
        events: &mut Vec<Event>,
    ) {
        let Transfer { from, root, body, .. } = transfer;
        let awaited = self.receiving.root() == Some(root);
        match body {
            TransferBody::Request(part) if membership.is_member(from) => {
                self.serving.wanted(Wanted { by: from, root, part });
            }
            TransferBody::Bytes(part, bytes) if awaited => {
                if storage.receive_part(root, part, &bytes, events) == PartOutcome::Accepted {
                    self.receiving.arrived(now, part);
                }
            }
            TransferBody::Gone if awaited && self.receiving.from() == Some(from) => {
                storage.abandon_snapshot(events);
                self.receiving.end();
            }
            TransferBody::Request(_) | TransferBody::Bytes(..) | TransferBody::Gone => {}
        }
    }

    /// The store read the part that a peer waits for, or has it no longer.
    fn served(&mut self, now: Instant, bytes: Option<Arc<[u8]>>) -> Output {
        let wanted = self.serving.finish(now, bytes.as_ref().map_or(0, |bytes| bytes.len()));
        let body = match bytes {
            Some(bytes) => TransferBody::Bytes(wanted.part, bytes),
            None => TransferBody::Gone,
        };
        let transfer = Transfer { from: self.id, to: wanted.by, root: wanted.root, body };
        Output::Send(Packet::Transfer(transfer))
    }
}
