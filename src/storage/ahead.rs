//! Empty segments, created before they are needed: an append never waits for a file to grow, and
//! a full file system is noticed while there is still room.

use std::collections::VecDeque;

use crate::storage::disk::{DiskError, FileAction, FileName, Lane, OperationId};
use crate::storage::failure::Failure;
use crate::storage::operations::{Operations, Owner};

/// Segments that are empty, durable and named.
#[derive(Clone, Debug)]
pub(crate) struct Ahead {
    ready: VecDeque<u64>,
    /// The number for the next one.
    next: u64,
    segment_bytes: u64,
    creating: Option<Creation>,
    /// Removes what a creation left that had no room.
    discarding: Option<OperationId>,
    /// The file system had no room for one; nothing is tried until somebody says so.
    full: bool,
}

#[derive(Clone, Debug)]
struct Creation {
    create: OperationId,
    sync: OperationId,
    created: bool,
}

/// What the end of an operation means for those who wait for space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Space {
    Unchanged,
    /// There was no room for a segment.
    Full,
}

impl Ahead {
    /// `ready` are empty already; new ones get numbers from `next` on.
    pub(crate) fn new(ready: Vec<u64>, next: u64, segment_bytes: u64) -> Ahead {
        assert!(ready.iter().all(|number| *number < next), "new segments come last");
        let ready = VecDeque::from(ready);
        Ahead { ready, next, segment_bytes, creating: None, discarding: None, full: false }
    }

    /// The next empty segment, which is in use from now on.
    pub(crate) fn take(&mut self) -> Option<u64> {
        self.ready.pop_front()
    }

    pub(crate) fn len(&self) -> usize {
        self.ready.len()
    }

    /// Tries again although the file system was full.
    pub(crate) fn retry(&mut self) {
        self.full = false;
    }

    /// Creates the next segment if there are fewer than `count`, one after the other.
    pub(crate) fn advance(&mut self, count: usize, operations: &mut Operations) {
        if self.full || self.is_busy() || self.ready.len() >= count {
            return;
        }
        let (file, bytes) = (FileName::Segment(self.next), self.segment_bytes);
        let create = operations.ask(Owner::Log, Lane::Bulk, FileAction::Create { file, bytes });
        let sync = operations.ask(Owner::Log, Lane::Bulk, FileAction::SyncDirectory);
        self.creating = Some(Creation { create, sync, created: false });
    }

    fn is_busy(&self) -> bool {
        self.creating.is_some() || self.discarding.is_some()
    }

    /// Whether the operation is one of these.
    pub(crate) fn has(&self, id: OperationId) -> bool {
        let creates = |creating: &Creation| creating.create == id || creating.sync == id;
        self.discarding == Some(id) || self.creating.as_ref().is_some_and(creates)
    }

    /// A creation, or the sync of its name, is done.
    ///
    /// # Errors
    /// The disk failed for another reason than want of space.
    pub(crate) fn completed(
        &mut self,
        id: OperationId,
        result: Result<Vec<u8>, DiskError>,
        operations: &mut Operations,
    ) -> Result<Space, Failure> {
        let file = FileName::Segment(self.next);
        if self.discarding == Some(id) {
            self.discarding = None;
            let failure = |error| Failure::disk(Some(file), 0, &error);
            return result.map(|_| Space::Unchanged).map_err(failure);
        }
        let creating = self.creating.as_mut().expect("the caller asked whether it has it");
        if id == creating.create {
            match result {
                Ok(_) => creating.created = true,
                Err(DiskError::Full) => {
                    // Half a segment would keep the room that others need.
                    let discard = FileAction::Remove { file };
                    self.discarding = Some(operations.ask(Owner::Log, Lane::Bulk, discard));
                    self.full = true;
                    return Ok(Space::Full);
                }
                Err(error) => return Err(Failure::disk(Some(file), 0, &error)),
            }
        } else {
            result.map_err(|error| Failure::disk(None, 0, &error))?;
            if creating.created {
                self.ready.push_back(self.next);
                self.next += 1;
            }
            self.creating = None;
        }
        Ok(Space::Unchanged)
    }
}
