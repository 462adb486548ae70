//! Finds a minimal failing subset with few tests.

/// The remaining elements, and whether they are known to be minimal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shrunk<T> {
    pub(crate) kept: Vec<T>,
    pub(crate) minimal: bool,
}

/// Returns a failing subset of `candidates` from which no element can be left out. All candidates
/// together must fail.
///
/// Failing must be monotonic: a superset of a failing set fails. `bad` returns `None` if it cannot
/// decide. That counts as passing, and then the result need not be minimal. The shortest failing
/// prefix is found first, and its last element stays. Of the others, `preferred` elements stay in
/// preference to the rest, and near elements in preference to far ones. Each element that stays
/// costs about twice the logarithm of its distance in tests. Of the known algorithms (delta
/// debugging, Zeller & Hildebrandt 2002; progression, Marques-Silva, Janota & Belov 2013), this is
/// the second.
pub(crate) fn shrink<T: Copy>(
    candidates: &[T],
    preferred: impl Fn(&T) -> bool,
    mut bad: impl FnMut(&[T]) -> Option<bool>,
) -> Shrunk<T> {
    let (mut kept, mut rest) = (Vec::new(), candidates.to_vec());
    let mut minimal = true;
    loop {
        let mut is_bad = |length: usize| {
            let subset: Vec<T> = kept.iter().chain(&rest[..length]).copied().collect();
            let result = bad(&subset);
            minimal &= result.is_some();
            result == Some(true)
        };
        let needed = first(rest.len(), &mut is_bad);
        if needed == 0 {
            return Shrunk { kept, minimal };
        }
        let first_of_all = kept.is_empty();
        rest.truncate(needed);
        kept.extend(rest.pop());
        if first_of_all {
            rest.reverse();
            let (first, others): (Vec<T>, Vec<T>) = rest.into_iter().partition(&preferred);
            rest = first;
            rest.extend(others);
        }
    }
}

/// Returns the smallest length for which `is_bad` returns true, searched from small lengths on.
/// `is_bad` must return true for `longest`.
fn first(longest: usize, is_bad: &mut impl FnMut(usize) -> bool) -> usize {
    let (mut good, mut length) = (None, 0);
    let mut bad = longest;
    while length < longest {
        if is_bad(length) {
            bad = length;
            break;
        }
        good = Some(length);
        length = (2 * length).max(1);
    }
    let mut low = good.map_or(0, |good| good + 1);
    while low < bad {
        let middle = low.midpoint(bad);
        if is_bad(middle) { bad = middle } else { low = middle + 1 }
    }
    bad
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn few_tests_find_a_small_subset_of_many() {
        let candidates: Vec<u32> = (0..10_000).collect();
        for needed in [vec![9_999], vec![17, 4_000, 4_003, 8_123], vec![0, 5_000, 9_999]] {
            let mut looks = 0;
            let shrunk = shrink(
                &candidates,
                |_| true,
                |subset| {
                    looks += 1;
                    Some(needed.iter().all(|one| subset.contains(one)))
                },
            );
            let mut kept = shrunk.kept;
            kept.sort();
            assert_eq!((kept, shrunk.minimal), (needed, true));
            assert!(looks < 120, "{looks}");
        }
    }

    #[test]
    fn preferred_elements_stay() {
        let either =
            |subset: &[u32]| Some(subset.contains(&9) && subset.iter().any(|one| *one < 5));
        let all: Vec<u32> = (0..10).collect();
        let shrunk = shrink(&all, |one| *one == 2, either);
        assert_eq!(shrunk, Shrunk { kept: vec![9, 2], minimal: true });
        let shrunk = shrink(&all, |_| true, either);
        assert_eq!(shrunk.kept, [9, 4], "the nearest");
    }

    #[test]
    fn undecided_elements_stay_and_the_result_is_not_minimal() {
        let shrunk = shrink(&[1, 2, 3], |_| true, |subset| (subset.len() == 3).then_some(true));
        assert_eq!(shrunk, Shrunk { kept: vec![3, 1, 2], minimal: false });
    }

    proptest! {
        /// A set fails if it contains one of several given sets.
        #[test]
        fn a_minimal_result_is_minimal(
            sets in prop::collection::vec(prop::collection::btree_set(0_u8..12, 0..5), 1..6),
        ) {
            let within =
                |set: &BTreeSet<u8>, subset: &[u8]| set.iter().all(|one| subset.contains(one));
            let bad = |subset: &[u8]| sets.iter().any(|set| within(set, subset));
            let all: Vec<u8> = (0..12).collect();
            let shrunk = shrink(&all, |one| one % 3 == 0, |subset| Some(bad(subset)));
            let Shrunk { kept, minimal } = shrunk;
            prop_assert!(minimal && bad(&kept));
            for out in &kept {
                let less: Vec<u8> = kept.iter().filter(|one| *one != out).copied().collect();
                prop_assert!(!bad(&less));
            }
        }
    }
}
