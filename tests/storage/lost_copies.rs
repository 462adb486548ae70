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
    let (mut events, mut written) = (Vec::new(), Vec::new());
    storage.persist(Write { hard_state: Some(term), ..bare(term.term.0) }, &mut events);
    while !events.is_empty() {
        for event in std::mem::take(&mut events) {
            let Event::Disk(operation) = event else { continue };
            if let Some(copy) = copy_of(&operation.action) {
                if written.len() == writes_max {
                    return written;
                }
                written.push(copy);
            }
            let result = disk.execute(&operation.action);
            storage.completed(Completion { id: operation.id, result }, &mut events);
        }
    }
    written
}

#[test]
fn a_copy_whose_write_was_lost_is_written_first() {
    for lost in 0..4 {
        let mut disk = LosingDisk::new();
        let (mut storage, _) = disk.open();
        disk.lost_copy = Some(lost);
        assert_eq!(update(&mut storage, &mut disk, hard_state(5, 1), 4).len(), 4);
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
