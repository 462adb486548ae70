//! A subhistory: some operations of a history, such as all operations on one key.

use crate::history::operation::{EventIndex, History, OpId, Operation, Outcome};

/// Some operations of one history, in the order of invocation. None of them failed.
#[derive(Debug)]
pub struct Subhistory<'a, O, R> {
    history: &'a History<O, R>,
    ids: &'a [OpId],
}

impl<O, R> Clone for Subhistory<'_, O, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<O, R> Copy for Subhistory<'_, O, R> {}

impl<'a, O, R> Subhistory<'a, O, R> {
    /// Creates the subhistory of `history` with the operations `ids`.
    ///
    /// # Panics
    /// In debug builds, if `ids` is not sorted or contains a failed operation.
    #[must_use]
    pub fn new(history: &'a History<O, R>, ids: &'a [OpId]) -> Subhistory<'a, O, R> {
        debug_assert!(ids.is_sorted());
        let failed = |id: &OpId| matches!(history.operation(*id).outcome, Outcome::Failed);
        debug_assert!(!ids.iter().any(failed));
        Subhistory { history, ids }
    }

    /// Returns the number of operations.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Returns true if there are no operations.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Returns the numbers of the operations in the whole history.
    #[must_use]
    pub fn ids(&self) -> &'a [OpId] {
        self.ids
    }

    /// Iterates over the operations with their numbers in the whole history.
    pub fn iter(&self) -> impl Iterator<Item = (OpId, &'a Operation<O, R>)> + use<'a, O, R> {
        let history = self.history;
        self.ids.iter().map(move |id| (*id, history.operation(*id)))
    }

    /// Returns the whole history.
    #[must_use]
    pub fn history(&self) -> &'a History<O, R> {
        self.history
    }

    /// Returns the index of the last invocation or response in the subhistory.
    #[must_use]
    pub fn end(&self) -> EventIndex {
        let of = |(_, operation): (OpId, &Operation<O, R>)| match &operation.outcome {
            Outcome::Returned { at, .. } => *at,
            Outcome::Failed | Outcome::Unknown => operation.invoked,
        };
        self.iter().map(of).max().unwrap_or_default()
    }
}
