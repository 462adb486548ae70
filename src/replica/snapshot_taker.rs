//! Taking snapshots of the state machine: a frozen view is read in pieces at a bounded rate, and
//! each piece is written before the next is read.

use core::time::Duration;

use crate::replica::rate_limiter::RateLimiter;
use crate::replica::retry_delay::RetryDelay;
use crate::types::{Entry, EntryId, Index, Instant};

/// The progress of the snapshot that is being taken, and the conditions for the next one.
#[derive(Clone, Debug)]
pub(crate) struct SnapshotTaker {
    stage: Stage,
    rate: RateLimiter,
    /// The number and the size of the entries passed to the state machine since the last snapshot
    /// was started.
    entries: u64,
    bytes: u64,
    entries_max: u64,
    bytes_max: u64,
    /// Whether a peer, an operator or the node itself (because of damage or a failed snapshot) has
    /// requested a snapshot that is not started yet.
    demanded: bool,
    /// The time at which a failed snapshot is requested again; [`Instant::NEVER`] if none failed.
    retry_at: Instant,
    retry_delay: RetryDelay,
    /// The number of requests for a view or for its bytes that the driver has not answered yet,
    /// although their snapshot has ended.
    stale_answers: u32,
    /// Whether the driver may hold a view: it has frozen one, and has not read it to its end.
    holds_view: bool,
    /// The last index of the current snapshot, taken or received.
    last: Index,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// No snapshot is being taken.
    Idle,
    /// The node has requested a view from the worker.
    Freezing,
    /// The view of the state after this entry waits until the entry is durable in the log: a
    /// snapshot ahead of the log would leave a gap after a crash.
    Frozen(EntryId),
    /// The store is ready for the next bytes of the view, at most this many.
    WantsBytes(usize),
    /// The node has requested at most this many bytes from the driver.
    Reading(usize),
    /// The store writes bytes, or verifies the written snapshot.
    Writing,
    /// The snapshot, which ends at this index, is completely written. The store records it as the
    /// current one, unless it records a later one.
    Recording(Index),
}

impl SnapshotTaker {
    /// `last` is the last index of the current snapshot. A failed snapshot is taken again after
    /// `retry_after`; the delay doubles with each failure, up to [`RetryDelay::FACTOR_MAX`] times
    /// `retry_after`.
    pub(crate) fn new(
        entries_max: u64,
        bytes_max: u64,
        bytes_per_second: u64,
        retry_after: Duration,
        last: Index,
    ) -> SnapshotTaker {
        assert!(entries_max > 0 && bytes_max > 0, "a snapshot covers entries");
        let rate = RateLimiter::new(bytes_per_second);
        SnapshotTaker {
            stage: Stage::Idle,
            rate,
            entries: 0,
            bytes: 0,
            entries_max,
            bytes_max,
            demanded: false,
            retry_at: Instant::NEVER,
            retry_delay: RetryDelay::new(retry_after),
            stale_answers: 0,
            holds_view: false,
            last,
        }
    }

    /// Counts entries that go to the state machine.
    pub(crate) fn count(&mut self, entries: &[Entry]) {
        self.entries += entries.len() as u64;
        self.bytes += entries.iter().map(|entry| entry.bytes() as u64).sum::<u64>();
    }

    /// Requests a snapshot of the current state. It is started as soon as none is in progress,
    /// because one in progress may cover only an earlier index.
    pub(crate) fn demand(&mut self) {
        self.demanded = true;
    }

    /// Requests a snapshot of the current state, unless one is in progress, or a failed one will be
    /// taken again after its delay.
    pub(crate) fn demand_if_idle(&mut self) {
        self.demanded |= self.stage == Stage::Idle && self.retry_at == Instant::NEVER;
    }

    /// Handles a failure to read or write the snapshot in progress, or to begin it: it ends, and
    /// another one is due after a delay, without waiting for further entries.
    pub(crate) fn failed(&mut self, now: Instant) {
        self.end();
        self.retry_at = now.after(self.retry_delay.next());
    }

    /// Handles the driver's answer that the view cannot be frozen or read: the snapshot is taken
    /// again after a delay. Returns true if the view cannot be read: then the store's snapshot in
    /// progress has failed. If the state cannot be frozen, because the state machine is ahead of
    /// the sessions, the store has not begun the snapshot.
    pub(crate) fn view_failed(&mut self, now: Instant) -> bool {
        self.holds_view = false;
        if self.is_stale_answer() || !self.awaits_answer() {
            return false;
        }
        let was_reading = matches!(self.stage, Stage::Reading(_));
        // No answer is outstanding any more, so `end` must not expect a stale one.
        self.stage = Stage::Writing;
        self.failed(now);
        was_reading
    }

