//! Where the entries of the log are: a few numbers for each segment, whatever the log's length.

use std::collections::VecDeque;

use crate::storage::block::{FlushSeq, Link};
use crate::types::Index;

/// How many of a segment's header blocks are remembered.
const SAMPLES_MAX: usize = 64;

/// A flush that is durable, and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flush {
    pub(crate) segment: u64,
    pub(crate) seq: FlushSeq,
    pub(crate) prev: Link,
    /// Its last entry.
    pub(crate) last: Link,
    /// Where its header block begins and ends.
    pub(crate) header: (u64, u64),
    /// Where its bodies begin; they end where those of the flush before it begin.
    pub(crate) body_start: u64,
}

/// Segments, and which of their entries are alive.
#[derive(Clone, Debug)]
pub(crate) struct LogIndex {
    segments: VecDeque<Segment>,
    /// In ascending order of indices and of flushes: together they are the log.
    extents: VecDeque<Extent>,
    /// The entry before the first.
    base: Link,
    /// The last entry, or the base.
    last: Link,
}

#[derive(Clone, Debug)]
struct Segment {
    number: u64,
    /// Its first flush and what that follows.
    seq: FlushSeq,
    prev: Link,
    /// The end of its header blocks.
    header_end: u64,
    body_start: u64,
    /// Every `stride`-th of its `flushes`, from the first.
    samples: Vec<Sample>,
    stride: usize,
    flushes: usize,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    seq: FlushSeq,
    prev: Index,
    offset: u64,
}

/// Entries after `prev` through `last`, appended one flush after the other without a cut.
#[derive(Clone, Copy, Debug)]
struct Extent {
    prev: Link,
    last: Index,
    seq: FlushSeq,
    /// Where its first flush has its header block.
    segment: u64,
    offset: u64,
}

/// Where to begin to look for an entry's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
    /// Where the segment's header blocks end.
    pub(crate) end: u64,
    /// The last entry that follows there without a cut.
    pub(crate) last: Index,
}

impl LogIndex {
    /// An empty log after `base`.
    pub(crate) fn new(base: Link) -> LogIndex {
        LogIndex { segments: VecDeque::new(), extents: VecDeque::new(), base, last: base }
    }

    pub(crate) fn base(&self) -> Link {
        self.base
    }

    pub(crate) fn last(&self) -> Link {
        self.last
    }

    /// The free space of `segment`: where the next header block goes, and where bodies begin. None
    /// for one without a flush.
    pub(crate) fn room(&self, segment: u64) -> Option<(u64, u64)> {
        let found = self.segments.iter().rev().find(|known| known.number == segment)?;
        Some((found.header_end, found.body_start))
    }

    /// Takes a flush in: the log through what it follows, then its entries.
    pub(crate) fn append(&mut self, flush: &Flush) {
        self.note(flush);
        let cuts = flush.prev.id.index < self.last.id.index;
        assert!(flush.prev.id.index <= self.last.id.index, "a flush leaves no gap");
        assert!(flush.last.id.index > flush.prev.id.index, "a flush has entries");
        if cuts {
            self.cut(flush.prev);
        }
        match self.extents.back_mut() {
            Some(extent) if !cuts => extent.last = flush.last.id.index,
            _ => self.extents.push_back(Extent {
                prev: flush.prev,
                last: flush.last.id.index,
                seq: flush.seq,
                segment: flush.segment,
                offset: flush.header.0,
            }),
        }
        self.last = flush.last;
    }

