//! Some operations of a history: what a checker looks at.

use crate::history::operation::{History, Moment, OpId, Operation, Outcome};

/// Some operations of one history, in the order of invocation; none that failed.
#[derive(Debug)]
pub struct Part<'a, O, R> {
    history: &'a History<O, R>,
    ids: &'a [OpId],
}

impl<O, R> Clone for Part<'_, O, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<O, R> Copy for Part<'_, O, R> {}

impl<'a, O, R> Part<'a, O, R> {
    /// The operations `ids` of `history`.
    ///
    /// # Panics
    /// In debug builds, if they are out of order or one of them failed.
    #[must_use]
    pub fn new(history: &'a History<O, R>, ids: &'a [OpId]) -> Part<'a, O, R> {
        debug_assert!(ids.is_sorted());
        let failed = |id: &OpId| matches!(history.operation(*id).outcome, Outcome::Failed);
        debug_assert!(!ids.iter().any(failed));
        Part { history, ids }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Their numbers in the history.
    #[must_use]
    pub fn ids(&self) -> &'a [OpId] {
        self.ids
    }

    /// Each with its number in the history.
    pub fn iter(&self) -> impl Iterator<Item = (OpId, &'a Operation<O, R>)> + use<'a, O, R> {
        let history = self.history;
        self.ids.iter().map(move |id| (*id, history.operation(*id)))
    }

    /// The history that they are of.
    #[must_use]
    pub fn history(&self) -> &'a History<O, R> {
        self.history
    }

    /// The last moment at which one of them is invoked or returns.
    #[must_use]
    pub fn end(&self) -> Moment {
        let of = |(_, operation): (OpId, &Operation<O, R>)| match &operation.outcome {
            Outcome::Returned { at, .. } => *at,
            Outcome::Failed | Outcome::Unknown => operation.invoked,
        };
        self.iter().map(of).max().unwrap_or_default()
    }
}
