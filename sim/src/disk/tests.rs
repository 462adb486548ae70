//! Tests of the simulated disk: its visible, stored and lost content.

use quorate::storage::{Disk, DiskError, FileAction, FileName, check_disk};
use quorate::types::Index;

use super::{Change, ChangeOrder, Fault, Pending, SECTOR_BYTES, SectorDamage, SimDisk};

const A: FileName = FileName::Segment(1);
const B: FileName = FileName::Segment(2);
const PART: FileName = FileName::PartialSnapshot(Index(9));
const WHOLE: FileName = FileName::Snapshot(Index(9));

const SECTOR: u64 = SECTOR_BYTES as u64;

fn create(file: FileName, sectors: u64) -> FileAction {
    FileAction::Create { file, bytes: sectors * SECTOR }
}

/// Returns a write that fills `sectors` sectors from sector `first` on.
fn fill(file: FileName, first: u64, sectors: usize, byte: u8) -> FileAction {
    FileAction::Write { file, offset: first * SECTOR, bytes: vec![byte; sectors * SECTOR_BYTES] }
}

fn apply_all(disk: &mut SimDisk, actions: &[FileAction]) {
    for action in actions {
        disk.apply(action).unwrap_or_else(|error| panic!("{action:?}: {error}"));
    }
}

/// Returns a disk with a durable file of `sectors` zero sectors.
fn disk_with(file: FileName, sectors: u64) -> SimDisk {
    let mut disk = SimDisk::default();
    apply_all(&mut disk, &[create(file, sectors), FileAction::SyncDirectory]);
    disk
}

fn read(disk: &mut SimDisk, file: FileName) -> Vec<u8> {
    disk.apply(&FileAction::Read { file, offset: 0, bytes: usize::MAX }).expect("it can be read")
}

/// Returns the first byte of each sector.
fn firsts(disk: &mut SimDisk, file: FileName) -> Vec<u8> {
    read(disk, file).chunks(SECTOR_BYTES).map(|sector| sector[0]).collect()
}

fn names(disk: &mut SimDisk) -> Vec<FileName> {
    disk.list().unwrap().into_iter().map(|(name, _)| name).collect()
}

fn is_failed(result: Result<Vec<u8>, DiskError>) -> bool {
    matches!(result, Err(DiskError::Failed(_)))
}

#[test]
fn the_simulated_disk_passes_the_tests_of_disks() {
    check_disk(SimDisk::default);
}

#[test]
fn every_subset_of_unsynced_sectors_can_survive() {
    for subset in 0u8..16 {
        let mut disk = disk_with(A, 4);
        apply_all(&mut disk, &[fill(A, 0, 4, 1)]);
        assert_eq!(firsts(&mut disk, A), [1; 4], "the cache shows unsynced writes");
        assert_eq!(disk.unsynced_sectors(), 4);
        let crash = disk.crash(ChangeOrder::Prefix, |pending| match pending {
            Pending::Sector { sector, .. } => subset >> sector & 1 == 1,
            Pending::Change(_) => unreachable!("the name is durable"),
        });
        let expected: Vec<u8> = (0..4).map(|sector| subset >> sector & 1).collect();
        assert_eq!(firsts(&mut disk, A), expected);
        assert_eq!(crash.kept.len() + crash.lost.len(), 4);
        assert_eq!(disk.unsynced_sectors(), 0);
    }
}

#[test]
fn a_synced_write_survives_and_any_later_version_may_replace_it() {
    for (wanted, survivor) in [(0b00, 1), (0b01, 2), (0b10, 3), (0b11, 3)] {
        let mut disk = disk_with(A, 1);
        apply_all(&mut disk, &[fill(A, 0, 1, 1), FileAction::Sync { file: A }]);
        apply_all(&mut disk, &[fill(A, 0, 1, 2), fill(A, 0, 1, 3)]);
        assert_eq!(disk.pending().len(), 2);
        assert_eq!(disk.unsynced_sectors(), 1);
        disk.crash(ChangeOrder::Prefix, |pending| match pending {
            Pending::Sector { place, .. } => wanted >> place & 1 == 1,
            Pending::Change(_) => unreachable!("the name is durable"),
        });
        assert_eq!(firsts(&mut disk, A), [survivor], "{wanted:b}");
    }
}