    /// Takes note of a flush whose entries are dead, but whose place is taken.
    pub(crate) fn note(&mut self, flush: &Flush) {
        if self.segments.back().is_none_or(|segment| segment.number < flush.segment) {
            self.segments.push_back(Segment {
                number: flush.segment,
                seq: flush.seq,
                prev: flush.prev,
                header_end: 0,
                body_start: 0,
                samples: Vec::new(),
                stride: 1,
                flushes: 0,
            });
        }
        let segment = self.segments.back_mut().expect("it was pushed if there was none");
        assert_eq!(segment.number, flush.segment, "segments are filled one after the other");
        assert_eq!(segment.header_end, flush.header.0, "header blocks leave no gap");
        segment.header_end = flush.header.1;
        segment.body_start = flush.body_start;
        if segment.flushes.is_multiple_of(segment.stride) {
            let (seq, prev, offset) = (flush.seq, flush.prev.id.index, flush.header.0);
            segment.samples.push(Sample { seq, prev, offset });
        }
        segment.flushes += 1;
        if segment.samples.len() > SAMPLES_MAX {
            let mut place = 0;
            segment.samples.retain(|_| {
                place += 1;
                place % 2 == 1
            });
            segment.stride *= 2;
        }
    }

    /// Everything after `prev` is dead.
    fn cut(&mut self, prev: Link) {
        while self.extents.pop_back_if(|extent| extent.prev.id.index >= prev.id.index).is_some() {}
        if let Some(extent) = self.extents.back_mut() {
            extent.last = extent.last.min(prev.id.index);
        } else {
            assert!(prev.id.index <= self.base.id.index, "an empty log ends at its base");
            self.base = prev;
        }
    }

    /// The log begins anew after `base`: every entry so far is dead.
    pub(crate) fn restart(&mut self, base: Link) {
        self.extents.clear();
        (self.base, self.last) = (base, base);
    }

    /// Where to look for the entry at `index`; None if the log does not have it.
    pub(crate) fn locate(&self, index: Index) -> Option<Position> {
        let later = self.extents.partition_point(|extent| extent.prev.id.index < index);
        let extent = self.extents.get(later.checked_sub(1)?)?;
        if index > extent.last {
            return None;
        }
        let until = self.extents.get(later).map_or(FlushSeq(u64::MAX), |next| next.seq);
        let within = |seq: FlushSeq, prev: Index| seq >= extent.seq && seq < until && prev < index;
        // Flushes and segments ascend alike, so the last that begins before `index` is nearest.
        let before = self.segments.partition_point(|segment| segment.seq < until);
        let nearest = self.segments.iter().take(before).rev().find(|segment| {
            within(segment.seq, segment.prev.id.index) || segment.number == extent.segment
        });
        let nearest = nearest.expect("an extent begins in a segment that is known");
        let mut samples = nearest.samples.iter().rev();
        let sample = samples.find(|sample| within(sample.seq, sample.prev));
        let offset = sample.map_or(extent.offset, |sample| sample.offset);
        let (segment, end) = (nearest.number, nearest.header_end);
        Some(Position { segment, offset, end, last: extent.last })
    }

    /// Forgets the first segments as long as they hold nothing alive after `through`; the last one
    /// stays. Returns their numbers, in ascending order.
    pub(crate) fn forget(&mut self, through: Index) -> Vec<u64> {
        let mut forgotten = Vec::new();
        while self.segments.len() > 1 {
            let next = &self.segments[1];
            let before = self.extents.partition_point(|extent| extent.seq < next.seq);
            let alive = before.checked_sub(1).map(|place| self.extents[place]);
            let (seq, prev, segment) = (next.seq, next.prev, next.number);
            // An extent goes on into the next segment if that begins inside it.
            let goes_on = alive.is_some_and(|extent| extent.last > prev.id.index);
            let last = alive.map(|extent| if goes_on { prev.id.index } else { extent.last });
            if last.is_some_and(|last| last > through) {
                break;
            }
            self.extents.drain(..if goes_on { before - 1 } else { before });
            if goes_on {
                let extent = self.extents.front_mut().expect("the extent that goes on is kept");
                (extent.prev, extent.seq, extent.segment, extent.offset) = (prev, seq, segment, 0);
            }
            self.base = self.extents.front().map_or(self.last, |extent| extent.prev);
            forgotten.extend(self.segments.pop_front().map(|segment| segment.number));
        }
        forgotten
    }
}
