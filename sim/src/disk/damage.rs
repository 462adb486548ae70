//! Damages sectors of a disk, and finds those that are still damaged.

use quorate::storage::FileName;

use crate::disk::SimDisk;
use crate::disk::damaged_sectors::{DamagedSector, DamagedSectors, SectorDamage};
use crate::disk::packed::{SECTOR_BYTES, ZEROS};

impl SimDisk {
    /// Damages a sector that was flushed, on the disk but not in the cache. The disk remembers its
    /// content. An unreadable sector stays unreadable. Returns false if the file lacks the sector.
    pub fn damage_sector(&mut self, name: FileName, number: u64, how: SectorDamage) -> bool {
        let Ok(id) = self.id_of(name) else { return false };
        let file = self.files.get_mut(&id).expect("a name has a file");
        let found = file.durable_sector(number);
        let damaged = self.damaged.0.get(&(id, number));
        let earlier = damaged.filter(|damaged| damaged.is_unrepaired(file, number));
        let Some(before) = earlier.map(|damaged| damaged.before).or(found) else { return false };
        let after = match how {
            SectorDamage::BitFlip(place) => found.map(|mut sector| {
                sector[place % SECTOR_BYTES] ^= 1 << (place % 8);
                sector
            }),
            SectorDamage::Zeros => found.map(|_| ZEROS),
            SectorDamage::Unreadable => None,
        };
        let exists = file.damage_sector(number, after.as_ref());
        if exists {
            self.damaged.0.insert((id, number), DamagedSector { before, after });
        }
        exists
    }

    /// Returns true if a file has a damaged sector that was not written again.
    #[must_use]
    pub fn has_damaged_sectors(&self) -> bool {
        self.damaged.0.iter().any(|((id, number), damaged)| {
            self.files.get(id).is_some_and(|file| damaged.is_unrepaired(file, *number))
        })
    }

    /// Forgets the damaged sectors, because they contain no data that the node still needs.
    pub fn forget_damaged_sectors(&mut self) {
        self.damaged = DamagedSectors::default();
    }
}
