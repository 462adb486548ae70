//! What the store does with snapshots: it hands on what their own part says, and lets the
//! superblock name the one in force.

use crate::storage::snapshots::PartOutcome;
use crate::storage::store::{Event, Storage};
use crate::types::{EntryId, Index, Membership, Part, Root, SnapshotMeta};

impl Storage {
    /// Begins to take a snapshot of the state after `last`, under `membership`. Each
    /// [`ChunkWanted`](crate::storage::SnapshotEvent::ChunkWanted) is answered by
    /// [`Storage::write_snapshot`] or [`Storage::end_snapshot`]. False if it is of no use,
    /// or other work of the kind is under way.
    #[must_use]
    pub fn take_snapshot(
        &mut self,
        last: EntryId,
        membership: Membership,
        events: &mut Vec<Event>,
    ) -> bool {
        let begun = self.snapshots.begin(&mut self.operations, last, membership);
        self.advance(events);
        begun
    }

    /// The next chunk of the snapshot being taken: of exactly the configured size, save the last.
    ///
    /// # Panics
    /// If it was not asked for, or has the wrong size.
    pub fn write_snapshot(&mut self, bytes: Vec<u8>, events: &mut Vec<Event>) {
        self.snapshots.chunk(&mut self.operations, bytes);
        self.advance(events);
    }

    /// The snapshot being taken has all its content.
    ///
    /// # Panics
    /// If no chunk was asked for.
    pub fn end_snapshot(&mut self, events: &mut Vec<Event>) {
        self.snapshots.end(&mut self.operations);
        self.advance(events);
    }

    /// Gives up the snapshot that is being taken or received.
    pub fn abandon_snapshot(&mut self, events: &mut Vec<Event>) {
        self.snapshots.abandon(&mut self.operations);
        self.advance(events);
    }

    /// Begins to receive the snapshot `meta`, or goes on with it. False if it is of no use.
    #[must_use]
    pub fn receive_snapshot(&mut self, meta: &SnapshotMeta, events: &mut Vec<Event>) -> bool {
        let begun = self.snapshots.receive(&mut self.operations, meta);
        self.advance(events);
        begun
    }

    /// The snapshot being received, and its parts that are missing and may be asked for now.
    #[must_use]
    pub fn wanted_parts(&self) -> Option<(Root, Vec<Part>)> {
        self.snapshots.wanted()
    }

    /// A part of the snapshot `root` has come from a peer.
    pub fn receive_part(
        &mut self,
        root: Root,
        part: Part,
        bytes: &[u8],
        events: &mut Vec<Event>,
    ) -> PartOutcome {
        let outcome = self.snapshots.part(&mut self.operations, root, part, bytes);
        self.advance(events);
        outcome
    }

    /// A peer wants a part of the snapshot `root`: [`Part`](crate::storage::SnapshotEvent::Part) or
    /// [`Gone`](crate::storage::SnapshotEvent::Gone) follows.
    pub fn serve_part(&mut self, root: Root, part: Part, events: &mut Vec<Event>) {
        self.snapshots.serve(&mut self.operations, root, part);
        self.advance(events);
    }

    /// Where the whole snapshot before the one in force ends; 0 if there is none. The log after it
    /// is kept: with it, damage to the one in force can be survived.
    #[must_use]
    pub fn previous_snapshot(&self) -> Index {
        self.snapshots.previous().map_or(Index::ZERO, |meta| meta.last.index)
    }
}
