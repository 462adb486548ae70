//! The damaged entries of the log: their index and term are known, and the disk has lost their
//! content.

use alloc::collections::BTreeMap;

use crate::types::{DamagedEntry, Index};

/// The damaged entries by index. The value is true for an unknown membership: a damaged membership
/// whose content this node has not had since its start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Damaged(BTreeMap<Index, bool>);

impl Damaged {
    /// Returns the damaged entries of a log that was restored and whose snapshot ends at
    /// `snapshot`.
    pub(crate) fn restored(entries: &[DamagedEntry], snapshot: Index) -> Damaged {
        let is_unknown = |it: &DamagedEntry| it.is_membership && it.id.index > snapshot;
        Damaged(entries.iter().map(|it| (it.id.index, is_unknown(it))).collect())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn contains(&self, index: Index) -> bool {
        self.0.contains_key(&index)
    }

    #[inline]
    pub(crate) fn first_after(&self, index: Index) -> Option<Index> {
        if self.0.is_empty() {
            return None;
        }
        self.0.range(index.next()..).next().map(|(index, _)| *index)
    }

    pub(crate) fn last_through(&self, index: Index) -> Option<Index> {
        self.0.range(..=index).next_back().map(|(index, _)| *index)
    }

    pub(crate) fn has_unknown_membership(&self) -> bool {
        self.0.values().any(|is_unknown| *is_unknown)
    }

    /// Adds an entry whose content the node has had: if it is a membership, the node knows it.
    pub(crate) fn insert(&mut self, index: Index) {
        self.0.entry(index).or_insert(false);
    }

    pub(crate) fn is_unknown_membership(&self, index: Index) -> bool {
        self.0.get(&index) == Some(&true)
    }

    pub(crate) fn remove(&mut self, index: Index) {
        self.0.remove(&index);
    }

    /// Drops the entries after `last`.
    pub(crate) fn truncate(&mut self, last: Index) {
        self.0.retain(|index, _| *index <= last);
    }

    /// Drops the entries up to `base`.
    pub(crate) fn compact(&mut self, base: Index) {
        self.0.retain(|index, _| *index > base);
    }

    /// Panics unless every damaged entry is in the log, which begins after `base`, and is durable.
    pub(crate) fn assert_invariants(&self, base: Index, durable: Index) {
        let (first, last) = (self.0.keys().next(), self.0.keys().next_back());
        assert!(first.is_none_or(|first| *first > base), "the log has its damage");
        assert!(last.is_none_or(|last| *last <= durable), "only durable entries are damaged");
    }
}