#[test]
fn a_file_grows_to_its_last_surviving_sector() {
    let write = FileAction::Write { file: A, offset: 500, bytes: vec![1; 1000] };
    for (kept, bytes) in [(None, 0), (Some(0), 512), (Some(1), 1024), (Some(2), 1500)] {
        let mut disk = disk_with(A, 0);
        apply_all(&mut disk, std::slice::from_ref(&write));
        assert_eq!(disk.list(), Ok(vec![(A, 1500)]));
        disk.crash(
            ChangeOrder::Prefix,
            |pending| matches!(pending, Pending::Sector { sector, .. } if Some(sector) == kept),
        );
        assert_eq!(disk.list(), Ok(vec![(A, bytes)]));
    }
}

#[test]
fn a_name_is_durable_after_a_directory_sync() {
    for synced in [false, true] {
        let mut disk = SimDisk::default();
        apply_all(&mut disk, &[create(A, 1), fill(A, 0, 1, 1), FileAction::Sync { file: A }]);
        if synced {
            apply_all(&mut disk, &[FileAction::SyncDirectory]);
        }
        assert_eq!(disk.pending().len(), usize::from(!synced));
        disk.crash(ChangeOrder::Prefix, |_| false);
        assert_eq!(names(&mut disk), if synced { vec![A] } else { vec![] });
    }
}

#[test]
fn a_new_file_is_zeros_even_after_a_crash() {
    let mut disk = disk_with(A, 2);
    apply_all(&mut disk, &[fill(A, 0, 2, 1), FileAction::Sync { file: A }, create(A, 3)]);
    assert_eq!(firsts(&mut disk, A), [0; 3]);
    let mut old = disk.clone();
    old.crash(ChangeOrder::Prefix, |_| false);
    assert_eq!(firsts(&mut old, A), [1; 2], "the old file is back");
    let mut neither = disk.clone();
    neither.crash(ChangeOrder::Prefix, |pending| pending == Pending::Change(Change::Remove(A)));
    assert_eq!(names(&mut neither), [], "the old file is gone, and the new one too");
    disk.crash(ChangeOrder::Prefix, |_| true);
    assert_eq!(firsts(&mut disk, A), [0; 3]);
}

#[test]
fn a_rename_is_atomic_and_independent_of_content() {
    let mut disk = disk_with(WHOLE, 1);
    apply_all(&mut disk, &[fill(WHOLE, 0, 1, 1), FileAction::Sync { file: WHOLE }]);
    apply_all(&mut disk, &[create(PART, 1), FileAction::SyncDirectory, fill(PART, 0, 1, 2)]);
    apply_all(&mut disk, &[FileAction::Rename { from: PART, to: WHOLE }]);
    assert_eq!(names(&mut disk), [WHOLE]);
    assert_eq!(firsts(&mut disk, WHOLE), [2]);
    let mut before = disk.clone();
    before.crash(ChangeOrder::Prefix, |pending| matches!(pending, Pending::Sector { .. }));
    assert_eq!(names(&mut before), [WHOLE, PART]);
    assert_eq!((firsts(&mut before, WHOLE), firsts(&mut before, PART)), (vec![1], vec![2]));
    disk.crash(ChangeOrder::Prefix, |pending| matches!(pending, Pending::Change(_)));
    assert_eq!(names(&mut disk), [WHOLE]);
    assert_eq!(firsts(&mut disk, WHOLE), [0], "renamed before it was synced");
}

#[test]
fn the_order_decides_which_changes_after_a_lost_one_are_lost() {
    let lost_first = |order| {
        let mut disk = disk_with(A, 1);
        let rename = FileAction::Rename { from: PART, to: WHOLE };
        apply_all(&mut disk, &[create(PART, 1), FileAction::Remove { file: A }, rename]);
        let crash = disk.crash(order, |pending| pending != Pending::Change(Change::Create(PART)));
        (names(&mut disk), crash.lost.len())
    };
    assert_eq!(lost_first(ChangeOrder::Prefix), (vec![A], 3));
    assert_eq!(lost_first(ChangeOrder::PerFile), (vec![], 2), "the removal shares no name");
}

