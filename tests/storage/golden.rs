//! Golden files: this version writes the same bytes as every earlier one, and reads them. A changed
//! byte is a new version of the format. With `UPDATE_FORMAT` set, the golden files are rewritten.

use std::collections::BTreeSet;
use std::path::PathBuf;

use quorate::storage::{Disk, FileAction, FileName, Storage, StorageConfig};
use quorate::types::{Entry, HardState, Index, NodeId, Term, Write};
use quorate_sim::disk::SimDisk;

use super::host::{
    CLUSTER, Host, NODE, bare, config, hard_state, membership_entry, sized_entry, snapshot,
};

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
    host.persist(Write { hard_state: Some(hard_state(2, 1)), entries, ..bare(1) });
    host.settle();
    let later = HardState::new(Term(3), Some(NodeId(2)));
    let committed = Index(2);
    host.persist(Write { hard_state: Some(later), committed, entries: last(), ..bare(2) });
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

fn golden(name: &str, written: &[u8]) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/format").join(name);
    if std::env::var_os("UPDATE_FORMAT").is_some() {
        std::fs::write(&path, written).expect("the tree is writable");
    }
    let kept = std::fs::read(&path).unwrap_or_default();
    assert!(kept == written, "{} is not what is written today", path.display());
    kept
}

#[test]
fn the_disk_format_is_stable_and_readable() {
    let mut disk = sample();
    let superblock = bytes_of(&mut disk, FileName::Superblock, 4096);
    let segment = bytes_of(&mut disk, FileName::Segment(1), 16 << 10);
    let superblock = golden("superblock-v1.bin", &superblock);
    let segment = golden("segment-v1.bin", &segment);
    // The second flush is marked halfway between the first two copies of the superblock.
    let (file, offset) = (FileName::Superblock, 512 << 10);
    let mark = disk.execute(&FileAction::Read { file, offset, bytes: 4096 });
    let mark = golden("floor-mark-v1.bin", &mark.expect("the file can be read"));

    let mut disk = SimDisk::default();
    let file = FileName::Superblock;
    disk.execute(&FileAction::Create { file, bytes: (3 << 20) + 4096 }).expect("there is room");
    for copy in 0..4 {
        let (offset, bytes) = (copy << 20, superblock.clone());
        disk.execute(&FileAction::Write { file, offset, bytes }).expect("the file exists");
    }
    disk.execute(&FileAction::Write { file, offset, bytes: mark }).expect("the file exists");
    let file = FileName::Segment(1);
    disk.execute(&FileAction::Create { file, bytes: 16 << 10 }).expect("the disk has space");
    disk.execute(&FileAction::Write { file, offset: 0, bytes: segment }).expect("the file exists");
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
