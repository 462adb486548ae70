//! Operations that fail because the process or the machine lacks a resource, such as open files or
//! memory. Reads, and the creation of segments, wait and are tried again.

use crate::storage::disk::{DiskError, OperationId};
use crate::storage::error::StorageError;
use crate::storage::store::{Event, Storage};

impl Storage {
    /// Defers an operation that failed with this error, if it is a read that lacks a resource.
    /// Returns false if the operation has ended.
    pub(crate) fn defer(
        &mut self,
        id: OperationId,
        error: &DiskError,
        events: &mut Vec<Event>,
    ) -> bool {
        if !matches!(error, DiskError::Exhausted(_)) {
            return false;
        }
        let Some((file, offset)) = self.operations.defer(id) else { return false };
        self.report_exhausted(StorageError::disk(Some(file), offset, error), events);
        true
    }

    /// Reports that something waits for a resource, unless that was reported.
    pub(crate) fn report_exhausted(&mut self, error: StorageError, events: &mut Vec<Event>) {
        if !std::mem::replace(&mut self.exhausted, true) {
            events.push(Event::Exhausted(Some(error)));
        }
    }

    /// Reports that nothing waits for a resource any more, once.
    pub(crate) fn report_end_of_lack(&mut self, events: &mut Vec<Event>) {
        let waits = self.operations.has_deferred() || self.log.spare_segments.is_exhausted();
        if self.exhausted && !waits {
            self.exhausted = false;
            events.push(Event::Exhausted(None));
        }
    }
}
