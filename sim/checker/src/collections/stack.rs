//! Last in, first out, when no value is pushed twice: O(n log n).
//!
//! Three steps, each of which keeps whether there is an order (in each direction by cutting an
//! order at a moment, or by putting one operation elsewhere; cf. decrease and conquer, Lee &
//! Mathur, OOPSLA 2025):
//!
//! 1. A value whose push and pop overlap can be pushed and popped at one moment: it is no matter.
//! 2. The others are certainly there from the return of their push to the invocation of their pop,
//!    their zone. At a moment outside of all zones the stack can be taken to be empty: what
//!    overlaps the moment can be put before or behind it. So zones that touch form stretches that
//!    do not concern one another, and pops that find nothing need a moment between stretches.
//! 3. All along a stretch one value is at the bottom. It can be any value whose push can precede
//!    the stretch and whose pop can follow it; with it put aside the stretch becomes shorter, or
//!    falls apart, and other values can be at the bottom of what is left.
//!
//! There is an order if nothing is left in the end. Values that stay are popped by imagined pops
//! that all follow the history and overlap.

use crate::collections::finding::{Fault, Finding, Narrowing, verdict};
use crate::collections::pairs::{Access, Item, Pairs, Words};
use crate::collections::span::{NEVER, Span, Time};
use crate::collections::stabbing::Windows;
use crate::collections::stretches::{chain, found_nothing, never_empty, stretches};
use crate::history::OpId;
use crate::value::{Value, Values};
use crate::verdict::Verdict;

/// When what stays in the stack is popped in the end.
const END: Time = NEVER - 1;

/// Decides on a stack that had `init` in it, the last on top.
pub(crate) fn decide(init: &[Value], accesses: &[Access], values: &Values) -> Option<Verdict> {
    let words = Words { object: "stack", insert: "push", inserted: "pushed", take: "pop", values };
    verdict(Narrowing::Singly, accesses.len(), |known| look(init, accesses, known, &words))
}

fn look(
    init: &[Value],
    accesses: &[Access],
    known: &dyn Fn(OpId) -> bool,
    words: &Words<'_>,
) -> Finding {
    let mut pairs = match Pairs::of(init, accesses, known, words) {
        Ok(pairs) => pairs,
        Err(finding) => return finding,
    };
    pairs.left.sort_unstable_by_key(|item| item.inserted.returned);
    let (left, spare) = (pairs.left.len(), pairs.spare.len());
    if left > 0 && spare > 0 {
        // Whatever the spare pops took: what is wrong without it is wrong with it.
        if let Some(fault) = fault(&pairs, &pairs.taken, words) {
            return Finding::Wrong(fault);
        }
    }
    in_order(&mut pairs);
    let mut items = pairs.taken.clone();
    items.extend(&pairs.left);
    match fault(&pairs, &items, words) {
        None => Finding::Fine,
        // If there is no choice what the spare pops took, or it was the best: of one value, the
        // pop invoked first is.
        Some(fault) if left == 0 || spare == 0 || left == 1 => Finding::Wrong(fault),
        Some(_) if may_be_taken_at_need(&mut pairs) => Finding::Fine,
        Some(_) => Finding::Unsure,
    }
}

/// Lets the spare pops take what was pushed first.
fn in_order(pairs: &mut Pairs) {
    none_taken(pairs);
    for (item, invoked) in pairs.left.iter_mut().zip(&pairs.spare) {
        item.taken.invoked = *invoked;
    }
}

/// Whether there is an order if spare pops take only what cannot stay. No if none was found,
/// although there may be one.
///
/// A spare pop that was invoked before the push returned takes the value at once, and it is no
/// matter: the last of those is taken, because the others can do the same for earlier values.
fn may_be_taken_at_need(pairs: &mut Pairs) -> bool {
    none_taken(pairs);
    let mut spare = pairs.spare.clone();
    let mut take = |item: &mut Item| {
        let at_once = spare.partition_point(|invoked| *invoked < item.inserted.returned);
        let place = at_once.saturating_sub(1);
        let taken = (place < spare.len()).then(|| spare.remove(place));
        taken.is_some_and(|invoked| {
            item.taken.invoked = invoked;
            true
        })
    };
    let nothing = pairs.found_nothing.iter().map(|(_, span)| span.invoked).max();
    for item in &mut pairs.left {
        if nothing.is_some_and(|nothing| item.inserted.returned < nothing) && !take(item) {
            return false;
        }
    }
    let mut rest: Vec<Item> = pairs.taken.iter().chain(&pairs.left).copied().collect();
    loop {
        rest.retain(|item| item.zone().is_some());
        rest.sort_unstable_by_key(|item| item.inserted.returned);
        if found_nothing(pairs, &rest).is_some() {
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

fn none_taken(pairs: &mut Pairs) {
    for item in &mut pairs.left {
        item.taken = Span { invoked: END, returned: NEVER };
    }
}

fn fault(pairs: &Pairs, items: &[Item], words: &Words<'_>) -> Option<Fault> {
    let mut by_inserted: Vec<Item> =
        items.iter().copied().filter(|item| item.zone().is_some()).collect();
    by_inserted.sort_unstable_by_key(|item| item.inserted.returned);
    match found_nothing(pairs, &by_inserted) {
        Some(pop) => Some(never_empty(pairs, pop, &by_inserted, words)),
        None => no_bottom(pairs, &without_bottoms(&by_inserted), words),
    }
}

/// What is left of items when those that can be at the bottom are put aside again and again.
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

/// The fault of what is left: stretches that no value can be at the bottom of. The one that takes
/// the fewest operations to show.
fn no_bottom(pairs: &Pairs, rest: &[Item], words: &Words<'_>) -> Option<Fault> {
    let chains = stretches(rest).into_iter().map(|(from, to)| chain(rest, from, to));
    let cost = |chain: &Vec<Item>| {
        let stays = chain.iter().any(|item| item.take.is_none());
        (stays, chain.len())
    };
    let chain = chains.min_by_key(cost)?;
    let mut kept: Vec<OpId> = chain.iter().flat_map(Item::operations).collect();
    if chain.iter().any(|item| item.take.is_none()) {
        kept.extend(pairs.not_taken(NEVER, NEVER));
    }
    Some(Fault { kept, because: no_bottom_words(&chain, words) })
}

fn no_bottom_words(chain: &[Item], words: &Words<'_>) -> String {
    let value = |item: &Item| words.values.words(item.value);
    let push = |item: &Item| match item.insert {
        Some(push) => format!("push {}", push.0),
        None => "there at first".to_owned(),
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
                "one value is at the bottom for as long as the stack is not empty, but of those \
                 that keep it from being empty none was there from the first to the last: {}",
                chain.iter().map(item).collect::<Vec<_>>().join(", ")
            )
        }
    }
}
