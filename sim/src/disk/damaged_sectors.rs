//! Sectors that a fault changed although they were flushed, and the content that they had.

use std::collections::BTreeMap;

use crate::disk::directory::FileId;
use crate::disk::file::File;
use crate::disk::packed::Sector;

/// The change of a damaged sector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SectorDamage {
    /// A bit of the byte at this position flips.
    BitFlip(usize),
    /// The sector is full of zeros.
    Zeros,
    /// The sector cannot be read until it is written again.
    Unreadable,
}

/// The damaged sectors, by file and number.
#[derive(Clone, Debug, Default)]
pub(super) struct DamagedSectors(pub(super) BTreeMap<(FileId, u64), DamagedSector>);

impl DamagedSectors {
    /// Replaces the damaged sectors of a file with those of the file `older`, or with none if
    /// `older` is `None`.
    pub(super) fn restore(&mut self, id: FileId, from: &DamagedSectors, older: Option<FileId>) {
        self.0.retain(|(of, _), _| *of != id);
        let damaged = from.0.iter().filter(|((of, _), _)| Some(*of) == older);
        self.0.extend(damaged.map(|((_, number), sector)| ((id, *number), sector.clone())));
    }
}

#[derive(Clone, Debug)]
pub(super) struct DamagedSector {
    /// The content before the fault.
    pub(super) before: Sector,
    /// The content after the fault; `None` if the sector cannot be read.
    pub(super) after: Option<Sector>,
}

impl DamagedSector {
    /// Returns true if the sector still has the content that the fault left.
    pub(super) fn is_unrepaired(&self, file: &File, number: u64) -> bool {
        let content = file.durable_sector(number);
        content == self.after && content != Some(self.before)
    }
}
