//! The disk of one node: writes wait in a queue until they are flushed.

use std::collections::VecDeque;

use quorate::types::{Entry, HardState, Index, Restored, SnapshotMeta, Write, WriteId};

/// The durable state, and the pending writes.
pub(crate) struct Disk {
    hard_state: HardState,
    committed: Index,
    snapshot: SnapshotMeta,
    entries: Vec<Entry>,
    queue: VecDeque<Write>,
}

impl Disk {
    pub(crate) fn of(restored: &Restored) -> Disk {
        assert_eq!(restored.snapshot.last.index, Index::ZERO, "the harness has no snapshots");
        assert_eq!(restored.tail.len() as u64, restored.last.0, "the harness requires whole logs");
        Disk {
            hard_state: restored.hard_state,
            committed: restored.committed,
            snapshot: restored.snapshot.clone(),
            entries: restored.tail.clone(),
            queue: VecDeque::new(),
        }
    }

    pub(crate) fn submit(&mut self, write: Write) {
        self.queue.push_back(write);
    }

    /// Makes the oldest pending write durable.
    pub(crate) fn flush_one(&mut self) -> Option<WriteId> {
        let write = self.queue.pop_front()?;
        replace_from(&mut self.entries, &write.entries);
        self.hard_state = write.hard_state.unwrap_or(self.hard_state);
        self.committed = write.committed;
        Some(write.id)
    }

    /// Makes every pending write durable, and returns the last.
    pub(crate) fn flush_all(&mut self) -> Option<WriteId> {
        let mut last = None;
        while let Some(id) = self.flush_one() {
            last = Some(id);
        }
        last
    }

    /// Drops the pending writes, as a crash does.
    pub(crate) fn crash(&mut self) {
        self.queue.clear();
    }

    pub(crate) fn restored(&self) -> Restored {
        let (snapshot, entries) = (self.snapshot.clone(), self.entries.clone());
        Restored::with_log(self.hard_state, self.committed, snapshot, entries)
    }

    pub(crate) fn hard_state(&self) -> HardState {
        self.hard_state
    }

    /// Returns the durable log.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Returns the log as it will be once every pending write is flushed.
    pub(crate) fn submitted_entries(&self) -> Vec<Entry> {
        let mut entries = self.entries.clone();
        for write in &self.queue {
            replace_from(&mut entries, &write.entries);
        }
        entries
    }

    pub(crate) fn waiting(&self) -> impl Iterator<Item = &Write> {
        self.queue.iter()
    }

    /// Returns the durable entries `first..=last`.
    pub(crate) fn read(&self, first: Index, last: Index) -> Vec<Entry> {
        assert!(Index::ZERO < first && first <= last, "an empty range is never fetched");
        assert!(last.0 <= self.entries.len() as u64, "only durable entries are fetched");
        self.entries[first.0 as usize - 1..last.0 as usize].to_vec()
    }
}

/// Replaces all entries at or after the first index of `entries`, the only way to truncate a log.
fn replace_from(log: &mut Vec<Entry>, entries: &[Entry]) {
    let Some(first) = entries.first() else { return };
    let kept = first.id.index.0 as usize - 1;
    assert!(kept <= log.len(), "a write leaves no gap: {first:?} after {} entries", log.len());
    log.truncate(kept);
    log.extend_from_slice(entries);
    for (index, entry) in (1..).zip(log.iter()) {
        assert_eq!(entry.id.index, Index(index), "each entry is at its own index");
    }
}
