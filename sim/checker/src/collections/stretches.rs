//! When a collection was certainly not empty.

use crate::collections::finding::Fault;
use crate::collections::pairs::{Item, Pairs, Words};
use crate::collections::span::{Span, Time};
use crate::history::OpId;

/// A take that found nothing, although there was always something.
pub(crate) fn found_nothing(pairs: &Pairs, by_inserted: &[Item]) -> Option<(OpId, Span)> {
    let stretches = stretches(by_inserted);
    let never_empty = |(_, span): &&(OpId, Span)| {
        let after = stretches.partition_point(|(from, _)| *from < span.invoked);
        after.checked_sub(1).is_some_and(|before| stretches[before].1 > span.returned)
    };
    pairs.found_nothing.iter().find(never_empty).copied()
}

/// From when to when there was certainly something, in order: the zones of `by_inserted` that
/// touch, put together.
pub(crate) fn stretches(by_inserted: &[Item]) -> Vec<(Time, Time)> {
    let mut stretches: Vec<(Time, Time)> = Vec::new();
    for (from, to) in by_inserted.iter().filter_map(Item::zone) {
        match stretches.last_mut() {
            Some(last) if from < last.1 => last.1 = last.1.max(to),
            _ => stretches.push((from, to)),
        }
    }
    stretches
}

/// The fault of a take that found nothing while one of `by_inserted` was always there.
pub(crate) fn never_empty(
    pairs: &Pairs,
    (id, span): (OpId, Span),
    by_inserted: &[Item],
    words: &Words<'_>,
) -> Fault {
    let chain = chain(by_inserted, span.invoked, span.returned);
    let mut kept = vec![id];
    kept.extend(chain.iter().flat_map(|item| item.operations()));
    let left = chain.iter().filter(|item| item.take.is_none());
    if let Some(last) = left.map(|item| item.inserted.returned).max() {
        kept.extend(pairs.not_taken(span.returned, last));
    }
    let values = words.values.list_words(chain.iter().map(|item| &item.value));
    let because = match chain.len() {
        1 => format!(
            "{} {} returned nothing, although {values} was in the {} all the while",
            words.take, id.0, words.object
        ),
        _ => format!(
            "{} {} returned nothing, although the {} was never empty meanwhile: {values} were in \
             it, each put there before the one before it was taken",
            words.take, id.0, words.object
        ),
    };
    Fault { kept, because }
}

/// The fewest of `by_inserted` whose zones cover all from `from` to `to`; they do together.
pub(crate) fn chain(by_inserted: &[Item], from: Time, to: Time) -> Vec<Item> {
    let mut chain: Vec<Item> = Vec::new();
    let mut covered = from;
    let mut furthest: Option<Item> = None;
    for item in by_inserted {
        let Some((start, end)) = item.zone() else { continue };
        if start > covered {
            let Some(link) = furthest.take_if(|link| link.taken.invoked > covered) else { break };
            covered = link.taken.invoked;
            chain.push(link);
            if covered >= to || start > covered {
                break;
            }
        }
        if furthest.is_none_or(|link| link.taken.invoked < end) {
            furthest = Some(*item);
        }
    }
    if covered < to {
        chain.extend(furthest);
    }
    chain
}
