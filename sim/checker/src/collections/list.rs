//! A list to which no value is appended twice: O(n log n), and the length of all that is read.
//!
//! The longest read shows the order of what it has in it, every other read is a part of it from
//! its beginning, and what nobody read comes after everything. So the whole order is known, but for
//! that of operations that do not concern one another, and it is one if none in it returned before
//! one further to the front was invoked.

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};

use crate::collections::span::{Span, Time};
use crate::history::OpId;
use crate::value::{Value, Values};
use crate::verdict::{Evidence, Verdict};

/// One value appended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Append {
    pub(crate) id: OpId,
    pub(crate) span: Span,
    pub(crate) value: Value,
}

/// One read, whose outcome is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Read<'a> {
    pub(crate) id: OpId,
    pub(crate) span: Span,
    pub(crate) items: &'a [Value],
}

/// Which operation appends a value; nothing if several do.
type Appended<'a> = HashMap<Value, Option<&'a Append>, FixedState>;

/// Why a check ends early.
enum End {
    /// The operations that cannot be, no more than needed, and why.
    Wrong(Vec<OpId>, String),
    /// A value is appended twice.
    Unsure,
}

/// Decides on a list that is empty at first.
pub(crate) fn decide(appends: &[Append], reads: &[Read<'_>], values: &Values) -> Option<Verdict> {
    match look(appends, reads, values) {
        Ok(()) => Some(Verdict::Linearizable),
        Err(End::Unsure) => None,
        Err(End::Wrong(mut operations, because)) => {
            operations.sort();
            let evidence = Evidence { operations, because, minimal: true };
            Some(Verdict::NotLinearizable(evidence))
        }
    }
}

fn look(appends: &[Append], reads: &[Read<'_>], values: &Values) -> Result<(), End> {
    let Some(longest) = reads.iter().max_by_key(|read| read.items.len()) else {
        return Ok(());
    };
    let mut appended = Appended::default();
    for append in appends {
        let only = if appended.contains_key(&append.value) { None } else { Some(append) };
        appended.insert(append.value, only);
    }
    let order = appends_of(longest, &appended, values)?;
    if let Some(other) = reads.iter().find(|read| !longest.items.starts_with(read.items)) {
        appends_of(other, &appended, values)?;
        let because = format!(
            "reads {} and {} returned lists of which neither continues the other",
            other.id.0, longest.id.0
        );
        return Err(End::Wrong(vec![other.id, longest.id], because));
    }
    not_before_appended(reads, &order, values)?;
    let read: HashSet<OpId, FixedState> = order.iter().map(|append| append.id).collect();
    let unread = appends.iter().filter(|append| !read.contains(&append.id));
    in_order(reads, &order, unread, longest, values)
}

/// Which operations appended what `read` returned.
fn appends_of<'a>(
    read: &Read<'_>,
    appended: &Appended<'a>,
    values: &Values,
) -> Result<Vec<&'a Append>, End> {
    let mut seen: HashSet<Value, FixedState> = HashSet::default();
    let mut order = Vec::with_capacity(read.items.len());
    let mut wrong = None;
    for value in read.items {
        let says =
            |what: &str| format!("read {} returned {} {what}", read.id.0, values.words(*value));
        match appended.get(value) {
            Some(None) => return Err(End::Unsure),
            None => wrong = wrong.or_else(|| Some(says("which was never appended"))),
            Some(Some(_)) if !seen.insert(*value) => {
                wrong = wrong.or_else(|| Some(says("twice, which was appended once")));
            }
            Some(Some(append)) => {
                if append.span.invoked > read.span.returned {
                    wrong = wrong.or_else(|| Some(says("before it was appended")));
                }
                order.push(*append);
            }
        }
    }
    wrong.map_or(Ok(order), |because| Err(End::Wrong(vec![read.id], because)))
}

/// Looks for a read that returned something before it was appended.
fn not_before_appended(reads: &[Read<'_>], order: &[&Append], values: &Values) -> Result<(), End> {
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
            let because = format!(
                "read {} returned {} before append {} of it was invoked",
                read.id.0,
                values.words(append.value),
                append.id.0
            );
            return Err(End::Wrong(vec![read.id], because));
        }
    }
    Ok(())
}

/// Looks for an operation that returned before one was invoked that must come before it.
fn in_order<'a>(
    reads: &[Read<'_>],
    order: &[&'a Append],
    unread: impl Iterator<Item = &'a Append>,
    longest: &Read<'_>,
    values: &Values,
) -> Result<(), End> {
    let mut by_length: Vec<&Read<'_>> = reads.iter().collect();
    by_length.sort_by_key(|read| read.items.len());
    let mut by_length = by_length.into_iter().peekable();
    // The last to be invoked of what comes before; it is a read or none.
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
                let because = format!(
                    "read {} found less than read {}, which returned before it was invoked",
                    other.0, read.id.0
                );
                return Err(End::Wrong(vec![other, read.id], because));
            }
            latest = latest.max((read.span.invoked, Some(read.id)));
        }
    }
    for append in unread {
        append_after(append, latest, longest, values)?;
    }
    Ok(())
}

/// Looks whether `append` can come after what was invoked at `latest`, a read or an append that
/// is in the `longest` read.
fn append_after(
    append: &Append,
    latest: (Time, Option<OpId>),
    longest: &Read<'_>,
    values: &Values,
) -> Result<(), End> {
    if append.span.returned > latest.0 {
        return Ok(());
    }
    let value = values.words(append.value);
    let (read, because) = match latest.1 {
        Some(read) => (
            read,
            format!(
                "read {} did not find {value}, although append {} of it had returned before",
                read.0, append.id.0
            ),
        ),
        None => (
            longest.id,
            format!(
                "read {} did not find {value} before what was appended only after append {} of it \
                 had returned",
                longest.id.0, append.id.0
            ),
        ),
    };
    Err(End::Wrong(vec![append.id, read], because))
}
