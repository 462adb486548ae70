//! A node's disk: what is durable, and the writes on their way there.

use std::collections::VecDeque;

use quorate::types::{
    Entry, EntryId, HardState, Index, Membership, Restored, SnapshotMeta, Write, WriteId,
};

/// What a crash leaves of the writes that were submitted and not yet durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// This many of their parts, in order: each hard state and each entry is one.
    Parts(u64),
    /// All of them.
    All,
}

/// One node's disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    hard_state: HardState,
    committed: Index,
    /// The whole log: the entry at index i stands at place i - 1.
    log: Vec<Entry>,
    /// The first entry of each term in the log.
    runs: Vec<EntryId>,
    /// Submitted and not durable, in order.
    queue: VecDeque<Write>,
    /// How many writes at the front of the queue the flush under way covers.
    flushing: usize,
    /// The last write that became durable.
    durable: WriteId,
}

impl Disk {
    /// Term and vote, as they are durable.
    pub(crate) fn hard_state(&self) -> HardState {
        self.hard_state
    }

    /// The commit hint, as it is durable.
    pub(crate) fn committed(&self) -> Index {
        self.committed
    }

    /// The log, as it is durable.
    pub(crate) fn log(&self) -> &[Entry] {
        &self.log
    }

    /// The durable entries from `first` on, at most `count`.
    pub(crate) fn read(&self, first: Index, count: u64) -> &[Entry] {
        let start = (first.previous().0 as usize).min(self.log.len());
        let end = start.saturating_add(count as usize).min(self.log.len());
        &self.log[start..end]
    }

    /// The last write that became durable.
    pub(crate) fn durable(&self) -> WriteId {
        self.durable
    }

    /// How many parts the writes that are not yet durable have.
    pub(crate) fn parts_unflushed(&self) -> u64 {
        self.queue.iter().map(parts).sum()
    }

    /// Takes a write into the queue.
    pub(crate) fn submit(&mut self, write: Write) {
        self.queue.push_back(write);
    }

    /// Starts a flush of at most `writes_max` writes; false if there is nothing to flush or one
    /// is under way.
    pub(crate) fn start_flush(&mut self, writes_max: usize) -> bool {
        if self.flushing > 0 || self.queue.is_empty() {
            return false;
        }
        self.flushing = self.queue.len().min(writes_max);
        true
    }

    /// The next write that the finished flush made durable; `None` once all are taken.
    pub(crate) fn finish_flush(&mut self) -> Option<Write> {
        if self.flushing == 0 {
            return None;
        }
        self.flushing -= 1;
        let write = self.queue.pop_front()?;
        self.durable = write.id;
        self.store(&write);
        Some(write)
    }

    /// The power fails: what `kept` names becomes durable and is returned, a write cut short
    /// last; the rest is gone.
    pub(crate) fn crash(&mut self, kept: Kept) -> Vec<Write> {
        let mut left = match kept {
            Kept::Parts(count) => count,
            Kept::All => u64::MAX,
        };
        let mut survivors = Vec::new();
        for mut write in self.queue.drain(..) {
            let whole = parts(&write);
            if left < whole {
                let entries = left.saturating_sub(u64::from(write.hard_state.is_some()));
                write.entries.truncate(entries as usize);
                write.hard_state = write.hard_state.filter(|_| left > 0);
            }
            if left > 0 {
                survivors.push(write);
            }
            left = left.saturating_sub(whole);
            if left == 0 {
                break;
            }
        }
        survivors.iter().for_each(|write| self.store(write));
        self.flushing = 0;
        self.durable = WriteId::ZERO;
        survivors
    }

    /// What a node starts from, with the last `tail` entries in hand.
    pub(crate) fn restore(&self, membership: Membership, tail: usize) -> Restored {
        Restored {
            hard_state: self.hard_state,
            committed: self.committed,
            snapshot: SnapshotMeta::empty(EntryId::ZERO, membership),
            base: EntryId::ZERO,
            runs: self.runs.clone(),
            last: Index(self.log.len() as u64),
            tail: self.log[self.log.len() - tail.min(self.log.len())..].to_vec(),
            applied: Index::ZERO,
        }
    }

