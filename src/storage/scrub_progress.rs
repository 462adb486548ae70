//! The progress of the scrub, which each update of the superblock stores, so that a pass continues
//! after a restart: a node that restarts often would otherwise read the first data again and again,
//! and the rest never.

use crate::storage::repair::ScrubOutcome;
use crate::storage::scrub::ScrubPlace;
use crate::storage::sector::PAGE_BYTES;
use crate::storage::store::{Event, Storage};
use crate::storage::superblock::SavedScrubPlace;
use crate::types::Index;

/// The segment in the superblock that stands for the snapshots after the log.
const SNAPSHOTS: u64 = u64::MAX;

impl Storage {
    /// Handles the end of a scrub of the superblock and the log: requests that damaged copies of
    /// the superblock are written again, and reports the rest.
    pub(crate) fn on_scrubbed(&mut self, outcome: ScrubOutcome, events: &mut Vec<Event>) {
        let ScrubOutcome { damaged, copies, bytes, log_ended } = outcome;
        let durable = self.updater.durable().seq;
        let copies = copies.filter(|(seq, _)| *seq == durable).map(|(_, copies)| copies);
        if let Some(copies) = copies.filter(|copies| copies.contains(&false)) {
            self.updater.rewrite_damaged(copies);
        }
        events.extend((!damaged.is_empty()).then_some(Event::Damaged(damaged)));
        if log_ended {
            self.snapshots.begin_scrub(Index::ZERO);
        }
        events.push(Event::Scrubbed { bytes, pass_ended: false });
    }

    /// Stores the place of the scrub with the next update of the superblock.
    pub(crate) fn save_scrub_place(&mut self) {
        let place = match (self.snapshots.scrubbed_through(), self.log.repairs.scrub_place()) {
            (Some(through), _) => SavedScrubPlace { segment: SNAPSHOTS, offset: through.0 },
            (None, ScrubPlace::Superblock) => SavedScrubPlace::default(),
            (None, ScrubPlace::Flush { segment, offset }) => SavedScrubPlace { segment, offset },
        };
        self.updater.note(|superblock| superblock.scrub = place);
    }

    /// Continues the scrub at the place that the superblock has.
    pub(crate) fn resume_scrub(&mut self) {
        match self.updater.durable().scrub {
            SavedScrubPlace { segment: 0, .. } => {}
            SavedScrubPlace { segment: SNAPSHOTS, offset } => {
                self.snapshots.begin_scrub(Index(offset));
            }
            SavedScrubPlace { segment, offset } => {
                let offset = offset - offset % PAGE_BYTES as u64;
                self.log.repairs.resume_scrub(ScrubPlace::Flush { segment, offset });
            }
        }
    }
}
