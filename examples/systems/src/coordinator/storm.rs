//! The coordinator in the simulator's storms: what its clients ask for, and what must always hold.

use std::collections::BTreeMap;

use quorate_checker::models::{Kv, KvCall, KvOp, KvRet};
use quorate_checker::value::{Datum, Value};
use quorate_sim::choice::Draw;
use quorate_sim::observe::OpId;
use quorate_sim::workload::{Object, Question, Workload};

use crate::common::codec;
use crate::coordinator::machine::Pairs;
use crate::coordinator::message::{Command, Query, Refusal, Reply};

/// How many keys there are: few, so that operations meet, and enough for reads that need not wait.
const KEYS: u64 = 4;
/// A value is expected that one of so many operations before has written, or none.
const BACK: u64 = 4;

/// Clients that put, get and delete the values of a few keys.
#[derive(Clone, Debug, Default)]
pub struct Clients {
    /// What every key has, as the log has it.
    pairs: BTreeMap<String, String>,
}

/// A key, and whether nothing is ever deleted from it: then each of its values is written once, and
/// what clients see of it is judged at once.
fn key(draw: &mut Draw<'_>) -> (String, bool) {
    let number = draw.below(KEYS);
    (format!("key{number}"), number.is_multiple_of(2))
}

/// The value that an operation writes, another for each.
fn value(op: OpId) -> String {
    format!("v{}", op.0)
}

impl Clients {
    /// What the command has to reply; the pairs are then as after it.
    fn follow(&mut self, command: Command) -> Reply {
        let before = self.pairs.get(command.key()).cloned();
        match command {
            Command::PutIf { key, expected, .. } if expected != before => {
                Reply::Refused(Refusal::Other { key, value: before })
            }
            Command::Put { key, value } | Command::PutIf { key, value, .. } => {
                self.pairs.insert(key, value);
                Reply::Put
            }
            Command::Delete { key } => match self.pairs.remove(&key) {
                Some(value) => Reply::Deleted(value),
                None => Reply::Refused(Refusal::NoValue(key)),
            },
        }
    }

