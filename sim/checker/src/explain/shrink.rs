//! The smallest part of something that is still bad, in few looks.

/// What is left, and whether it is known that none of it can be left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shrunk<T> {
    pub(crate) kept: Vec<T>,
    pub(crate) minimal: bool,
}

/// A part of `candidates`, which are bad together, that is bad while none of it can be left out.
///
/// Adding to what is bad must leave it bad. `bad` may not know; then it is as if what it was asked
/// of were not bad, and the result need not be minimal. The shortest bad beginning is found first,
/// and its last element stays; of the others, those `preferred` stay rather than the rest, and
/// those nearest to it rather than those far away. Each element that stays costs about twice the
/// logarithm of its distance in looks: of the known ways (Zeller & Hildebrandt 2002; Marques-Silva,
/// Janota & Belov 2013, progression), the second.
pub(crate) fn shrink<T: Copy>(
    candidates: &[T],
    preferred: impl Fn(&T) -> bool,
    mut bad: impl FnMut(&[T]) -> Option<bool>,
) -> Shrunk<T> {
    let (mut kept, mut rest) = (Vec::new(), candidates.to_vec());
    let mut minimal = true;
    loop {
        let mut is_bad = |length: usize| {
            let asked: Vec<T> = kept.iter().chain(&rest[..length]).copied().collect();
            let answer = bad(&asked);
            minimal &= answer.is_some();
            answer == Some(true)
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
            rest.sort_by_key(|one| !preferred(one));
        }
    }
}

/// The smallest length that `is_bad`, looked for from the small end; `longest` is.
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
    fn few_looks_find_a_few_among_many() {
        let candidates: Vec<u32> = (0..10_000).collect();
        for needed in [vec![9_999], vec![17, 4_000, 4_003, 8_123], vec![0, 5_000, 9_999]] {
            let mut looks = 0;
            let shrunk = shrink(
                &candidates,
                |_| true,
                |asked| {
                    looks += 1;
                    Some(needed.iter().all(|one| asked.contains(one)))
                },
            );
            let mut kept = shrunk.kept;
            kept.sort();
            assert_eq!((kept, shrunk.minimal), (needed, true));
            assert!(looks < 120, "{looks}");
        }
    }

    #[test]
    fn what_is_preferred_stays() {
        let either = |asked: &[u32]| Some(asked.contains(&9) && asked.iter().any(|one| *one < 5));
        let all: Vec<u32> = (0..10).collect();
        let shrunk = shrink(&all, |one| *one == 2, either);
        assert_eq!(shrunk, Shrunk { kept: vec![9, 2], minimal: true });
        let shrunk = shrink(&all, |_| true, either);
        assert_eq!(shrunk.kept, [9, 4], "the nearest");
    }

    #[test]
    fn what_is_not_known_is_kept_and_said() {
        let shrunk = shrink(&[1, 2, 3], |_| true, |asked| (asked.len() == 3).then_some(true));
        assert_eq!(shrunk, Shrunk { kept: vec![3, 1, 2], minimal: false });
    }

    proptest! {
        /// Bad is whatever contains one of several sets.
        #[test]
        fn minimal_means_minimal(
            sets in prop::collection::vec(prop::collection::btree_set(0_u8..12, 0..5), 1..6),
        ) {
            let within =
                |set: &BTreeSet<u8>, asked: &[u8]| set.iter().all(|one| asked.contains(one));
            let bad = |asked: &[u8]| sets.iter().any(|set| within(set, asked));
            let all: Vec<u8> = (0..12).collect();
            let shrunk = shrink(&all, |one| one % 3 == 0, |asked| Some(bad(asked)));
            let Shrunk { kept, minimal } = shrunk;
            prop_assert!(minimal && bad(&kept));
            for out in &kept {
                let less: Vec<u8> = kept.iter().filter(|one| *one != out).copied().collect();
                prop_assert!(!bad(&less));
            }
        }
    }
}
