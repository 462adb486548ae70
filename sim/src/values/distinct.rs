//! Counts of distinct hashes in bounded memory, which can be merged.

use std::collections::BTreeSet;

/// A count of distinct hashes, evenly distributed over 64 bits: exact below 1,024 hashes, otherwise
/// estimated from the smallest of them with a standard error of 3 % (Bar-Yossef and others,
/// "Counting distinct elements in a data stream", 2002).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DistinctCount {
    least: BTreeSet<u64>,
}

/// The maximum number of hashes that a count keeps.
const KEPT_MAX: usize = 1_024;

impl DistinctCount {
    /// Adds a hash to the count.
    pub fn add(&mut self, hash: u64) {
        if self.least.len() < KEPT_MAX || self.least.last().is_some_and(|last| hash < *last) {
            self.least.insert(hash);
            if self.least.len() > KEPT_MAX {
                self.least.pop_last();
            }
        }
    }

    /// Returns the number of distinct hashes, or an estimate of it.
    #[must_use]
    pub fn count(&self) -> u64 {
        match self.least.last() {
            Some(last) if self.least.len() == KEPT_MAX => {
                let count = ((KEPT_MAX as u128 - 1) << 64) / (u128::from(*last) + 1);
                u64::try_from(count).unwrap_or(u64::MAX)
            }
            _ => self.least.len() as u64,
        }
    }

    /// Returns the kept hashes; adding them to another count merges the two.
    pub fn iter(&self) -> impl Iterator<Item = u64> {
        self.least.iter().copied()
    }
}

impl Extend<u64> for DistinctCount {
    fn extend<I: IntoIterator<Item = u64>>(&mut self, hashes: I) {
        hashes.into_iter().for_each(|hash| self.add(hash));
    }
}

impl FromIterator<u64> for DistinctCount {
    fn from_iter<I: IntoIterator<Item = u64>>(hashes: I) -> DistinctCount {
        let mut distinct = DistinctCount::default();
        distinct.extend(hashes);
        distinct
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::digest::mix;

    fn of(numbers: impl IntoIterator<Item = u64>) -> DistinctCount {
        numbers.into_iter().map(|number| mix(number, 1)).collect()
    }

    #[test]
    fn few_hashes_are_counted_exactly_and_many_are_estimated() {
        assert_eq!(of([]).count(), 0);
        assert_eq!(of((0..1_000).chain(0..1_000)).count(), 1_000);
        for many in [2_000, 50_000] {
            let count = of(0..many).count();
            assert!(count.abs_diff(many) < many / 10, "{count} of {many}");
        }
    }

    #[test]
    fn parts_add_up_to_the_whole() {
        let (mut one, other) = (of(0..4_000), of(2_000..9_000));
        one.extend(other.iter());
        assert_eq!(one, of(0..9_000));
    }
}
