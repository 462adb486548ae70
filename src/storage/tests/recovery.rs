//! Limits of the fields with which a header block describes its segment: the place of its bodies,
//! and the entry that it follows.

use super::{identity, payload};
use crate::storage::block::{
    BLOCK_BYTES, Block, Digest, FlushSeq, Link, RECORD_BYTES, Record, body_of,
};
use crate::storage::directory::Directory;
use crate::storage::disk::{Disk, DiskError, FileAction, FileName};
use crate::storage::floor::Floor;
use crate::storage::patched_disk::PatchedDisk;
use crate::storage::recovery::{RecoveredLog, recover};
use crate::storage::sector::{Framer, SectorCodec, Zone};
use crate::storage::segment::NodeSegment;
use crate::storage::superblock::Superblock;
use crate::types::{Entry, EntryId, Index, Membership, NodeId, Payload, Term};

const PAGE: u64 = 4096;
/// The size of a segment: eight pages.
const SEGMENT_BYTES: u64 = 8 * PAGE;
const TOP: u64 = SEGMENT_BYTES - PAGE;

/// A disk with a single segment, number 1.
struct Segment(Vec<u8>);

impl Disk for Segment {
    fn list(&mut self) -> Result<Vec<(FileName, u64)>, DiskError> {
        Ok(vec![(FileName::Segment(1), SEGMENT_BYTES)])
    }

    fn execute(&mut self, action: &FileAction) -> Result<Vec<u8>, DiskError> {
        let FileAction::Read { offset, bytes, .. } = action else {
            unreachable!("recovery only reads")
        };
        let offset = usize::try_from(*offset).expect("the file is small");
        Ok(self.0[offset..offset + bytes].to_vec())
    }
}

impl Segment {
    fn write(&mut self, zone: Zone, offset: u64, payload: &[u8]) {
        let codec = SectorCodec::new(NodeSegment::new(identity(), 1).salt, zone);
        let mut framer = Framer::new(codec, offset, payload.len());
        framer.push(payload);
        let (sectors, first) = (framer.finish(), offset as usize);
        if let Some(place) = self.0.get_mut(first..first + sectors.len()) {
            place.copy_from_slice(&sectors);
        }
    }

    /// Adds a flush of one no-op of `term`; the header block of entry n is on page n - 1.
    fn flush(&mut self, prev: Link, term: u64, change: impl FnOnce(&mut Block)) -> Link {
        self.flush_on(prev.id.index.0, prev, term, change)
    }

    /// Adds a flush of one no-op of `term`, with its header block on this page.
    fn flush_on(
        &mut self,
        page: u64,
        prev: Link,
        term: u64,
        change: impl FnOnce(&mut Block),
    ) -> Link {
        let id = EntryId::new(Term(term), prev.id.index.next());
        let entry = Entry { id, payload: Payload::Noop };
        let record = Record::of(&entry, Digest::of(&body_of(&entry)), prev.chain);
        let mut block = Block {
            entries: 1,
            identity: identity(),
            segment: 1,
            seq: FlushSeq(page + 1),
            prev,
            committed: Index(0),
            watermark: Index(0),
            body_offset: TOP - page * PAGE,
            body_bytes: RECORD_BYTES as u64,
        };
        change(&mut block);
        if block.body_offset < SEGMENT_BYTES {
            self.write(Zone::Bodies, block.body_offset, &record.encode());
        }
        self.write(Zone::Headers, page * PAGE, &payload(&block, &[record]));
        record.link()
    }
}

/// Returns the last index that a start in term 2 recovers from the segment, or its error.
fn last(segment: Segment) -> Result<u64, String> {
    last_with(segment, Floor::default())
}

/// Returns the same in a directory with this floor.
fn last_with(segment: Segment, floor: Floor) -> Result<u64, String> {
    last_in(segment, floor, |_| {})
}

/// Returns the same in a directory with this floor, and with a changed superblock.
fn last_in(
    segment: Segment,
    floor: Floor,
    change: impl FnOnce(&mut Superblock),
) -> Result<u64, String> {
    recovered(segment, floor, change).map(|log| log.index.last().id.index.0)
}

/// Recovers a segment in a directory with this floor, and with a changed superblock.
fn recovered(
    mut segment: Segment,
    floor: Floor,
    change: impl FnOnce(&mut Superblock),
) -> Result<RecoveredLog, String> {
    let mut superblock = Superblock::new(identity(), &Membership::new([NodeId(2)]));
    superblock.hard_state.term = Term(2);
    change(&mut superblock);
    let segments = vec![(1, SEGMENT_BYTES)];
    let directory = Directory { copies: Vec::new(), superblock, lone_copy: None, floor, segments };
    let found = recover(&mut PatchedDisk::new(&mut segment), &directory, SEGMENT_BYTES, 0);
    found.map_err(|error| error.to_string())
}

/// Recovers a segment of two flushes, the second one changed.
fn two(change: impl FnOnce(&mut Block)) -> Result<u64, String> {
    let mut segment = Segment(vec![0; SEGMENT_BYTES as usize]);
    let first = segment.flush(Link::default(), 1, |_| {});
    segment.flush(first, 2, change);
    last(segment)
}

#[test]
fn the_first_bodies_must_be_in_the_file_and_after_their_header() {
    let one = |offset: u64| {
        let mut segment = Segment(vec![0; SEGMENT_BYTES as usize]);
        segment.flush(Link::default(), 1, |block| block.body_offset = offset);
        last(segment)
    };
    for offset in [PAGE, TOP - PAGE, TOP] {
        assert_eq!(one(offset), Ok(1), "{offset}");
    }
    for offset in [0, PAGE + 512, TOP + 512, SEGMENT_BYTES, u64::MAX - PAGE + 1] {
        let error = one(offset).expect_err("the body range is invalid");
        assert!(error.contains("body range"), "{offset}: {error}");
    }
}

