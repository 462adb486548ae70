//! The changes and writes that a crash can lose, and the result of a crash.

use std::fmt;

use quorate::storage::FileName;

use crate::disk::directory::Change;

/// A change or a write that is not durable yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pending {
    /// A change to the directory.
    Change(Change),
    /// One write to one sector.
    Sector {
        /// The file, by the name that it was given last.
        file: FileName,
        /// The number of the sector, from 0.
        sector: u64,
        /// The index of the write among the unsynced writes to the sector, from 0.
        place: usize,
    },
}

/// The result of a crash, each list in the order in which the crash asked about its items.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Crash {
    /// The changes and writes that became durable.
    pub kept: Vec<Pending>,
    /// The changes and writes that are lost.
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
    /// Prints the number of kept and lost items, and the first few lost ones.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMED_MAX: usize = 4;
        write!(f, "kept {}, lost {}", self.kept.len(), self.lost.len())?;
        for (place, pending) in self.lost.iter().take(NAMED_MAX).enumerate() {
            write!(f, "{} {pending}", if place == 0 { ":" } else { "," })?;
        }
        f.write_str(if self.lost.len() > NAMED_MAX { ", …" } else { "" })
    }
}
