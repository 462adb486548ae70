//! Chaos tests of the coordinator: client operations and invariants.

use std::collections::BTreeMap;

use quorate_checker::models::{Kv, KvCall, KvOp, KvRet};
use quorate_checker::value::{Value, ValueId};
use quorate_sim::observe::OpId;
use quorate_sim::values::choice::Draw;
use quorate_sim::workload::{Object, RequestBytes, Workload};

use crate::common::codec;
use crate::coordinator::machine::Pairs;
use crate::coordinator::message::{Command, Query, RejectReason, Reply};

/// The number of keys: small, so that operations conflict, but large enough that some reads need
/// not wait for a write.
const KEYS: u64 = 4;
/// A conditional put expects no value, or the value of one of the last `BACK - 1` operations.
const BACK: u64 = 4;

/// Clients that put, get and delete the values of a few keys.
#[derive(Clone, Debug, Default)]
pub struct Clients {
    /// The value of every key, according to the log.
    pairs: BTreeMap<String, String>,
}

/// Returns a key, and whether it is never deleted: then each of its values is unique, and its
/// history is checked in linear time.
fn key(draw: &mut Draw<'_>) -> (String, bool) {
    let number = draw.below(KEYS);
    (format!("key{number}"), number.is_multiple_of(2))
}

/// Returns the value that an operation writes, unique to it.
fn value(op: OpId) -> String {
    format!("v{op}")
}

impl Clients {
    /// Applies a command to the model and returns the expected reply.
    fn apply(&mut self, command: Command) -> Reply {
        let before = self.pairs.get(command.key()).cloned();
        match command {
            Command::PutIf { key, expected, .. } if expected != before => {
                Reply::Rejected(RejectReason::ValueDiffers { key, value: before })
            }
            Command::Put { key, value } | Command::PutIf { key, value, .. } => {
                self.pairs.insert(key, value);
                Reply::Put
            }
            Command::Delete { key } => match self.pairs.remove(&key) {
                Some(value) => Reply::Deleted(value),
                None => Reply::Rejected(RejectReason::NoValue(key)),
            },
        }
    }

    /// Returns the expected reply to a query.
    fn expected(&self, query: Query) -> Reply {
        match query {
            Query::Get(key) => match self.pairs.get(&key) {
                Some(value) => Reply::Value(value.clone()),
                None => Reply::Rejected(RejectReason::NoValue(key)),
            },
            Query::Pairs(after) => {
                let pairs = self.pairs.iter().map(|(key, value)| (key.clone(), value.clone()));
                let is_after =
                    |pair: &(String, String)| after.as_ref().is_none_or(|key| pair.0 > *key);
                Reply::Pairs(pairs.filter(is_after).collect())
            }
        }
    }
}

/// Checks that a reply is the expected one.
fn check_equal(reply: &[u8], expected: &Reply) -> Result<(), String> {
    match codec::decode::<Reply>(reply) {
        Some(reply) if reply == *expected => Ok(()),
        reply => Err(format!("the reply is {reply:?}, expected {expected:?}")),
    }
}

impl Workload for Clients {
    type Machine = Pairs;

    fn machine(&self) -> Pairs {
        Pairs::default()
    }

    fn command(&self, op: OpId, draw: &mut Draw<'_>) -> Vec<u8> {
        let ((key, is_never_deleted), value) = (key(draw), value(op));
        codec::encode(&match draw.below(5) {
            0 | 1 => Command::Put { key, value },
            2 if !is_never_deleted => Command::Delete { key },
            _ => {
                let back = draw.below(BACK);
                let earlier = op.0.checked_sub(back).filter(|_| back > 0);
                let expected = earlier.map(|earlier| self::value(OpId(earlier)));
                Command::PutIf { key, expected, value }
            }
        })
    }

    fn command_bytes_max(&self) -> usize {
        96
    }

    fn query(&self, _: OpId, draw: &mut Draw<'_>) -> Vec<u8> {
        let (key, _) = key(draw);
        codec::encode(&match draw.below(6) {
            4 => Query::Pairs(None),
            5 => Query::Pairs(Some(key)),
            _ => Query::Get(key),
        })
    }

    fn describe_command(&self, command: &[u8]) -> String {
        codec::decode(command)
            .map_or_else(|| "invalid command".to_owned(), |command: Command| command.to_string())
    }

    /// Returns the object of the history check, in which every key is a linearizable register.
    fn object(&self) -> Option<Object> {
        Some(Object::new(Kv::default(), operation, result))
    }

    fn check_reply(&mut self, command: &[u8], reply: &[u8]) -> Result<(), String> {
        let command = codec::decode(command).ok_or("the command cannot be decoded")?;
        check_equal(reply, &self.apply(command))
    }

    fn check_answer(&self, query: &[u8], answer: &[u8]) -> Result<(), String> {
        let query = codec::decode(query).ok_or("the query cannot be decoded")?;
        check_equal(answer, &self.expected(query))
    }

    fn check_state(&self, machine: &Pairs) -> Result<(), String> {
        let expected = self.pairs.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        match machine.iter().eq(expected) {
            true => Ok(()),
            false => Err(format!("the state is {machine:?}, expected {:?}", self.pairs)),
        }
    }
}

