//! Limits of the fields of a mark of the acknowledged floor, at the offsets of `docs/FORMAT.md`.

use std::collections::BTreeMap;

use super::identity;
use crate::storage::block::{Digest, FlushSeq};
use crate::storage::disk::{Disk, DiskError, FileAction, FileName};
use crate::storage::floor::Floor;
use crate::storage::identity::Identity;
use crate::storage::superblock::Superblock;
use crate::types::{Index, Membership, NodeId};

const SUM_OFFSET: usize = 496;
/// The offsets of the marks of flushes with an even and with an odd number.
const EVEN: u64 = 512 << 10;
const ODD: u64 = (1 << 20) + EVEN;

/// The pages of a superblock file that were written, by their offset. Reading an empty one fails.
#[derive(Clone, Default)]
struct Pages(BTreeMap<u64, Vec<u8>>);

impl Disk for Pages {
    fn list(&mut self) -> Result<Vec<(FileName, u64)>, DiskError> {
        Ok(vec![(FileName::Superblock, 4 << 20)])
    }

    fn execute(&mut self, action: &FileAction) -> Result<Vec<u8>, DiskError> {
        match action {
            FileAction::Write { offset, bytes, .. } => {
                assert_eq!(bytes.len(), 4096, "a mark is written with its whole page");
                assert!(bytes[512..].iter().all(|byte| *byte == 0), "it is in the first sector");
                self.0.insert(*offset, bytes.clone());
                Ok(Vec::new())
            }
            FileAction::Read { offset, bytes, .. } => match self.0.get(offset) {
                Some(page) if page.is_empty() => Err(DiskError::Failed("it fails".to_owned())),
                Some(page) => Ok(page[..page.len().min(*bytes)].to_vec()),
                None => Ok(vec![0; *bytes]),
            },
            _ => unreachable!("a floor is only read and marked"),
        }
    }
}

fn floor(seq: u64) -> Floor {
    Floor { seq: FlushSeq(seq), place: Some((7, Index(100 + seq))) }
}

/// Returns a disk with the marks of these flushes, written in this order.
fn marked(flushes: &[u64]) -> Pages {
    let mut disk = Pages::default();
    for seq in flushes {
        disk.execute(&floor(*seq).mark(&identity())).expect("the disk works");
    }
    disk
}

/// Reads the floor in a directory whose superblock acknowledges the flushes through `acknowledged`.
fn read(mut disk: Pages, acknowledged: u64) -> Floor {
    let mut superblock = Superblock::new(identity(), &Membership::new([NodeId(2)]));
    superblock.ack_floor = FlushSeq(acknowledged);
    Floor::read(&mut disk, &superblock)
}

#[test]
fn the_highest_flush_of_the_marks_and_the_superblock_is_the_floor() {
    assert_eq!(read(marked(&[]), 0), Floor::default());
    assert_eq!(read(marked(&[]), 5), Floor { seq: FlushSeq(5), place: None });
    assert_eq!(read(marked(&[4]), 5), Floor { seq: FlushSeq(5), place: None });
    assert_eq!(read(marked(&[5]), 5), floor(5), "a mark also names the place");
    for flushes in [&[6][..], &[5, 6], &[6, 5], &[1, 2, 3, 4, 5, 6]] {
        assert_eq!(read(marked(flushes), 3), floor(6), "{flushes:?}");
    }
}

#[test]
fn two_flushes_in_a_row_are_marked_in_different_places() {
    assert_eq!(marked(&[1, 2, 3, 4]).0.into_keys().collect::<Vec<_>>(), [EVEN, ODD]);
    let mut disk = marked(&[8, 9]);
    disk.0.insert(ODD, vec![0; 512]);
    assert_eq!(read(disk, 0), floor(8), "the loss of a mark costs one flush");
}

#[test]
fn a_mark_that_cannot_be_read_counts_as_none_and_the_next_one_replaces_it() {
    let mut disk = marked(&[8, 9]);
    disk.0.insert(ODD, Vec::new());
    assert_eq!(read(disk.clone(), 7), floor(8));
    disk.0.insert(EVEN, Vec::new());
    assert_eq!(read(disk.clone(), 7), Floor { seq: FlushSeq(7), place: None });
    disk.execute(&floor(10).mark(&identity())).expect("a write needs no read");
    assert_eq!(read(disk, 7), floor(10));
}

#[test]
fn a_changed_bit_a_short_sector_or_another_directory_makes_a_mark_void() {
    let whole = marked(&[2]).0[&EVEN][..512].to_vec();
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(read(Pages(BTreeMap::from([(EVEN, bytes)])), 0), Floor::default(), "{bit}");
    }
    for length in [0, 1, SUM_OFFSET, whole.len() - 1] {
        let disk = Pages(BTreeMap::from([(EVEN, whole[..length].to_vec())]));
        assert_eq!(read(disk, 0), Floor::default(), "{length}");
    }
    let other = Identity { node: NodeId(9), ..identity() };
    let mut disk = Pages::default();
    disk.execute(&floor(2).mark(&other)).expect("the disk works");
    assert_eq!(read(disk, 0), Floor::default());
}

#[test]
fn another_version_and_numbers_above_their_maximum_are_rejected() {
    for (offset, number, accepted) in [
        // The version, and the zeros after it.
        (8, 1, true),
        (8, 2, false),
        (56, FlushSeq::MAX.0, true),
        (56, FlushSeq::MAX.0 + 1, false),
        (56, 0, false),
        (64, 0, false),
        (64, 1 << 62, true),
        (64, (1 << 62) + 1, false),
        (72, Index::MAX.0, true),
        (72, Index::MAX.0 + 1, false),
        (12, 1, false),
    ] {
        let whole = marked(&[2]).0[&EVEN][..512].to_vec();
        let mut bytes = whole.clone();
        bytes[offset..offset + 8].copy_from_slice(&u64::to_le_bytes(number));
        if offset == 12 {
            bytes[16..].copy_from_slice(&whole[16..]);
        }
        let sum = Digest::of(&bytes[..SUM_OFFSET]);
        bytes[SUM_OFFSET..].copy_from_slice(&sum.0);
        let found = read(Pages(BTreeMap::from([(EVEN, bytes)])), 0);
        assert_eq!(found != Floor::default(), accepted, "{number} at {offset}");
    }
}
