//! The sender of snapshot parts: it reads one part at a time, at a bounded rate.
//!
//! The number of pending requests is bounded for each peer.

use core::time::Duration;
use std::collections::VecDeque;

use crate::replica::rate_limiter::RateLimiter;
use crate::types::{Instant, NodeId, Root, SnapshotPart};

/// The snapshot parts that peers requested.
#[derive(Clone, Debug)]
pub(crate) struct SnapshotSender {
    waiting: VecDeque<PartRequest>,
    /// The maximum number of pending requests of one peer.
    waiting_max: usize,
    /// The part that is being read from the disk.
    reading: Option<PartRequest>,
    rate: RateLimiter,
    /// The time for which a peer is assumed to wait for a part after its last request.
    wait_max: Duration,
    waits_until: Instant,
}

/// A requested part, and the node that requested it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PartRequest {
    pub(crate) by: NodeId,
    pub(crate) root: Root,
    pub(crate) part: SnapshotPart,
}

impl SnapshotSender {
    pub(crate) fn new(
        waiting_max: usize,
        bytes_per_second: u64,
        wait_max: Duration,
    ) -> SnapshotSender {
        assert!(waiting_max > 0, "a peer may have a request");
        let rate = RateLimiter::new(bytes_per_second);
        let (waiting, waits_until) = (VecDeque::new(), Instant::ZERO);
        SnapshotSender { waiting, waiting_max, reading: None, rate, wait_max, waits_until }
    }

    /// Adds a peer's request that arrives at `now`. A request beyond the peer's bound is dropped;
    /// the peer repeats it.
    pub(crate) fn enqueue(&mut self, now: Instant, wanted: PartRequest) {
        self.waits_until = now.after(self.wait_max);
        let known = self.waiting.contains(&wanted) || self.reading == Some(wanted);
        let own = self.waiting.iter().filter(|other| other.by == wanted.by).count();
        if !known && own < self.waiting_max {
            self.waiting.push_back(wanted);
        }
        debug_assert!(
            self.waiting.iter().filter(|other| other.by == wanted.by).count() <= self.waiting_max,
            "the requests of a peer are bounded"
        );
    }

    /// Returns the part to read from disk now, if any.
    pub(crate) fn start(&mut self, now: Instant) -> Option<PartRequest> {
        if self.reading.is_some() || now < self.rate.ready_at() {
            return None;
        }
        self.reading = self.waiting.pop_front();
        self.reading
    }

    /// Ends the current read of `bytes` bytes, 0 if the part is unavailable. Returns its request.
    pub(crate) fn finish(&mut self, now: Instant, bytes: usize) -> PartRequest {
        self.rate.spend(now, bytes);
        self.reading.take().expect("one part is read at a time")
    }

    /// Returns true if a part is being read from the disk.
    pub(crate) fn is_reading(&self) -> bool {
        self.reading.is_some()
    }

    /// Returns true if there are requests, or if the last one is so recent that the part may be
    /// under way and the peer will request more.
    pub(crate) fn is_busy(&self, now: Instant) -> bool {
        self.reading.is_some() || !self.waiting.is_empty() || now < self.waits_until
    }

    /// Returns the time from which the next part may be read.
    pub(crate) fn deadline(&self) -> Instant {
        let idle = self.waiting.is_empty() || self.reading.is_some();
        if idle { Instant::NEVER } else { self.rate.ready_at() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(by: u64, chunk: u32) -> PartRequest {
        PartRequest { by: NodeId(by), root: Root::default(), part: SnapshotPart::Chunk(chunk) }
    }

    #[test]
    fn parts_are_read_one_at_a_time_within_the_rate() {
        let mut sender = SnapshotSender::new(1, 1_000, Duration::from_secs(3));
        let now = Instant(1_000_000_000);
        sender.enqueue(now, wanted(1, 0));
        sender.enqueue(now, wanted(1, 0));
        sender.enqueue(now, wanted(2, 5));
        sender.enqueue(now, wanted(2, 7));
        assert_eq!(sender.start(now), Some(wanted(1, 0)));
        assert_eq!(sender.start(now), None, "a part is being read already");
        assert_eq!(sender.finish(now, 500), wanted(1, 0));
        assert_eq!(sender.start(now), None, "the rate");
        assert_eq!(sender.deadline(), Instant(1_500_000_000));
        assert_eq!(sender.start(sender.deadline()), Some(wanted(2, 5)));
        sender.finish(sender.deadline(), 0);
        let end = sender.deadline();
        assert_eq!(end, Instant::NEVER, "the third request was beyond its peer's bound");
        assert!(sender.is_busy(Instant(3_999_999_999)), "the peer waits for the last part");
        assert!(!sender.is_busy(Instant(4_000_000_000)));
    }

    #[test]
    fn many_requests_of_one_peer_do_not_displace_others() {
        let mut sender = SnapshotSender::new(2, 1_000, Duration::from_secs(3));
        for chunk in 0..9 {
            sender.enqueue(Instant::ZERO, wanted(1, chunk));
        }
        for peer in 2..200 {
            sender.enqueue(Instant::ZERO, wanted(peer, 0));
        }
        let served = std::iter::from_fn(|| {
            let begun = sender.start(Instant::ZERO)?;
            sender.finish(Instant::ZERO, 0);
            Some(begun)
        });
        let expected = [wanted(1, 0), wanted(1, 1)].into_iter();
        assert!(served.eq(expected.chain((2..200).map(|peer| wanted(peer, 0)))));
    }
}
