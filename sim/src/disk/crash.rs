//! What a crash may take from a disk, and what one took.

use std::fmt;

use quorate::storage::FileName;

use crate::disk::directory::Change;

/// Something that is not durable yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pending {
    /// A change to the directory.
    Change(Change),
    /// One write to one sector.
    Sector {
        /// The file, by the last name it had.
        file: FileName,
        /// The number of the sector, from 0.
        sector: u64,
        /// The write's place among the unsynced writes to the sector, from 0.
        place: usize,
    },
}

/// What a crash kept and what it took, each in the order in which it was asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Crash {
    /// What became durable.
    pub kept: Vec<Pending>,
    /// What is gone.
    pub lost: Vec<Pending>,
}

impl fmt::Display for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pending::Change(change) => change.fmt(f),
            Pending::Sector { file, sector, place: 0 } => write!(f, "{file}:{sector}"),
            Pending::Sector { file, sector, place } => write!(f, "{file}:{sector}+{place}"),
        }
    }
}

impl fmt::Display for Crash {
    /// How much was kept, and what was lost, the first few by name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMED_MAX: usize = 4;
        write!(f, "kept {}, lost {}", self.kept.len(), self.lost.len())?;
        for (place, pending) in self.lost.iter().take(NAMED_MAX).enumerate() {
            write!(f, "{} {pending}", if place == 0 { ":" } else { "," })?;
        }
        f.write_str(if self.lost.len() > NAMED_MAX { ", …" } else { "" })
    }
}
