//! The store's requests about snapshots, which it passes on to
//! [`Snapshots`](crate::storage::snapshots::Snapshots).

use crate::storage::snapshots::PartOutcome;
use crate::storage::store::{Event, Storage};
use crate::types::{EntryId, Index, Membership, Root, SnapshotMeta, SnapshotPart};

impl Storage {
    /// Begins to take a snapshot of the state after `last`, under `membership`. Each
    /// [`ReadyForChunk`](crate::storage::SnapshotEvent::ReadyForChunk) is answered by
    /// [`Storage::write_snapshot`] or [`Storage::end_snapshot`]. Returns false if another
    /// snapshot is being taken or received, if a complete one is at least as new, or if the store
    /// has failed. The new snapshot replaces a file of this index that was not verified, and the
    /// current snapshot if it is damaged.
    #[must_use]
    pub fn take_snapshot(
        &mut self,
        last: EntryId,
        membership: Membership,
        events: &mut Vec<Event>,
    ) -> bool {
        if self.failed {
            return false;
        }
        let begun = self.snapshots.begin(&mut self.operations, last, membership);
        self.advance(events);
        begun
    }

    /// Writes the next chunk of the snapshot being taken: exactly `chunk_bytes` long, except the
    /// last. Does nothing if the snapshot was abandoned meanwhile.
    ///
    /// # Panics
    /// If no chunk was requested, or the chunk has the wrong size.
    pub fn write_snapshot(&mut self, bytes: Vec<u8>, events: &mut Vec<Event>) {
        if self.failed {
            return;
        }
        self.snapshots.chunk(&mut self.operations, bytes);
        self.advance(events);
    }

    /// Ends the snapshot being taken, after its last chunk. Does nothing if it was abandoned
    /// meanwhile.
    ///
    /// # Panics
    /// If no chunk was requested.
    pub fn end_snapshot(&mut self, events: &mut Vec<Event>) {
        if self.failed {
            return;
        }
        self.snapshots.end(&mut self.operations);
        self.advance(events);
    }

    /// Abandons the snapshot that is being taken or received, if one is, and frees its space. No
    /// event reports that.
    pub fn abandon_snapshot(&mut self, events: &mut Vec<Event>) {
        if self.failed {
            return;
        }
        self.snapshots.abandon(&mut self.operations);
        self.advance(events);
    }

    /// Begins or continues to receive the snapshot `meta`, in place of another one that is being
    /// taken or received; reports it at once if it is complete. Returns false for the empty state,
    /// if another snapshot, complete or being taken, is at least as new, or if the store has
    /// failed.
    #[must_use]
    pub fn receive_snapshot(&mut self, meta: &SnapshotMeta, events: &mut Vec<Event>) -> bool {
        if self.failed {
            return false;
        }
        let begun = self.snapshots.receive(&mut self.operations, meta);
        self.advance(events);
        begun
    }

    /// Returns the root of the snapshot being received, and its missing parts that may be requested
    /// now.
    #[must_use]
    pub fn parts_to_request(&self) -> Option<(Root, Vec<SnapshotPart>)> {
        self.snapshots.parts_to_request()
    }

    /// Handles a part of the snapshot `root` that a peer has sent.
    pub fn receive_part(
        &mut self,
        root: Root,
        part: SnapshotPart,
        bytes: &[u8],
        events: &mut Vec<Event>,
    ) -> PartOutcome {
        if self.failed {
            return PartOutcome::NotNeeded;
        }
        let outcome = self.snapshots.part(&mut self.operations, root, part, bytes);
        self.advance(events);
        outcome
    }

    /// Reads a part of the snapshot `root` for a peer: a `Part`, `PartUnreadable` or
    /// `PartUnavailable` event follows, or no event if the chunk is being read already or
    /// `serving_max` reads are pending.
    pub fn serve_part(&mut self, root: Root, part: SnapshotPart, events: &mut Vec<Event>) {
        if self.failed {
            return;
        }
        self.snapshots.serve(&mut self.operations, root, part);
        self.advance(events);
    }

    /// Returns the last index of the newest complete snapshot before the current one that is not
    /// known to be damaged, or 0 if there is none. The log after it is kept, so that the node
    /// survives damage to the current one.
    #[must_use]
    pub fn previous_snapshot(&self) -> Index {
        self.snapshots.previous().map_or(Index::ZERO, |meta| meta.last.index)
    }
}
