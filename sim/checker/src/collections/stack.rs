//! Decides stacks without repeated values, in O(n log n).
//!
//! The algorithm has three steps. Each preserves whether a linearization exists, as one can show by
//! cutting an order at an instant, or by moving one operation (cf. decrease and conquer, Lee &
//! Mathur, OOPSLA 2025):
//!
//! 1. A value whose push and pop are concurrent can be pushed and popped at one instant, so it does
//!    not matter.
//! 2. Every other value is certainly present from the response of its push to the invocation of its
//!    pop: its zone. At an instant outside all zones the stack can be assumed empty, because every
//!    operation that is pending then can be moved before or after it. So overlapping zones form
//!    independent nonempty intervals, and a pop that returns nothing needs an instant between them.
//! 3. During a nonempty interval one value is at the bottom. It can be any value whose push can
//!    precede the interval and whose pop can follow it. Without it the interval becomes shorter, or
//!    splits, and other values can be at the bottom of the rest.
//!
//! A linearization exists if no value remains. Values that stay in the stack are popped by
//! imaginary concurrent pops after the history.

use crate::budget::StopCheck;
use crate::collections::narrowing::{CheckResult, Violation};
use crate::collections::nonempty::{chain, impossible_empty_take, never_empty, nonempty_intervals};
use crate::collections::pairs::{self, Access, Item, OpNames, Pairs};
use crate::collections::span::{NEVER, Span, Time};
use crate::collections::stabbing::Windows;
use crate::history::OpId;
use crate::value::{ValueId, ValueTable};
use crate::verdict::Verdict;

/// The instant at which the values that stay in the stack are popped.
const END: Time = NEVER - 1;

/// The number of pops of unknown outcome that are moved in one step.
const MOVED_PER_STEP: usize = 16;
/// The number of steps that each item counts as where bottoms are removed.
const BOTTOM_STEPS: usize = 8;

/// Decides a stack that initially contains `init`, the last value on top.
pub(crate) fn decide(
    init: &[ValueId],
    accesses: &[Access],
    values: &ValueTable,
    stop: &StopCheck<'_>,
) -> Option<Verdict> {
    let names =
        OpNames { object: "stack", insert: "push", inserted: "pushed", take: "pop", values };
    pairs::decide(init, accesses, &names, stop, |pairs, names| check(pairs, names, stop))
}

fn check(mut pairs: Pairs, names: &OpNames<'_>, stop: &StopCheck<'_>) -> CheckResult {
    pairs.left.sort_unstable_by_key(|item| item.inserted.returned);
    let (left, spare) = (pairs.left.len(), pairs.spare.len());
    if left > 0 && spare > 0 {
        // A violation without the pops of unknown outcome exists regardless of what they took.
        if let Some(violation) = violation(&pairs, &pairs.taken, names) {
            return CheckResult::NotLinearizable(violation);
        }
    }
    take_in_order(&mut pairs);
    let mut items = pairs.taken.clone();
    items.extend(&pairs.left);
    match violation(&pairs, &items, names) {
        None => CheckResult::Linearizable,
        // The violation is final if the pops of unknown outcome had no choice, or made the best
        // one: for a single value, the pop invoked first.
        Some(violation) if left == 0 || spare == 0 || left == 1 => {
            CheckResult::NotLinearizable(violation)
        }
        Some(_) if can_be_taken_when_needed(&mut pairs, stop) => CheckResult::Linearizable,
        Some(_) => CheckResult::Unknown,
    }
}

/// Assigns the pops of unknown outcome to the values in the order of their pushes.
fn take_in_order(pairs: &mut Pairs) {
    take_none(pairs);
    for (item, invoked) in pairs.left.iter_mut().zip(&pairs.spare) {
        item.taken.invoked = *invoked;
    }
}

/// Returns true if a linearization was found in which the pops of unknown outcome take only values
/// that cannot stay. False means that none was found, or that `stop` ended the search.
///
/// A pop of unknown outcome that was invoked before the push returned takes the value at once. Of
/// these the last is used, because the others can do the same for earlier values.
fn can_be_taken_when_needed(pairs: &mut Pairs, stop: &StopCheck<'_>) -> bool {
    take_none(pairs);
    let (mut spare, count) = (pairs.spare.clone(), pairs.spare.len());
    let mut take = |item: &mut Item| {
        let at_once = spare.partition_point(|invoked| *invoked < item.inserted.returned);
        let place = at_once.saturating_sub(1);
        let taken = (place < spare.len()).then(|| spare.remove(place));
        taken.is_some_and(|invoked| {
            item.taken.invoked = invoked;
            true
        })
    };
    let nothing = pairs.empty_takes.iter().map(|pop| pop.span.invoked).max();
    for item in &mut pairs.left {
        // Taking a pop moves the others.
        if stop.is_stopped_after(1 + count / MOVED_PER_STEP) {
            return false;
        }
        if nothing.is_some_and(|nothing| item.inserted.returned < nothing) && !take(item) {
            return false;
        }
    }
    let mut rest: Vec<Item> = pairs.taken.iter().chain(&pairs.left).copied().collect();
    loop {
        if stop.is_stopped_after(BOTTOM_STEPS * rest.len()) {
            return false;
        }
        rest.retain(|item| item.zone().is_some());
        rest.sort_unstable_by_key(|item| item.inserted.returned);
        if impossible_empty_take(pairs, &rest).is_some() {
            return false;
        }
        rest = without_bottoms(&rest);
        if rest.is_empty() {
            return true;
        }
        let stays = |item: &&mut Item| item.taken.invoked == END;
        if !rest.iter_mut().find(stays).is_some_and(&mut take) {
            return false;
        }
    }
}

