//! Superblock copies whose write the disk loses: the next update replaces them first, so that two
//! equal copies are always left.

use quorate::storage::{
    Completion, Disk, DiskError, Event, FileAction, FileName, OpenedStorage, Storage,
};
use quorate::types::{HardState, Write};
use quorate_sim::disk::SimDisk;

use super::host::{bare, config, formatted, hard_state, identity};

const COPY_STRIDE: u64 = 1 << 20;

/// A disk that loses the writes to one copy of the superblock.
struct LosingDisk {
    disk: SimDisk,
    lost_copy: Option<u64>,
}

impl LosingDisk {
    fn new() -> LosingDisk {
        LosingDisk { disk: formatted(), lost_copy: None }
    }

    fn open(&mut self) -> (Storage, OpenedStorage) {
        let (cluster, node) = (identity().cluster, identity().node);
        Storage::open(self, cluster, node, &config()).expect("the directory opens")
    }
}

impl Disk for LosingDisk {
    fn list(&mut self) -> Result<Vec<(FileName, u64)>, DiskError> {
        self.disk.list()
    }

    fn execute(&mut self, action: &FileAction) -> Result<Vec<u8>, DiskError> {
        match copy_of(action) {
            Some(copy) if self.lost_copy == Some(copy) => Ok(Vec::new()),
            _ => self.disk.execute(action),
        }
    }
}

/// Returns the copy of the superblock that the action writes.
fn copy_of(action: &FileAction) -> Option<u64> {
    match action {
        FileAction::Write { file: FileName::Superblock, offset, .. } => Some(offset / COPY_STRIDE),
        _ => None,
    }
}

/// Makes a term durable, and stops as at a crash after `writes_max` writes of the superblock.
/// Returns the copies that were written, in order.
fn update(
    storage: &mut Storage,
    disk: &mut LosingDisk,
    term: HardState,
    writes_max: usize,
) -> Vec<u64> {
    reported_update(storage, disk, term, writes_max).0
}

/// Does the same as [`update`], and also returns the copies that the store reported as damaged.
fn reported_update(
    storage: &mut Storage,
    disk: &mut LosingDisk,
    term: HardState,
    writes_max: usize,
) -> (Vec<u64>, Vec<u64>) {
    let (mut events, mut written, mut damaged) = (Vec::new(), Vec::new(), Vec::new());
    storage.persist(Write { hard_state: Some(term), ..bare(term.term.0) }, &mut events);
    while !events.is_empty() {
        for event in std::mem::take(&mut events) {
            let operation = match event {
                Event::Disk(operation) => operation,
                Event::DamagedSuperblock(error) => {
                    assert_eq!(error.file, Some(FileName::Superblock));
                    damaged.push(error.offset / COPY_STRIDE);
                    continue;
                }
                _ => continue,
            };
            if let Some(copy) = copy_of(&operation.action) {
                if written.len() == writes_max {
                    return (written, damaged);
                }
                written.push(copy);
            }
            let result = disk.execute(&operation.action);
            storage.completed(Completion { id: operation.id, result }, &mut events);
        }
    }
    (written, damaged)
}

fn read(disk: &mut SimDisk, copy: u64) -> Vec<u8> {
    let (file, offset) = (FileName::Superblock, copy * COPY_STRIDE);
    disk.execute(&FileAction::Read { file, offset, bytes: 4096 }).expect("the superblock exists")
}

fn overwrite(disk: &mut SimDisk, copy: u64, bytes: Vec<u8>) {
    let (file, offset) = (FileName::Superblock, copy * COPY_STRIDE);
    disk.execute(&FileAction::Write { file, offset, bytes }).expect("the superblock exists");
    disk.execute(&FileAction::Sync { file }).expect("the superblock exists");
}

