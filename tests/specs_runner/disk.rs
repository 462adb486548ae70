//! A node's disk: its durable image and the pending writes.

use std::collections::{BTreeSet, VecDeque};

use quorate::types::WriteId;
use quorate::types::{
    DamagedEntry, Entry, EntryId, HardState, Incarnation, Index, Membership, Restored,
    SnapshotMeta, Write,
};

use super::message::entries_after;
use super::settings::{entry_id, node, switch, term, whole};

/// The durable content of a disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) hard_state: HardState,
    pub(crate) committed: Index,
    /// The last entry of the last snapshot, the membership at that entry, and the base of the log,
    /// which is at that entry or before.
    pub(crate) snapshot: EntryId,
    pub(crate) membership: Membership,
    pub(crate) base: EntryId,
    /// The entries after the base.
    pub(crate) log: Vec<Entry>,
    /// The indices of the entries whose content is lost.
    pub(crate) damaged: BTreeSet<Index>,
    /// The incarnation of the disk; zero if the script does not distinguish disks.
    pub(crate) incarnation: Incarnation,
    /// The disk was emptied: it has no membership.
    pub(crate) is_new: bool,
    /// Whether the state machine keeps durable state of its own.
    machine_is_durable: bool,
    /// The number of last entries that a start loads into memory; `None` for all of them.
    tail: Option<usize>,
}

/// A disk: its image, and the pending writes, oldest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    pub(crate) image: Image,
    waiting: VecDeque<Write>,
}

impl Image {
    /// Reads `log=1,1,2 term=2 vote=n1 committed=1`, or a log that follows `snapshot=3@t1`.
    pub(crate) fn parse(options: &[(&str, &str)]) -> Result<Image, String> {
        let mut image = Image::default();
        let mut terms = "";
        for (key, value) in options {
            match *key {
                "new" => {
                    image.incarnation = Incarnation(whole(value)?.into());
                    image.is_new = true;
                }
                "log" => terms = value,
                "snapshot" => image.snapshot = entry_id(value)?,
                "term" => image.hard_state.term = term(value)?,
                "vote" => image.hard_state.vote = Some(node(value)?),
                "uncertain" => image.hard_state.is_uncertain = switch(value)?,
                "machine" if *value == "durable" => image.machine_is_durable = true,
                "committed" => image.committed = Index(whole(value)?),
                "tail" => image.tail = Some(usize::try_from(whole(value)?).expect("fits")),
                _ => return Err(format!("`{key}={value}` is not a disk option")),
            }
        }
        image.base = image.snapshot;
        image.log = entries_after(image.base.index, terms)?;
        image.hard_state.term = image.hard_state.term.max(image.last().term);
        Ok(image)
    }

    /// The last entry, or the base of an empty log.
    pub(crate) fn last(&self) -> EntryId {
        self.log.last().map_or(self.base, |entry| entry.id)
    }

    /// Records a snapshot and compacts the log through `base`.
    pub(crate) fn take_snapshot(&mut self, snapshot: SnapshotMeta, base: EntryId) {
        (self.snapshot, self.membership) = (snapshot.last, snapshot.membership);
        self.base = base;
        self.log.retain(|entry| entry.id.index > base.index);
        self.damaged.retain(|index| *index > base.index);
    }

    /// Sets the number of last entries that the next start loads into memory.
    pub(crate) fn set_tail(&mut self, tail: Option<usize>) {
        self.tail = tail;
    }

    /// Returns the state that a node restores from this disk.
    pub(crate) fn restored(&self) -> Restored {
        let base = SnapshotMeta::empty(self.base, self.membership.clone());
        let mut restored =
            Restored::with_log(self.hard_state, self.committed, base, self.log.clone());
        restored.snapshot = SnapshotMeta::empty(self.snapshot, self.membership.clone());
        restored.memberships.retain(|(index, _)| *index > self.snapshot.index);
        restored.applied = self.snapshot.index;
        restored.machine.is_durable = self.machine_is_durable;
        restored.incarnation = self.incarnation;
        restored.damaged = self.damaged_entries();
        let is_damaged = |entry: &DamagedEntry, index| entry.id.index == index;
        restored
            .memberships
            .retain(|(index, _)| !restored.damaged.iter().any(|entry| is_damaged(entry, *index)));
        let after_damage = self.damaged.last().map_or(self.log.len(), |last| {
            self.log.iter().filter(|entry| entry.id.index > *last).count()
        });
        let kept = self.tail.unwrap_or(self.log.len()).min(after_damage);
        restored.tail.drain(..self.log.len() - kept);
        restored
    }

