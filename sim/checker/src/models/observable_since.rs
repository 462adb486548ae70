//! Computes the event since which an observed value can have been the current value.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::history::{EventIndex, Subhistory};
use crate::value::{Value, ValueId};

/// The write that an operation may make. Its result is ignored, because it may be unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueWrite {
    /// The operation may set the value to this.
    Put(ValueId),
    /// The operation may append this text to the value.
    Append(ValueId),
    /// The operation writes nothing.
    None,
}

/// Returns, for each operation of `part`, the event since which its observed value is possible: see
/// [`crate::model::Model::observable_since`]. Before the first operation the value is `init`.
///
/// The last operation that changed the register to the observed value wrote that value, or appended
/// a text with which the value ends. It took effect after its invocation, so the value was
/// impossible before the first invocation of such an operation.
pub(super) fn observable_since<O, R>(
    part: Subhistory<'_, O, R>,
    init: ValueId,
    data: &[Value],
    write_of: impl Fn(&O) -> ValueWrite,
    observed_value: impl Fn(&O, &R) -> Option<ValueId>,
) -> Vec<EventIndex> {
    let mut written: BTreeMap<ValueId, EventIndex> = BTreeMap::new();
    let mut appended: BTreeMap<Cow<'_, str>, EventIndex> = BTreeMap::new();
    // A model without texts passes no data.
    let text_of =
        |value: ValueId| data.get(value.0 as usize).map_or(Cow::Borrowed(""), Value::text);
    for (_, operation) in part.iter() {
        let invoked = operation.invoked;
        let first = match write_of(&operation.op) {
            ValueWrite::Put(value) => written.entry(value).or_insert(invoked),
            ValueWrite::Append(text) => appended.entry(text_of(text)).or_insert(invoked),
            ValueWrite::None => continue,
        };
        *first = invoked.min(*first);
    }
    let lengths: BTreeSet<usize> = appended.keys().map(|text| text.len()).collect();
    let since = |value: ValueId| {
        let text = text_of(value);
        let ends = lengths.iter().filter_map(|length| text.len().checked_sub(*length));
        let ends = ends.filter_map(|start| appended.get(text.get(start..)?));
        ends.chain(written.get(&value)).min().copied()
    };
    let shown = part.iter().map(|(_, operation)| {
        let shown = operation.ret().and_then(|ret| observed_value(&operation.op, ret));
        shown.filter(|value| *value != init).and_then(since).unwrap_or(EventIndex(0))
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
    use crate::value::ValueId;

    const SMALL: Shape =
        Shape { operations: 7, clients: 3, unknown: 0.2, failed: 0.05, eager: 0.4 };

    #[test]
    fn hints_of_registers_are_right() {
        let model = Register::default();
        let next_op = |random: &mut Random| {
            let mut value = || ValueId(random.random_range(0..3));
            let (one, other) = (value(), value());
            match random.random_range(0..4) {
                0 => RegisterOp::Write(one),
                1 => RegisterOp::Cas { from: one, to: other },
                _ => RegisterOp::Read,
            }
        };
        let made = (0..400).map(|seed| {
            let mut errors = random(seed + 1_000);
            let apply = |state: &mut ValueId, op: &RegisterOp| {
                let before = *state;
                *state = model.step(state, op, None).expect("all is legal");
                match *op {
                    RegisterOp::Write(_) => RegisterRet::Written,
                    RegisterOp::Cas { from, .. } => RegisterRet::Swapped(from == before),
                    RegisterOp::Read if errors.random_bool(0.1) => {
                        RegisterRet::Value(ValueId(errors.random_range(0..3)))
                    }
                    RegisterOp::Read => RegisterRet::Value(before),
                }
            };
            history(&mut random(seed), &SMALL, model.init(), next_op, apply)
        });
        let made: Vec<_> = made.collect();
        assert!(made.iter().any(|made| made.operations().iter().any(|one| {
            matches!(one.outcome, Outcome::Returned { ret: RegisterRet::Swapped(false), .. })
        })));
        assert_eq!(check_hints(&model, &made), Ok(()));
    }

    #[test]
    fn hints_of_keys_are_right() {
        let model = Kv::default();
        let texts = ["", "a", "b", "ab", "ba"].map(|text| model.values.intern(text));
        let next_op = |random: &mut Random| {
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
                let found = model.value_in(&before, op.key);
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
            history(&mut random(seed), &SMALL, model.init(), next_op, apply)
        });
        let made: Vec<_> = made.collect();
        assert_eq!(check_hints(&model, &made), Ok(()));
    }
}