    /// What the query has to reply now.
    fn expected(&self, query: Query) -> Reply {
        match query {
            Query::Get(key) => match self.pairs.get(&key) {
                Some(value) => Reply::Value(value.clone()),
                None => Reply::Refused(Refusal::NoValue(key)),
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

/// That what is replied is what was expected.
fn agree(told: &[u8], expected: &Reply) -> Result<(), String> {
    match codec::decode::<Reply>(told) {
        Some(told) if told == *expected => Ok(()),
        told => Err(format!("it replies {told:?}, and not {expected:?}")),
    }
}

impl Workload for Clients {
    type Machine = Pairs;

    fn machine(&self) -> Pairs {
        Pairs::default()
    }

    fn command(&self, op: OpId, draw: &mut Draw<'_>) -> Vec<u8> {
        let ((key, is_plain), value) = (key(draw), value(op));
        codec::encode(&match draw.below(5) {
            0 | 1 => Command::Put { key, value },
            2 if !is_plain => Command::Delete { key },
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

    fn words(&self, command: &[u8]) -> String {
        codec::decode(command)
            .map_or_else(|| "no command".to_owned(), |command: Command| command.to_string())
    }

    /// A key is a register of its own: no read of it is ever old.
    fn object(&self) -> Option<Object> {
        Some(Object::new(Kv::default(), asked, told))
    }

    fn check_reply(&mut self, command: &[u8], reply: &[u8]) -> Result<(), String> {
        let command = codec::decode(command).ok_or("it carries out what is no command")?;
        agree(reply, &self.follow(command))
    }

    fn check_answer(&self, query: &[u8], answer: &[u8]) -> Result<(), String> {
        let query = codec::decode(query).ok_or("it answers what is no query")?;
        agree(answer, &self.expected(query))
    }

    fn check_state(&self, machine: &Pairs) -> Result<(), String> {
        let expected = self.pairs.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        match machine.iter().eq(expected) {
            true => Ok(()),
            false => Err(format!("it has {machine:?}, and not {:?}", self.pairs)),
        }
    }
}

/// An operation in the words of the checker; none for a page, which is of many keys.
fn asked(kv: &Kv, question: Question<'_>) -> Option<KvOp> {
    let (key, call) = match question {
        Question::Command(command) => match codec::decode(command)? {
            Command::Put { key, value } => (key, KvCall::Put(known(kv, value))),
            Command::PutIf { key, expected, value } => {
                let from = expected.map_or(Value::NULL, |expected| known(kv, expected));
                (key, KvCall::Cas { from, to: known(kv, value) })
            }
            Command::Delete { key } => (key, KvCall::Put(Value::NULL)),
        },
        Question::Query(query) => match codec::decode(query)? {
            Query::Get(key) => (key, KvCall::Get),
            Query::Pairs(_) => return None,
        },
    };
    Some(KvOp { key: known(kv, key), call })
}

/// What that showed of the key; none if nothing happened.
fn told(kv: &Kv, op: &KvOp, reply: &[u8]) -> Option<KvRet> {
    match codec::decode(reply)? {
        Reply::Put => Some(match op.call {
            KvCall::Cas { .. } => KvRet::Swapped(true),
            _ => KvRet::Written,
        }),
        Reply::Value(value) | Reply::Deleted(value) => Some(KvRet::Value(known(kv, value))),
        Reply::Refused(Refusal::NoValue(_)) => Some(KvRet::Value(Value::NULL)),
        Reply::Refused(Refusal::Other { value, .. }) => {
            Some(KvRet::Value(value.map_or(Value::NULL, |value| known(kv, value))))
        }
        Reply::Pairs(_) | Reply::Refused(_) => None,
    }
}

/// What stands for the text.
fn known(kv: &Kv, text: String) -> Value {
    kv.values.of(Datum::Text(text))
}

#[cfg(test)]
mod tests {
    use quorate::machine::StateMachine;
    use quorate::types::Index;
    use quorate_sim::coverage::MARKS;
    use quorate_sim::profile::Profile;
    use quorate_sim::run::{RunOptions, run};
    use quorate_sim::storms::storms;
    use quorate_sim::workload::AnyWorkload;

    use super::*;

    #[test]
    fn no_read_is_old_in_any_storm() {
        let tally = storms(Clients::default(), 0..12).unwrap_or_else(|fallen| panic!("{fallen}"));
        assert!(tally.commands_committed > 0, "nothing was asked");
    }

    /// What a run must have come to, or nothing was shown.
    const MUST: [&str; 5] = [
        "read/by-loan",
        "read/by-lease",
        "outcome/all-live",
        "change/suspended",
        "change/readmitted",
    ];

    #[test]
    fn no_read_is_old_where_children_answer_and_are_removed_and_come_back() {
        let profile = Profile::by_name("replicas").expect("it is listed");
        let workload = AnyWorkload::new(Clients::default());
        let options = RunOptions { profile, workload, ..RunOptions::default() };
        let mut reached = MUST.map(|_| 0);
        for seed in 0..12 {
            let outcome = run(seed, &options);
            assert_eq!(outcome.failure, None, "seed {seed}");
            for (reached, name) in reached.iter_mut().zip(MUST) {
                let mark = MARKS.iter().position(|mark| mark.name == name);
                *reached += outcome.marks[mark.expect("there is such a mark")];
            }
        }
        assert!(reached.iter().all(|count| *count > 0), "{MUST:?}: {reached:?}");
    }

    fn put(key: &str, value: &str) -> Command {
        Command::Put { key: key.to_owned(), value: value.to_owned() }
    }

    #[test]
    fn replies_and_states_that_differ_from_the_log_are_noticed() {
        let mut clients = Clients::default();
        let mut machine = clients.machine();
        let command = codec::encode(&put("key0", "v1"));
        let reply = machine.apply(Index(1), &command);
        assert!(clients.check_state(&machine).is_err(), "nobody put it");
        assert_eq!(clients.check_reply(&command, &reply), Ok(()));
        assert_eq!(clients.check_state(&machine), Ok(()));
        let refused = Reply::Refused(Refusal::NoValue("key0".to_owned()));
        assert!(clients.check_reply(&command, &codec::encode(&refused)).is_err());
        let get = codec::encode(&Query::Get("key0".to_owned()));
        assert_eq!(clients.check_answer(&get, &machine.query(&get)), Ok(()));
        assert!(clients.check_answer(&get, &codec::encode(&refused)).is_err(), "it is old");
        let pairs = codec::encode(&Query::Pairs(None));
        assert_eq!(clients.check_answer(&pairs, &machine.query(&pairs)), Ok(()));
        assert!(clients.check_answer(&pairs, &codec::encode(&Reply::Pairs(Vec::new()))).is_err());
    }
}
