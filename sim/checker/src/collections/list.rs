//! Decides lists without repeated values, in O(n log n) plus the total length of all reads.
//!
//! The longest read shows the order of its values, every other read is a prefix of it, and values
//! that were never read come last. So the order is known except for independent operations. It is a
//! linearization unless an operation in it returned before an earlier one was invoked.

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};

use crate::collections::span::{Span, Time};
use crate::history::OpId;
use crate::value::{ValueId, ValueTable};
use crate::verdict::{Counterexample, Verdict};

/// An append of one value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Append {
    pub(crate) id: OpId,
    pub(crate) span: Span,
    pub(crate) value: ValueId,
}

/// A read with a known outcome.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Read<'a> {
    pub(crate) id: OpId,
    pub(crate) span: Span,
    pub(crate) items: &'a [ValueId],
}

/// The appends of each value, in the order of invocation.
type Appended<'a> = HashMap<ValueId, Vec<&'a Append>, FixedState>;

/// The reason why a check ends early.
enum EarlyExit {
    /// The minimal operations of a violation, and the reason.
    Violation(Vec<OpId>, String),
    /// A value that was read is appended more than once.
    Unknown,
}

/// Decides a list that is initially empty.
pub(crate) fn decide(
    appends: &[Append],
    reads: &[Read<'_>],
    values: &ValueTable,
) -> Option<Verdict> {
    match check(appends, reads, values) {
        Ok(()) => Some(Verdict::Linearizable),
        Err(EarlyExit::Unknown) => None,
        Err(EarlyExit::Violation(mut operations, reason)) => {
            operations.sort();
            let counterexample = Counterexample { operations, reason, minimal: true };
            Some(Verdict::NotLinearizable(counterexample))
        }
    }
}

fn check(appends: &[Append], reads: &[Read<'_>], values: &ValueTable) -> Result<(), EarlyExit> {
    let Some(longest) = reads.iter().max_by_key(|read| read.items.len()) else {
        return Ok(());
    };
    let mut appended = Appended::default();
    for append in appends {
        appended.entry(append.value).or_default().push(append);
    }
    let order = appends_of(longest, &appended, values)?;
    if let Some(other) = reads.iter().find(|read| !longest.items.starts_with(read.items)) {
        let _ = appends_of(other, &appended, values)?;
        let reason = format!(
            "reads {} and {} returned lists of which neither is a prefix of the other",
            other.id.0, longest.id.0
        );
        return Err(EarlyExit::Violation(vec![other.id, longest.id], reason));
    }
    let Some(order) = order else {
        for read in reads {
            let _ = appends_of(read, &appended, values)?;
        }
        return Err(EarlyExit::Unknown);
    };
    not_before_appended(reads, &order, values)?;
    let read: HashSet<OpId, FixedState> = order.iter().map(|append| append.id).collect();
    let unread = appends.iter().filter(|append| !read.contains(&append.id));
    in_order(reads, &order, unread, longest, values)
}

/// Returns the appends of the values that `read` returned, or `None` if one of the values has
/// several appends. A read that returned a value more often than it was appended by then is a
/// violation by itself.
fn appends_of<'a>(
    read: &Read<'_>,
    appended: &Appended<'a>,
    values: &ValueTable,
) -> Result<Option<Vec<&'a Append>>, EarlyExit> {
    let mut seen: HashMap<ValueId, usize, FixedState> = HashMap::default();
    let mut order = Vec::with_capacity(read.items.len());
    let mut is_known = true;
    for value in read.items {
        let count = seen.entry(*value).or_default();
        *count += 1;
        let appends = appended.get(value).map_or(&[][..], Vec::as_slice);
        let wrong = match appends.get(*count - 1) {
            Some(append) if append.span.invoked < read.span.returned => {
                is_known &= appends.len() == 1;
                order.push(*append);
                continue;
            }
            _ if appends.is_empty() => "that was never appended".to_owned(),
            None if appends.len() == 1 => "twice, although it was appended once".to_owned(),
            None => format!("more often than the {} times it was appended", appends.len()),
            Some(_) if *count == 1 => "before its append was invoked".to_owned(),
            Some(_) => "more often than its append had been invoked".to_owned(),
        };
        let reason = format!("read {} returned {} {wrong}", read.id.0, values.describe(*value));
        return Err(EarlyExit::Violation(vec![read.id], reason));
    }
    Ok(is_known.then_some(order))
}

/// Finds a read that returned a value before its append was invoked.
fn not_before_appended(
    reads: &[Read<'_>],
    order: &[&Append],
    values: &ValueTable,
) -> Result<(), EarlyExit> {
    let mut last: Option<&Append> = None;
    let last_up_to: Vec<&Append> = order
        .iter()
        .map(|append| {
            let later = last.is_none_or(|last| last.span.invoked < append.span.invoked);
            if later {
                last = Some(append);
            }
            last.unwrap_or(append)
        })
        .collect();
    for read in reads {
        let Some(place) = read.items.len().checked_sub(1) else { continue };
        let append = last_up_to[place];
        if append.span.invoked > read.span.returned {
            let reason = format!(
                "read {} returned {} before append {} of it was invoked",
                read.id.0,
                values.describe(append.value),
                append.id.0
            );
            return Err(EarlyExit::Violation(vec![read.id], reason));
        }
    }
    Ok(())
}

/// Finds an operation that returned before the invocation of an operation that must precede it.
fn in_order<'a>(
    reads: &[Read<'_>],
    order: &[&'a Append],
    unread: impl Iterator<Item = &'a Append>,
    longest: &Read<'_>,
    values: &ValueTable,
) -> Result<(), EarlyExit> {
    let mut by_length: Vec<&Read<'_>> = reads.iter().collect();
    by_length.sort_by_key(|read| read.items.len());
    let mut by_length = by_length.into_iter().peekable();
    // The latest invocation so far, and the read that was invoked; `None` if it was an append.
    let mut latest: (Time, Option<OpId>) = (Time::MIN, None);
    for count in 0..=order.len() {
        if let Some(append) = count.checked_sub(1).map(|place| order[place]) {
            append_after(append, latest, longest, values)?;
            latest = latest.max((append.span.invoked, None));
        }
        let before = latest;
        while let Some(read) = by_length.next_if(|read| read.items.len() == count) {
            if let (time, Some(other)) = before
                && read.span.returned < time
            {
                let reason = format!(
                    "read {} returned fewer values than read {}, which had returned before",
                    other.0, read.id.0
                );
                return Err(EarlyExit::Violation(vec![other, read.id], reason));
            }
            latest = latest.max((read.span.invoked, Some(read.id)));
        }
    }
    for append in unread {
        append_after(append, latest, longest, values)?;
    }
    Ok(())
}

/// Checks that `append` can come after the latest invocation so far, of a read or of an append in
/// the `longest` read.
fn append_after(
    append: &Append,
    latest: (Time, Option<OpId>),
    longest: &Read<'_>,
    values: &ValueTable,
) -> Result<(), EarlyExit> {
    if append.span.returned > latest.0 {
        return Ok(());
    }
    let value = values.describe(append.value);
    let (read, reason) = match latest.1 {
        Some(read) => (
            read,
            format!(
                "read {} did not return {value}, although append {} of it had returned before",
                read.0, append.id.0
            ),
        ),
        None => (
            longest.id,
            format!(
                "read {} did not return {value}, but a value appended after append {} of it \
                 had returned",
                longest.id.0, append.id.0
            ),
        ),
    };
    Err(EarlyExit::Violation(vec![append.id, read], reason))
}