/// Returns an operation for the history checker, or `None` for a page, which covers many keys.
#[must_use]
pub fn operation(kv: &Kv, question: RequestBytes<'_>) -> Option<KvOp> {
    let (key, call) = match question {
        RequestBytes::Command(command) => match codec::decode(command)? {
            Command::Put { key, value } => (key, KvCall::Put(value_id(kv, value))),
            Command::PutIf { key, expected, value } => {
                let from = expected.map_or(ValueId::NULL, |expected| value_id(kv, expected));
                (key, KvCall::Cas { from, to: value_id(kv, value) })
            }
            Command::Delete { key } => (key, KvCall::Put(ValueId::NULL)),
        },
        RequestBytes::Query(query) => match codec::decode(query)? {
            Query::Get(key) => (key, KvCall::Get),
            Query::Pairs(_) => return None,
        },
    };
    Some(KvOp { key: value_id(kv, key), call })
}

/// Returns the result for the history checker, or `None` if the operation had no effect.
#[must_use]
pub fn result(kv: &Kv, op: &KvOp, reply: &[u8]) -> Option<KvRet> {
    match codec::decode(reply)? {
        Reply::Put => Some(match op.call {
            KvCall::Cas { .. } => KvRet::Swapped(true),
            _ => KvRet::Written,
        }),
        Reply::Value(value) | Reply::Deleted(value) => Some(KvRet::Value(value_id(kv, value))),
        Reply::Rejected(RejectReason::NoValue(_)) => Some(KvRet::Value(ValueId::NULL)),
        Reply::Rejected(RejectReason::ValueDiffers { value, .. }) => {
            Some(KvRet::Value(value.map_or(ValueId::NULL, |value| value_id(kv, value))))
        }
        Reply::Pairs(_) | Reply::Rejected(_) => None,
    }
}

/// Returns the value id of a text.
fn value_id(kv: &Kv, text: String) -> ValueId {
    kv.values.intern(Value::Text(text))
}

#[cfg(test)]
mod tests {
    use quorate::machine::StateMachine;
    use quorate::types::Index;
    use quorate_sim::chaos;
    use quorate_sim::observe::coverage::MARKS;
    use quorate_sim::run::{RunOptions, run};
    use quorate_sim::settings::profile::Profile;
    use quorate_sim::workload::AnyWorkload;

    use super::*;

    #[test]
    fn no_read_is_stale_in_any_chaos_run() {
        let tally =
            chaos::run(Clients::default(), 10..18).unwrap_or_else(|failure| panic!("{failure}"));
        assert!(tally.commands_committed > 0, "no command was committed");
    }

    /// The coverage marks that the runs must reach.
    const MUST: [&str; 5] = [
        "read/by-read-lease",
        "read/by-lease",
        "outcome/all-live",
        "change/suspended",
        "change/readmitted",
    ];

    #[test]
    fn no_read_is_stale_with_read_leases_and_suspended_followers() {
        let profile = Profile::by_name("read-leases").expect("the profile exists");
        let workload = AnyWorkload::new(Clients::default());
        let options = RunOptions { profile, workload, ..RunOptions::default() };
        let mut reached = MUST.map(|_| 0);
        for seed in 0..8 {
            let outcome = run(seed, &options);
            assert_eq!(outcome.failure, None, "seed {seed}");
            for (reached, name) in reached.iter_mut().zip(MUST) {
                let mark = MARKS.iter().position(|mark| mark.name == name);
                *reached += outcome.marks[mark.expect("the mark exists")];
            }
        }
        assert!(reached.iter().all(|count| *count > 0), "{MUST:?}: {reached:?}");
    }

    fn put(key: &str, value: &str) -> Command {
        Command::Put { key: key.to_owned(), value: value.to_owned() }
    }

    #[test]
    fn replies_and_states_that_differ_from_the_log_are_detected() {
        let mut clients = Clients::default();
        let mut machine = clients.machine();
        let command = codec::encode(&put("key0", "v1"));
        let reply = machine.apply(Index(1), &command);
        assert!(clients.check_state(&machine).is_err(), "the model does not have it");
        assert_eq!(clients.check_reply(&command, &reply), Ok(()));
        assert_eq!(clients.check_state(&machine), Ok(()));
        let rejected = Reply::Rejected(RejectReason::NoValue("key0".to_owned()));
        assert!(clients.check_reply(&command, &codec::encode(&rejected)).is_err());
        let get = codec::encode(&Query::Get("key0".to_owned()));
        assert_eq!(clients.check_answer(&get, &machine.query(&get)), Ok(()));
        assert!(
            clients.check_answer(&get, &codec::encode(&rejected)).is_err(),
            "the answer is stale"
        );
        let pairs = codec::encode(&Query::Pairs(None));
        assert_eq!(clients.check_answer(&pairs, &machine.query(&pairs)), Ok(()));
        assert!(clients.check_answer(&pairs, &codec::encode(&Reply::Pairs(Vec::new()))).is_err());
    }
}
