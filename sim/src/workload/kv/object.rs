//! The store in the words of the checker's key-value model.

use quorate_checker::models::{Kv, KvCall, KvOp, KvRet};
use quorate_checker::value::{Datum, Value};

use crate::workload::kv::operation::{Operation, Reply};
use crate::workload::object::{Object, Question};

/// The store as its clients know it.
pub(super) fn object() -> Object {
    Object::new(Kv::default(), asked, told)
}

fn asked(kv: &Kv, question: Question<'_>) -> Option<KvOp> {
    let (Question::Command(bytes) | Question::Query(bytes)) = question;
    let (key, call) = match Operation::decode(bytes)? {
        Operation::Get { key } => (key, KvCall::Get),
        Operation::Put { key, value } => (key, KvCall::Put(known(kv, value))),
        Operation::Delete { key } => (key, KvCall::Put(Value::NULL)),
        Operation::CompareAndSet { key, expected, value } => {
            let from = expected.map_or(Value::NULL, |expected| known(kv, expected));
            (key, KvCall::Cas { from, to: known(kv, value) })
        }
        Operation::Append { key, value } => (key, KvCall::Append(known(kv, value))),
    };
    Some(KvOp { key: known(kv, key), call })
}

fn told(kv: &Kv, op: &KvOp, bytes: &[u8]) -> Option<KvRet> {
    match (Reply::decode(bytes)?, op.call) {
        (Reply::Done, KvCall::Cas { .. }) => Some(KvRet::Swapped(true)),
        (Reply::Done, _) => Some(KvRet::Written),
        (Reply::Absent | Reply::Different(None), _) => Some(KvRet::Value(Value::NULL)),
        (Reply::Value(value) | Reply::Different(Some(value)), _) => {
            Some(KvRet::Value(known(kv, value)))
        }
        (Reply::TooLong | Reply::Malformed, _) => None,
    }
}

/// What stands for `bytes`. The store's clients write texts, so nothing is lost.
fn known(kv: &Kv, bytes: &[u8]) -> Value {
    kv.values.of(Datum::Text(String::from_utf8_lossy(bytes).into_owned()))
}

#[cfg(test)]
mod tests;