fn take_none(pairs: &mut Pairs) {
    for item in &mut pairs.left {
        item.taken = Span { invoked: END, returned: NEVER };
    }
}

fn violation(pairs: &Pairs, items: &[Item], names: &OpNames<'_>) -> Option<Violation> {
    let mut by_inserted: Vec<Item> =
        items.iter().copied().filter(|item| item.zone().is_some()).collect();
    by_inserted.sort_unstable_by_key(|item| item.inserted.returned);
    match impossible_empty_take(pairs, &by_inserted) {
        Some(pop) => Some(never_empty(pairs, pop, &by_inserted, names)),
        None => no_bottom(pairs, &without_bottoms(&by_inserted), names),
    }
}

/// Repeatedly removes the items that can be at the bottom, and returns the rest.
fn without_bottoms(by_inserted: &[Item]) -> Vec<Item> {
    let mut times: Vec<Time> = Vec::with_capacity(by_inserted.len() * 4);
    for Item { inserted, taken, .. } in by_inserted {
        times.extend([inserted.invoked, inserted.returned, taken.invoked, taken.returned]);
    }
    times.sort_unstable();
    times.dedup();
    let gap = |time: Time| times.partition_point(|other| *other < time);
    let mut windows = Windows::new(times.len(), 2 * by_inserted.len());
    let mut zones = Vec::with_capacity(by_inserted.len());
    for Item { inserted, taken, .. } in by_inserted {
        let [pushing, from, popping, to] =
            [inserted.invoked, inserted.returned, taken.invoked, taken.returned].map(gap);
        windows.add(pushing..from);
        windows.add(popping..to);
        zones.push(from..popping);
    }
    windows.cover(&zones);
    let mut sides = vec![0_u8; by_inserted.len()];
    while let Some(window) = windows.next_bare() {
        let place = window / 2;
        sides[place] += 1;
        if sides[place] == 2 {
            windows.uncover(zones[place].clone());
        }
    }
    let rest = by_inserted.iter().zip(sides).filter(|(_, sides)| *sides < 2);
    rest.map(|(item, _)| *item).collect()
}

/// Returns the violation of the remaining items: a nonempty interval without a possible bottom. It
/// uses the interval that needs the fewest operations.
fn no_bottom(pairs: &Pairs, rest: &[Item], names: &OpNames<'_>) -> Option<Violation> {
    // The items of an interval are those whose zone begins in it.
    let place = |time: Time| rest.partition_point(|item| item.inserted.returned < time);
    let chains = nonempty_intervals(rest)
        .into_iter()
        .map(|(from, to)| chain(&rest[place(from)..place(to)], from, to));
    let cost = |chain: &Vec<Item>| {
        let stays = chain.iter().any(|item| item.take.is_none());
        (stays, chain.len())
    };
    let chain = chains.min_by_key(cost)?;
    let mut kept: Vec<OpId> = chain.iter().flat_map(Item::operations).collect();
    if chain.iter().any(|item| item.take.is_none()) {
        kept.extend(pairs.not_taken(NEVER, NEVER));
    }
    Some(Violation { kept, reason: describe_no_bottom(&chain, names) })
}

fn describe_no_bottom(chain: &[Item], names: &OpNames<'_>) -> String {
    let value = |item: &Item| names.values.describe(item.value);
    let push = |item: &Item| match item.insert {
        Some(push) => format!("push {}", push.0),
        None => "present initially".to_owned(),
    };
    let pop = |item: &Item| match item.take {
        Some(pop) => format!("pop {}", pop.0),
        None => "never popped".to_owned(),
    };
    match chain {
        [below, above] if below.take.is_some() => format!(
            "{} returned {} from below {}, which was pushed later ({}, after {}) and popped later \
             ({})",
            pop(below),
            value(below),
            value(above),
            push(above),
            push(below),
            pop(above)
        ),
        _ => {
            let item = |item: &Item| format!("{} ({}, {})", value(item), push(item), pop(item));
            format!(
                "some value must be at the bottom while the stack is not empty, but none of \
                 these was present from the first push to the last pop: {}",
                chain.iter().map(item).collect::<Vec<_>>().join(", ")
            )
        }
    }
}
