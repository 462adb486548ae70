//! A key-value map model: get, put, append and compare-and-set.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::budget::{Budget, StopCheck};
use crate::history::{EventIndex, Subhistory};
use crate::model::{Effect, Model, RegisterAccess};
use crate::models::heap::{array_bytes, tree_bytes};
use crate::models::initial_values::InitialValues;
use crate::models::observable_since::{ValueWrite, observable_since};
use crate::models::register::access_of;
use crate::models::unknown_deadlines::{ValueUse, unknown_deadlines};
use crate::stream::Stream;
use crate::value::{Value, ValueId, ValueTable};
use crate::verdict::Verdict;
use crate::zones::{Action, Classification, OpNames, append, gather, register, verdict};

/// A key-value map. Every key is a register whose value may also be a text that appends extend.
#[derive(Clone, Debug, Default)]
pub struct Kv {
    /// The value of each key before the first operation.
    pub init: InitialValues,
    /// The table of keys and values.
    pub values: ValueTable,
}

/// An operation on one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KvOp {
    /// The key that the operation accesses.
    pub key: ValueId,
    /// The operation on the key.
    pub call: KvCall,
}

/// An operation on the register of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KvCall {
    /// Reads the value of the key.
    Get,
    /// Sets the value of the key.
    Put(ValueId),
    /// Appends this text to the value. [`Value::Null`] counts as the empty text.
    Append(ValueId),
    /// Sets the value to `to` if it is `from` (compare-and-set).
    Cas {
        /// The value that the key must have.
        from: ValueId,
        /// The value that the key has afterwards.
        to: ValueId,
    },
}

/// The value of a key in a state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KvValue {
    /// A value of the table.
    Known(ValueId),
    /// A text that appends made, and that was not in the table then. The table does not grow with
    /// the texts that a search tries.
    Appended(Box<str>),
}

/// The result of an operation on a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KvRet {
    /// A `Put` or an `Append` took effect.
    Written,
    /// The value before the operation: the value that a `Get` read, that a `Put` replaced, or that
    /// a failed `Cas` found instead of `from`.
    Value(ValueId),
    /// Whether a `Cas` found `from`.
    Swapped(bool),
}

impl Kv {
    /// Returns the id of the value of `key` in `state`, and adds the value to the table if the
    /// table does not contain it.
    ///
    /// # Panics
    /// If the table already has 2³² values.
    pub fn value_in(&self, state: &BTreeMap<ValueId, KvValue>, key: ValueId) -> ValueId {
        match state.get(&key) {
            None => self.init.of(key),
            Some(KvValue::Known(value)) => *value,
            Some(KvValue::Appended(text)) => self.values.intern(&**text),
        }
    }

    /// Returns the text of `value` followed by the text of `more`.
    fn appended(&self, value: &KvValue, more: ValueId) -> KvValue {
        let text = self.values.with(|data| {
            let text = |value: ValueId| data[value.0 as usize].text();
            match value {
                KvValue::Known(value) => [text(*value), text(more)].concat(),
                KvValue::Appended(value) => [&**value, &text(more)].concat(),
            }
        });
        match self.values.find(text) {
            Ok(known) => KvValue::Known(known),
            Err(text) => KvValue::Appended(text.into()),
        }
    }

    /// Returns true if `value` is the value with the id `other`.
    fn is_value(&self, value: &KvValue, other: ValueId) -> bool {
        match value {
            KvValue::Known(value) => *value == other,
            // It may have been added to the table meanwhile.
            KvValue::Appended(value) => self.values.with(|data| {
                matches!(data.get(other.0 as usize), Some(Value::Text(text)) if **text == **value)
            }),
        }
    }

    /// Returns the initial value of the key of `part`, whose operations have all the same key.
    fn init_of(&self, part: Subhistory<'_, KvOp, KvRet>) -> ValueId {
        let first = part.iter().next();
        first.map_or(self.init.others, |(_, first)| self.init.of(first.op.key))
    }
}

impl Model for Kv {
    /// The values of the keys that are not at their initial value.
    type State = BTreeMap<ValueId, KvValue>;
    type Op = KvOp;
    type Ret = KvRet;

    fn init(&self) -> BTreeMap<ValueId, KvValue> {
        BTreeMap::new()
    }

