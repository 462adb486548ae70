//! The operations that the parts of the store request, and the owner of each.

use std::collections::BTreeMap;

use crate::storage::disk::{FileAction, FileName, Lane, Operation, OperationId};

/// Operations that were requested and are not yet completed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Operations {
    last: OperationId,
    under_way: BTreeMap<OperationId, PendingOperation>,
    /// The operations that were requested since the last [`Operations::take`], in order.
    requested: Vec<Operation>,
    /// The reads under way that failed for lack of a resource, with those of them that wait.
    deferred: BTreeMap<OperationId, DeferredRead>,
}

/// A read that failed for lack of a resource, and was not completed since.
#[derive(Clone, Copy, Debug)]
struct DeferredRead {
    lane: Lane,
    bytes: usize,
    stage: DeferredStage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DeferredStage {
    /// The read waits for [`Operations::repeat_deferred`].
    Waiting,
    /// The driver gets the read again with the next [`Operations::take`].
    Repeated,
    /// The driver has the read.
    UnderWay,
}

/// The owner of a pending operation, and its place for an error text.
#[derive(Clone, Copy, Debug)]
struct PendingOperation {
    owner: Owner,
    file: Option<FileName>,
    offset: u64,
    /// The lane and the length of a read.
    read: Option<(Lane, usize)>,
}

/// A part of the store that requests operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The copies of the superblock.
    Superblock,
    /// The marks of the acknowledged floor.
    Floor,
    /// The segments of the log.
    Log,
    /// The files of the snapshots.
    Snapshots,
    /// No part: the operation drops cached bytes, and its failure does not matter.
    Cache,
}

impl Operations {
    /// Requests `action` on behalf of `owner`.
    pub(crate) fn request(&mut self, owner: Owner, lane: Lane, action: FileAction) -> OperationId {
        self.last = OperationId(self.last.0 + 1);
        let (file, offset) = action.place();
        let read = match &action {
            FileAction::Read { bytes, .. } => Some((lane, *bytes)),
            _ => None,
        };
        let pending = PendingOperation { owner, file, offset, read };
        let before = self.under_way.insert(self.last, pending);
        assert!(before.is_none(), "an operation has a number of its own");
        self.requested.push(Operation { id: self.last, lane, action });
        self.last
    }

    /// Requests that the cached pages of this file are dropped, so that later reads in the lane
    /// return the content of the disk.
    pub(crate) fn drop_cache(&mut self, lane: Lane, file: FileName) {
        self.request(Owner::Cache, lane, FileAction::DropCache { file });
    }

    /// Completes an operation, and returns its owner and the file and offset of its action.
    ///
    /// # Panics
    /// If the driver did not get the operation, or completes it twice.
    pub(crate) fn complete(&mut self, id: OperationId) -> (Owner, Option<FileName>, u64) {
        self.assert_is_out(id);
        self.deferred.remove(&id);
        let done = self.under_way.remove(&id);
        let done = done.expect("contract: an operation that was requested is completed once");
        (done.owner, done.file, done.offset)
    }

    /// Defers an operation that failed for lack of a resource, if it is a read: it stays under way
    /// until it is repeated and completed. Returns the file and the offset of the read, and `None`
    /// for any other operation.
    ///
    /// # Panics
    /// If the driver did not get the operation.
    pub(crate) fn defer(&mut self, id: OperationId) -> Option<(FileName, u64)> {
        self.assert_is_out(id);
        let pending = self.under_way.get(&id);
        let pending = pending.expect("contract: an operation that was requested is completed once");
        let (lane, bytes) = pending.read?;
        self.deferred.insert(id, DeferredRead { lane, bytes, stage: DeferredStage::Waiting });
        Some((pending.file?, pending.offset))
    }

    /// Returns true while a read that was deferred is not completed.
    pub(crate) fn has_deferred(&self) -> bool {
        !self.deferred.is_empty()
    }

    /// Requests the deferred reads that wait once more, under their numbers.
    pub(crate) fn repeat_deferred(&mut self) {
        let waiting =
            self.deferred.values_mut().filter(|read| read.stage == DeferredStage::Waiting);
        waiting.for_each(|read| read.stage = DeferredStage::Repeated);
    }

    /// Panics if the driver does not have the operation.
    fn assert_is_out(&self, id: OperationId) {
        let is_out = match self.deferred.get(&id) {
            Some(read) => read.stage == DeferredStage::UnderWay,
            None => self.requested.first().is_none_or(|requested| id < requested.id),
        };
        assert!(is_out, "contract: the driver got an operation before it completes it");
    }

    /// Returns the reads to repeat, and the operations requested since the last call, in order.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = Operation> {
        let Operations { under_way, requested, deferred, .. } = self;
        let repeated =
            deferred.iter_mut().filter(|(_, read)| read.stage == DeferredStage::Repeated);
        let repeated = repeated.map(|(id, read)| {
            read.stage = DeferredStage::UnderWay;
            let PendingOperation { file, offset, .. } = under_way[id];
            let file = file.expect("a read names its file");
            let action = FileAction::Read { file, offset, bytes: read.bytes };
            Operation { id: *id, lane: read.lane, action }
        });
        repeated.chain(requested.drain(..))
    }
}
