//! Keys with one value each that is read, written, appended to, and compared and set.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::budget::Budget;
use crate::history::{Moment, Part};
use crate::model::{Cell, Effect, Model};
use crate::models::lapses::{Word, lapses};
use crate::models::since::{Asks, shown_since};
use crate::stream::Stream;
use crate::value::{Datum, Value, Values};
use crate::verdict::Verdict;
use crate::zones::{Names, Told, What, append, gather, register, verdict};

/// Keys with one value each. Every key is a register, to whose text more may be appended.
#[derive(Clone, Debug, Default)]
pub struct Kv {
    /// The value of every key before the first operation.
    pub init: Value,
    /// What keys and values stand for.
    pub values: Values,
}

/// What one key is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KvOp {
    /// The key.
    pub key: Value,
    /// What it is asked.
    pub call: KvCall,
}

/// What a key is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KvCall {
    /// What is the value?
    Get,
    /// Be this.
    Put(Value),
    /// Be what you are with this text after it; no value counts as the empty text.
    Append(Value),
    /// Be `to` if it is `from`.
    Cas {
        /// What it must be.
        from: Value,
        /// What it becomes then.
        to: Value,
    },
}

/// What a key answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KvRet {
    /// It is written, or appended.
    Written,
    /// The value before the call: what a `Get` read, what a `Put` replaced, and what a `Cas` found
    /// that is not `from`.
    Value(Value),
    /// Whether the value was `from`.
    Swapped(bool),
}

impl Kv {
    /// What `value` is with the text of `more` after it.
    fn appended(&self, value: Value, more: Value) -> Value {
        let text = self.values.with(|data| {
            let text = |value: Value| data[value.0 as usize].text();
            [text(value), text(more)].concat()
        });
        self.values.of(Datum::Text(text))
    }
}

impl Model for Kv {
    /// What the keys that are not at their first value have.
    type State = BTreeMap<Value, Value>;
    type Op = KvOp;
    type Ret = KvRet;

    fn init(&self) -> BTreeMap<Value, Value> {
        BTreeMap::new()
    }

