//! The superblock file, mutated by input bytes during an update or after it: opening returns the
//! state of one of the last two updates, and never an older one. Without two equal copies, the node
//! is uncertain.

use quorate::storage::{Disk, FileAction, FileName, OpenError, OpenedStorage, Storage};
use quorate::types::{HardState, Write};
use quorate_sim::disk::SimDisk;

use super::host::{Host, bare, config, hard_state, identity};

const FILE: FileName = FileName::Superblock;
const COPY_BYTES: usize = 4096;
const SUM_AT: usize = COPY_BYTES - 16;

/// A disk, and one copy of the superblock before and after its last update.
pub(crate) struct Image {
    disk: SimDisk,
    before: Vec<u8>,
    after: Vec<u8>,
}

pub(crate) fn image() -> Image {
    let mut host = Host::fresh();
    host.persist(Write { hard_state: Some(old()), ..bare(1) });
    host.settle();
    let before = read(&mut host.disk, 0, COPY_BYTES);
    host.persist(Write { hard_state: Some(new()), ..bare(2) });
    host.settle();
    let after = read(&mut host.disk, 0, COPY_BYTES);
    Image { disk: host.disk.durable_copy(), before, after }
}

fn old() -> HardState {
    hard_state(4, 1)
}

fn new() -> HardState {
    hard_state(5, 3)
}

/// Applies the input: the first byte is the number of updated copies, and every following four
/// bytes mutate a copy. Then the bytes become the content of a superblock with a valid checksum, in
/// all copies.
pub(crate) fn drive(image: &Image, bytes: &[u8]) {
    let Some((&first, changes)) = bytes.split_first() else { return };
    let updated = usize::from(first % 5);
    let mut copies: Vec<Vec<u8>> = (0..4)
        .map(|copy| if copy < updated { image.after.clone() } else { image.before.clone() })
        .collect();
    for change in changes.chunks_exact(4).take(32) {
        let place = usize::from(u16::from_le_bytes([change[1], change[2]])) % COPY_BYTES;
        let copy = &mut copies[usize::from(change[0] % 4)];
        match change[0] / 4 % 4 {
            0 => copy[place] ^= change[3],
            1 => copy[..place].fill(0),
            2 => copy[place..].fill(0),
            _ => *copy = vec![0; COPY_BYTES],
        }
    }
    let intact = |content: &[u8]| copies.iter().filter(|copy| *copy == content).count();
    let (before, after) = (intact(&image.before), intact(&image.after));
    match open(image, &copies) {
        Ok(found) if found == new() => assert!(after >= 2, "a single copy does not count"),
        Ok(found) if found.is_uncertain => {
            assert_eq!(found, HardState { is_uncertain: true, ..new() });
            assert_eq!(
                (before, after),
                (1, 1),
                "a single copy counts only beside one of the update before"
            );
        }
        Ok(found) => {
            assert_eq!(found, old());
            assert!(
                before >= 2 && after <= 1,
                "{before} copies before the update, {after} after it"
            );
        }
        Err(error) => assert!(before + after <= 1, "{error}"),
    }
    for base in [&image.after[..], &[0; COPY_BYTES]] {
        let mut copy = base.to_vec();
        let length = changes.len().min(SUM_AT);
        let at = usize::from(first) * 16 % (SUM_AT - length + 1);
        copy[at..at + length].copy_from_slice(&changes[..length]);
        let sum = blake3::hash(&copy[..SUM_AT]);
        copy[SUM_AT..].copy_from_slice(&sum.as_bytes()[..16]);
        let opened = open(image, &vec![copy.clone(); 4]);
        assert!(opened.is_ok() || copy != image.after, "an intact superblock is rejected");
    }
}

/// Returns the hard state of the opened copies, and asserts that the next opening agrees.
fn open(image: &Image, copies: &[Vec<u8>]) -> Result<HardState, OpenError> {
    let mut disk = image.disk.clone();
    for (number, copy) in (0..).zip(copies) {
        let (offset, bytes) = (number << 20, copy.clone());
        let write = FileAction::Write { file: FILE, offset, bytes };
        disk.execute(&write).expect("the superblock exists");
    }
    disk.execute(&FileAction::Sync { file: FILE }).expect("the superblock exists");
    let (cluster, node) = (identity().cluster, identity().node);
    let (_, opened) = Storage::open(&mut disk, cluster, node, &config())?;
    let again = Storage::open(&mut disk, cluster, node, &config());
    let (_, again) = again.expect("an opened directory opens again");
    assert_eq!(again, OpenedStorage { lost_end: None, ..opened.clone() });
    Ok(opened.hard_state)
}

fn read(disk: &mut SimDisk, offset: u64, bytes: usize) -> Vec<u8> {
    disk.execute(&FileAction::Read { file: FILE, offset, bytes }).expect("the file can be read")
}
