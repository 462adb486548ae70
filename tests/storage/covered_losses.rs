//! Flushes that cannot be read, between flushes that can: if the snapshot covers their entries, the
//! log begins after them. Damage that no start needs to read is found by an inspection.

use std::collections::BTreeSet;

use quorate::storage::{FileName, Inspection, Storage, StorageError};
use quorate::types::{Index, Write};
use quorate_sim::disk::SimDisk;

use super::host::{Host, bare, config, entry, hard_state, write};
use super::losses::{failure, remove, segments};

#[test]
fn a_lost_end_after_a_damaged_snapshot_is_damage() {
    let mut host = Host::fresh();
    host.persist(Write { hard_state: Some(hard_state(1, 1)), ..bare(1) });
    for index in 1..=18 {
        host.persist(write(index + 1, 1, index..=index));
        host.settle();
    }
    host.take_snapshot(12);
    // Four flushes fill a segment, so the log ends at entry 8 then.
    let mut disk = host.disk;
    (3..=5).for_each(|segment| remove(&mut disk, segment));
    let inspect = |disk: &SimDisk| {
        Inspection::open(&mut disk.clone(), &config()).expect("the superblock can be read")
    };
    let found = inspect(&disk);
    assert!(found.damage.is_some() && found.repairable.is_some(), "{found:?}");
    assert!(Host::open_with(disk.clone(), &config()).is_ok(), "the snapshot is intact");
    assert!(disk.flip_bits(FileName::Snapshot(Index(12)), 4096, 1));
    let found = inspect(&disk);
    assert_eq!((found.damage, found.repairable), (Some(failure(&disk, &config())), None));
}

#[test]
fn an_inspection_names_damage_that_no_start_needs_to_read() {
    let mut host = Host::fresh();
    host.persist(Write { hard_state: Some(hard_state(1, 1)), ..write(1, 1, 1..=8) });
    host.settle();
    host.persist(write(2, 1, 9..=9));
    host.settle();
    host.take_snapshot(4);
    host.take_snapshot(8);
    host.act(Storage::close);
    host.settle();
    let disk = host.disk;
    let inspect = |disk: &mut SimDisk| {
        let found = Inspection::open(disk, &config()).expect("it can be read");
        assert_eq!((&found.damage, &found.damaged_snapshot), (&None, &None));
        let older = found.damaged_older_snapshots(disk).expect("it can be listed");
        let place = |error: &StorageError| (error.file.expect("a file"), error.offset);
        older.iter().chain(&found.superblock_faults).map(place).collect::<Vec<_>>()
    };
    assert_eq!(inspect(&mut disk.clone()), []);
    // A chunk of the older snapshot; two copies of the superblock, and two marks.
    let superblock = [1 << 20, 2 << 20, 1 << 19, 3 << 19].map(|at| (FileName::Superblock, at));
    let older = (FileName::Snapshot(Index(4)), 4096);
    for (file, offset) in [older].into_iter().chain(superblock) {
        let mut disk = disk.clone();
        assert!(disk.flip_bits(file, offset + 8, 1), "{file} at {offset}");
        assert_eq!(inspect(&mut disk), [(file, offset)]);
        assert!(Host::open_with(disk, &config()).is_ok(), "{file} at {offset}");
    }
}

#[test]
fn lost_flushes_that_the_snapshot_covers_are_removed() {
    // Four flushes fill a segment: entries 5 through 8 are in the second one.
    for (covered, opens) in [(12, true), (8, true), (7, false)] {
        let mut host = Host::fresh();
        host.persist(Write { hard_state: Some(hard_state(1, 1)), ..bare(1) });
        for index in 1..=18 {
            host.persist(write(index + 1, 1, index..=index));
            host.settle();
        }
        host.take_snapshot(covered);
        let mut disk = host.disk.clone();
        remove(&mut disk, 2);
        if !opens {
            let error = failure(&disk, &config());
            assert!(error.message.contains("entries 5 through 8 are lost"), "{error}");
            continue;
        }
        // Without the snapshot that covers the loss, the node does not start.
        let mut without = disk.clone();
        assert!(without.flip_bits(FileName::Snapshot(Index(covered)), 4096, 1));
        let found = Inspection::open(&mut without.clone(), &config()).expect("it can be read");
        assert_eq!(found.damage, Some(failure(&without, &config())));
        assert_eq!(found.repairable, None);
        let found = Inspection::open(&mut disk.clone(), &config()).expect("it can be read");
        let (mut host, opened) = Host::open_with(disk, &config()).expect("nothing is needed");
        let loss = opened.covered_loss.expect("the loss is named");
        assert!(loss.message.contains("entries 5 through 8 are lost"), "{loss}");
        assert_eq!((found.opened.covered_loss, found.damage), (Some(loss), None));
        assert_eq!((opened.base.index, opened.last.index), (Index(8), Index(18)));
        let rest: Vec<_> = (9..=18).map(|index| entry(1, index)).collect();
        assert_eq!(host.log(), rest);
        host.act(Storage::start);
        host.settle();
        assert_eq!(segments(&mut host.disk.clone()).first().map(|(number, _)| *number), Some(3));
        host.persist(write(30, 1, 19..=19));
        host.settle();
        let (mut host, opened) =
            Host::open_with(host.crash(&BTreeSet::new()), &config()).expect("the log goes on");
        assert_eq!((opened.covered_loss, opened.last.index), (None, Index(19)));
        assert_eq!(host.log().len(), 11);
    }
}