#[test]
fn bodies_must_end_where_the_previous_bodies_begin() {
    assert_eq!(two(|_| {}), Ok(2));
    for pages in [2, 4, 5, 7] {
        let error = two(|block| block.body_offset = pages * PAGE).expect_err("there is a gap");
        assert!(error.contains("body range"), "{pages}: {error}");
    }
}

#[test]
fn a_missing_flush_or_a_term_after_the_superblocks_is_rejected() {
    let error = two(|block| block.seq = FlushSeq(3)).expect_err("a flush is missing");
    assert!(error.contains("found flush 3 instead of flush 2"), "{error}");
    let mut segment = Segment(vec![0; SEGMENT_BYTES as usize]);
    segment.flush(Link::default(), 3, |_| {});
    let error = last(segment).expect_err("the term is after the superblock's");
    assert!(error.contains("later term than the superblock's term"), "{error}");
}

#[test]
fn a_flush_number_that_leaves_no_room_for_later_ones_is_rejected() {
    let one = |seq: FlushSeq| {
        let mut segment = Segment(vec![0; SEGMENT_BYTES as usize]);
        segment.flush(Link::default(), 1, |block| block.seq = seq);
        last(segment)
    };
    assert_eq!(one(FlushSeq::RECOVERED_MAX), Ok(1));
    for seq in [FlushSeq::RECOVERED_MAX.next(), FlushSeq::MAX] {
        let error = one(seq).expect_err("no log has that many flushes");
        assert!(error.contains(&format!("flush {} is out of range", seq.0)), "{error}");
    }
}

#[test]
fn a_floor_that_leaves_no_room_for_later_flushes_is_rejected() {
    let floor = |seq: FlushSeq| {
        let mut segment = Segment(vec![0; SEGMENT_BYTES as usize]);
        segment.flush(Link::default(), 1, |_| {});
        last_with(segment, Floor { seq, place: None })
    };
    assert_eq!(floor(FlushSeq::RECOVERED_MAX), Ok(1), "the end of the log is lost");
    for seq in [FlushSeq::RECOVERED_MAX.next(), FlushSeq::MAX] {
        let error = floor(seq).expect_err("no log has that many flushes");
        assert!(error.contains(&format!("flush {} is out of range", seq.0)), "{error}");
    }
}

#[test]
fn a_last_flush_before_the_start_of_the_log_is_not_written_again() {
    for (log_start, is_written_again) in [(1, true), (2, false)] {
        let mut segment = Segment(vec![0; SEGMENT_BYTES as usize]);
        segment.flush(Link::default(), 1, |_| {});
        let log = recovered(segment, Floor::default(), |superblock| {
            superblock.log_start = FlushSeq(log_start);
        });
        let log = log.expect("the log is valid");
        assert_eq!(log.unacknowledged.is_some(), is_written_again, "{log_start}");
    }
}

#[test]
fn a_damaged_header_block_of_a_flush_that_an_installed_snapshot_replaced_is_rebuilt() {
    for (seq, expected) in [(1, Some(4)), (2, None)] {
        let mut segment = Segment(vec![0; SEGMENT_BYTES as usize]);
        // The entry after the snapshot is of an earlier log.
        let before = Link::anchor(EntryId::new(Term(1), Index(4)));
        segment.flush_on(0, before, 1, |block| block.seq = FlushSeq(seq));
        let covered = EntryId::new(Term(2), Index(3));
        let after = Link::anchor(covered);
        segment.flush_on(1, after, 2, |block| block.seq = FlushSeq(seq + 1));
        segment.0[100] ^= 1;
        let found = last_in(segment, Floor::default(), |superblock| {
            superblock.snapshot.last = covered;
            superblock.log_start = FlushSeq(2);
        });
        assert_eq!(found.clone().ok(), expected, "{found:?}");
    }
}

#[test]
fn a_compacted_flush_that_was_not_acknowledged_is_rejected() {
    for (compacted, is_valid) in [(1, true), (2, false)] {
        let mut segment = Segment(vec![0; SEGMENT_BYTES as usize]);
        let first = segment.flush(Link::default(), 1, |_| {});
        segment.flush(first, 2, |_| {});
        let found = last_in(segment, Floor::default(), |superblock| {
            superblock.snapshot.last = EntryId::new(Term(2), Index(2));
            superblock.compacted = Index(compacted);
        });
        assert_eq!(found.is_ok(), is_valid, "{found:?}");
        assert!(found.err().is_none_or(|error| error.contains("not acknowledged")));
    }
}

#[test]
fn a_header_block_beyond_the_end_of_the_file_is_rejected() {
    let mut segment = Segment(vec![0; SEGMENT_BYTES as usize]);
    segment.flush(Link::default(), 1, |_| {});
    let codec = NodeSegment::new(identity(), 1).headers;
    let payload = codec.unframe(0, &segment.0[..512]).expect("its checksum is valid");
    let fits = (SEGMENT_BYTES as usize / 512 * 508 - BLOCK_BYTES) / RECORD_BYTES;
    for (entries, is_beyond) in [(fits, false), (fits + 1, true)] {
        let mut forged = Segment(segment.0.clone());
        let count = u32::try_from(entries).expect("the count fits").to_le_bytes();
        forged.write(Zone::Headers, 0, &[&payload[..12], &count, &payload[16..]].concat());
        let beyond = last(forged).is_err_and(|error| error.contains("extends beyond the end"));
        assert_eq!(beyond, is_beyond, "{entries}");
    }
}