#[test]
fn a_removal_is_pending_and_a_file_may_be_removed_twice() {
    let mut disk = disk_with(A, 1);
    let remove = FileAction::Remove { file: A };
    apply_all(&mut disk, &[fill(A, 0, 1, 1), FileAction::Sync { file: A }]);
    apply_all(&mut disk, &[remove.clone(), remove.clone()]);
    assert!(is_failed(disk.apply(&FileAction::Read { file: A, offset: 0, bytes: 1 })));
    let mut back = disk.clone();
    back.crash(ChangeOrder::Prefix, |_| false);
    assert_eq!(firsts(&mut back, A), [1]);
    apply_all(&mut disk, &[FileAction::SyncDirectory]);
    disk.crash(ChangeOrder::Prefix, |_| false);
    assert_eq!(names(&mut disk), []);
}

#[test]
fn a_failed_sync_leaves_a_wrong_cache() {
    let mut disk = disk_with(A, 3);
    let sync = FileAction::Sync { file: A };
    disk.arm(Fault::SyncFails { sectors: 1 }, 1);
    apply_all(&mut disk, &[sync.clone(), fill(A, 0, 3, 1)]);
    assert!(is_failed(disk.apply(&sync)));
    assert_eq!(disk.apply(&sync), Ok(vec![]), "sectors of a failed sync count as clean");
    assert_eq!(disk.unsynced_sectors(), 0);
    assert_eq!(firsts(&mut disk, A), [1, 1, 1]);
    let mut crashed = disk.clone();
    crashed.crash(ChangeOrder::Prefix, |_| true);
    assert_eq!(firsts(&mut crashed, A), [1, 0, 0]);
    apply_all(&mut disk, &[fill(A, 2, 1, 2)]);
    disk.forget_cache();
    assert_eq!(firsts(&mut disk, A), [1, 0, 2], "the cache keeps unsynced writes");
    apply_all(&mut disk, &[sync]);
    disk.crash(ChangeOrder::Prefix, |_| false);
    assert_eq!(firsts(&mut disk, A), [1, 0, 2]);
}

#[test]
fn a_failed_directory_sync_leaves_names_that_are_not_durable() {
    let mut disk = SimDisk::default();
    disk.arm(Fault::SyncDirectoryFails, 0);
    apply_all(&mut disk, &[create(A, 1)]);
    assert!(is_failed(disk.apply(&FileAction::SyncDirectory)));
    apply_all(&mut disk, &[FileAction::SyncDirectory]);
    assert_eq!(names(&mut disk), [A]);
    apply_all(&mut disk, &[create(B, 1), FileAction::Rename { from: A, to: PART }]);
    disk.forget_cache();
    assert_eq!(names(&mut disk), [B], "the disk never had the file that was renamed");
}

#[test]
fn a_fault_hits_an_operation_of_its_kind() {
    let file = A;
    let cases = [
        (Fault::CreateFails, create(B, 1)),
        (Fault::WriteFails { sectors: 0 }, fill(A, 0, 1, 1)),
        (Fault::SyncFails { sectors: 0 }, FileAction::Sync { file }),
        (Fault::ReadFails, FileAction::Read { file, offset: 0, bytes: 1 }),
        (Fault::RenameFails, FileAction::Rename { from: A, to: PART }),
        (Fault::RemoveFails, FileAction::Remove { file }),
        (Fault::SyncDirectoryFails, FileAction::SyncDirectory),
    ];
    for (fault, action) in &cases {
        for (_, other) in &cases {
            let mut disk = disk_with(A, 1);
            disk.arm(*fault, 0);
            assert_eq!(is_failed(disk.apply(other)), other == action, "{fault:?} {other:?}");
            assert_eq!(disk.faults_armed(), usize::from(other != action));
        }
        let mut disk = disk_with(A, 1);
        disk.arm(*fault, 0);
        disk.disarm();
        assert!(disk.apply(action).is_ok(), "{action:?}");
    }
}

#[test]
fn a_failed_write_writes_only_its_first_sectors() {
    let mut disk = disk_with(A, 4);
    disk.arm(Fault::WriteFails { sectors: 2 }, 1);
    disk.arm(Fault::WriteFails { sectors: 0 }, 1);
    apply_all(&mut disk, &[fill(A, 0, 4, 1)]);
    assert!(is_failed(disk.apply(&fill(A, 1, 3, 2))));
    assert_eq!(firsts(&mut disk, A), [1, 2, 2, 1]);
    assert!(is_failed(disk.apply(&fill(A, 0, 4, 3))), "two faults, two operations");
    assert_eq!(firsts(&mut disk, A), [1, 2, 2, 1]);
}