#[test]
fn a_copy_whose_write_was_lost_is_written_first() {
    for lost in 0..4 {
        let mut disk = LosingDisk::new();
        let (mut storage, _) = disk.open();
        disk.lost_copy = Some(lost);
        assert_eq!(update(&mut storage, &mut disk, hard_state(5, 1), 9).len(), 8);
        disk.lost_copy = None;
        let written = update(&mut storage, &mut disk, hard_state(6, 2), 1);
        assert_eq!(written, [lost]);
        // The crash tears the other copy of the first pair.
        let torn = u64::from(lost == 0);
        let bytes = vec![0x55; 512];
        let tear =
            FileAction::Write { file: FileName::Superblock, offset: torn * COPY_STRIDE, bytes };
        disk.disk.execute(&tear).expect("the superblock exists");
        assert_eq!(disk.open().1.hard_state, hard_state(5, 1), "copy {lost} was lost");
    }
}

#[test]
fn a_copy_that_an_interrupted_update_left_does_not_outweigh_three_others() {
    let mut disk = LosingDisk::new();
    let (mut storage, _) = disk.open();
    let written = update(&mut storage, &mut disk, hard_state(5, 1), 1);
    disk.lost_copy = Some(written[0]);
    // The opening updates the superblock, too.
    let (mut storage, opened) = disk.open();
    let again = disk.disk.clone();
    assert_eq!(disk.open().1.hard_state, opened.hard_state);
    disk.disk = again;
    assert_eq!(update(&mut storage, &mut disk, hard_state(6, 2), 4).len(), 4);
    assert_eq!(disk.open().1.hard_state, hard_state(6, 2));
}

#[test]
fn a_copy_that_an_interrupted_update_left_does_not_outweigh_two_others() {
    let mut disk = LosingDisk::new();
    let (mut storage, _) = disk.open();
    let written = update(&mut storage, &mut disk, hard_state(5, 1), 1);
    disk.lost_copy = Some(written[0]);
    let (mut storage, opened) = disk.open();
    // The next update is interrupted after its first pair of writes, one of which is lost.
    let next = update(&mut storage, &mut disk, hard_state(6, 2), 2);
    assert_eq!(next[0], written[0]);
    let mut torn = LosingDisk { disk: disk.disk.clone(), lost_copy: None };
    assert_eq!(disk.open().1.hard_state, opened.hard_state);
    // Or in the middle of the other write.
    let (offset, bytes) = (next[1] * COPY_STRIDE, vec![0x55; 512]);
    let tear = FileAction::Write { file: FileName::Superblock, offset, bytes };
    torn.disk.execute(&tear).expect("the superblock exists");
    assert_eq!(torn.open().1.hard_state, opened.hard_state);
}

#[test]
fn a_copy_that_does_not_hold_an_update_is_reported_and_written_again() {
    for lost in 0..4 {
        let mut disk = LosingDisk::new();
        let (mut storage, _) = disk.open();
        // The disk loses the write of the copy, and the second write of it, too: the copy is
        // reported once, and waits for the next update.
        disk.lost_copy = Some(lost);
        let (written, damaged) = reported_update(&mut storage, &mut disk, hard_state(5, 1), 99);
        assert_eq!((written.len(), written[4]), (8, lost), "{written:?}");
        assert_eq!(damaged, [lost]);
        disk.lost_copy = None;
        let (written, damaged) = reported_update(&mut storage, &mut disk, hard_state(6, 2), 99);
        assert_eq!((written.len(), written[0]), (4, lost), "{written:?}");
        assert!(damaged.is_empty(), "{damaged:?}");
        let copies = [0, 1, 2, 3].map(|copy| read(&mut disk.disk, copy));
        assert!(copies.iter().all(|copy| *copy == copies[0]), "all four copies are equal again");
    }
}

