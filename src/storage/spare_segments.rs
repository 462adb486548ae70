//! Spare segments: empty segments that are created in advance, so that an append waits for a new
//! file only if they run out, and the node notices a full file system while they still have room.

use std::collections::VecDeque;

use crate::storage::disk::{DiskError, FileAction, FileName, Lane, OperationId};
use crate::storage::error::StorageError;
use crate::storage::operations::{Operations, Owner};

/// Empty segments whose content and names are durable, and the creation of the next one.
#[derive(Clone, Debug)]
pub(crate) struct SpareSegments {
    segments: VecDeque<u64>,
    /// The number of the next segment to create.
    next: u64,
    segment_bytes: u64,
    creating: Option<Creation>,
    /// The removal of a segment whose creation found the file system full.
    discarding: Option<OperationId>,
    /// Whether the last creation found the file system full, or lacked a resource; no other is
    /// tried until [`SpareSegments::retry`].
    is_stopped: bool,
    /// Whether the last creation lacked a resource of the process or the machine.
    is_exhausted: bool,
}

#[derive(Clone, Debug)]
struct Creation {
    create: OperationId,
    sync: OperationId,
    created: bool,
}

/// Whether an operation has found out that no segment can be created at present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SpaceChange {
    Unchanged,
    /// There was no room for a segment.
    Full,
    /// The process or the machine lacked a resource.
    Exhausted(StorageError),
}

impl SpareSegments {
    /// Starts with the empty segments `ready`; new ones are numbered from `next` on.
    pub(crate) fn new(ready: Vec<u64>, next: u64, segment_bytes: u64) -> SpareSegments {
        assert!(ready.iter().all(|number| *number < next), "new segments come last");
        let segments = VecDeque::from(ready);
        SpareSegments {
            segments,
            next,
            segment_bytes,
            creating: None,
            discarding: None,
            is_stopped: false,
            is_exhausted: false,
        }
    }

    /// Removes and returns the next empty segment, which is then in use.
    pub(crate) fn take(&mut self) -> Option<u64> {
        self.check();
        self.segments.pop_front()
    }

    /// Returns the number of the segment that is taken next.
    pub(crate) fn first(&self) -> Option<u64> {
        self.segments.front().copied()
    }

    /// Panics if the parts contradict one another.
    fn check(&self) {
        let (first, last) = (self.segments.front(), self.segments.back());
        assert!(last.is_none_or(|last| *last < self.next), "the next segment comes last");
        assert!(first <= last, "segments are used in their order");
        let discards = self.discarding.is_some();
        let has_created = self.creating.as_ref().is_some_and(|creating| creating.created);
        assert!(!(discards && has_created), "a created segment is not discarded");
    }

    /// Whether the segment is a spare one, or not created yet.
    pub(crate) fn has_segment(&self, number: u64) -> bool {
        number >= self.next || self.segments.contains(&number)
    }

    pub(crate) fn len(&self) -> usize {
        self.segments.len()
    }

    /// Returns true if no segment is created until [`SpareSegments::retry`].
    pub(crate) fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// Returns true if the last creation lacked a resource of the process or the machine.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.is_exhausted
    }

    /// Allows the creation of segments again after the file system was full, or a resource was
    /// missing.
    pub(crate) fn retry(&mut self) {
        self.is_stopped = false;
    }

    /// Begins to create the next segment if there are fewer than `count` and none is being created.
    pub(crate) fn advance(&mut self, count: usize, operations: &mut Operations) {
        self.is_exhausted &= self.segments.len() < count;
        if self.is_stopped || self.is_busy() || self.segments.len() >= count {
            return;
        }
        self.check();
        let (file, bytes) = (FileName::Segment(self.next), self.segment_bytes);
        let create = operations.request(Owner::Log, Lane::Bulk, FileAction::Create { file, bytes });
        let sync = operations.request(Owner::Log, Lane::Bulk, FileAction::SyncDirectory);
        self.creating = Some(Creation { create, sync, created: false });
    }

    fn is_busy(&self) -> bool {
        self.creating.is_some() || self.discarding.is_some()
    }

    /// Returns true if the operation belongs to a spare segment.
    pub(crate) fn has(&self, id: OperationId) -> bool {
        let creates = |creating: &Creation| creating.create == id || creating.sync == id;
        self.discarding == Some(id) || self.creating.as_ref().is_some_and(creates)
    }

    /// Handles the result of a creation, of the sync of its name, or of a removal.
    ///
    /// # Errors
    /// A [`StorageError`] if the disk failed, unless the creation found the file system full, or
    /// lacked a resource.
    pub(crate) fn completed(
        &mut self,
        id: OperationId,
        result: Result<Vec<u8>, DiskError>,
        operations: &mut Operations,
    ) -> Result<SpaceChange, StorageError> {
        let file = FileName::Segment(self.next);
        if self.discarding == Some(id) {
            self.discarding = None;
            let failure = |error| StorageError::disk(Some(file), 0, &error);
            return result.map(|_| SpaceChange::Unchanged).map_err(failure);
        }
        let creating = self
            .creating
            .as_mut()
            .expect("the caller checked that the operation is one of a spare segment");
        if id == creating.create {
            match result {
                Ok(_) => creating.created = true,
                Err(error @ (DiskError::Full | DiskError::Exhausted(_))) => {
                    // A partly created segment would occupy space that other files need.
                    let discard = FileAction::Remove { file };
                    self.discarding = Some(operations.request(Owner::Log, Lane::Bulk, discard));
                    self.is_stopped = true;
                    self.is_exhausted = error != DiskError::Full;
                    return Ok(match self.is_exhausted {
                        true => SpaceChange::Exhausted(StorageError::disk(Some(file), 0, &error)),
                        false => SpaceChange::Full,
                    });
                }
                Err(error) => return Err(StorageError::disk(Some(file), 0, &error)),
            }
        } else {
            result.map_err(|error| StorageError::disk(None, 0, &error))?;
            let discards = self.discarding.is_some();
            assert!(creating.created || discards, "a creation ends before the sync of its name");
            if creating.created {
                self.is_exhausted = false;
                self.segments.push_back(self.next);
                self.next += 1;
            }
            self.creating = None;
            self.check();
        }
        Ok(SpaceChange::Unchanged)
    }
}
