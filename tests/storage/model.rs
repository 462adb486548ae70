//! A simple model of the storage: a hard state, a snapshot and a vector of entries.

use quorate::types::{Entries, Entry, EntryId, HardState, Index, Membership, SnapshotMeta, Write};

use super::host::membership;

/// The hard state, the snapshot and the log that a store must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Model {
    pub(super) hard_state: HardState,
    pub(super) snapshot: SnapshotMeta,
    /// The entry before the first, as long as the log is not compacted.
    pub(super) base: EntryId,
    pub(super) entries: Vec<Entry>,
}

impl Model {
    pub(super) fn new() -> Model {
        Model {
            hard_state: HardState::default(),
            snapshot: SnapshotMeta::empty(EntryId::ZERO, membership()),
            base: EntryId::ZERO,
            entries: Vec::new(),
        }
    }

    pub(super) fn last(&self) -> EntryId {
        self.entries.last().map_or(self.base, |entry| entry.id)
    }

    /// Returns the model after a write.
    pub(super) fn after(&self, write: &Write) -> Model {
        let mut after = self.clone();
        after.hard_state = write.hard_state.unwrap_or(self.hard_state);
        if let Some(meta) = &write.install {
            after.snapshot = SnapshotMeta::clone(meta);
            after.base = meta.last;
            after.entries.clear();
        }
        if let Some(first) = write.entries.first() {
            after.entries.retain(|entry| entry.id.index < first.id.index);
        }
        after.entries.extend(write.entries.iter().cloned());
        after
    }

    /// Returns every state that a crash during the write may leave: a prefix of its parts.
    pub(super) fn during(&self, write: &Write) -> Vec<Model> {
        let mut bare = write.clone();
        let mut states = vec![self.clone()];
        bare.install = None;
        bare.entries = Entries::new();
        states.push(self.after(&bare));
        bare.install = write.install.clone();
        for entry in write.entries.iter().cloned().map(Some).chain([None]) {
            states.push(self.after(&bare));
            bare.entries.append(entry.into_iter().collect());
        }
        states
    }

    /// Returns the entries after `base`.
    pub(super) fn entries_after(&self, base: Index) -> Vec<Entry> {
        let after = |entry: &&Entry| entry.id.index > base;
        self.entries.iter().filter(after).cloned().collect()
    }

    /// Returns the memberships after `snapshot`.
    pub(super) fn memberships_after(&self, snapshot: Index) -> Vec<(Index, Membership)> {
        self.entries_after(snapshot).iter().filter_map(Entry::membership).collect()
    }

    /// Returns the first entry of each term after `base`.
    pub(super) fn runs_after(&self, base: EntryId) -> Vec<EntryId> {
        let mut term = base.term;
        let mut runs = Vec::new();
        for entry in self.entries_after(base.index) {
            if entry.id.term != term {
                term = entry.id.term;
                runs.push(entry.id);
            }
        }
        runs
    }
}
