//! First in, first out, when no value is enqueued twice: O(n log n).
//!
//! A complete history is linearizable if no dequeue is of a value never enqueued or dequeued
//! before, none overtakes (a value enqueued before it was, and dequeued after, or never), and none
//! finds nothing while there was always something (Henzinger, Sezgin & Vafeiadis, CONCUR 2013,
//! §4; Bouajjani et al., ICALP 2015). Dequeues with unknown outcomes, of which each may have
//! taken any value that nobody is known to have taken, at any time: the one invoked first takes
//! what was certainly in the queue first, and so on. Any other choice can be changed into this
//! one, and every value is then in the queue for less long.

use crate::collections::finding::{Fault, Finding, Narrowing, verdict};
use crate::collections::pairs::{Access, Item, Pairs, Words};
use crate::collections::span::{NEVER, Span};
use crate::collections::stretches::{found_nothing, never_empty};
use crate::history::OpId;
use crate::value::{Value, Values};
use crate::verdict::Verdict;

/// Decides on a queue that had `init` in it.
pub(crate) fn decide(init: &[Value], accesses: &[Access], values: &Values) -> Option<Verdict> {
    let words =
        Words { object: "queue", insert: "enqueue", inserted: "enqueued", take: "dequeue", values };
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
    if let Some(fault) = fault(&pairs, &pairs.taken, words) {
        return Finding::Wrong(fault);
    }
    pairs.left.sort_unstable_by_key(|item| item.inserted.returned);
    for (item, invoked) in pairs.left.iter_mut().zip(&pairs.spare) {
        item.taken = Span { invoked: *invoked, returned: NEVER };
    }
    if pairs.left.is_empty() {
        return Finding::Fine;
    }
    let mut items = pairs.taken.clone();
    items.extend(&pairs.left);
    fault(&pairs, &items, words).map_or(Finding::Fine, Finding::Wrong)
}

fn fault(pairs: &Pairs, items: &[Item], words: &Words<'_>) -> Option<Fault> {
    let mut by_inserted: Vec<Item> = items.to_vec();
    by_inserted.sort_unstable_by_key(|item| item.inserted.returned);
    overtaking(pairs, &by_inserted, words).or_else(|| {
        let dequeue = found_nothing(pairs, &by_inserted)?;
        Some(never_empty(pairs, dequeue, &by_inserted, words))
    })
}

/// Two values that leave in the wrong order.
fn overtaking(pairs: &Pairs, by_inserted: &[Item], words: &Words<'_>) -> Option<Fault> {
    let mut later: Vec<&Item> = by_inserted.iter().filter(|item| item.take.is_some()).collect();
    later.sort_unstable_by_key(|item| item.inserted.invoked);
    let mut earlier = by_inserted.iter().peekable();
    let mut last_to_leave: Option<&Item> = None;
    for item in later {
        while let Some(next) =
            earlier.next_if(|next| next.inserted.returned < item.inserted.invoked)
        {
            if last_to_leave.is_none_or(|last| last.taken.invoked < next.taken.invoked) {
                last_to_leave = Some(next);
            }
        }
        if let Some(last) = last_to_leave
            && item.taken.returned < last.taken.invoked
        {
            return Some(overtaken(pairs, last, item, words));
        }
    }
    None
}

fn overtaken(pairs: &Pairs, first: &Item, second: &Item, words: &Words<'_>) -> Fault {
    let value = |item: &Item| words.values.words(item.value);
    let by = |id: Option<OpId>| id.map_or("at first".to_owned(), |id| format!("by {}", id.0));
    let dequeue = second.take.map_or(0, |take| take.0);
    let (a, b) = (value(first), value(second));
    let mut because = format!(
        "dequeue {dequeue} returned {b} ({} {}), although {a} was enqueued before ({}) and ",
        "enqueued",
        by(second.insert),
        by(first.insert)
    );
    let mut kept: Vec<OpId> = first.operations().chain(second.take).collect();
    match first.take {
        Some(take) => {
            because += &format!("only dequeue {}, invoked later, returned it", take.0);
        }
        None => {
            because += "no dequeue invoked by then can have taken it";
            kept.extend(pairs.not_taken(second.taken.returned, first.inserted.returned));
        }
    }
    Fault { kept, because }
}
