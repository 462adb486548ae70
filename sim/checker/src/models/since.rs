//! Since when a value that was shown can have been there.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::history::{Moment, Part};
use crate::value::{Datum, Value};

/// What an operation asks for, whatever it returned: results may be forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asks {
    /// That the value be this.
    Writes(Value),
    /// That the value end with this text.
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
    asks: impl Fn(&O) -> Asks,
    shows: impl Fn(&O, &R) -> Option<Value>,
) -> Vec<Moment> {
    let mut written: BTreeMap<Value, Moment> = BTreeMap::new();
    let mut appended: BTreeMap<Cow<'_, str>, Moment> = BTreeMap::new();
    // A model without texts has no data.
    let text_of = |value: Value| data.get(value.0 as usize).map_or(Cow::Borrowed(""), Datum::text);
    for (_, operation) in part.iter() {
        let invoked = operation.invoked;
        let first = match asks(&operation.op) {
            Asks::Writes(value) => written.entry(value).or_insert(invoked),
            Asks::Appends(text) => appended.entry(text_of(text)).or_insert(invoked),
            Asks::Nothing => continue,
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
    let shown = part.iter().map(|(_, operation)| {
        let shown = operation.ret().and_then(|ret| shows(&operation.op, ret));
        shown.filter(|value| *value != init).and_then(since).unwrap_or(Moment(0))
    });
    shown.collect()
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use crate::generate::{Random, Shape, history, random};
    use crate::hints::check_hints;
    use crate::history::Outcome;
    use crate::model::Model;
    use crate::models::{Kv, KvCall, KvOp, KvRet, Register, RegisterOp, RegisterRet};
    use crate::value::Value;

    const SMALL: Shape =
        Shape { operations: 7, clients: 3, unknown: 0.2, failed: 0.05, eager: 0.4 };

    #[test]
    fn what_a_register_says_is_so() {
        let model = Register::default();
        let ask = |random: &mut Random| {
            let mut value = || Value(random.random_range(0..3));
            let (one, other) = (value(), value());
            match random.random_range(0..4) {
                0 => RegisterOp::Write(one),
                1 => RegisterOp::Cas { from: one, to: other },
                _ => RegisterOp::Read,
            }
        };
        let made = (0..400).map(|seed| {
            let mut errors = random(seed + 1_000);
            let apply = |state: &mut Value, op: &RegisterOp| {
                let before = *state;
                *state = model.step(state, op, None).expect("all is legal");
                match *op {
                    RegisterOp::Write(_) => RegisterRet::Written,
                    RegisterOp::Cas { from, .. } => RegisterRet::Swapped(from == before),
                    RegisterOp::Read if errors.random_bool(0.1) => {
                        RegisterRet::Value(Value(errors.random_range(0..3)))
                    }
                    RegisterOp::Read => RegisterRet::Value(before),
                }
            };
            history(&mut random(seed), &SMALL, model.init(), ask, apply)
        });
        let made: Vec<_> = made.collect();
        assert!(made.iter().any(|made| made.operations().iter().any(|one| {
            matches!(one.outcome, Outcome::Returned { ret: RegisterRet::Swapped(false), .. })
        })));
        assert_eq!(check_hints(&model, &made), Ok(()));
    }

    #[test]
    fn what_a_key_says_is_so() {
        let model = Kv::default();
        let texts = ["", "a", "b", "ab", "ba"].map(|text| model.values.of(text));
        let ask = |random: &mut Random| {
            let mut value = || texts[random.random_range(0..texts.len())];
            let (one, other) = (value(), value());
            let call = match random.random_range(0..6) {
                0 => KvCall::Put(one),
                1 => KvCall::Append(one),
                2 | 3 => KvCall::Cas { from: one, to: other },
                _ => KvCall::Get,
            };
            KvOp { key: texts[1], call }
        };
        let made = (0..400).map(|seed| {
            let mut errors = random(seed + 1_000);
            let apply = |state: &mut _, op: &KvOp| {
                let before = model.step(state, op, None).expect("all is legal");
                let before = std::mem::replace(state, before);
                let found = before.get(&op.key).copied().unwrap_or_default();
                match op.call {
                    KvCall::Put(_) | KvCall::Append(_) => KvRet::Written,
                    KvCall::Cas { from, .. } if from == found => KvRet::Swapped(true),
                    KvCall::Cas { .. } if errors.random_bool(0.5) => KvRet::Swapped(false),
                    KvCall::Get if errors.random_bool(0.1) => {
                        KvRet::Value(texts[errors.random_range(0..texts.len())])
                    }
                    KvCall::Get | KvCall::Cas { .. } => KvRet::Value(found),
                }
            };
            history(&mut random(seed), &SMALL, model.init(), ask, apply)
        });
        let made: Vec<_> = made.collect();
        assert_eq!(check_hints(&model, &made), Ok(()));
    }
}
