//! The tail of the log over several lists of entries.

use alloc::vec::Vec;

use super::*;
use crate::types::{Payload, Term};

fn list(first: u64, count: u64) -> Entries {
    let id = |index| EntryId::new(Term(1), Index(index));
    (first..first + count).map(|index| Entry { id: id(index), payload: Payload::Noop }).collect()
}

fn tail(lists: &[u64]) -> Tail {
    let mut tail = Tail::new(Index(1));
    for count in lists {
        let entries = list(tail.next.0, *count);
        let bytes = total_bytes(&entries);
        tail.extend(entries, bytes);
    }
    tail
}

fn indices<'a>(entries: impl Iterator<Item = &'a Entry>) -> Vec<u64> {
    entries.map(|entry| entry.id.index.0).collect()
}

#[test]
fn a_slice_of_one_list_shares_it_and_a_slice_of_several_is_a_copy() {
    let tail = tail(&[1, 64, 1, 9]);
    let slice = |first, last| tail.slice(Index(first), Index(last), 100, usize::MAX).0;
    assert!(core::ptr::eq(&raw const slice(2, 65)[0], &raw const tail.lists[1].entries[0]));
    assert!(core::ptr::eq(&raw const slice(10, 40)[0], &raw const tail.lists[1].entries[8]));
    assert_eq!(indices(slice(60, 70).iter()), (60..=70).collect::<Vec<_>>());
    assert_eq!(indices(tail.after(Index(64))), (65..=75).collect::<Vec<_>>());
    assert!(indices(tail.after(Index(75))).is_empty());
    let from_the_end = indices(tail.after(Index(60)).rev());
    assert_eq!(from_the_end, (61..=75).rev().collect::<Vec<_>>());
}

#[test]
fn eviction_ends_within_a_list() {
    const EACH: usize = Entry::OVERHEAD_BYTES;
    for kept in 0..=75 {
        let mut tail = tail(&[1, 64, 1, 9]);
        tail.evict(kept * EACH, Index(75));
        assert_eq!(tail.bytes(), kept * EACH);
        assert_eq!(indices(tail.entries()), (76 - kept as u64..=75).collect::<Vec<_>>());
        tail.compact(Index(70));
        assert_eq!(tail.first(), Index(71.max(76 - kept as u64)));
    }
    let mut tail = tail(&[1, 64]);
    tail.evict(0, Index(60));
    assert_eq!((tail.first(), tail.bytes()), (Index(61), 5 * EACH));
}

#[test]
fn the_lists_do_not_matter_to_equality() {
    let (mut one, mut other) = (tail(&[1, 64, 1, 9]), tail(&[75]));
    assert_eq!(one, other);
    one.truncate(Index(30));
    assert_ne!(one, other);
    other.truncate(Index(30));
    assert_eq!((&one, one.bytes()), (&other, other.bytes()));
    one.truncate(Index(0));
    assert_eq!((one.first(), one.bytes()), (Index(1), 0));
}
