//! Locates the entries of the log in the segments, with a bounded number of samples per segment.

use std::collections::VecDeque;

use crate::storage::block::{FlushSeq, Link};
use crate::types::Index;

/// The maximum number of header blocks of one segment whose positions the index keeps.
const SAMPLES_MAX: usize = 64;

/// A flush, and its location.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flush {
    pub(crate) segment: u64,
    pub(crate) seq: FlushSeq,
    pub(crate) prev: Link,
    /// The link of the last entry of the flush.
    pub(crate) last: Link,
    /// The offsets at which its header block begins and ends.
    pub(crate) header: (u64, u64),
    /// The offset at which its bodies begin; they end where those of the flush before it begin, or
    /// with the segment.
    pub(crate) body_start: u64,
}

/// The segments, and the ranges of their entries that are part of the log.
#[derive(Clone, Debug)]
pub(crate) struct LogIndex {
    segments: VecDeque<Segment>,
    /// The ranges of entries that form the log, in ascending order of indices and of flushes.
    extents: VecDeque<Extent>,
    /// The entry before the first one of the log.
    base: Link,
    /// The last entry, or the base if the log is empty.
    last: Link,
}

#[derive(Clone, Debug)]
struct Segment {
    number: u64,
    /// The number of the segment's first flush; `prev` is the link before that flush.
    seq: FlushSeq,
    prev: Link,
    /// The offset at which its header blocks end.
    header_end: u64,
    body_start: u64,
    /// Samples of every `stride`-th of the `flushes` flushes, from the first on.
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

/// Entries after `prev` through `last`, appended in consecutive flushes without a truncation.
#[derive(Clone, Copy, Debug)]
struct Extent {
    prev: Link,
    last: Index,
    /// The number of its first flush, and the segment and the offset of that flush's header block.
    seq: FlushSeq,
    segment: u64,
    offset: u64,
}

/// The flushes of a segment at one time, which later flushes do not change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SegmentFlushes {
    pub(crate) segment: u64,
    /// The offset at which their header blocks end, and the offset at which their bodies begin.
    pub(crate) end: (u64, u64),
    /// The index of the last entry before the first flush, and that of the last entry.
    pub(crate) entries: (Index, Index),
}

/// A position in a header zone from which an entry's header is found by reading forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
    /// The offset at which the segment's header blocks end.
    pub(crate) end: u64,
    /// The last entry that can be read from there on without crossing a truncation.
    pub(crate) last: Index,
}

impl LogIndex {
    /// Creates the index of an empty log after `base`.
    pub(crate) fn new(base: Link) -> LogIndex {
        LogIndex { segments: VecDeque::new(), extents: VecDeque::new(), base, last: base }
    }

    pub(crate) fn base(&self) -> Link {
        self.base
    }

    pub(crate) fn last(&self) -> Link {
        self.last
    }

    /// Returns the free space of `segment`: the offset of the next header block, and the offset at
    /// which the bodies begin. `None` for a segment without a flush.
    pub(crate) fn free_space(&self, segment: u64) -> Option<(u64, u64)> {
        let found = self.segments.iter().rev().find(|known| known.number == segment)?;
        Some((found.header_end, found.body_start))
    }

    /// Returns the flushes of a segment. Their last entry is the one before the first flush of the
    /// next segment or, without one, the last entry of the log.
    pub(crate) fn flushes_of(&self, segment: u64) -> Option<SegmentFlushes> {
        let place = self.segments.iter().position(|known| known.number == segment)?;
        let found = &self.segments[place];
        let next = self.segments.get(place + 1).map_or(self.last, |next| next.prev);
        let entries = (found.prev.id.index, next.id.index);
        Some(SegmentFlushes { segment, end: (found.header_end, found.body_start), entries })
    }