#[test]
fn a_lost_write_is_visible_until_the_cache_is_dropped() {
    let mut disk = disk_with(A, 2);
    disk.arm(Fault::WriteLost, 0);
    apply_all(&mut disk, &[fill(A, 0, 2, 1), FileAction::Sync { file: A }]);
    apply_all(&mut disk, &[fill(A, 1, 1, 2), FileAction::Sync { file: A }]);
    assert_eq!(firsts(&mut disk, A), [1, 2]);
    disk.forget_cache();
    assert_eq!(firsts(&mut disk, A), [0, 2]);
}

#[test]
fn a_file_that_is_not_a_segment_shows_the_disk_after_a_sync() {
    let file = FileName::Superblock;
    let mut disk = disk_with(file, 2);
    disk.arm(Fault::WriteLost, 0);
    apply_all(&mut disk, &[fill(file, 0, 1, 1), fill(file, 1, 1, 1)]);
    assert_eq!(firsts(&mut disk, file), [1, 1]);
    apply_all(&mut disk, &[FileAction::Sync { file }]);
    assert_eq!(firsts(&mut disk, file), [0, 1]);
}

#[test]
fn a_creation_that_fails_frees_the_name() {
    for is_full in [false, true] {
        let mut disk = disk_with(A, 1);
        disk.set_capacity(Some(2 * SECTOR));
        if !is_full {
            disk.arm(Fault::CreateFails, 0);
        }
        let result = disk.apply(&create(A, if is_full { 3 } else { 1 }));
        assert_eq!(result == Err(DiskError::Full), is_full);
        assert!(result.is_err());
        assert_eq!(names(&mut disk), []);
        disk.crash(ChangeOrder::Prefix, |_| false);
        assert_eq!(names(&mut disk), [A], "the removal was not durable");
    }
}

#[test]
fn a_misdirected_write_hits_another_place() {
    for (hit, expected) in [(A, ([9, 9, 1], [9, 9, 9])), (B, ([9, 9, 9], [9, 9, 1]))] {
        let mut disk = SimDisk::default();
        for file in [A, B] {
            apply_all(&mut disk, &[create(file, 3), fill(file, 0, 3, 9)]);
            apply_all(&mut disk, &[FileAction::Sync { file }]);
        }
        apply_all(&mut disk, &[FileAction::SyncDirectory]);
        disk.arm(Fault::WriteMisdirected { file: hit, offset: 2 * SECTOR + 7 }, 0);
        apply_all(&mut disk, &[fill(A, 0, 2, 1), FileAction::Sync { file: A }]);
        assert_eq!(firsts(&mut disk, A)[..2], [1, 1], "the cache shows the intended write");
        disk.forget_cache();
        let found = (firsts(&mut disk, A), firsts(&mut disk, B));
        assert_eq!(found, (expected.0.to_vec(), expected.1.to_vec()), "no file grows");
    }
}

#[test]
fn bit_flips_change_the_disk() {
    let mut disk = disk_with(A, 2);
    apply_all(&mut disk, &[fill(A, 1, 1, 1)]);
    assert!(disk.flip_bits(A, 3, 0x80));
    assert!(disk.flip_bits(A, SECTOR, 0xff));
    assert!(!disk.flip_bits(A, 2 * SECTOR, 1), "beyond the end");
    assert!(!disk.flip_bits(B, 0, 1), "no such file");
    let shown = read(&mut disk, A);
    assert_eq!((shown[3], shown[512]), (0x80, 1), "an unsynced sector hides what is below it");
    disk.crash(ChangeOrder::Prefix, |_| false);
    assert_eq!(read(&mut disk, A)[512], 0xff);
}

#[test]
fn a_full_disk_fails_and_removals_free_its_space() {
    let mut disk = disk_with(A, 2);
    disk.set_capacity(Some(5 * SECTOR));
    assert_eq!(disk.apply(&create(B, 4)), Err(DiskError::Full));
    assert_eq!(names(&mut disk), [A]);
    apply_all(&mut disk, &[create(B, 1), fill(A, 1, 2, 1)]);
    assert_eq!(disk.free_bytes(), SECTOR);
    assert_eq!(disk.apply(&fill(A, 3, 3, 1)), Err(DiskError::Full));
    assert_eq!(firsts(&mut disk, A), [0, 1, 1, 1], "as much as there was room for");
    apply_all(&mut disk, &[fill(A, 0, 4, 2)]);
    assert_eq!(disk.apply(&fill(B, 9, 1, 1)), Err(DiskError::Full));
    apply_all(&mut disk, &[create(B, 1), FileAction::Remove { file: B }]);
    assert_eq!(disk.free_bytes(), SECTOR, "a removal frees space at once");
    disk.set_capacity(None);
    apply_all(&mut disk, &[fill(A, 100, 1, 1)]);
}

