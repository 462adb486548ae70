//! The operations that the parts of the store ask for, and whose each one is.

use std::collections::BTreeMap;

use crate::storage::disk::{FileAction, Lane, Operation, OperationId};

/// Operations asked for and not yet done.
#[derive(Clone, Debug, Default)]
pub(crate) struct Operations {
    last: OperationId,
    under_way: BTreeMap<OperationId, Owner>,
    /// Asked for in the step under way, in order.
    asked: Vec<Operation>,
}

/// A part of the store that asks for operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Term, vote and the snapshot in force.
    Superblock,
    /// The segments.
    Log,
    /// The snapshots' files.
    Snapshots,
}

impl Operations {
    /// Asks for `action` on behalf of `owner`.
    pub(crate) fn ask(&mut self, owner: Owner, lane: Lane, action: FileAction) -> OperationId {
        self.last = OperationId(self.last.0 + 1);
        self.under_way.insert(self.last, owner);
        self.asked.push(Operation { id: self.last, lane, action });
        self.last
    }

    /// Whose operation is done.
    ///
    /// # Panics
    /// If it was not asked for, or is reported twice.
    pub(crate) fn done(&mut self, id: OperationId) -> Owner {
        let owner = self.under_way.remove(&id);
        owner.expect("contract: only an operation that was asked for is completed, and once")
    }

    /// What was asked for since the last call, in order.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = Operation> {
        self.asked.drain(..)
    }
}
