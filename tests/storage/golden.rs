//! The fixtures of the superblock, its marks and the log: this version writes the same bytes as
//! every earlier one, and reads them.

use std::collections::BTreeSet;

use quorate::storage::{Disk, FileAction, FileName, Storage, StorageConfig};
use quorate::types::{Entry, HardState, Index, NodeId, Term, Write};
use quorate_sim::disk::SimDisk;

use super::host::{
    CLUSTER, Host, NODE, bare, config, hard_state, membership_entry, sized_entry, snapshot,
};
use crate::draw::Draw;
use crate::fixtures::Fixtures;

/// Segments that hold two flushes.
fn small() -> StorageConfig {
    StorageConfig {
        segment_bytes: 16 << 10,
        spare_segments: 1,
        command_bytes_max: 1000,
        flush_bytes_max: 2048,
        ..config()
    }
}

/// Returns a disk with a vote, a snapshot, and a flush of three entries, followed by another one
/// that ends with a membership.
fn sample() -> SimDisk {
    let disk = super::host::formatted();
    let (mut host, _) = Host::open_with(disk, &small()).expect("a formatted directory opens");
    host.act(Storage::start);
    let entries = vec![sized_entry(1, 1, 0), sized_entry(2, 2, 5), sized_entry(2, 3, 600)];
    host.persist(Write { hard_state: Some(hard_state(2, 1)), entries: entries.into(), ..bare(1) });
    host.settle();
    let later = HardState::new(Term(3), Some(NodeId(2)));
    let committed = Index(2);
    host.persist(Write { hard_state: Some(later), committed, entries: last().into(), ..bare(2) });
    host.settle();
    host.act(|storage, events| storage.set_snapshot(snapshot(1, 1), events));
    host.settle();
    host.crash(&BTreeSet::new())
}

/// Returns the entries of the second flush.
fn last() -> Vec<Entry> {
    vec![sized_entry(3, 3, 120), membership_entry(3, 4)]
}

fn bytes_of(disk: &mut SimDisk, file: FileName, bytes: usize) -> Vec<u8> {
    disk.execute(&FileAction::Read { file, offset: 0, bytes }).expect("the file can be read")
}

/// The place of the mark of the second flush, halfway between the first two superblocks.
const MARK_AT: u64 = 512 << 10;

fn mark_of(disk: &mut SimDisk) -> Vec<u8> {
    let read = FileAction::Read { file: FileName::Superblock, offset: MARK_AT, bytes: 4096 };
    disk.execute(&read).expect("the file can be read")
}

/// Returns the copies of the superblock and the marks between them.
fn pages_of_superblock(disk: &mut SimDisk) -> Vec<u8> {
    let offsets = [0, 512 << 10, 1 << 20, 1536 << 10, 2 << 20, 3 << 20];
    let read = |offset| FileAction::Read { file: FileName::Superblock, offset, bytes: 4096 };
    let pages = offsets.map(|offset| disk.execute(&read(offset)).expect("the file can be read"));
    pages.concat()
}

/// Returns a disk with copies of a superblock, a mark and a segment.
fn disk_of(superblock: &[u8], mark: &[u8], segment: &[u8]) -> SimDisk {
    let mut disk = SimDisk::default();
    let file = FileName::Superblock;
    disk.execute(&FileAction::Create { file, bytes: (3 << 20) + 4096 }).expect("there is room");
    for copy in 0..4 {
        let (offset, bytes) = (copy << 20, superblock.to_vec());
        disk.execute(&FileAction::Write { file, offset, bytes }).expect("the file exists");
    }
    let (offset, bytes) = (MARK_AT, mark.to_vec());
    disk.execute(&FileAction::Write { file, offset, bytes }).expect("the file exists");
    let file = FileName::Segment(1);
    disk.execute(&FileAction::Create { file, bytes: 16 << 10 }).expect("the disk has space");
    let bytes = segment.to_vec();
    disk.execute(&FileAction::Write { file, offset: 0, bytes }).expect("the file exists");
    disk
}

/// Asserts that the superblock, the mark and the segment are those of [`sample`].
fn assert_sample(superblock: &[u8], mark: &[u8], segment: &[u8]) {
    let mut disk = disk_of(superblock, mark, segment);
    let (mut storage, opened) =
        Storage::open(&mut disk, CLUSTER, NODE, &small()).expect("it reads");
    storage.start(&mut Vec::new());
    assert_eq!(opened.hard_state, HardState::new(Term(3), Some(NodeId(2))));
    assert_eq!(opened.snapshot, snapshot(1, 1));
    assert_eq!(opened.committed, Index(2));
    assert_eq!(opened.tail[..2], [sized_entry(1, 1, 0), sized_entry(2, 2, 5)]);
    assert_eq!(opened.tail[2..], last());
    assert_eq!(opened.memberships, last().iter().filter_map(Entry::membership).collect::<Vec<_>>());
}

/// Returns a disk after writes of drawn entries and votes, and now and then a snapshot.
fn drawn(draw: &mut Draw) -> SimDisk {
    let mut host = Host::fresh();
    let (mut term, mut last, mut term_of_first) = (0, 0, 0);
    for id in 1..=1 + draw.below(8) {
        // The term of an entry is durable before the entry is, and has one vote.
        let votes = id == 1 || draw.below(2) == 0;
        term += if votes { 1 + draw.below(2) } else { 0 };
        let first = last + 1;
        last += draw.below(4);
        if first == 1 && last > 0 {
            term_of_first = term;
        }
        let entries = (first..=last)
            .map(|index| match draw.below(8) {
                0 => membership_entry(term, index),
                _ => sized_entry(term, index, draw.below(400) as usize),
            })
            .collect();
        let hard_state = votes.then(|| hard_state(term, 1 + draw.below(3)));
        let committed = Index(draw.below(last + 1));
        host.persist(Write { hard_state, committed, entries, ..bare(id) });
        host.settle();
    }
    if draw.below(2) == 0 && last > 0 {
        let meta = snapshot(term_of_first, 1);
        host.act(|storage, events| storage.set_snapshot(meta, events));
        host.settle();
    }
    host.crash(&BTreeSet::new())
}

#[test]
fn the_fixtures_of_superblock_and_log_are_written_and_read() {
    let mut disk = sample();
    let superblock = bytes_of(&mut disk, FileName::Superblock, 4096);
    let mark = mark_of(&mut disk);
    let segment = bytes_of(&mut disk, FileName::Segment(1), 16 << 10);
    let mut superblocks = Fixtures::of("superblock", 1);
    let mut segments = Fixtures::of("log", 1);
    superblocks.value("superblock", &superblock, |kept| assert_sample(kept, &mark, &segment));
    superblocks.value("mark", &mark, |kept| assert_sample(&superblock, kept, &segment));
    segments.value("segment", &segment, |kept| assert_sample(&superblock, &mark, kept));
    let mut draw = Draw(1);
    for number in 0..64 {
        let mut disk = drawn(&mut draw);
        superblocks.hash(&format!("drawn-{number}"), &pages_of_superblock(&mut disk));
        let (bytes, mut segment) = (config().segment_bytes as usize, 1);
        while disk
            .execute(&FileAction::Read { file: FileName::Segment(segment), offset: 0, bytes })
            .is_ok_and(|written| {
                segments.hash(&format!("drawn-{number}-segment-{segment}"), &written);
                written.iter().any(|byte| *byte != 0)
            })
        {
            segment += 1;
        }
        Host::open(disk).expect("what is written is read");
    }
    superblocks.finish();
    segments.finish();
}
