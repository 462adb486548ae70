//! Spoils sectors of a disk, and finds those that are still spoiled.

use quorate::storage::FileName;

use crate::disk::SimDisk;
use crate::disk::packed::{SECTOR_BYTES, ZEROS};
use crate::disk::spoiled::{SpoiledSector, SpoiledSectors, Spoiling};

impl SimDisk {
    /// Spoils a sector that was flushed, on the disk but not in the cache. The disk remembers its
    /// content. An unreadable sector stays unreadable. Returns false if the file lacks the sector.
    pub fn spoil(&mut self, name: FileName, number: u64, how: Spoiling) -> bool {
        let Ok(id) = self.id_of(name) else { return false };
        let file = self.files.get_mut(&id).expect("a name has a file");
        let found = file.durable_sector(number);
        let spoiled = self.spoiled.0.get(&(id, number));
        let earlier = spoiled.filter(|spoiled| spoiled.is_unrepaired(file, number));
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
            self.files.get(id).is_some_and(|file| spoiled.is_unrepaired(file, *number))
        })
    }

    /// Forgets the spoiled sectors, because they contain no data that the node still needs.
    pub fn forget_spoiled(&mut self) {
        self.spoiled = SpoiledSectors::default();
    }
}
