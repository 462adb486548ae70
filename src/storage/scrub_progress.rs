//! The progress of the scrub. Each update of the superblock stores it, so that a pass continues
//! after a restart: a node that restarts often would otherwise read the first data again and again,
//! and never the rest.

use crate::storage::repair::ScrubOutcome;
use crate::storage::scrub::ScrubPlace;
use crate::storage::sector::PAGE_BYTES;
use crate::storage::snapshots::scrubbing::SnapshotScrubPlace;
use crate::storage::store::{Event, Storage};
use crate::storage::superblock::SavedScrubPlace;
use crate::types::Index;

/// The bytes of a scrub after which its place is stored even if nothing else updates the
/// superblock. A node that is killed reads at most about that many bytes twice.
const UNSAVED_BYTES_MAX: u64 = 4 << 20;

impl SavedScrubPlace {
    /// Returns the encoding of a place within the snapshots.
    fn of_snapshots(place: SnapshotScrubPlace) -> SavedScrubPlace {
        SavedScrubPlace { segment: u64::MAX - u64::from(place.chunk), offset: place.last.0 }
    }

    /// Decodes a place within the snapshots; returns `None` if the place is in the log.
    fn snapshots(self) -> Option<SnapshotScrubPlace> {
        let chunk = u32::try_from(u64::MAX - self.segment).ok()?;
        Some(SnapshotScrubPlace { last: Index(self.offset), chunk })
    }
}

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
            self.snapshots.begin_scrub(SnapshotScrubPlace::default());
        }
        self.report_scrubbed(bytes, events);
    }

    /// Reports the end of a scrub that was not the last one of its pass.
    pub(crate) fn report_scrubbed(&mut self, bytes: u64, events: &mut Vec<Event>) {
        events.push(Event::Scrubbed { bytes, pass_ended: false });
        self.unsaved_scrub_bytes += bytes;
    }

    /// Stores the place of the scrub with the next update of the superblock. Requests one once
    /// [`UNSAVED_BYTES_MAX`] bytes were scrubbed since it last requested one.
    pub(crate) fn save_scrub_place(&mut self) {
        let place = match (self.snapshots.scrub_place(), self.log.repairs.scrub_place()) {
            (Some(place), _) => SavedScrubPlace::of_snapshots(place),
            (None, ScrubPlace::Superblock) => SavedScrubPlace::default(),
            (None, ScrubPlace::Flush { segment, offset }) => SavedScrubPlace { segment, offset },
        };
        self.updater.note(|superblock| superblock.scrub = place);
        // A closed store makes no more requests.
        if self.unsaved_scrub_bytes >= UNSAVED_BYTES_MAX && !self.updater.target().clean {
            self.unsaved_scrub_bytes = 0;
            self.updater.request(|_| {});
        }
    }

    /// Continues the scrub at the place that the superblock records.
    pub(crate) fn resume_scrub(&mut self) {
        let saved = self.updater.durable().scrub;
        if let Some(place) = saved.snapshots() {
            return self.snapshots.begin_scrub(place);
        }
        if saved.segment > 0 {
            let offset = saved.offset - saved.offset % PAGE_BYTES as u64;
            self.log.repairs.resume_scrub(ScrubPlace::Flush { segment: saved.segment, offset });
        }
    }
}
