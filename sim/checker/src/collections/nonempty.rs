//! Intervals in which a collection was certainly not empty.

use crate::collections::narrowing::Violation;
use crate::collections::pairs::{Item, OpNames, Pairs, Take};
use crate::collections::span::Time;

/// Finds a take that returned nothing although the collection was never empty meanwhile.
pub(crate) fn impossible_empty_take(pairs: &Pairs, by_inserted: &[Item]) -> Option<Take> {
    let nonempty_intervals = nonempty_intervals(by_inserted);
    let never_empty = |Take { span, .. }: &&Take| {
        let after = nonempty_intervals.partition_point(|(from, _)| *from < span.invoked);
        after.checked_sub(1).is_some_and(|before| nonempty_intervals[before].1 > span.returned)
    };
    pairs.empty_takes.iter().find(never_empty).copied()
}

/// Returns the intervals in which the collection was certainly not empty, in order: the unions of
/// overlapping zones of `by_inserted`.
pub(crate) fn nonempty_intervals(by_inserted: &[Item]) -> Vec<(Time, Time)> {
    let mut nonempty_intervals: Vec<(Time, Time)> = Vec::new();
    for (from, to) in by_inserted.iter().filter_map(Item::zone) {
        match nonempty_intervals.last_mut() {
            Some(last) if from < last.1 => last.1 = last.1.max(to),
            _ => nonempty_intervals.push((from, to)),
        }
    }
    nonempty_intervals
}

/// Returns the violation of a take that returned nothing while some item of `by_inserted` was
/// always present.
pub(crate) fn never_empty(
    pairs: &Pairs,
    Take { id, span, .. }: Take,
    by_inserted: &[Item],
    names: &OpNames<'_>,
) -> Violation {
    let chain = chain(by_inserted, span.invoked, span.returned);
    let mut kept = vec![id];
    kept.extend(chain.iter().flat_map(|item| item.operations()));
    let left = chain.iter().filter(|item| item.take.is_none());
    if let Some(last) = left.map(|item| item.inserted.returned).max() {
        kept.extend(pairs.not_taken(span.returned, last));
    }
    let values = names.values.describe_list(chain.iter().map(|item| &item.value));
    let reason = match chain.len() {
        1 => format!(
            "{} {} returned nothing, although {values} was in the {} throughout",
            names.take, id.0, names.object
        ),
        _ => format!(
            "{} {} returned nothing, although the {} was never empty meanwhile: {values} were in \
             it, each inserted before the previous one was taken",
            names.take, id.0, names.object
        ),
    };
    Violation { kept, reason }
}

/// Returns the fewest of `by_inserted` whose zones cover `from` to `to`. All zones together do.
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