/// A disk whose superblock has the last two updates on one copy each. The other two are damaged,
/// for example one by an interrupted write, and one by earlier bit rot.
fn with_two_updates(older: u64, newer: u64) -> SimDisk {
    let mut disk = LosingDisk::new();
    let (mut storage, _) = disk.open();
    update(&mut storage, &mut disk, hard_state(4, 1), 4);
    let before = read(&mut disk.disk, 0);
    update(&mut storage, &mut disk, hard_state(5, 3), 4);
    let after = read(&mut disk.disk, 0);
    assert!(before != after);
    for copy in 0..4 {
        let bytes = match copy {
            _ if copy == older => before.clone(),
            _ if copy == newer => after.clone(),
            _ => vec![0x55; 512],
        };
        overwrite(&mut disk.disk, copy, bytes);
    }
    disk.disk
}

#[test]
fn of_two_updates_on_one_copy_each_the_later_is_used_and_the_node_is_uncertain() {
    let expected = HardState { is_uncertain: true, ..hard_state(5, 3) };
    for (older, newer) in (0..16).map(|n| (n / 4, n % 4)).filter(|(one, other)| one != other) {
        let start = with_two_updates(older, newer);
        let mut disk = LosingDisk { disk: start.clone(), lost_copy: None };
        let (_, opened) = disk.open();
        assert_eq!(opened.hard_state, expected);
        let lost = opened.lost_end.expect("the damage is reported").without_advice();
        assert!(lost.contains("no two of its four copies are intact and equal"), "{lost}");
        assert!(lost.contains("a later term or vote") && lost.contains("may be lost"), "{lost}");
        let (_, again) = disk.open();
        assert_eq!((again.hard_state, again.lost_end), (expected, None), "all copies are equal");
        // A node that alone is a quorum rejects it, and nothing is changed.
        let (cluster, node) = (identity().cluster, identity().node);
        let mut alone = start.clone();
        let rejected = Storage::open_if(&mut alone, cluster, node, &config(), &mut |_| false);
        let error = rejected.expect_err("it is not accepted").to_string();
        assert!(error.starts_with(&lost), "{error}");
        for copy in 0..4 {
            assert!(read(&mut alone, copy) == read(&mut start.clone(), copy), "copy {copy}");
        }
    }
}

#[test]
fn a_crash_of_the_start_with_two_updates_on_one_copy_each_loses_neither() {
    for (older, newer) in (0..16).map(|n| (n / 4, n % 4)).filter(|(one, other)| one != other) {
        for writes_max in 0..4 {
            let disk = with_two_updates(older, newer);
            let mut crashing = CrashingDisk { disk, writes_max, written: Vec::new() };
            let (cluster, node) = (identity().cluster, identity().node);
            let started = Storage::open(&mut crashing, cluster, node, &config());
            assert!(started.is_err(), "the disk crashes");
            // Every copy of the pair that was not synced is torn.
            let CrashingDisk { mut disk, written, .. } = crashing;
            for copy in &written[writes_max / 2 * 2..] {
                overwrite(&mut disk, *copy, vec![0x55; 512]);
            }
            let (_, opened) = LosingDisk { disk, lost_copy: None }.open();
            let expected = HardState { is_uncertain: true, ..hard_state(5, 3) };
            assert_eq!(opened.hard_state, expected, "{older} {newer}, after {writes_max} writes");
        }
    }
}

/// A disk that fails for good at a write of the superblock.
struct CrashingDisk {
    disk: SimDisk,
    /// The number of writes of copies that are executed.
    writes_max: usize,
    /// The copies that were written, and the one at which the disk failed.
    written: Vec<u64>,
}

impl Disk for CrashingDisk {
    fn list(&mut self) -> Result<Vec<(FileName, u64)>, DiskError> {
        self.disk.list()
    }

    fn execute(&mut self, action: &FileAction) -> Result<Vec<u8>, DiskError> {
        if let Some(copy) = copy_of(action) {
            self.written.push(copy);
        }
        if self.written.len() > self.writes_max {
            return Err(DiskError::Failed("the power failed".to_owned()));
        }
        self.disk.execute(action)
    }
}
