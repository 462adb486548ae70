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
}

/// The owner of a pending operation, and its place for an error text.
#[derive(Clone, Copy, Debug)]
struct PendingOperation {
    owner: Owner,
    file: Option<FileName>,
    offset: u64,
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
        let before = self.under_way.insert(self.last, PendingOperation { owner, file, offset });
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
        let is_out = self.requested.first().is_none_or(|requested| id < requested.id);
        assert!(is_out, "contract: the driver got an operation before it completes it");
        let done = self.under_way.remove(&id);
        let done = done.expect("contract: an operation that was requested is completed once");
        (done.owner, done.file, done.offset)
    }

    /// Returns the operations requested since the last call, in order.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = Operation> {
        self.requested.drain(..)
    }
}