    fn store(&mut self, write: &Write) {
        if let Some(hard_state) = write.hard_state {
            self.hard_state = hard_state;
        }
        self.committed = write.committed;
        let Some(first) = write.entries.first() else { return };
        let place = first.id.index.previous().0 as usize;
        assert!(place <= self.log.len(), "a write leaves a hole in the log before {}", first.id);
        self.log.truncate(place);
        while self.runs.last().is_some_and(|run| run.index >= first.id.index) {
            self.runs.pop();
        }
        for entry in &write.entries {
            if self.runs.last().is_none_or(|run| run.term != entry.id.term) {
                self.runs.push(entry.id);
            }
            self.log.push(entry.clone());
        }
    }
}

/// In how many steps a write becomes durable.
fn parts(write: &Write) -> u64 {
    u64::from(write.hard_state.is_some()) + write.entries.len() as u64
}

#[cfg(test)]
mod tests {
    use quorate::types::{NodeId, Payload, Term};

    use super::*;

    fn entry(term: u64, index: u64) -> Entry {
        Entry { id: EntryId::new(Term(term), Index(index)), payload: Payload::Noop }
    }

    fn write(id: u64, term: Option<u64>, entries: &[(u64, u64)]) -> Write {
        let vote = Some(NodeId(1));
        Write {
            id: WriteId(id),
            hard_state: term.map(|term| HardState { term: Term(term), vote }),
            committed: Index(id - 1),
            install: None,
            entries: entries.iter().map(|(term, index)| entry(*term, *index)).collect(),
        }
    }

    fn loaded() -> Disk {
        let mut disk = Disk::default();
        disk.submit(write(1, Some(1), &[(1, 1), (1, 2), (1, 3)]));
        assert!(disk.start_flush(9));
        assert!(disk.finish_flush().is_some());
        assert_eq!(disk.finish_flush(), None);
        disk.submit(write(2, Some(2), &[]));
        disk.submit(write(3, None, &[(2, 2), (2, 3)]));
        disk
    }

    #[test]
    fn nothing_is_durable_before_its_flush_ends() {
        let mut disk = Disk::default();
        disk.submit(write(1, Some(4), &[(4, 1)]));
        assert!(disk.start_flush(1));
        assert_eq!(disk.log(), &[]);
        assert_eq!(disk.hard_state(), HardState::default());
        disk.finish_flush();
        assert_eq!(disk.log(), &[entry(4, 1)]);
        assert_eq!(disk.durable(), WriteId(1));
    }

    #[test]
    fn a_flush_covers_only_what_was_there_when_it_started() {
        let mut disk = Disk::default();
        disk.submit(write(1, Some(1), &[]));
        assert!(disk.start_flush(9));
        disk.submit(write(2, Some(2), &[]));
        assert!(!disk.start_flush(9), "one flush at a time");
        assert_eq!(disk.finish_flush().map(|write| write.id), Some(WriteId(1)));
        assert_eq!(disk.finish_flush(), None);
        assert_eq!(disk.hard_state().term, Term(1));
    }

    #[test]
    fn a_crash_keeps_a_prefix_of_the_parts() {
        let expect = [
            (0, 1, &[1, 1, 1][..], 0),
            (1, 2, &[1, 1, 1][..], 1),
            (2, 2, &[1, 2][..], 2),
            (3, 2, &[1, 2, 2][..], 2),
            (9, 2, &[1, 2, 2][..], 2),
        ];
        for (kept, term, terms, survivors) in expect {
            let mut disk = loaded();
            assert_eq!(disk.parts_unflushed(), 3);
            assert_eq!(disk.crash(Kept::Parts(kept)).len(), survivors, "{kept}");
            assert_eq!(disk.hard_state().term, Term(term), "{kept}");
            let found: Vec<u64> = disk.log().iter().map(|entry| entry.id.term.0).collect();
            assert_eq!(found, terms, "{kept}");
            assert_eq!(disk.parts_unflushed(), 0);
        }
    }

    #[test]
    fn a_write_cut_short_is_shown_with_what_is_left_of_it() {
        let mut disk = loaded();
        let kept = disk.crash(Kept::Parts(2));
        assert_eq!(kept[1].entries, vec![entry(2, 2)]);
    }

    #[test]
    fn the_runs_follow_the_log_through_truncation() {
        let mut disk = loaded();
        disk.crash(Kept::All);
        let restored = disk.restore(Membership::new([NodeId(1)]), 1);
        assert_eq!(restored.runs, vec![entry(1, 1).id, entry(2, 2).id]);
        assert_eq!(restored.tail, vec![entry(2, 3)]);
        assert_eq!(restored.last, Index(3));
    }
}
