//! Computes the event after which it no longer matters whether an operation of unknown outcome took
//! effect.

use std::borrow::Cow;
use std::collections::{BTreeMap, BinaryHeap};

use crate::history::{EventIndex, Subhistory};
use crate::value::{Value, ValueId};

/// The maximum number of bytes of text that are searched for the writes of unknown operations, in
/// total.
const SEARCH_BYTES_MAX: usize = 64 << 20;
/// The number of bytes that a text counts as in this search, besides its own.
const TEXT_COST: usize = 16;

/// How one operation uses the value of a register to which texts may be appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueUse {
    /// The operation found this value.
    Observed(ValueId),
    /// The operation found a different value than it expected.
    Differs,
    /// The outcome is unknown. The operation may have written `written`, over `expected` or any
    /// value.
    MayWrite { written: ValueId, expected: Option<ValueId> },
    /// The operation observes no value, and no longer matters if it writes one: it took effect.
    Irrelevant,
}

/// An operation with an unknown outcome.
struct Unknown {
    /// The position of the operation in the part.
    place: usize,
    written: ValueId,
    /// The position of the expected value in [`UnknownWrites::observed`].
    expected: Option<usize>,
}

/// The writes with unknown outcomes, and the values in which they may be visible.
#[derive(Default)]
struct UnknownWrites {
    unknown: Vec<Unknown>,
    /// Values that were observed, or that an unknown operation expects, each with the last event at
    /// which that matters.
    observed: Vec<(ValueId, EventIndex)>,
    /// The position of each value in `observed`.
    places: BTreeMap<ValueId, usize>,
}

impl UnknownWrites {
    /// Collects `uses`, each with the event of its response. Returns `None` if one of them found
    /// a different value than expected.
    fn new(uses: impl Iterator<Item = (ValueUse, EventIndex)>) -> Option<UnknownWrites> {
        let mut writes = UnknownWrites::default();
        for (place, (value_use, at)) in uses.enumerate() {
            match value_use {
                ValueUse::Differs => return None,
                ValueUse::Irrelevant => {}
                ValueUse::Observed(value) => {
                    writes.add_observed(value, at);
                }
                ValueUse::MayWrite { written, expected } => {
                    let expected = expected.map(|value| writes.add_observed(value, EventIndex(0)));
                    writes.unknown.push(Unknown { place, written, expected });
                }
            }
        }
        Some(writes)
    }

    /// Records that `value` matters at the event `at`. Returns its position.
    fn add_observed(&mut self, value: ValueId, at: EventIndex) -> usize {
        let new = self.observed.len();
        let place = *self.places.entry(value).or_insert(new);
        if place == new {
            self.observed.push((value, at));
        }
        self.observed[place].1 = self.observed[place].1.max(at);
        place
    }
}

/// Returns the deadline of each operation of `part`, all of one key: see
/// [`crate::model::Model::unknown_deadlines`].
///
/// A written text stays part of the value until the value is written again. If an operation took
/// effect, and no later operation observed or expected a value that contains its text, then the
/// same order without the operation explains all responses too, because nothing between it and the
/// next write observed it. An operation that expected such a value does not count if its own
/// deadline was earlier.
pub(super) fn unknown_deadlines<O, R>(
    part: Subhistory<'_, O, R>,
    end: EventIndex,
    data: &[Value],
    value_use: impl Fn(&O, Option<&R>) -> ValueUse,
) -> Option<Vec<EventIndex>> {
    let begun = part.iter().map(|(_, operation)| operation);
    let begun: Vec<_> = begun.take_while(|operation| operation.invoked <= end).collect();
    let UnknownWrites { unknown, mut observed, .. } =
        UnknownWrites::new(begun.iter().map(|operation| {
            let at = operation.returned();
            (value_use(&operation.op, operation.ret().filter(|_| at <= end)), at)
        }))?;
    let text = |value: ValueId| data[value.0 as usize].text();
    let texts: Vec<Cow<'_, str>> = observed.iter().map(|(value, _)| text(*value)).collect();
    let cost: usize = texts.iter().map(|text| text.len() + TEXT_COST).sum();
    if cost.saturating_mul(unknown.len()) > SEARCH_BYTES_MAX {
        return None;
    }
    // For each observed value, the unknown writes that may be visible in it.
    let mut visible: Vec<Vec<usize>> = vec![Vec::new(); texts.len()];
    for (number, unknown) in unknown.iter().enumerate() {
        let written = text(unknown.written);
        for (place, text) in texts.iter().enumerate() {
            if text.contains(&*written) {
                visible[place].push(number);
            }
        }
    }
    let mut unknown_deadlines = vec![EventIndex(0); begun.len()];
    // The values that matter last come first, so the first value in which a write is visible
    // decides its deadline.
    let mut later: BinaryHeap<(EventIndex, usize)> =
        observed.iter().enumerate().map(|(place, (_, last))| (*last, place)).collect();
    while let Some((last, place)) = later.pop() {
        for number in std::mem::take(&mut visible[place]) {
            let Unknown { place, expected, .. } = unknown[number];
            if last <= unknown_deadlines[place] {
                continue;
            }
            unknown_deadlines[place] = last;
            if let Some(expected) = expected
                && last > begun[place].invoked
                && last > observed[expected].1
            {
                observed[expected].1 = last;
                later.push((last, expected));
            }
        }
    }
    Some(unknown_deadlines)
}
