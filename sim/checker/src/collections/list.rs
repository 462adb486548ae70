//! A list to which no value is appended twice: O(n log n), and the length of all that is read.
//!
//! The longest read shows the order of what it has in it, every other read is a part of it from
//! its beginning, and what nobody read comes after everything. So the whole order is known, but for
//! that of operations that do not concern one another, and it is one if none in it returned before
//! one further to the front was invoked.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

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
type Appended = HashMap<Value, Option<usize>, FixedState>;

/// An operation that must come early, the latest to be invoked of those.
#[derive(Clone, Copy, Debug)]
enum Early<'a> {
    Append,
    Read(&'a Read<'a>),
}

/// Decides on a list that is empty at first.
pub(crate) fn decide(appends: &[Append], reads: &[Read<'_>], values: &Values) -> Option<Verdict> {
    let Some(longest) = reads.iter().max_by_key(|read| read.items.len()) else {
        return Some(Verdict::Linearizable);
    };
    let mut appended = Appended::default();
    for (place, append) in appends.iter().enumerate() {
        let twice = appended.insert(append.value, Some(place)).is_some();
        if twice {
            appended.insert(append.value, None);
        }
    }
    let differs = reads.iter().find(|read| !longest.items.starts_with(read.items));
    for read in [Some(longest), differs].into_iter().flatten() {
        let mut seen: HashMap<Value, (), FixedState> = HashMap::default();
        for value in read.items {
            let told = || (read.id.0, values.words(*value));
            match appended.get(value) {
                Some(None) => return None,
                None => {
                    let (read, value) = told();
                    let because = format!("read {read} returned {value}, which was never appended");
                    return wrong([read], because);
                }
                Some(Some(_)) if seen.insert(*value, ()).is_some() => {
                    let (read, value) = told();
                    let because =
                        format!("read {read} returned {value} twice, which was appended once");
                    return wrong([read], because);
                }
                Some(Some(_)) => {}
            }
        }
    }
    let order: Vec<&Append> =
        longest.items.iter().filter_map(|value| Some(&appends[appended[value]?])).collect();
    let from_the_future = |read: &Read<'_>| {
        read.items.iter().map(|value| appended[value]).find_map(|place| {
            place.map(|place| &appends[place]).filter(|append| append.span.invoked > read.span.returned)
        })
    };
    let candidates = [Some(longest), differs];
    let _ = (&order, &from_the_future, &candidates);
    None
}
