//! When a snapshot of the state machine is taken, and how it goes on: a frozen view is read piece
//! by piece, at a bounded rate, and each piece is written before the next is read.

use crate::replica::pace::Pace;
use crate::types::{Entry, Index, Instant};

/// How far the taking of a snapshot is.
#[derive(Clone, Debug)]
pub(crate) struct Taking {
    stage: Stage,
    pace: Pace,
    /// What was handed to the machine since the last snapshot was begun.
    entries: u64,
    bytes: u64,
    entries_max: u64,
    bytes_max: u64,
    /// A peer or the user wants a snapshot that is yet to be begun, however little was handed over.
    demanded: bool,
    /// Where the last two snapshots end.
    last: Index,
    older: Index,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// No snapshot is being taken.
    Idle,
    /// The worker was asked for a view.
    Freezing,
    /// The store wants so many bytes of it.
    Wanting(usize),
    /// The driver was asked for them.
    Viewing(usize),
    /// The store writes, or checks what it has written.
    Writing,
    /// The snapshot is whole, and on its way to being in force.
    Recording,
}

impl Taking {
    /// `last` and `older` are where the last two snapshots end.
    pub(crate) fn new(
        entries_max: u64,
        bytes_max: u64,
        bytes_per_second: u64,
        (last, older): (Index, Index),
    ) -> Taking {
        let pace = Pace::new(bytes_per_second);
        Taking {
            stage: Stage::Idle,
            pace,
            entries: 0,
            bytes: 0,
            entries_max,
            bytes_max,
            demanded: false,
            last,
            older,
        }
    }

    /// The machine gets these entries.
    pub(crate) fn count(&mut self, entries: &[Entry]) {
        self.entries += entries.len() as u64;
        self.bytes += entries.iter().map(|entry| entry.bytes() as u64).sum::<u64>();
    }

    /// A peer or the user wants a snapshot of what is there now: one is begun as soon as none is
    /// under way. One that is may not go so far.
    pub(crate) fn demand(&mut self) {
        self.demanded = true;
    }

    /// Whether to ask for a view now. While a peer is served its snapshot is left in peace for as
    /// long again: each new one would in the end take it away.
    pub(crate) fn begin(&mut self, serves: bool) -> bool {
        let times = if serves { 2 } else { 1 };
        let due = self.entries / times >= self.entries_max || self.bytes / times >= self.bytes_max;
        if self.stage != Stage::Idle || !(due || self.demanded) {
            return false;
        }
        self.demanded = false;
        self.stage = Stage::Freezing;
        (self.entries, self.bytes) = (0, 0);
        true
    }

    /// The view stands; false if nobody waits for one.
    pub(crate) fn frozen(&mut self) -> bool {
        let awaited = self.stage == Stage::Freezing;
        if awaited {
            self.stage = Stage::Writing;
        }
        awaited
    }

    /// The store wants the next bytes.
    pub(crate) fn wants(&mut self, bytes: usize) {
        assert_eq!(self.stage, Stage::Writing, "one piece is written at a time");
        self.stage = Stage::Wanting(bytes);
    }

    /// How many bytes to ask the driver for now, if any.
    pub(crate) fn view(&mut self, now: Instant) -> Option<usize> {
        let Stage::Wanting(bytes) = self.stage else { return None };
        if now < self.pace.ready_at() {
            return None;
        }
        self.stage = Stage::Viewing(bytes);
        Some(bytes)
    }

    /// The driver read `bytes` bytes; false if nobody waits for them.
    pub(crate) fn viewed(&mut self, now: Instant, bytes: usize) -> bool {
        let Stage::Viewing(asked) = self.stage else { return false };
        assert!(bytes <= asked, "contract: no more of a view is read than was asked for");
        self.pace.pass(now, bytes);
        self.stage = Stage::Writing;
        true
    }

    /// The snapshot that was being taken is whole, or one that a peer sent is in force: it ends at
    /// `last`.
    pub(crate) fn ended(&mut self, last: Index) {
        if last > self.last {
            self.older = core::mem::replace(&mut self.last, last);
        }
    }

