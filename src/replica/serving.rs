//! Giving peers the parts of a snapshot: one at a time, at a bounded rate.
//!
//! What waits is bounded for each peer: who they are changes with the membership.

use std::collections::VecDeque;

use crate::replica::pace::Pace;
use crate::types::{Instant, NodeId, Part, Root};

/// Parts that peers asked for.
#[derive(Clone, Debug)]
pub(crate) struct Serving {
    waiting: VecDeque<Wanted>,
    /// How many parts may wait for one peer.
    waiting_max: usize,
    /// The part that is being read from the disk.
    reading: Option<Wanted>,
    pace: Pace,
}

/// A part, and who wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) by: NodeId,
    pub(crate) root: Root,
    pub(crate) part: Part,
}

impl Serving {
    pub(crate) fn new(waiting_max: usize, bytes_per_second: u64) -> Serving {
        let pace = Pace::new(bytes_per_second);
        Serving { waiting: VecDeque::new(), waiting_max, reading: None, pace }
    }

    /// A peer asks. Beyond its bound it is not heard, and asks again.
    pub(crate) fn wanted(&mut self, wanted: Wanted) {
        let known = self.waiting.contains(&wanted) || self.reading == Some(wanted);
        let own = self.waiting.iter().filter(|other| other.by == wanted.by).count();
        if !known && own < self.waiting_max {
            self.waiting.push_back(wanted);
        }
    }

    /// The part to read now, if any.
    pub(crate) fn begin(&mut self, now: Instant) -> Option<Wanted> {
        if self.reading.is_some() || now < self.pace.ready_at() {
            return None;
        }
        self.reading = self.waiting.pop_front();
        self.reading
    }

    /// The part was read, or there is none: who wants it.
    pub(crate) fn finish(&mut self, now: Instant, bytes: usize) -> Wanted {
        self.pace.pass(now, bytes);
        self.reading.take().expect("one part is read at a time")
    }

    /// Whether a peer is being served.
    pub(crate) fn is_busy(&self) -> bool {
        self.reading.is_some() || !self.waiting.is_empty()
    }

    /// When the next part may be read.
    pub(crate) fn deadline(&self) -> Instant {
        let idle = self.waiting.is_empty() || self.reading.is_some();
        if idle { Instant::NEVER } else { self.pace.ready_at() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(by: u64, chunk: u32) -> Wanted {
        Wanted { by: NodeId(by), root: Root::default(), part: Part::Chunk(chunk) }
    }

    #[test]
    fn parts_are_read_one_at_a_time_and_no_faster_than_allowed() {
        let mut serving = Serving::new(1, 1_000);
        let now = Instant(1_000_000_000);
        serving.wanted(wanted(1, 0));
        serving.wanted(wanted(1, 0));
        serving.wanted(wanted(2, 5));
        serving.wanted(wanted(2, 7));
        assert_eq!(serving.begin(now), Some(wanted(1, 0)));
        assert_eq!(serving.begin(now), None, "one is being read");
        assert_eq!(serving.finish(now, 500), wanted(1, 0));
        assert_eq!(serving.begin(now), None, "the rate");
        assert_eq!(serving.deadline(), Instant(1_500_000_000));
        assert_eq!(serving.begin(serving.deadline()), Some(wanted(2, 5)));
        serving.finish(serving.deadline(), 0);
        assert!(!serving.is_busy(), "the third was beyond the bound of its peer");
    }

    #[test]
    fn a_peer_that_asks_for_much_takes_no_other_peers_place() {
        let mut serving = Serving::new(2, 1_000);
        for chunk in 0..9 {
            serving.wanted(wanted(1, chunk));
        }
        for peer in 2..200 {
            serving.wanted(wanted(peer, 0));
        }
        let served = std::iter::from_fn(|| {
            let begun = serving.begin(Instant::ZERO)?;
            serving.finish(Instant::ZERO, 0);
            Some(begun)
        });
        let expected = [wanted(1, 0), wanted(1, 1)].into_iter();
        assert!(served.eq(expected.chain((2..200).map(|peer| wanted(peer, 0)))));
    }
}
