//! Decides queues without repeated values, in O(n log n).
//!
//! A complete history is linearizable if no dequeue returns a value that was never enqueued or was
//! dequeued before, no value overtakes another (enqueued later and dequeued earlier), and no
//! dequeue returns nothing while the queue was never empty (Henzinger, Sezgin & Vafeiadis, CONCUR
//! 2013, §4; Bouajjani et al., ICALP 2015). A dequeue of unknown outcome may have taken any value
//! that no known dequeue took, at any time after its invocation. The check assigns the one invoked
//! first to the value whose enqueue returned first, and so on. Any other assignment can be changed
//! into this one, and every value is then in the queue for less time.

use crate::budget::StopCheck;
use crate::collections::narrowing::{CheckResult, Violation};
use crate::collections::nonempty::{impossible_empty_take, never_empty};
use crate::collections::pairs::{self, Access, Item, OpNames, Pairs};
use crate::collections::span::{NEVER, Span};
use crate::history::OpId;
use crate::value::{ValueId, ValueTable};
use crate::verdict::Verdict;

/// Decides a queue that initially contains `init`.
pub(crate) fn decide(
    init: &[ValueId],
    accesses: &[Access],
    values: &ValueTable,
    stop: &StopCheck<'_>,
) -> Option<Verdict> {
    let names = OpNames {
        object: "queue",
        insert: "enqueue",
        inserted: "enqueued",
        take: "dequeue",
        values,
    };
    pairs::decide(init, accesses, &names, stop, check)
}

fn check(mut pairs: Pairs, names: &OpNames<'_>) -> CheckResult {
    if let Some(violation) = violation(&pairs, &pairs.taken, names) {
        return CheckResult::NotLinearizable(violation);
    }
    pairs.left.sort_unstable_by_key(|item| item.inserted.returned);
    for (item, invoked) in pairs.left.iter_mut().zip(&pairs.spare) {
        item.taken = Span { invoked: *invoked, returned: NEVER };
    }
    if pairs.left.is_empty() {
        return CheckResult::Linearizable;
    }
    let mut items = pairs.taken.clone();
    items.extend(&pairs.left);
    violation(&pairs, &items, names).map_or(CheckResult::Linearizable, CheckResult::NotLinearizable)
}

fn violation(pairs: &Pairs, items: &[Item], names: &OpNames<'_>) -> Option<Violation> {
    let mut by_inserted: Vec<Item> = items.to_vec();
    by_inserted.sort_unstable_by_key(|item| item.inserted.returned);
    overtaking(pairs, &by_inserted, names).or_else(|| {
        let dequeue = impossible_empty_take(pairs, &by_inserted)?;
        Some(never_empty(pairs, dequeue, &by_inserted, names))
    })
}

/// Finds two values that leave in the wrong order.
fn overtaking(pairs: &Pairs, by_inserted: &[Item], names: &OpNames<'_>) -> Option<Violation> {
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
            return Some(overtaken(pairs, last, item, names));
        }
    }
    None
}

fn overtaken(pairs: &Pairs, first: &Item, second: &Item, names: &OpNames<'_>) -> Violation {
    let value = |item: &Item| names.values.describe(item.value);
    let by = |id: Option<OpId>| id.map_or("initially".to_owned(), |id| format!("by {}", id.0));
    let dequeue = second.take.map_or(0, |take| take.0);
    let (a, b) = (value(first), value(second));
    let mut reason = format!(
        "dequeue {dequeue} returned {b} (enqueued {}), although {a} was enqueued before ({}) and ",
        by(second.insert),
        by(first.insert)
    );
    let mut kept: Vec<OpId> = first.operations().chain(second.take).collect();
    match first.take {
        Some(take) => {
            reason += &format!("only dequeue {}, invoked later, returned it", take.0);
        }
        None => {
            reason += "no dequeue invoked by then can have taken it";
            kept.extend(pairs.not_taken(second.taken.returned, first.inserted.returned));
        }
    }
    Violation { kept, reason }
}