    fn step(
        &self,
        state: &BTreeMap<ValueId, KvValue>,
        op: &KvOp,
        ret: Option<&KvRet>,
    ) -> Option<BTreeMap<ValueId, KvValue>> {
        let init = KvValue::Known(self.init.of(op.key));
        let now = state.get(&op.key).unwrap_or(&init);
        let is_now = |value: ValueId| self.is_value(now, value);
        let legal = match (op.call, ret) {
            (_, None) | (KvCall::Put(_) | KvCall::Append(_), Some(KvRet::Written)) => true,
            (KvCall::Get | KvCall::Put(_), Some(KvRet::Value(returned))) => is_now(*returned),
            (KvCall::Cas { from, .. }, Some(KvRet::Value(returned))) => {
                is_now(*returned) && !is_now(from)
            }
            (KvCall::Cas { from, .. }, Some(KvRet::Swapped(returned))) => *returned == is_now(from),
            _ => false,
        };
        if !legal {
            return None;
        }
        let then = match op.call {
            KvCall::Put(value) => KvValue::Known(value),
            KvCall::Append(more) => self.appended(now, more),
            KvCall::Cas { from, to } if is_now(from) => KvValue::Known(to),
            KvCall::Get | KvCall::Cas { .. } => now.clone(),
        };
        let mut after = state.clone();
        match then == init {
            true => after.remove(&op.key),
            false => after.insert(op.key, then),
        };
        Some(after)
    }

    fn key(&self, op: &KvOp) -> Option<u64> {
        Some(u64::from(op.key.0))
    }

    fn effect(&self, op: &KvOp, ret: Option<&KvRet>) -> Effect {
        match (op.call, ret) {
            (KvCall::Get, _)
            | (KvCall::Cas { .. }, Some(KvRet::Swapped(false) | KvRet::Value(_))) => {
                Effect::ReadOnly
            }
            // All operations of a search have the same key, so the other keys keep their values.
            (KvCall::Put(_), None | Some(KvRet::Written)) => Effect::BlindWrite,
            _ => Effect::Update,
        }
    }

    fn unknown_deadlines(
        &self,
        part: Subhistory<'_, KvOp, KvRet>,
        end: EventIndex,
    ) -> Option<Vec<EventIndex>> {
        self.values.with(|data| unknown_deadlines(part, end, data, value_use))
    }

    fn observable_since(&self, part: Subhistory<'_, KvOp, KvRet>) -> Option<Vec<EventIndex>> {
        let init = self.init_of(part);
        Some(self.values.with(|data| observable_since(part, init, data, write_of, observed_value)))
    }

    /// Counts the memory that a state owns, except the bytes of texts, which are hashed.
    fn unhashed_bytes(&self, state: &BTreeMap<ValueId, KvValue>) -> usize {
        let texts = state.values().filter(|value| matches!(value, KvValue::Appended(_))).count();
        tree_bytes::<(ValueId, KvValue)>(state.len()) + texts * array_bytes::<u8>(1)
    }

    fn stream(self: Arc<Self>) -> Option<Stream<KvOp, KvRet>> {
        let (kv, names) = (Arc::clone(&self), OpNames { read: "get", write: "put" });
        let describe = move |value| self.values.describe(value);
        let init = move |op: &KvOp| kv.init.of(op.key);
        Some(Stream::new(classify, |op| u64::from(op.key.0), init, names, describe))
    }

    /// Decides in nearly linear time, unless an observed value was put twice, a put returned the
    /// value that it replaced, a failed compare-and-set matters, the key has both appends and
    /// compare-and-sets, or texts do not determine which appends made them.
    fn decide(&self, part: Subhistory<'_, KvOp, KvRet>, budget: &Budget<'_>) -> Option<Verdict> {
        let key = part.iter().next().map(|(_, first)| first.op.key);
        let classify = |op: &KvOp, ret: Option<&KvRet>| match Some(op.key) == key {
            true => classify(op, ret),
            false => Classification::Invalid,
        };
        let calls = gather(part, classify)?;
        let (init, names) = (self.init_of(part), OpNames { read: "get", write: "put" });
        let describe = |value| self.values.describe(value);
        let stop = StopCheck::new(budget);
        if calls.list.iter().any(|call| matches!(call.action, Action::Append(_))) {
            return verdict(&calls, names, &describe, &stop, |calls| {
                self.values.with(|data| append::decide(calls, init, data))
            });
        }
        verdict(&calls, names, &describe, &stop, |calls| register::decide(calls, init))
    }

    fn register_access(&self, op: &KvOp, ret: Option<&KvRet>) -> Option<RegisterAccess> {
        access_of(classify(op, ret))
    }

    fn register_init(&self, op: &KvOp) -> u64 {
        u64::from(self.init.of(op.key).0)
    }

