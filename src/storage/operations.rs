//! The operations that the parts of the store ask for, and whose each one is.

use std::collections::BTreeMap;

use crate::storage::disk::{FileAction, Lane, Operation, OperationId};

/// Operations asked for and not yet done.
#[derive(Clone, Debug, Default)]
pub(crate) struct Operations {
    last: OperationId,
    under_way: BTreeMap<OperationId, Part>,
    /// Asked for in the step under way, in order.
    asked: Vec<Operation>,
}

/// A part of the store that asks for operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Term, vote and the snapshot in force.
    Superblock,
    /// The segments.
    Log,
    /// The snapshots' files.
    Snapshots,
}

impl Operations {
    /// Asks for `action` on behalf of `part`.
    pub(crate) fn ask(&mut self, part: Part, lane: Lane, action: FileAction) -> OperationId {
        self.last = OperationId(self.last.0 + 1);
        self.under_way.insert(self.last, part);
        self.asked.push(Operation { id: self.last, lane, action });
        self.last
    }

    /// Whose operation is done.
    ///
    /// # Panics
    /// If it was not asked for, or is reported twice.
    pub(crate) fn done(&mut self, id: OperationId) -> Part {
        let part = self.under_way.remove(&id);
        part.expect("contract: only an operation that was asked for is completed, and once")
    }

    /// What was asked for since the last call, in order.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = Operation> {
        self.asked.drain(..)
    }
}