    /// Returns the numbers of the segments with flushes.
    pub(crate) fn segments(&self) -> impl Iterator<Item = u64> + '_ {
        self.segments.iter().map(|segment| segment.number)
    }

    /// Returns the entries after which segments and extents begin, and the base and the last entry
    /// of the log.
    pub(crate) fn links(&self) -> Vec<Link> {
        let segments = self.segments.iter().map(|segment| segment.prev);
        let extents = self.extents.iter().map(|extent| extent.prev);
        segments.chain(extents).chain([self.base, self.last]).collect()
    }

    /// Returns the number of the first segment with a flush.
    pub(crate) fn first_segment(&self) -> Option<u64> {
        self.segments.front().map(|segment| segment.number)
    }

    /// Returns the number of the last segment with a flush, and the offset at which its header
    /// blocks end.
    pub(crate) fn end_of_headers(&self) -> Option<(u64, u64)> {
        self.segments.back().map(|segment| (segment.number, segment.header_end))
    }

    /// Adds a flush: truncates the log after the entry that the flush follows, then appends.
    pub(crate) fn append(&mut self, flush: &Flush) {
        self.check();
        self.record_flush(flush);
        let cuts = flush.prev.id.index < self.last.id.index;
        assert!(flush.prev.id.index <= self.last.id.index, "a flush leaves no gap");
        assert!(flush.last.id.index > flush.prev.id.index, "a flush has entries");
        if cuts {
            self.truncate(flush.prev);
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
        self.check();
    }

    /// Records the space that a flush occupies, whether or not its entries are part of the log.
    pub(crate) fn record_flush(&mut self, flush: &Flush) {
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
        let segment = self.segments.back_mut().expect("a segment was pushed if there was none");
        assert_eq!(segment.number, flush.segment, "segments are filled one after the other");
        assert_eq!(segment.header_end, flush.header.0, "header blocks leave no gap");
        assert!(flush.header.0 < flush.header.1, "a flush has a header block");
        assert!(flush.header.1 <= flush.body_start, "the header blocks end before the bodies");
        let is_below = segment.flushes == 0 || flush.body_start < segment.body_start;
        assert!(is_below, "the bodies of a flush lie before those of the flush before it");
        let before = segment.samples.last().map(|sample| sample.seq);
        assert!(before < Some(flush.seq), "flushes of a segment have ascending numbers");
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
        assert!(segment.samples.len() <= SAMPLES_MAX, "the samples of a segment are bounded");
        let expected = segment.flushes.div_ceil(segment.stride);
        assert_eq!(segment.samples.len(), expected, "each stride has one sample");
    }

    /// Truncates the log after `prev`.
    fn truncate(&mut self, prev: Link) {
        while self.extents.pop_back_if(|extent| extent.prev.id.index >= prev.id.index).is_some() {}
        if let Some(extent) = self.extents.back_mut() {
            extent.last = extent.last.min(prev.id.index);
        } else {
            assert!(prev.id.index <= self.base.id.index, "an empty log ends at its base");
            self.base = prev;
        }
    }

    /// Restarts the log, empty, after `base`.
    pub(crate) fn restart(&mut self, base: Link) {
        self.extents.clear();
        (self.base, self.last) = (base, base);
        self.check();
    }

    /// Returns the position from which to read the entry at `index`; `None` if the log lacks it.
    pub(crate) fn locate(&self, index: Index) -> Option<Position> {
        let later = self.extents.partition_point(|extent| extent.prev.id.index < index);
        let extent = self.extents.get(later.checked_sub(1)?)?;
        if index > extent.last {
            return None;
        }
        let until = self.extents.get(later).map_or(FlushSeq(u64::MAX), |next| next.seq);
        let within = |seq: FlushSeq, prev: Index| seq >= extent.seq && seq < until && prev < index;
        // Flushes and segments ascend together, so the last that begins before `index` is nearest.
        let before = self.segments.partition_point(|segment| segment.seq < until);
        let nearest = self.segments.iter().take(before).rev().find(|segment| {
            within(segment.seq, segment.prev.id.index) || segment.number == extent.segment
        });
        let nearest = nearest.expect("an extent begins in a segment that is known");
        let mut samples = nearest.samples.iter().rev();
        let sample = samples.find(|sample| within(sample.seq, sample.prev));
        let offset = sample.map_or(extent.offset, |sample| sample.offset);
        let (segment, end) = (nearest.number, nearest.header_end);
        assert!(offset < end, "the search begins among the header blocks of the segment");
        assert!(index > self.base.id.index, "the index locates no entry before the log");
        assert!(index <= self.last.id.index, "the index locates no entry after the log");
        Some(Position { segment, offset, end, last: extent.last })
    }

    /// Makes the log begin after its entry `base`: the entries through `base` are no longer part of
    /// the log, although their segments stay.
    pub(crate) fn begin_after(&mut self, base: Link) {
        assert!(base.id.index <= self.last.id.index, "the log has the entry");
        if base.id.index <= self.base.id.index {
            return;
        }
        while self.extents.pop_front_if(|extent| extent.last <= base.id.index).is_some() {}
        if let Some(extent) = self.extents.front_mut() {
            extent.prev = base;
        }
        self.base = base;
        self.check();
    }

    /// Returns true if the entry at `index` in flush `seq` of this segment is part of the log: no
    /// later flush has truncated the entry or rewritten it, and no snapshot has replaced it.
    pub(crate) fn is_live(&self, segment: u64, seq: FlushSeq, index: Index) -> bool {
        let after = self.segments.partition_point(|known| known.seq <= seq);
        let holder = after.checked_sub(1).map(|place| self.segments[place].number);
        if holder != Some(segment) {
            return false;
        }
        let later = self.extents.partition_point(|extent| extent.prev.id.index < index);
        let extent = later.checked_sub(1).and_then(|place| self.extents.get(place));
        let until = self.extents.get(later).map_or(FlushSeq(u64::MAX), |next| next.seq);
        extent.is_some_and(|extent| index <= extent.last && (extent.seq..until).contains(&seq))
    }

    /// Drops the first segments as long as they hold no live entry after `through`; the last
    /// segment stays. Returns their numbers, in ascending order.
    pub(crate) fn compact(&mut self, through: Index) -> Vec<u64> {
        self.check();
        let (base, mut forgotten) = (self.base.id.index, Vec::new());
        while self.segments.len() > 1 {
            let next = &self.segments[1];
            let before = self.extents.partition_point(|extent| extent.seq < next.seq);
            let alive = before.checked_sub(1).map(|place| self.extents[place]);
            let (seq, prev, segment) = (next.seq, next.prev, next.number);
            // An extent continues into the next segment if that segment begins inside it.
            let goes_on = alive.is_some_and(|extent| extent.last > prev.id.index);
            let last = alive.map(|extent| if goes_on { prev.id.index } else { extent.last });
            if last.is_some_and(|last| last > through) {
                break;
            }
            self.extents.drain(..if goes_on { before - 1 } else { before });
            if goes_on {
                let extent = self.extents.front_mut().expect("the extent that continues is kept");
                (extent.seq, extent.segment, extent.offset) = (seq, segment, 0);
                if extent.prev.id.index < prev.id.index {
                    extent.prev = prev;
                }
            }
            self.base = self.extents.front().map_or(self.last, |extent| extent.prev);
            forgotten.extend(self.segments.pop_front().map(|segment| segment.number));
        }
        assert!(self.base.id.index >= base, "a compaction brings no entry back");
        assert!(self.base.id.index <= base.max(through), "a compaction keeps the entries after it");
        self.check();
        forgotten
    }

    /// Panics if the parts of the index contradict one another.
    fn check(&self) {
        match (self.extents.front(), self.extents.back()) {
            (Some(first), Some(last)) => {
                let base = self.base.id.index;
                assert_eq!(first.prev.id.index, base, "the first extent begins after the base");
                assert_eq!(last.last, self.last.id.index, "the last extent ends with the log");
                assert!(first.prev.id.index < last.last, "an extent has entries");
                let last_segment = self.segments.back().map(|segment| segment.number);
                assert!(last_segment >= Some(last.segment), "an extent begins in a known segment");
            }
            _ => assert_eq!(self.base, self.last, "a log without entries ends at its base"),
        }
        let pairs = || self.extents.iter().zip(self.extents.iter().skip(1));
        debug_assert!(
            pairs().all(|(one, next)| one.last == next.prev.id.index),
            "each extent begins where the one before it ends"
        );
        debug_assert!(pairs().all(|(one, next)| one.seq < next.seq), "extents ascend by flush");
        debug_assert!(
            self.segments.iter().is_sorted_by(|one, next| one.number < next.number),
            "segments ascend by number"
        );
        debug_assert!(
            self.segments.iter().is_sorted_by_key(|it| it.seq),
            "segments ascend by flush"
        );
    }
}
