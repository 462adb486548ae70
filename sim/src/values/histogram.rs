//! Histograms: enough to compute a median, and to add up with other histograms.

use std::collections::BTreeMap;

/// Values, and the number of times that each occurred.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram(BTreeMap<u64, u64>);

impl Histogram {
    /// Adds one occurrence of a value.
    pub fn add(&mut self, value: u64) {
        self.add_many(value, 1);
    }

    /// Adds several occurrences of a value.
    pub fn add_many(&mut self, value: u64, times: u64) {
        if times > 0 {
            *self.0.entry(value).or_default() += times;
        }
    }

    /// Returns each value, ascending, with its number of occurrences.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter().map(|(value, times)| (*value, *times))
    }

    /// Returns the lower median, or 0 without values.
    #[must_use]
    pub fn median(&self) -> u64 {
        let half = self.0.values().sum::<u64>().div_ceil(2);
        let mut met = 0;
        let middle = self.iter().find(|(_, times)| {
            met += times;
            met >= half
        });
        middle.map_or(0, |(value, _)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::summary::median;

    #[test]
    fn the_median_is_that_of_the_list() {
        let lists = [vec![], vec![7], vec![3, 1], vec![5, 5, 1, 9], vec![2, 2, 2, 8, 9]];
        for list in lists {
            let mut spread = Histogram::default();
            list.iter().for_each(|value| spread.add(*value));
            assert_eq!(spread.median(), median(&list), "{list:?}");
        }
    }
}
