//! The sectors of a data directory that hold the records of each entry.

use std::collections::BTreeMap;

use quorate::storage::{Disk, FileAction, FileName};
use quorate::types::Index;
use quorate_sim::disk::SimDisk;

pub(crate) const SECTOR: u64 = 512;
const PAGE: u64 = 4096;
const PAYLOAD: usize = 508;
const BLOCK: usize = 144;
const RECORD: usize = 56;

/// A sector of a file.
pub(crate) type Sector = (FileName, u64);

/// The sectors with the two records of one entry.
#[derive(Clone, Debug)]
pub(crate) struct Records {
    pub(crate) header: Sector,
    /// The first sector has the copy of the header, too.
    pub(crate) body: Vec<Sector>,
}

pub(crate) fn read(disk: &SimDisk, file: FileName, offset: u64, bytes: u64) -> Vec<u8> {
    let bytes = usize::try_from(bytes).expect("the files are small");
    let read = disk.clone().execute(&FileAction::Read { file, offset, bytes });
    read.expect("the file can be read")
}

pub(crate) fn files(disk: &SimDisk) -> Vec<(FileName, u64)> {
    disk.clone().list().expect("the directory can be listed")
}

/// Returns the places of all entries, from the header blocks as `docs/FORMAT.md` describes them.
/// Every flush has one entry.
pub(crate) fn entries(disk: &SimDisk) -> BTreeMap<Index, Records> {
    let mut found = BTreeMap::new();
    for (file, bytes) in files(disk) {
        if !matches!(file, FileName::Segment(_)) {
            continue;
        }
        let zone = read(disk, file, 0, bytes);
        for (page, block) in (0..).zip(zone.chunks(PAGE as usize)) {
            let number = |at: usize| {
                u64::from_le_bytes(*block[at..].first_chunk().expect("it is in the first sector"))
            };
            if !block.starts_with(b"QUORALOG") {
                break;
            }
            let (count, start, length) = (number(8) >> 32, number(128), number(136));
            assert_eq!((count, BLOCK + RECORD < PAYLOAD), (1, true), "a flush has one entry");
            let sectors = (start / SECTOR..).take((length as usize).div_ceil(PAYLOAD));
            let body = sectors.map(|sector| (file, sector)).collect();
            let records = Records { header: (file, page * PAGE / SECTOR), body };
            found.insert(Index(number(BLOCK + 8)), records);
        }
    }
    found
}