#[test]
fn a_durable_copy_has_only_durable_content() {
    let mut disk = disk_with(A, 1);
    apply_all(&mut disk, &[fill(A, 0, 1, 1), FileAction::Sync { file: A }]);
    apply_all(&mut disk, &[fill(A, 0, 1, 2), create(B, 1)]);
    let mut image = disk.durable_copy();
    apply_all(&mut disk, &[FileAction::Sync { file: A }, FileAction::SyncDirectory]);
    assert_eq!((names(&mut image), firsts(&mut image, A)), (vec![A], vec![1]));
    assert_eq!((names(&mut disk), firsts(&mut disk, A)), (vec![A, B], vec![2]));
    disk.wipe();
    disk.crash(ChangeOrder::Prefix, |_| false);
    assert_eq!(names(&mut disk), []);
}

#[test]
fn missing_files_and_invalid_offsets_fail() {
    let mut disk = disk_with(A, 1);
    for action in [
        fill(B, 0, 1, 1),
        FileAction::Sync { file: B },
        FileAction::Read { file: B, offset: 0, bytes: 1 },
        FileAction::Rename { from: B, to: A },
        FileAction::Write { file: A, offset: u64::MAX - 1, bytes: vec![1; 2] },
    ] {
        assert!(is_failed(disk.apply(&action)), "{action:?}");
    }
    let beyond = FileAction::Read { file: A, offset: u64::MAX, bytes: usize::MAX };
    assert_eq!(disk.apply(&beyond), Ok(vec![]));
    apply_all(&mut disk, &[FileAction::Rename { from: A, to: A }]);
    assert_eq!(names(&mut disk), [A]);
}

#[test]
fn a_large_file_of_zeros_takes_no_memory() {
    let mut disk = disk_with(A, 1 << 40);
    assert_eq!(
        disk.apply(&FileAction::Read { file: A, offset: 1 << 48, bytes: 3 }),
        Ok(vec![0; 3])
    );
}

#[test]
fn a_crash_prints_its_losses() {
    let mut disk = disk_with(A, 8);
    apply_all(&mut disk, &[create(B, 1), fill(A, 1, 1, 1), fill(A, 1, 5, 2)]);
    let mut offered = Vec::new();
    let expected = disk.pending();
    let crash = disk.crash(ChangeOrder::Prefix, |pending| {
        offered.push(pending);
        offered.len() == 1
    });
    assert_eq!(offered, expected);
    let lost = "kept 1, lost 6: log-0000000000000001:1, log-0000000000000001:1+1, \
                log-0000000000000001:2, log-0000000000000001:3, …";
    assert_eq!(crash.to_string(), lost);
}

#[test]
fn a_damaged_sector_stays_damaged_until_it_is_written_again() {
    let file = FileName::Segment(1);
    let write = |bytes: &[u8]| FileAction::Write { file, offset: 512, bytes: bytes.to_vec() };
    let read = FileAction::Read { file, offset: 0, bytes: 1024 };
    for how in [SectorDamage::BitFlip(7), SectorDamage::Zeros, SectorDamage::Unreadable] {
        let mut disk = SimDisk::default();
        disk.apply(&FileAction::Create { file, bytes: 4096 }).unwrap();
        disk.apply(&FileAction::SyncDirectory).unwrap();
        disk.apply(&write(&[7; 512])).unwrap();
        disk.apply(&FileAction::Sync { file }).unwrap();
        assert!(!disk.damage_sector(file, 8, how), "the file has eight sectors");
        assert!(!disk.has_damaged_sectors());
        assert!(disk.damage_sector(file, 1, how));
        let found = disk.apply(&read);
        assert_eq!(found.is_err(), how == SectorDamage::Unreadable, "{how:?}");
        assert!(found.is_err() || found != Ok([[0; 512], [7; 512]].concat()), "{how:?}");
        disk.apply(&write(&[7; 512])).unwrap();
        assert!(disk.has_damaged_sectors(), "{how:?}: the write is not durable yet");
        let mut lost = disk.clone();
        lost.crash(ChangeOrder::Prefix, |_| false);
        assert!(lost.has_damaged_sectors(), "{how:?}");
        assert_eq!(disk.apply(&read), Ok([[0; 512], [7; 512]].concat()), "{how:?}: cached");
        disk.apply(&FileAction::Sync { file }).unwrap();
        assert!(!disk.has_damaged_sectors(), "{how:?}");
        let mut copy = disk.durable_copy();
        assert_eq!(copy.apply(&read), Ok([[0; 512], [7; 512]].concat()), "{how:?}");
    }
}

