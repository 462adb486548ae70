//! The disk of one node: writes wait in a queue until they are flushed.

use std::collections::VecDeque;

use quorate::types::{Entry, HardState, Index, Restored, SnapshotMeta, Write, WriteId};

/// What is durable, and the writes that are not yet.
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
        assert_eq!(restored.tail.len() as u64, restored.last.0, "the harness wants whole logs");
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

    /// Makes the oldest waiting write durable.
    pub(crate) fn flush_one(&mut self) -> Option<WriteId> {
        let write = self.queue.pop_front()?;
        replace_from(&mut self.entries, &write.entries);
        self.hard_state = write.hard_state.unwrap_or(self.hard_state);
        self.committed = write.committed;
        Some(write.id)
    }

    /// Makes every waiting write durable and names the last.
    pub(crate) fn flush_all(&mut self) -> Option<WriteId> {
        let mut last = None;
        while let Some(id) = self.flush_one() {
            last = Some(id);
        }
        last
    }

    /// What a crash leaves: everything durable, nothing that waited.
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

    /// The durable log.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The log as it will be once every waiting write is flushed.
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

    /// The durable entries `first..=last`.
    pub(crate) fn read(&self, first: Index, last: Index) -> Vec<Entry> {
        assert!(Index::ZERO < first && first <= last, "an empty range is never fetched");
        assert!(last.0 <= self.entries.len() as u64, "only durable entries are fetched");
        self.entries[first.0 as usize - 1..last.0 as usize].to_vec()
    }
}

/// Replaces everything at or after the first index of `entries`: the only way a log is cut.
fn replace_from(log: &mut Vec<Entry>, entries: &[Entry]) {
    let Some(first) = entries.first() else { return };
    let kept = first.id.index.0 as usize - 1;
    assert!(kept <= log.len(), "a write leaves no gap: {first:?} after {} entries", log.len());
    log.truncate(kept);
    log.extend_from_slice(entries);
    for (index, entry) in (1..).zip(log.iter()) {
        assert_eq!(entry.id.index, Index(index), "entries stand at their own index");
    }
}