    fn step(
        &self,
        state: &BTreeMap<Value, Value>,
        op: &KvOp,
        ret: Option<&KvRet>,
    ) -> Option<BTreeMap<Value, Value>> {
        let now = state.get(&op.key).copied().unwrap_or(self.init);
        let then = match op.call {
            KvCall::Get => now,
            KvCall::Put(value) => value,
            KvCall::Append(more) => self.appended(now, more),
            KvCall::Cas { from, to } => {
                if from == now {
                    to
                } else {
                    now
                }
            }
        };
        let legal = match (op.call, ret) {
            (_, None) | (KvCall::Put(_) | KvCall::Append(_), Some(KvRet::Written)) => true,
            (KvCall::Get | KvCall::Put(_), Some(KvRet::Value(told))) => *told == now,
            (KvCall::Cas { from, .. }, Some(KvRet::Value(told))) => *told == now && from != now,
            (KvCall::Cas { from, .. }, Some(KvRet::Swapped(told))) => *told == (from == now),
            _ => false,
        };
        if !legal {
            return None;
        }
        let mut after = state.clone();
        match then == self.init {
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
                Effect::Observe
            }
            // Of one key: the operations of a search are all for the same.
            (KvCall::Put(_), None | Some(KvRet::Written)) => Effect::Overwrite,
            _ => Effect::Update,
        }
    }

    fn lapses(&self, part: Part<'_, KvOp, KvRet>, end: Moment) -> Option<Vec<Moment>> {
        self.values.with(|data| lapses(part, end, data, word))
    }

    fn shown_since(&self, part: Part<'_, KvOp, KvRet>) -> Option<Vec<Moment>> {
        Some(self.values.with(|data| shown_since(part, self.init, data, asks, shows)))
    }

    /// Appending makes texts that stay.
    fn hidden_bytes(&self, state: &BTreeMap<Value, Value>) -> usize {
        let text = |value: &Value, data: &[Datum]| match data.get(value.0 as usize) {
            Some(Datum::Text(text)) => text.len(),
            _ => 0,
        };
        self.values.with(|data| state.values().map(|value| text(value, data)).sum())
    }

    fn stream(self: Arc<Self>) -> Option<Stream<KvOp, KvRet>> {
        let (init, names) = (self.init, Names { read: "get", write: "put" });
        let words = move |value| self.values.words(value);
        Some(Stream::new(told, |op| u64::from(op.key.0), init, names, words))
    }

    /// In nearly linear time, if no value that was seen was put twice, no failed compare-and-set
    /// matters, and texts tell what was appended.
    fn decide(&self, part: Part<'_, KvOp, KvRet>, _: &Budget<'_>) -> Option<Verdict> {
        let key = part.iter().next().map(|(_, first)| first.op.key);
        let told = |op: &KvOp, ret: Option<&KvRet>| match Some(op.key) == key {
            true => told(op, ret),
            false => Told::Nonsense,
        };
        let calls = gather(part, told)?;
        let names = Names { read: "get", write: "put" };
        let words = |value| self.values.words(value);
        if calls.list.iter().any(|call| matches!(call.what, What::Append(_))) {
            return verdict(&calls, names, &words, |calls| {
                self.values.with(|data| append::decide(calls, self.init, data))
            });
        }
        verdict(&calls, names, &words, |calls| register::decide(calls, self.init))
    }

    fn cell(&self, op: &KvOp, ret: Option<&KvRet>) -> Option<Cell> {
        let number = |value: Value| u64::from(value.0);
        match (op.call, ret) {
            (KvCall::Get, Some(KvRet::Value(value))) => Some(Cell::Holds(number(*value))),
            (KvCall::Put(value), None | Some(KvRet::Written)) => Some(Cell::Becomes(number(value))),
            (KvCall::Cas { from, to }, None | Some(KvRet::Swapped(true))) => {
                Some(Cell::Swaps { from: number(from), to: number(to) })
            }
            (KvCall::Cas { from, .. }, Some(KvRet::Swapped(false))) => {
                Some(Cell::Differs(number(from)))
            }
            (KvCall::Cas { from, .. }, Some(KvRet::Value(found))) if *found != from => {
                Some(Cell::Holds(number(*found)))
            }
            _ => None,
        }
    }

    fn cell_init(&self) -> u64 {
        u64::from(self.init.0)
    }

    fn call_words(&self, op: &KvOp) -> String {
        let words = |value: Value| self.values.words(value);
        let key = words(op.key);
        match op.call {
            KvCall::Get => format!("get {key}"),
            KvCall::Put(value) => format!("put {key} {}", words(value)),
            KvCall::Append(more) => format!("append {key} {}", words(more)),
            KvCall::Cas { from, to } => format!("cas {key} {} -> {}", words(from), words(to)),
        }
    }

    fn ret_words(&self, _: &KvOp, ret: &KvRet) -> String {
        match *ret {
            KvRet::Written => String::new(),
            KvRet::Value(value) => self.values.words(value),
            KvRet::Swapped(swapped) => swapped.to_string(),
        }
    }

    fn state_words(&self, state: &BTreeMap<Value, Value>) -> String {
        let pair = |(key, value): (&Value, &Value)| {
            format!("{} = {}", self.values.words(*key), self.values.words(*value))
        };
        state.iter().map(pair).collect::<Vec<_>>().join(", ")
    }
}

/// What `op`, of one register, says if it returned `ret`.
fn told(op: &KvOp, ret: Option<&KvRet>) -> Told {
    match (op.call, ret) {
        (KvCall::Get, None) => Told::Nothing,
        (KvCall::Get, Some(KvRet::Value(value))) => Told::This(What::Read(*value)),
        (KvCall::Put(value), None | Some(KvRet::Written)) => Told::This(What::Write(value)),
        (KvCall::Append(more), None | Some(KvRet::Written)) => Told::This(What::Append(more)),
        (KvCall::Cas { from, to }, None | Some(KvRet::Swapped(true))) => {
            Told::This(What::Swap { from, to })
        }
        (KvCall::Cas { from, to }, Some(KvRet::Swapped(false))) => {
            Told::This(What::Refused { from, to })
        }
        (KvCall::Cas { from, to }, Some(KvRet::Value(found))) if *found != from => {
            Told::This(What::Found { from, to, found: *found })
        }
        (KvCall::Put(_), Some(KvRet::Value(_))) => Told::Otherwise,
        _ => Told::Nonsense,
    }
}

fn asks(op: &KvOp) -> Asks {
    match op.call {
        KvCall::Get => Asks::Nothing,
        KvCall::Put(written) | KvCall::Cas { to: written, .. } => Asks::Writes(written),
        KvCall::Append(more) => Asks::Appends(more),
    }
}

