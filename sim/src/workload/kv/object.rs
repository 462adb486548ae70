//! The store as an object of the checker's key-value model.

use quorate_checker::models::{Kv, KvCall, KvOp, KvRet};
use quorate_checker::value::{Value, ValueId};

use crate::workload::kv::operation::{Operation, Reply};
use crate::workload::object::{Object, RequestBytes};

/// Returns the model of the store, and the parsers for its operations and replies.
pub(super) fn object() -> Object {
    Object::new(Kv::default(), parse_operation, parse_result)
}

fn parse_operation(kv: &Kv, request: RequestBytes<'_>) -> Option<KvOp> {
    let (RequestBytes::Command(bytes) | RequestBytes::Query(bytes)) = request;
    let (key, call) = match Operation::decode(bytes)? {
        Operation::Get { key } => (key, KvCall::Get),
        Operation::Put { key, value } => (key, KvCall::Put(intern(kv, value))),
        Operation::Delete { key } => (key, KvCall::Put(ValueId::NULL)),
        Operation::CompareAndSet { key, expected, value } => {
            let from = expected.map_or(ValueId::NULL, |expected| intern(kv, expected));
            (key, KvCall::Cas { from, to: intern(kv, value) })
        }
        Operation::Append { key, value } => (key, KvCall::Append(intern(kv, value))),
    };
    Some(KvOp { key: intern(kv, key), call })
}

fn parse_result(kv: &Kv, op: &KvOp, bytes: &[u8]) -> Option<KvRet> {
    match (Reply::decode(bytes)?, op.call) {
        (Reply::Done, KvCall::Cas { .. }) => Some(KvRet::Swapped(true)),
        (Reply::Done, _) => Some(KvRet::Written),
        (Reply::Absent | Reply::Different(None), _) => Some(KvRet::Value(ValueId::NULL)),
        (Reply::Value(value) | Reply::Different(Some(value)), _) => {
            Some(KvRet::Value(intern(kv, value)))
        }
        (Reply::TooLong | Reply::NoSpace | Reply::Malformed, _) => None,
    }
}

/// Interns `bytes` as text. The store's clients write only UTF-8, so no information is lost.
fn intern(kv: &Kv, bytes: &[u8]) -> ValueId {
    kv.values.intern(Value::Text(String::from_utf8_lossy(bytes).into_owned()))
}

#[cfg(test)]
mod tests;
