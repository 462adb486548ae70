//! Counts the failed reads of kept snapshots. A single failure may be temporary, so it is not
//! treated as damage.

use std::collections::BTreeMap;

use crate::storage::disk::DiskError;
use crate::types::Index;

/// The number of failed reads in a row of the same bytes after which a snapshot counts as damaged.
pub(crate) const FAILED_READS_MAX: u32 = 3;

/// The number of times in a row that a read of a kept snapshot has failed, by the last index of the
/// snapshot and the offset of the read.
#[derive(Clone, Debug, Default)]
pub(crate) struct FailedReads {
    counts: BTreeMap<(Index, u64), u32>,
}

impl FailedReads {
    /// Counts the result of a read. Returns true if the read failed, and must be repeated before
    /// the failure counts as damage. `place` is the last index of the snapshot, and the offset.
    pub(crate) fn is_repeated(
        &mut self,
        place: (Index, u64),
        result: &Result<Vec<u8>, DiskError>,
    ) -> bool {
        if result.is_ok() {
            self.counts.remove(&place);
            return false;
        }
        let failures = self.counts.entry(place).or_default();
        *failures += 1;
        *failures < FAILED_READS_MAX
    }

    /// Drops the counts of all snapshots that are not `kept`.
    pub(crate) fn retain(&mut self, kept: impl Fn(Index) -> bool) {
        self.counts.retain(|(last, _), _| kept(*last));
    }
}