    fn describe_op(&self, op: &KvOp) -> String {
        let describe = |value: ValueId| self.values.describe(value);
        let key = describe(op.key);
        match op.call {
            KvCall::Get => format!("get {key}"),
            KvCall::Put(value) => format!("put {key} {}", describe(value)),
            KvCall::Append(more) => format!("append {key} {}", describe(more)),
            KvCall::Cas { from, to } => format!("cas {key} {} -> {}", describe(from), describe(to)),
        }
    }

    fn describe_ret(&self, _: &KvOp, ret: &KvRet) -> String {
        match *ret {
            KvRet::Written => String::new(),
            KvRet::Value(value) => self.values.describe(value),
            KvRet::Swapped(swapped) => swapped.to_string(),
        }
    }

    fn describe_state(&self, state: &BTreeMap<ValueId, KvValue>) -> String {
        self.values.describe_pairs(state, |value| match value {
            KvValue::Known(value) => self.values.describe(*value),
            KvValue::Appended(text) => format!("{text:?}"),
        })
    }
}

/// Classifies `op` on its register, with the result `ret`.
fn classify(op: &KvOp, ret: Option<&KvRet>) -> Classification {
    match (op.call, ret) {
        (KvCall::Get, None) => Classification::Irrelevant,
        (KvCall::Get, Some(KvRet::Value(value))) => Classification::Action(Action::Read(*value)),
        (KvCall::Put(value), None | Some(KvRet::Written)) => {
            Classification::Action(Action::Write(value))
        }
        (KvCall::Append(more), None | Some(KvRet::Written)) => {
            Classification::Action(Action::Append(more))
        }
        (KvCall::Cas { from, to }, None | Some(KvRet::Swapped(true))) => {
            Classification::Action(Action::CompareAndSet { from, to })
        }
        (KvCall::Cas { from, to }, Some(KvRet::Swapped(false))) => {
            Classification::Action(Action::FailedCas { from, to })
        }
        (KvCall::Cas { from, to }, Some(KvRet::Value(found))) if *found != from => {
            Classification::Action(Action::FailedCasFound { from, to, found: *found })
        }
        (KvCall::Put(_), Some(KvRet::Value(_))) => Classification::Unsupported,
        _ => Classification::Invalid,
    }
}

fn write_of(op: &KvOp) -> ValueWrite {
    match op.call {
        KvCall::Get => ValueWrite::None,
        KvCall::Put(written) | KvCall::Cas { to: written, .. } => ValueWrite::Put(written),
        KvCall::Append(more) => ValueWrite::Append(more),
    }
}

/// Returns the value that `op` found and did not change.
fn observed_value(op: &KvOp, ret: &KvRet) -> Option<ValueId> {
    match (op.call, ret) {
        (KvCall::Get | KvCall::Cas { .. }, KvRet::Value(value)) => Some(*value),
        _ => None,
    }
}

