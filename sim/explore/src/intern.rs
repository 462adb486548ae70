//! Interned values: equal values have equal numbers.

use std::hash::{BuildHasher, Hash};

use foldhash::fast::FixedState;
use hashbrown::HashTable;

/// All values seen so far, with their numbers.
#[derive(Debug)]
pub(crate) struct Interned<T> {
    values: Vec<T>,
    numbers: HashTable<u32>,
    hasher: FixedState,
}

impl<T: Eq + Hash> Interned<T> {
    pub(crate) fn new() -> Interned<T> {
        let hasher = FixedState::default();
        Interned { values: Vec::new(), numbers: HashTable::new(), hasher }
    }

    /// Returns the number of the value, and whether the value is new.
    pub(crate) fn number(&mut self, value: T) -> (u32, bool) {
        let Interned { values, numbers, hasher } = self;
        let hash = hasher.hash_one(&value);
        let found = numbers.find(hash, |number| values[*number as usize] == value);
        if let Some(number) = found {
            return (*number, false);
        }
        let number = u32::try_from(values.len()).expect("fewer than four billion are seen");
        values.push(value);
        numbers.insert_unique(hash, number, |other| hasher.hash_one(&values[*other as usize]));
        (number, true)
    }

    pub(crate) fn get(&self, number: u32) -> &T {
        &self.values[number as usize]
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }
}