    /// Counts the driver's answer, which has just arrived. Returns true if it is to a request for a
    /// snapshot that has ended. The driver answers in the order of the requests.
    fn is_stale_answer(&mut self) -> bool {
        let is_stale = self.stale_answers > 0;
        self.stale_answers -= u32::from(is_stale);
        is_stale
    }

    /// Returns true if a request of the snapshot in progress is not answered yet.
    fn awaits_answer(&self) -> bool {
        matches!(self.stage, Stage::Freezing | Stage::Reading(_))
    }

    /// Requests a snapshot in place of a failed one, if that is due.
    pub(crate) fn retry(&mut self, now: Instant) {
        if now >= self.retry_at {
            self.retry_at = Instant::NEVER;
            self.demanded = true;
        }
    }

    /// Begins a snapshot if one is requested, or if enough entries were applied; returns true if
    /// the node must request a view now. While the node `serves` a snapshot to a peer, the
    /// thresholds are doubled, because taking newer snapshots removes the one that is served.
    pub(crate) fn start(&mut self, serves: bool) -> bool {
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

    /// Handles a frozen view of the state after `last`, unless none was requested.
    pub(crate) fn on_frozen(&mut self, last: EntryId) {
        self.holds_view = true;
        if !self.is_stale_answer() && self.stage == Stage::Freezing {
            self.stage = Stage::Frozen(last);
        }
    }

    /// Returns the last entry of the frozen view, once, if the store must write the view now: the
    /// log is durable up to `durable`, which covers that entry.
    pub(crate) fn write(&mut self, durable: Index) -> Option<EntryId> {
        match self.stage {
            Stage::Frozen(last) if last.index <= durable => {
                self.stage = Stage::Writing;
                Some(last)
            }
            _ => None,
        }
    }

    /// Handles the store's request for the next bytes.
    pub(crate) fn want(&mut self, bytes: usize) {
        assert_eq!(self.stage, Stage::Writing, "one piece is written at a time");
        assert!(bytes > 0, "a piece is not empty");
        self.stage = Stage::WantsBytes(bytes);
    }

    /// Returns the number of bytes to request from the driver now, if any.
    pub(crate) fn view(&mut self, now: Instant) -> Option<usize> {
        let Stage::WantsBytes(bytes) = self.stage else { return None };
        if now < self.rate.ready_at() {
            return None;
        }
        self.stage = Stage::Reading(bytes);
        Some(bytes)
    }

    /// Handles `bytes` bytes that the driver read. Returns false if none were requested.
    pub(crate) fn on_viewed(&mut self, now: Instant, bytes: usize) -> bool {
        self.holds_view &= bytes > 0;
        if self.is_stale_answer() {
            return false;
        }
        let Stage::Reading(requested) = self.stage else { return false };
        assert!(bytes <= requested, "contract: a view read returns at most the requested bytes");
        self.rate.spend(now, bytes);
        self.stage = Stage::Writing;
        true
    }

    /// Returns true, once, if the driver must drop its view, because the snapshot has ended before
    /// the view. The driver must have answered every request before: it could otherwise drop the
    /// next view.
    pub(crate) fn drop_view(&mut self) -> bool {
        let is_unused = self.stage == Stage::Idle && self.stale_answers == 0 && self.holds_view;
        self.holds_view &= !is_unused;
        is_unused
    }

    /// Sets the last index of the current snapshot, taken or received. If a written snapshot waits
    /// to be recorded and does not end later, it is no longer in progress: the store has recorded
    /// it, or ignores it. If `last` is later than that of the previous snapshot, a failed snapshot
    /// is not retried. Returns true if the current snapshot is the taken one.
    pub(crate) fn set_last(&mut self, last: Index) -> bool {
        let recorded = match self.stage {
            Stage::Recording(own) if own <= last => Some(own),
            _ => None,
        };
        if recorded.is_some() {
            self.end();
        }
        if last > self.last || recorded == Some(last) {
            self.last = last;
            self.retry_at = Instant::NEVER;
            self.retry_delay.reset();
        }
        recorded == Some(last)
    }

    /// Marks the snapshot, which ends at `last`, as completely written: the store may start to
    /// receive another one. If the current snapshot ends later, the written one is dropped at once.
    /// A current snapshot that ends at the same index was damaged.
    pub(crate) fn written(&mut self, last: Index) {
        self.stage = if last >= self.last { Stage::Recording(last) } else { Stage::Idle };
    }

    /// Ends the snapshot in progress, finished or not.
    pub(crate) fn end(&mut self) {
        self.stale_answers += u32::from(self.awaits_answer());
        self.stage = Stage::Idle;
    }

    /// Returns true if the store is writing the snapshot in progress.
    pub(crate) fn is_writing(&self) -> bool {
        matches!(self.stage, Stage::WantsBytes(_) | Stage::Reading(_) | Stage::Writing)
    }

    /// Returns true if the snapshot is completely written, and waits until the store records it or
    /// a later one.
    pub(crate) fn is_recording(&self) -> bool {
        matches!(self.stage, Stage::Recording(_))
    }

    /// Returns the time from which the next bytes may be requested, or a failed snapshot is
    /// requested again.
    pub(crate) fn deadline(&self) -> Instant {
        match self.stage {
            Stage::WantsBytes(_) => self.rate.ready_at().min(self.retry_at),
            _ => self.retry_at,
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

    fn freeze(taker: &mut SnapshotTaker) {
        let last = EntryId::new(Term(1), Index(9));
        taker.on_frozen(last);
        assert_eq!(taker.write(last.index), Some(last));
    }

    fn taker() -> SnapshotTaker {
        SnapshotTaker::new(3, 1 << 20, 1_000, Duration::from_secs(1), Index(7))
    }

    #[test]
    fn a_snapshot_starts_after_enough_entries_or_bytes() {
        let mut taker = taker();
        taker.count(&entries(2));
        assert!(!taker.start(false));
        taker.count(&entries(1));
        assert!(!taker.start(true), "a snapshot is being sent");
        assert!(taker.start(false));
        assert!(!taker.start(false), "one snapshot at a time");
        let second = Duration::from_secs(1);
        let mut by_bytes = SnapshotTaker::new(1 << 20, 90, 1_000, second, Index(0));
        by_bytes.count(&entries(3));
        assert!(by_bytes.start(false));
        by_bytes.end();
        assert!(!by_bytes.start(false), "the next one waits for as many bytes");
    }

    #[test]
    fn requests_during_a_snapshot_start_one_more_after_it() {
        let mut taker = taker();
        taker.demand();
        assert!(taker.start(false));
        freeze(&mut taker);
        taker.demand();
        taker.demand();
        assert!(!taker.start(false), "one snapshot at a time");
        taker.written(Index(9));
        assert!(!taker.start(false), "the snapshot is not recorded yet");
        assert!(taker.set_last(Index(9)));
        assert!(taker.start(false));
        freeze(&mut taker);
        taker.end();
        assert!(!taker.start(false), "no further snapshot is requested");
    }

    #[test]
    fn a_failed_snapshot_is_taken_again_without_further_entries() {
        let mut taker = taker();
        taker.demand();
        assert!(taker.start(false));
        freeze(&mut taker);
        let second = |number: u64| Instant(number * 1_000_000_000);
        taker.failed(second(5));
        taker.retry(Instant(second(6).0 - 1));
        assert!(!taker.start(false), "the disk gets time to recover");
        assert_eq!(taker.deadline(), second(6));
        taker.retry(second(6));
        assert_eq!(taker.deadline(), Instant::NEVER, "nothing more to wait for");
        assert!(taker.start(false));
        assert!(!taker.view_failed(second(7)), "the store has nothing of it");
        assert_eq!(taker.deadline(), second(9), "each failure doubles the delay");
        taker.retry(second(9));
        assert!(taker.start(false));
        freeze(&mut taker);
        taker.failed(second(10));
        assert!(!taker.set_last(Index(12)), "a received snapshot replaces the failed one");
        assert_eq!(taker.deadline(), Instant::NEVER);
        taker.retry(second(100));
        assert!(!taker.start(false));
    }

    #[test]
    fn a_late_answer_about_an_ended_snapshot_says_nothing_about_the_next() {
        let mut taker = taker();
        taker.demand();
        assert!(taker.start(false));
        freeze(&mut taker);
        taker.want(500);
        assert_eq!(taker.view(Instant(1)), Some(500));
        taker.end();
        taker.demand();
        assert!(taker.start(false));
        assert!(!taker.view_failed(Instant(2)), "the bytes of the first view");
        freeze(&mut taker);
        taker.want(500);
        assert_eq!(taker.view(Instant(3)), Some(500));
        assert!(taker.view_failed(Instant(4)), "the bytes of the second one");
    }

    #[test]
    fn a_view_of_an_ended_snapshot_is_not_taken_for_that_of_the_next() {
        let (mut taker, next) = (taker(), EntryId::new(Term(1), Index(12)));
        taker.demand();
        assert!(taker.start(false));
        taker.end();
        taker.demand();
        assert!(taker.start(false));
        taker.on_frozen(EntryId::new(Term(1), Index(9)));
        assert_eq!(taker.write(Index(20)), None, "the worker has frozen the first view only");
        taker.on_frozen(next);
        assert_eq!(taker.write(Index(20)), Some(next));
    }

    #[test]
    fn a_view_is_written_once_the_log_is_durable_up_to_its_last_entry() {
        let (mut taker, last) = (taker(), EntryId::new(Term(2), Index(12)));
        taker.on_frozen(last);
        assert_eq!(taker.write(Index(12)), None, "no view was requested");
        taker.demand();
        assert!(taker.start(false));
        assert_eq!(taker.write(Index(12)), None, "the view is not frozen yet");
        taker.on_frozen(last);
        assert_eq!(taker.write(Index(11)), None, "a crash could lose the entry");
        assert!(!taker.is_writing(), "the store has nothing to abandon");
        assert!(!taker.start(false), "one snapshot at a time");
        assert_eq!(taker.write(Index(12)), Some(last));
        assert_eq!(taker.write(Index(13)), None, "a view is written once");
        assert!(taker.is_writing());
    }

    #[test]
    fn a_view_that_is_not_read_to_its_end_is_dropped_once_every_request_is_answered() {
        let (mut taker, last) = (taker(), EntryId::new(Term(1), Index(9)));
        taker.demand();
        assert!(taker.start(false));
        taker.end();
        assert!(!taker.drop_view(), "the driver has not frozen it yet");
        taker.on_frozen(last);
        assert!(taker.drop_view());
        assert!(!taker.drop_view(), "it is dropped once");
        taker.demand();
        assert!(taker.start(false));
        freeze(&mut taker);
        taker.want(500);
        assert_eq!(taker.view(Instant(1)), Some(500));
        assert!(!taker.drop_view(), "it is being read");
        taker.end();
        taker.demand();
        assert!(!taker.drop_view(), "the driver reads it");
        assert!(taker.start(false));
        assert!(!taker.on_viewed(Instant(2), 500));
        assert!(!taker.drop_view(), "the next view replaces it");
        freeze(&mut taker);
        taker.want(500);
        assert_eq!(taker.view(Instant(3)), Some(500));
        assert!(taker.on_viewed(Instant(4), 0));
        taker.written(last.index);
        assert!(taker.set_last(last.index));
        assert!(!taker.drop_view(), "it was read to its end");
        taker.demand();
        assert!(taker.start(false));
        assert!(!taker.view_failed(Instant(5)));
        assert!(!taker.drop_view(), "there is none");
    }

    #[test]
    fn the_view_is_read_in_pieces_within_the_rate() {
        let mut taker = taker();
        taker.count(&entries(3));
        taker.start(false);
        freeze(&mut taker);
        taker.want(500);
        let now = Instant(1_000_000_000);
        assert_eq!(taker.view(now), Some(500));
        assert_eq!(taker.view(now), None, "these bytes are requested already");
        assert!(taker.on_viewed(now, 500));
        taker.want(500);
        assert_eq!(taker.view(now), None, "the rate");
        assert_eq!(taker.deadline(), Instant(1_500_000_000));
        assert_eq!(taker.view(taker.deadline()), Some(500));
        assert!(taker.on_viewed(taker.deadline(), 20));
        assert!(!taker.on_viewed(taker.deadline(), 20), "no more were requested");
        assert!(taker.is_writing());
        taker.written(Index(9));
        assert!(!taker.is_writing(), "there is nothing left to abandon");
        taker.count(&entries(3));
        assert!(!taker.start(false), "the snapshot is not recorded yet");
    }

    #[test]
    fn another_snapshot_ends_the_one_being_taken_only_if_it_is_recorded_in_its_place() {
        let mut taker = taker();
        taker.demand();
        assert!(taker.start(false));
        freeze(&mut taker);
        assert!(!taker.set_last(Index(8)), "an adopted snapshot is not the node's own");
        taker.want(500);
        taker.written(Index(9));
        taker.demand();
        assert!(!taker.set_last(Index(8)));
        assert!(!taker.start(false), "the node's own snapshot is not recorded yet");
        assert!(!taker.set_last(Index(10)), "the store ignores the earlier one");
        assert!(taker.start(false));
        freeze(&mut taker);
        taker.written(Index(9));
        taker.demand();
        assert!(taker.start(false), "the store has a snapshot that ends later");
        taker.on_frozen(EntryId::new(Term(1), Index(10)));
        assert!(taker.write(Index(10)).is_some());
        taker.written(Index(10));
        taker.demand();
        assert!(!taker.start(false), "it replaces the current one, which is damaged");
        assert!(taker.set_last(Index(10)));
        assert!(taker.start(false));
    }

    #[test]
    fn a_repeated_demand_waits_for_the_snapshot_in_progress_or_for_the_delay_after_a_failure() {
        let mut taker = taker();
        taker.demand_if_idle();
        assert!(taker.start(false));
        freeze(&mut taker);
        taker.demand_if_idle();
        let second = |number: u64| Instant(number * 1_000_000_000);
        taker.failed(second(5));
        taker.demand_if_idle();
        taker.retry(Instant(second(6).0 - 1));
        assert!(!taker.start(false), "a full disk would be filled again and again");
        taker.retry(second(6));
        assert!(taker.start(false));
        taker.end();
        taker.demand_if_idle();
        assert!(taker.start(false));
    }
}
