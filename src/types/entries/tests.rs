//! Shared lists of entries against vectors.

use alloc::vec;

use proptest::prelude::*;

use super::*;
use crate::types::entry::Payload;
use crate::types::id::{EntryId, Index, Term};

fn entry(index: u64) -> Entry {
    let command = vec![0; index as usize % 5];
    Entry { id: EntryId::new(Term(1), Index(index)), payload: Payload::Command(command.into()) }
}

fn list(range: Range<u64>) -> Vec<Entry> {
    range.map(entry).collect()
}

fn shares_memory(one: &Entries, other: &Entries) -> bool {
    match (&one.0, &other.0) {
        (Repr::Shared { all: one, .. }, Repr::Shared { all: other, .. }) => Arc::ptr_eq(one, other),
        _ => false,
    }
}

#[test]
fn a_list_is_as_small_as_one_entry() {
    assert_eq!(size_of::<Entries>(), size_of::<Entry>());
    assert_eq!(size_of::<Option<Entries>>(), size_of::<Entry>());
}

#[test]
fn a_large_part_shares_the_list_and_a_small_one_is_a_copy() {
    let all = Entries::from(list(1..65));
    let (eighth, less) = (all.slice(3..11), all.slice(3..10));
    assert!(shares_memory(&all, &all.clone()) && shares_memory(&all, &eighth));
    assert!(!shares_memory(&all, &less));
    assert_eq!((eighth.retained(), less.retained()), (64, 7));
    assert_eq!(all.slice(5..6).retained(), 1);
    assert_eq!(all.slice(5..5).retained(), 0);
}

#[test]
fn a_list_dropped_entry_by_entry_frees_most_of_them() {
    let mut rest = Entries::from(list(1..1025));
    while !rest.is_empty() {
        assert!(rest.retained() <= Entries::RETAINED_MAX * rest.len());
        rest.drop_first(1);
    }
    assert_eq!(rest.retained(), 0);
}

/// A change of a list, with positions that may be beyond its end.
#[derive(Clone, Debug)]
enum Change {
    Slice(usize, usize),
    Truncate(usize),
    Skip(usize),
    Append(usize),
    Collect,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (0..80_usize, 0..80_usize).prop_map(|(from, to)| Change::Slice(from.min(to), from.max(to))),
        (0..80_usize).prop_map(Change::Truncate),
        (0..20_usize).prop_map(Change::Skip),
        (0..40_usize).prop_map(Change::Append),
        Just(Change::Collect),
    ]
}

proptest! {
    #[test]
    fn a_list_behaves_like_a_vector(changes in prop::collection::vec(change(), 1..40)) {
        let (mut model, mut entries, mut next) = (Vec::new(), Entries::new(), 1);
        for change in changes {
            let before = entries.clone();
            let old = model.clone();
            match change {
                Change::Slice(from, to) => {
                    let range = from.min(model.len())..to.min(model.len());
                    entries = entries.slice(range.clone());
                    model = model[range].to_vec();
                }
                Change::Truncate(len) => {
                    entries.truncate(len);
                    model.truncate(len);
                }
                Change::Skip(count) => {
                    entries.drop_first(count);
                    model.drain(..count.min(model.len()));
                }
                Change::Append(count) => {
                    let more = list(next..next + count as u64);
                    next += count as u64;
                    entries.append(Entries::from(more.clone()));
                    model.extend(more);
                }
                Change::Collect => entries = entries.into_iter().collect(),
            }
            prop_assert_eq!(&entries[..], &model[..]);
            prop_assert_eq!(&before[..], &old[..], "a clone does not change");
            prop_assert_eq!(entries.clone().into_iter().len(), model.len());
            prop_assert!(entries.clone().into_iter().eq(model.iter().cloned()));
            prop_assert!(entries.retained() <= Entries::RETAINED_MAX * entries.len());
            prop_assert_eq!(&entries, &Entries::from(model.clone()));
        }
    }
}
