//! The values of registers before the first operation.

use std::collections::BTreeMap;

use crate::value::ValueId;

/// The value of each key before the first operation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InitialValues {
    /// The value of every key that is not in `by_key`.
    pub others: ValueId,
    /// The keys with a value of their own.
    pub by_key: BTreeMap<ValueId, ValueId>,
}

impl InitialValues {
    /// Returns the initial value of `key`.
    #[must_use]
    pub fn of(&self, key: ValueId) -> ValueId {
        self.by_key.get(&key).copied().unwrap_or(self.others)
    }
}

impl From<ValueId> for InitialValues {
    /// Every key has the value `all`.
    fn from(all: ValueId) -> InitialValues {
        InitialValues { others: all, by_key: BTreeMap::new() }
    }
}
