//! Since when a value that was shown can have been there.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::history::{Moment, Part};
use crate::value::{Datum, Value};

/// What an operation on a value has to do with what others show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trace {
    /// The value was this, and stays.
    Shows(Value),
    /// The value may be this after it.
    Writes(Value),
    /// The value may end with this text after it.
    Appends(Value),
    /// Nothing.
    Nothing,
}

/// Since when what each operation of `part` shows can have been so: see
/// [`crate::model::Model::shown_since`]. Before anything was asked the value was `init`.
///
/// Whatever last made the value what was shown wrote just that, or a text that it ends with; and it
/// did so after it was invoked.
pub(super) fn shown_since<O, R>(
    part: Part<'_, O, R>,
    init: Value,
    data: &[Datum],
    trace: impl Fn(&O, Option<&R>) -> Trace,
) -> Vec<Moment> {
    let mut written: BTreeMap<Value, Moment> = BTreeMap::new();
    let mut appended: BTreeMap<Cow<'_, str>, Moment> = BTreeMap::new();
    // A model without texts has no data.
    let text_of = |value: Value| data.get(value.0 as usize).map_or(Cow::Borrowed(""), Datum::text);
    for (_, operation) in part.iter() {
        let invoked = operation.invoked;
        let first = match trace(&operation.op, operation.ret()) {
            Trace::Writes(value) => written.entry(value).or_insert(invoked),
            Trace::Appends(text) => appended.entry(text_of(text)).or_insert(invoked),
            Trace::Shows(_) | Trace::Nothing => continue,
        };
        *first = invoked.min(*first);
    }
    let lengths: BTreeSet<usize> = appended.keys().map(|text| text.len()).collect();
    let since = |value: Value| {
        let text = text_of(value);
        let ends = lengths.iter().filter_map(|length| text.len().checked_sub(*length));
        let ends = ends.filter_map(|start| appended.get(text.get(start..)?));
        ends.chain(written.get(&value)).min().copied()
    };
    let shown = part.iter().map(|(_, operation)| match trace(&operation.op, operation.ret()) {
        Trace::Shows(value) if value != init => since(value).unwrap_or(Moment(0)),
        _ => Moment(0),
    });
    shown.collect()
}