    /// Returns the damaged entries.
    pub(crate) fn damaged_entries(&self) -> Vec<DamagedEntry> {
        let damaged = self.log.iter().filter(|entry| self.damaged.contains(&entry.id.index));
        let place = |entry: &Entry| DamagedEntry {
            id: entry.id,
            is_membership: entry.membership().is_some(),
        };
        damaged.map(place).collect()
    }

    /// Writes the contents of damaged entries back, and returns the repaired entries.
    pub(crate) fn repair(&mut self, contents: &[Entry]) -> Vec<EntryId> {
        let log = &self.log;
        let fits = |entry: &&Entry| log.contains(entry) && self.damaged.contains(&entry.id.index);
        let repaired: Vec<EntryId> = contents.iter().filter(fits).map(|entry| entry.id).collect();
        self.damaged.retain(|index| repaired.iter().all(|id| id.index != *index));
        repaired
    }

    /// Returns the first of the entries `first..=last`, up to `bytes_max` bytes but at least one.
    /// The disk must have them unless they are compacted, and returns none from the first damaged
    /// one on.
    pub(crate) fn entries(
        &self,
        first: Index,
        last: Index,
        bytes_max: usize,
    ) -> Result<Vec<Entry>, String> {
        if first <= self.base.index {
            return Ok(Vec::new());
        }
        let offset = |index: Index| index.0 - self.base.index.0;
        let position = |index| usize::try_from(offset(index)).expect("a position fits");
        let range = position(first).saturating_sub(1)..position(last);
        let held = self.log.get(range).filter(|entries| !entries.is_empty());
        let wrong = || format!("fetches {first}..={last}, which its disk does not hold");
        let mut entries = held.ok_or_else(wrong)?.to_vec();
        let mut bytes = 0;
        let intact = entries.iter().take_while(|entry| !self.damaged.contains(&entry.id.index));
        entries.truncate(intact.count());
        entries.retain(|entry| {
            bytes += entry.bytes();
            bytes <= bytes_max || entry.id.index == first
        });
        Ok(entries)
    }

    fn write(&mut self, write: &Write) {
        if let Some(hard_state) = write.hard_state {
            self.hard_state = hard_state;
        }
        self.committed = self.committed.max(write.committed);
        if let Some(meta) = &write.install {
            self.take_snapshot(SnapshotMeta::clone(meta), meta.last);
            self.log.clear();
            self.damaged.clear();
        }
        if let Some(first) = write.entries.first() {
            self.log.retain(|entry| entry.id.index < first.id.index);
            self.damaged.retain(|index| *index < first.id.index);
            self.log.extend(write.entries.iter().cloned());
        }
    }
}

impl Disk {
    /// Returns a disk with the content `image`.
    pub(crate) fn new(image: Image) -> Disk {
        Disk { image, waiting: VecDeque::new() }
    }

    /// Queues a write, which is not durable yet.
    pub(crate) fn submit(&mut self, write: Write) {
        self.waiting.push_back(write);
    }

    /// Makes the oldest `count` writes durable and returns the last of them, if any.
    pub(crate) fn flush(&mut self, count: Option<usize>) -> Option<WriteId> {
        let count = count.unwrap_or(self.waiting.len()).min(self.waiting.len());
        let mut done = None;
        for write in self.waiting.drain(..count) {
            self.image.write(&write);
            done = Some(write.id);
        }
        done
    }

    /// Drops the pending writes and returns their number.
    pub(crate) fn lose(&mut self) -> usize {
        let lost = self.waiting.len();
        self.waiting.clear();
        lost
    }

    /// Returns the content after all pending writes.
    pub(crate) fn intended(&self) -> Image {
        let mut image = self.image.clone();
        self.waiting.iter().for_each(|write| image.write(write));
        image
    }
}
