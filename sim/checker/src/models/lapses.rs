//! When it stops to matter whether an operation on a key took effect, if nobody was told.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::history::{Moment, Part};
use crate::value::{Datum, Value};

/// The most bytes that are looked through for traces of unknown operations, altogether.
const LOOK_BYTES_MAX: usize = 64 << 20;

/// What an operation on a value, to whose text more may be appended, tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// The value was this.
    Shows(Value),
    /// The value was not what it was asked for.
    Differs,
    /// Its outcome is unknown. It may have written this, over the value `asks` or over any.
    Perhaps { written: Value, asks: Option<Value> },
    /// Nothing.
    Nothing,
}

/// An operation that nobody was told of.
struct Unknown {
    /// Its place in the part.
    place: usize,
    written: Value,
    /// The place of what it asks for among the values seen.
    asks: Option<usize>,
}

/// What is looked for, and where.
#[derive(Default)]
struct Traces {
    unknown: Vec<Unknown>,
    /// Values that were seen, or are asked for by an unknown operation, each with the last moment
    /// at which that mattered.
    seen: Vec<(Value, Moment)>,
    /// Where each value stands among them.
    places: BTreeMap<Value, usize>,
}

impl Traces {
    /// Those that `words` leave, each with the moment of its return; nothing if one of them shows
    /// what the value was not.
    fn new(words: impl Iterator<Item = (Word, Moment)>) -> Option<Traces> {
        let mut traces = Traces::default();
        for (place, (word, at)) in words.enumerate() {
            match word {
                Word::Differs => return None,
                Word::Nothing => {}
                Word::Shows(value) => {
                    traces.see(value, at);
                }
                Word::Perhaps { written, asks } => {
                    let asks = asks.map(|value| traces.see(value, Moment(0)));
                    traces.unknown.push(Unknown { place, written, asks });
                }
            }
        }
        Some(traces)
    }

    /// `value` matters at `at`. Returns its place.
    fn see(&mut self, value: Value, at: Moment) -> usize {
        let new = self.seen.len();
        let place = *self.places.entry(value).or_insert(new);
        if place == new {
            self.seen.push((value, at));
        }
        self.seen[place].1 = self.seen[place].1.max(at);
        place
    }
}

/// When each operation of `part`, all of one key, lapses: see [`crate::model::Model::lapses`].
///
/// What an operation wrote stays part of the value until that is written anew. If it took effect
/// and nobody saw a value with its text in it after that, nor asked for one, then the same order
/// without it explains all that was told: what came between it and the next value showed nothing.
/// Whoever asked for such a value by an operation that lapsed before does not count.
pub(super) fn lapses<O, R>(
    part: Part<'_, O, R>,
    end: Moment,
    data: &[Datum],
    word: impl Fn(&O, Option<&R>) -> Word,
) -> Option<Vec<Moment>> {
    let begun = part.iter().map(|(_, operation)| operation);
    let begun: Vec<_> = begun.take_while(|operation| operation.invoked <= end).collect();
    let Traces { unknown, mut seen, .. } = Traces::new(begun.iter().map(|operation| {
        let at = operation.returned();
        (word(&operation.op, operation.ret().filter(|_| at <= end)), at)
    }))?;
    let text = |value: Value| data[value.0 as usize].text();
    let texts: Vec<Cow<'_, str>> = seen.iter().map(|(value, _)| text(*value)).collect();
    let bytes: usize = texts.iter().map(|text| text.len()).sum();
    if bytes.saturating_mul(unknown.len()) > LOOK_BYTES_MAX {
        return None;
    }
    let shown = |unknown: &Unknown| {
        let written = text(unknown.written);
        let has = |(_, text): &(usize, &Cow<'_, str>)| text.contains(&*written);
        texts.iter().enumerate().filter(has).map(|(place, _)| place).collect::<Vec<_>>()
    };
    let shown: Vec<Vec<usize>> = unknown.iter().map(shown).collect();
    let mut lapses = vec![Moment(0); begun.len()];
    loop {
        let mut changed = false;
        for (unknown, places) in unknown.iter().zip(&shown) {
            let last = places.iter().map(|place| seen[*place].1).max().unwrap_or_default();
            changed |= last > lapses[unknown.place];
            lapses[unknown.place] = last;
            if let Some(asked) = unknown.asks
                && last > begun[unknown.place].invoked
            {
                seen[asked].1 = seen[asked].1.max(last);
            }
        }
        if !changed {
            return Some(lapses);
        }
    }
}
