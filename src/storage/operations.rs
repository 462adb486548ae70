//! The operations that the parts of the store ask for, and whose each one is.

use std::collections::BTreeMap;

use crate::storage::disk::{FileAction, FileName, Lane, Operation, OperationId};

/// Operations asked for and not yet done.
#[derive(Clone, Debug, Default)]
pub(crate) struct Operations {
    last: OperationId,
    under_way: BTreeMap<OperationId, UnderWay>,
    /// Asked for in the step under way, in order.
    asked: Vec<Operation>,
}

/// An operation that is not done: whose it is, and what to say if it fails.
#[derive(Clone, Copy, Debug)]
struct UnderWay {
    owner: Owner,
    file: Option<FileName>,
    offset: u64,
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
        let (file, offset) = action.place();
        self.under_way.insert(self.last, UnderWay { owner, file, offset });
        self.asked.push(Operation { id: self.last, lane, action });
        self.last
    }

    /// Whose operation is done, and which file and offset it was about.
    ///
    /// # Panics
    /// If it was not asked for, or is reported twice.
    pub(crate) fn done(&mut self, id: OperationId) -> (Owner, Option<FileName>, u64) {
        let done = self.under_way.remove(&id);
        let done =
            done.expect("contract: only an operation that was asked for is completed, and once");
        (done.owner, done.file, done.offset)
    }

    /// What was asked for since the last call, in order.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = Operation> {
        self.asked.drain(..)
    }
}