/// The value that `op` found, and left as it was.
fn shows(op: &KvOp, ret: &KvRet) -> Option<Value> {
    match (op.call, ret) {
        (KvCall::Get | KvCall::Cas { .. }, KvRet::Value(value)) => Some(*value),
        _ => None,
    }
}

/// What `op`, of one register, tells of its value if it returned `ret`.
fn word(op: &KvOp, ret: Option<&KvRet>) -> Word {
    match (op.call, ret) {
        (_, Some(KvRet::Swapped(false))) => Word::Differs,
        (_, Some(KvRet::Value(value))) => Word::Shows(*value),
        (KvCall::Cas { from, .. }, Some(_)) => Word::Shows(from),
        (_, Some(_)) | (KvCall::Get, None) => Word::Nothing,
        (KvCall::Cas { from, to }, None) => Word::Perhaps { written: to, asks: Some(from) },
        (KvCall::Put(written) | KvCall::Append(written), None) => {
            Word::Perhaps { written, asks: None }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Client, History, OpId, Operation, Outcome};

    /// A call, when it was invoked, and when it returned what.
    type Told = (KvCall, u32, Option<(u32, KvRet)>);

    fn lapses_at(kv: &Kv, told: &[Told], end: Moment) -> Option<Vec<u32>> {
        let key = kv.values.of("k");
        let operations = (0..).zip(told).map(|(client, (call, invoked, returned))| {
            let outcome = match *returned {
                Some((at, ret)) => Outcome::Returned { at: Moment(at), ret },
                None => Outcome::Unknown,
            };
            let op = KvOp { key, call: *call };
            Operation { client: Client(client), op, invoked: Moment(*invoked), outcome }
        });
        let history = History::new(operations.collect()).expect("it is a history");
        let ids: Vec<OpId> = (0..).take(told.len()).map(OpId).collect();
        let found = kv.lapses(Part::new(&history, &ids), end);
        found.map(|moments| moments.into_iter().map(|Moment(at)| at).collect())
    }

    #[test]
    fn what_was_written_matters_until_a_value_with_its_text_was_seen_last() {
        let kv = Kv::default();
        let [a, b, ab, c] = ["a", "b", "ab", "c"].map(|text| kv.values.of(text));
        let told = [
            (KvCall::Put(a), 0, None),
            (KvCall::Append(b), 1, None),
            (KvCall::Put(c), 2, None),
            (KvCall::Get, 3, Some((4, KvRet::Value(ab)))),
            (KvCall::Get, 5, Some((6, KvRet::Value(b)))),
        ];
        assert_eq!(lapses_at(&kv, &told, Moment::NEVER), Some(vec![4, 6, 0, 0, 0]));
        // A deletion shows in every text that was seen after it.
        let deleted = [(KvCall::Put(Value::NULL), 0, None), told[3]];
        assert_eq!(lapses_at(&kv, &deleted, Moment::NEVER), Some(vec![4, 0]));
    }

    #[test]
    fn who_asks_for_a_value_lapses_before_the_value_does() {
        let kv = Kv::default();
        let [a, b, c] = ["a", "b", "c"].map(|text| kv.values.of(text));
        let swap = |returned| (KvCall::Cas { from: a, to: b }, 1, returned);
        let see = |value| (KvCall::Get, 2, Some((3, KvRet::Value(value))));
        let put = (KvCall::Put(a), 0, None);
        let at = |told: &[Told], end| lapses_at(&kv, told, end);
        assert_eq!(at(&[put, swap(None), see(b)], Moment::NEVER), Some(vec![3, 3, 0]));
        assert_eq!(at(&[put, swap(None), see(c)], Moment::NEVER), Some(vec![0, 0, 0]));
        // What it returns later is not known yet.
        let told = [put, swap(Some((9, KvRet::Value(c)))), see(b)];
        assert_eq!(at(&told, Moment::NEVER), Some(vec![0, 0, 0]));
        assert_eq!(at(&told, Moment(3)), Some(vec![3, 3, 0]));
    }

    #[test]
    fn what_a_value_was_not_may_be_explained_by_anything() {
        let kv = Kv::default();
        let [a, b] = ["a", "b"].map(|text| kv.values.of(text));
        let refused = (KvCall::Cas { from: a, to: b }, 1, Some((2, KvRet::Swapped(false))));
        let told = [(KvCall::Put(b), 0, None), refused];
        assert_eq!(lapses_at(&kv, &told, Moment::NEVER), None);
    }
}