#[test]
fn a_sector_can_be_damaged_several_times() {
    let file = FileName::Segment(1);
    let ways = [
        SectorDamage::BitFlip(7),
        SectorDamage::Unreadable,
        SectorDamage::Zeros,
        SectorDamage::BitFlip(8),
    ];
    let mut disk = SimDisk::default();
    disk.apply(&FileAction::Create { file, bytes: 4096 }).unwrap();
    disk.apply(&FileAction::SyncDirectory).unwrap();
    for how in ways {
        assert!(disk.damage_sector(file, 3, how));
        assert!(disk.has_damaged_sectors(), "{how:?}");
    }
    assert!(disk.damage_sector(file, 4, SectorDamage::BitFlip(5)));
    assert!(disk.damage_sector(file, 4, SectorDamage::BitFlip(5)), "the bit flips back");
    disk.apply(&FileAction::Write { file, offset: 3 * 512, bytes: vec![0; 512] }).unwrap();
    disk.apply(&FileAction::Sync { file }).unwrap();
    assert!(!disk.has_damaged_sectors());
}

#[test]
fn a_repair_does_not_move_the_end_of_the_log() {
    let mut disk = disk_with(A, 64);
    for action in [fill(A, 0, 8, 1), fill(A, 56, 8, 2), FileAction::Sync { file: A }] {
        disk.apply(&action).unwrap();
    }
    for action in [fill(A, 8, 8, 3), fill(A, 48, 8, 4), FileAction::Sync { file: A }] {
        disk.apply(&action).unwrap();
    }
    assert!(disk.is_at_head(A, 8) && disk.is_at_head(A, 55), "the last flush");
    assert!(!disk.is_at_head(A, 56), "an earlier flush");
    assert!(disk.damage_sector(A, 57, SectorDamage::Zeros));
    apply_all(&mut disk, &[fill(A, 57, 1, 2), FileAction::Sync { file: A }]);
    assert!(disk.is_at_head(A, 8) && disk.is_at_head(A, 55), "the last flush is still the last");
    assert!(!disk.is_at_head(A, 57), "the repaired sector");
}

#[test]
fn a_removed_file_has_no_damaged_sectors() {
    let file = FileName::Segment(1);
    let mut disk = SimDisk::default();
    disk.apply(&FileAction::Create { file, bytes: 4096 }).unwrap();
    disk.apply(&FileAction::SyncDirectory).unwrap();
    assert!(disk.damage_sector(file, 0, SectorDamage::Unreadable));
    disk.apply(&FileAction::Remove { file }).unwrap();
    assert!(disk.has_damaged_sectors(), "a crash may bring the file back");
    disk.apply(&FileAction::SyncDirectory).unwrap();
    assert!(!disk.has_damaged_sectors());
}

#[test]
fn an_older_log_brings_its_damaged_sectors_back() {
    let file = FileName::Segment(1);
    let mut disk = SimDisk::default();
    for action in [
        FileAction::Create { file, bytes: 4096 },
        FileAction::SyncDirectory,
        FileAction::Write { file, offset: 0, bytes: vec![7; SECTOR_BYTES] },
        FileAction::Sync { file },
    ] {
        disk.apply(&action).unwrap();
    }
    assert!(disk.damage_sector(file, 0, SectorDamage::Zeros));
    let older = disk.durable_copy();
    for action in [
        FileAction::Write { file, offset: 0, bytes: vec![7; SECTOR_BYTES] },
        FileAction::Sync { file },
    ] {
        disk.apply(&action).unwrap();
    }
    disk.forget_damaged_sectors();
    assert!(!disk.has_damaged_sectors());
    disk.restore_log(&older);
    assert!(disk.has_damaged_sectors());
}