/// Returns how `op`, with the result `ret`, uses the value of its register.
fn value_use(op: &KvOp, ret: Option<&KvRet>) -> ValueUse {
    match (op.call, ret) {
        (_, Some(KvRet::Swapped(false))) => ValueUse::Differs,
        (_, Some(KvRet::Value(value))) => ValueUse::Observed(*value),
        (KvCall::Cas { from, .. }, Some(_)) => ValueUse::Observed(from),
        (_, Some(_)) | (KvCall::Get, None) => ValueUse::Irrelevant,
        (KvCall::Cas { from, to }, None) => {
            ValueUse::MayWrite { written: to, expected: Some(from) }
        }
        (KvCall::Put(written) | KvCall::Append(written), None) => {
            ValueUse::MayWrite { written, expected: None }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Client, History, OpId, Operation, Outcome};

    /// A call, the event of its invocation, and the event and result of its response.
    type TimedCall = (KvCall, u32, Option<(u32, KvRet)>);

    fn deadlines_at(kv: &Kv, calls: &[TimedCall], end: EventIndex) -> Option<Vec<u32>> {
        let key = kv.values.intern("k");
        let operations = (0..).zip(calls).map(|(client, (call, invoked, returned))| {
            let outcome = match *returned {
                Some((at, ret)) => Outcome::Returned { at: EventIndex(at), ret },
                None => Outcome::Unknown,
            };
            let op = KvOp { key, call: *call };
            Operation { client: Client(client), op, invoked: EventIndex(*invoked), outcome }
        });
        let history = History::new(operations.collect()).expect("the text is a history");
        let ids: Vec<OpId> = (0..).take(calls.len()).map(OpId).collect();
        let found = kv.unknown_deadlines(Subhistory::new(&history, &ids), end);
        found.map(|event_indexes| event_indexes.into_iter().map(|EventIndex(at)| at).collect())
    }

    #[test]
    fn the_texts_that_a_search_tries_do_not_stay() {
        let kv = Kv::default();
        let key = kv.values.intern("k");
        let texts: Vec<ValueId> =
            (0..8).map(|number| kv.values.intern(&*format!("{number}"))).collect();
        let calls = texts.iter().map(|text| (KvCall::Append(*text), Some(KvRet::Written)));
        let get = (KvCall::Get, Some(KvRet::Value(key)));
        let operations = (0..).zip(calls.chain([get])).map(|(client, (call, ret))| Operation {
            client: Client(client),
            op: KvOp { key, call },
            invoked: EventIndex(client),
            outcome: Outcome::Returned {
                at: EventIndex(100 + client),
                ret: ret.expect("each returned"),
            },
        });
        let history = History::new(operations.collect()).expect("all are concurrent");
        let count = kv.values.count();
        let budget = Budget::default();
        let verdict = crate::check::check_without_decide(&kv, &history, &budget);
        assert!(matches!(verdict, Verdict::NotLinearizable(_)));
        assert_eq!(kv.values.count(), count);
        let state = kv.step(&kv.init(), &history.operation(OpId(0)).op, None).expect("legal");
        assert_eq!(kv.value_in(&state, key), texts[0]);
        let state = kv.step(&state, &history.operation(OpId(1)).op, None).expect("legal");
        assert_eq!(kv.values.describe(kv.value_in(&state, key)), "\"01\"");
        // It is in the table now, but was not when the state was made.
        let found = KvRet::Value(kv.value_in(&state, key));
        assert!(kv.step(&state, &KvOp { key, call: KvCall::Get }, Some(&found)).is_some());
    }

    #[test]
    fn a_write_matters_until_its_text_is_last_observed() {
        let kv = Kv::default();
        let [a, b, ab, c] = ["a", "b", "ab", "c"].map(|text| kv.values.intern(text));
        let calls = [
            (KvCall::Put(a), 0, None),
            (KvCall::Append(b), 1, None),
            (KvCall::Put(c), 2, None),
            (KvCall::Get, 3, Some((4, KvRet::Value(ab)))),
            (KvCall::Get, 5, Some((6, KvRet::Value(b)))),
        ];
        assert_eq!(deadlines_at(&kv, &calls, EventIndex::NEVER), Some(vec![4, 6, 0, 0, 0]));
        // A deletion may be the start of every text observed after it.
        let deleted = [(KvCall::Put(ValueId::NULL), 0, None), calls[3]];
        assert_eq!(deadlines_at(&kv, &deleted, EventIndex::NEVER), Some(vec![4, 0]));
    }

    #[test]
    fn an_operation_that_expects_a_value_has_its_own_deadline() {
        let kv = Kv::default();
        let [a, b, c] = ["a", "b", "c"].map(|text| kv.values.intern(text));
        let swap = |returned| (KvCall::Cas { from: a, to: b }, 1, returned);
        let get = |value| (KvCall::Get, 2, Some((3, KvRet::Value(value))));
        let put = (KvCall::Put(a), 0, None);
        let at = |calls: &[TimedCall], end| deadlines_at(&kv, calls, end);
        assert_eq!(at(&[put, swap(None), get(b)], EventIndex::NEVER), Some(vec![3, 3, 0]));
        assert_eq!(at(&[put, swap(None), get(c)], EventIndex::NEVER), Some(vec![0, 0, 0]));
        // A response after `end` is not known yet.
        let calls = [put, swap(Some((9, KvRet::Value(c)))), get(b)];
        assert_eq!(at(&calls, EventIndex::NEVER), Some(vec![0, 0, 0]));
        assert_eq!(at(&calls, EventIndex(3)), Some(vec![3, 3, 0]));
    }

    #[test]
    fn a_failed_cas_leaves_deadlines_unknown() {
        let kv = Kv::default();
        let [a, b] = ["a", "b"].map(|text| kv.values.intern(text));
        let failed_cas = (KvCall::Cas { from: a, to: b }, 1, Some((2, KvRet::Swapped(false))));
        let calls = [(KvCall::Put(b), 0, None), failed_cas];
        assert_eq!(deadlines_at(&kv, &calls, EventIndex::NEVER), None);
    }
}