    /// The snapshot is whole: the store may begin to receive another one.
    pub(crate) fn whole(&mut self) {
        self.stage = Stage::Recording;
    }

    /// No snapshot is being taken any more.
    pub(crate) fn end(&mut self) {
        self.stage = Stage::Idle;
    }

    /// Whether the store writes the snapshot that is being taken.
    pub(crate) fn is_written(&self) -> bool {
        matches!(self.stage, Stage::Wanting(_) | Stage::Viewing(_) | Stage::Writing)
    }

    /// Up to where the log may be forgotten, if `trailing` entries are kept before the last
    /// snapshot, and everything after the one before it.
    pub(crate) fn base(&self, trailing: u64) -> Index {
        self.older.min(Index(self.last.0.saturating_sub(trailing)))
    }

    /// When the next bytes may be asked for.
    pub(crate) fn deadline(&self) -> Instant {
        match self.stage {
            Stage::Wanting(_) => self.pace.ready_at(),
            _ => Instant::NEVER,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{EntryId, Payload, Term};

    fn entries(count: u64) -> Vec<Entry> {
        let id = |index| EntryId::new(Term(1), Index(index));
        (1..=count).map(|index| Entry { id: id(index), payload: Payload::Noop }).collect()
    }

    fn taking() -> Taking {
        Taking::new(3, 1 << 20, 1_000, (Index(7), Index(4)))
    }

    #[test]
    fn so_many_entries_or_bytes_are_enough_for_a_snapshot() {
        let mut taking = taking();
        taking.count(&entries(2));
        assert!(!taking.begin(false));
        taking.count(&entries(1));
        assert!(!taking.begin(true), "a peer is being served");
        assert!(taking.begin(false));
        assert!(!taking.begin(false), "one at a time");
        let mut by_bytes = Taking::new(1 << 20, 90, 1_000, (Index(0), Index(0)));
        by_bytes.count(&entries(3));
        assert!(by_bytes.begin(false));
    }

    #[test]
    fn a_demand_during_a_snapshot_is_met_after_it_and_once() {
        let mut taking = taking();
        taking.demand();
        assert!(taking.begin(false));
        assert!(taking.frozen());
        taking.demand();
        taking.demand();
        assert!(!taking.begin(false), "one at a time");
        taking.whole();
        assert!(!taking.begin(false), "it is not in force yet");
        taking.end();
        assert!(taking.begin(false));
        assert!(taking.frozen());
        taking.end();
        assert!(!taking.begin(false), "nobody wants another one");
    }

    #[test]
    fn the_view_is_read_piece_by_piece_no_faster_than_allowed() {
        let mut taking = taking();
        taking.count(&entries(3));
        taking.begin(false);
        assert!(taking.frozen());
        taking.wants(500);
        let now = Instant(1_000_000_000);
        assert_eq!(taking.view(now), Some(500));
        assert_eq!(taking.view(now), None, "it was asked for");
        assert!(taking.viewed(now, 500));
        taking.wants(500);
        assert_eq!(taking.view(now), None, "the rate");
        assert_eq!(taking.deadline(), Instant(1_500_000_000));
        assert_eq!(taking.view(taking.deadline()), Some(500));
        assert!(taking.viewed(taking.deadline(), 20));
        assert!(!taking.viewed(taking.deadline(), 20), "nobody asked for more");
        assert!(taking.is_written());
        taking.whole();
        assert!(!taking.is_written(), "there is nothing left to abandon");
        taking.count(&entries(3));
        assert!(!taking.begin(false), "it is not in force yet");
    }

    #[test]
    fn the_log_is_kept_after_the_older_snapshot_and_some_entries_before_the_last() {
        let mut taking = taking();
        assert_eq!(taking.base(0), Index(4));
        assert_eq!(taking.base(5), Index(2));
        assert_eq!(taking.base(50), Index(0));
        taking.ended(Index(20));
        assert_eq!(taking.base(5), Index(7));
        taking.ended(Index(20));
        assert_eq!(taking.base(0), Index(7), "told twice");
    }
}
