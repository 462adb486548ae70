//! A crash at every operation of formatting: formatting can be repeated, and a formatted directory
//! is never formatted again.

use quorate::storage::{FileName, OpenError, Storage};
use quorate_sim::disk::{ChangeOrder, Fault, SimDisk};

use super::host::{CLUSTER, NODE, config, formatted, identity, membership};

fn format(disk: &mut SimDisk) -> Result<(), OpenError> {
    Storage::format(disk, identity(), &membership(), &config())
}

fn open(disk: &mut SimDisk) -> Result<(), OpenError> {
    Storage::open(disk, CLUSTER, NODE, &config()).map(drop)
}

/// Formats until a fault, then crashes; of the unsynced changes, those that `keep` selects survive.
fn interrupted(fault: Fault, after: u64, keep: impl Fn(usize) -> bool) -> Option<SimDisk> {
    let mut disk = SimDisk::default();
    disk.arm(fault, after);
    format(&mut disk).err()?;
    disk.disarm();
    let mut place = 0;
    disk.crash(ChangeOrder::PerFile, |_| {
        place += 1;
        keep(place - 1)
    });
    Some(disk)
}

#[test]
fn interrupted_formatting_can_be_repeated() {
    let faults = [
        Fault::CreateFails,
        Fault::SyncDirectoryFails,
        Fault::WriteFails { sectors: 3 },
        Fault::SyncFails { sectors: 5 },
        Fault::ReadFails,
    ];
    let mut again = 0;
    for fault in faults {
        for after in 0..5 {
            for kept in 0..40_usize {
                let single = move |place| place == kept;
                let prefix = move |place| place < kept;
                for disk in [interrupted(fault, after, single), interrupted(fault, after, prefix)] {
                    let Some(mut disk) = disk else { continue };
                    match format(&mut disk) {
                        Ok(()) => again += 1,
                        // Every copy was already intact: the directory only has to be opened.
                        Err(error) => assert!(matches!(error, OpenError::NotEmpty(_)), "{error}"),
                    }
                    open(&mut disk).expect("a formatted directory opens");
                }
            }
        }
    }
    assert!(again > 100, "it was done again {again} times");
}

#[test]
fn a_used_directory_is_never_formatted_again() {
    let mut disk = formatted();
    open(&mut disk).expect("the directory opens");
    for copies in 0_u64..15 {
        let mut damaged = disk.clone();
        for copy in (0..4).filter(|copy| copies >> copy & 1 == 1) {
            assert!(damaged.flip_bits(FileName::Superblock, copy << 20, 1));
        }
        assert!(format(&mut damaged).is_err(), "copies {copies:04b} are damaged");
    }
    assert_eq!(open(&mut SimDisk::default()), Err(OpenError::NotFormatted));
}
