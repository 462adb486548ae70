//! Sectors that a fault changed although they were flushed, and the content that they had.

use std::collections::BTreeMap;

use quorate::storage::FileName;

use crate::disk::SimDisk;
use crate::disk::directory::FileId;
use crate::disk::file::File;
use crate::disk::packed::{SECTOR_BYTES, Sector, ZEROS};

/// The change of a spoiled sector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoiling {
    /// A bit of the byte at this position flips.
    BitFlip(usize),
    /// The sector is full of zeros.
    Zeros,
    /// The sector cannot be read until it is written again.
    Unreadable,
}

/// The spoiled sectors, by file and number.
#[derive(Clone, Debug, Default)]
pub(super) struct SpoiledSectors(BTreeMap<(FileId, u64), SpoiledSector>);

#[derive(Clone, Debug)]
struct SpoiledSector {
    /// The content before the fault.
    before: Sector,
    /// The content after the fault; `None` if the sector cannot be read.
    after: Option<Sector>,
}

impl SpoiledSector {
    /// Returns true if nothing was written to the sector since the fault.
    fn is_left(&self, file: &File, number: u64) -> bool {
        let content = file.durable_sector(number);
        content == self.after && content != Some(self.before)
    }
}

impl SimDisk {
    /// Spoils a sector that was flushed, on the disk but not in the cache. The disk remembers its
    /// content. An unreadable sector stays unreadable. Returns false if the file has no such sector.
    pub fn spoil(&mut self, name: FileName, number: u64, how: Spoiling) -> bool {
        let Ok(id) = self.id_of(name) else { return false };
        let file = self.files.get_mut(&id).expect("a name has a file");
        let found = file.durable_sector(number);
        let spoiled = self.spoiled.0.get(&(id, number));
        let earlier = spoiled.filter(|spoiled| spoiled.is_left(file, number));
        let Some(before) = earlier.map(|spoiled| spoiled.before).or(found) else { return false };
        let after = match how {
            Spoiling::BitFlip(place) => found.map(|mut sector| {
                sector[place % SECTOR_BYTES] ^= 1 << (place % 8);
                sector
            }),
            Spoiling::Zeros => found.map(|_| ZEROS),
            Spoiling::Unreadable => None,
        };
        let exists = file.spoil(number, after.as_ref());
        if exists {
            self.spoiled.0.insert((id, number), SpoiledSector { before, after });
        }
        exists
    }

    /// Returns true if a file has a spoiled sector that was not written again.
    #[must_use]
    pub fn has_spoiled(&self) -> bool {
        self.spoiled.0.iter().any(|((id, number), spoiled)| {
            self.files.get(id).is_some_and(|file| spoiled.is_left(file, *number))
        })
    }

    /// Forgets the spoiled sectors: no data that a node needs are in them any more.
    pub fn forget_spoiled(&mut self) {
        self.spoiled = SpoiledSectors::default();
    }
}
