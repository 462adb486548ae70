//! Commands and queries of the store, with their replies and answers. Keys and values are any
//! bytes.
//!
//! The first byte is the type; byte strings follow after their length.

use crate::kv::bytes::{Parts, put, put_option};

/// A command, which changes the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command<'a> {
    /// Sets the value of the key.
    Put { key: &'a [u8], value: &'a [u8] },
    /// Deletes the key and its value.
    Delete { key: &'a [u8] },
    /// Sets the key to `value` if its current value is `expected`. An `expected` of `None` requires
    /// that the key does not exist; a `value` of `None` deletes the key.
    CompareAndSet { key: &'a [u8], expected: Option<&'a [u8]>, value: Option<&'a [u8]> },
}

/// The length of the longest value in the reply to a compare that failed, in bytes.
pub(crate) const SHOWN_BYTES_MAX: usize = 4 << 10;

/// The reply to a command, or to an admin command about the quota.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// The command was executed; holds the value that the key of a command had before.
    Done(Option<Vec<u8>>),
    /// The compare failed and nothing was changed; holds the current value of the key, of at most
    /// [`SHOWN_BYTES_MAX`] bytes, or `None` if the key does not exist.
    Differs(Option<Vec<u8>>),
    /// The compare failed and nothing was changed. The current value of the key has this many
    /// bytes, and is not in the reply.
    DiffersFromLargeValue(u64),
    /// The write would have exceeded the quota of this many bytes, or the alarm is on. Nothing was
    /// changed. After an admin command: the store exceeds the quota, so the alarm stays on.
    NoSpace(u64),
    /// The bytes are neither a command nor an admin command. Nothing was executed.
    Invalid,
}

/// A query, which reads the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Query<'a> {
    /// Reads the value of a key.
    Get { key: &'a [u8] },
    /// Lists keys with `prefix` in byte order, only those after `after`, at most `limit`.
    Scan { prefix: &'a [u8], after: Option<&'a [u8]>, limit: u32 },
}

/// A key and its value.
pub(crate) type Pair = (Vec<u8>, Vec<u8>);

/// The answer to a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The value of the key; `None` if there is no such key.
    Value(Option<Vec<u8>>),
    /// A page of a scan, and whether more pairs follow.
    Pairs { pairs: Vec<Pair>, more: bool },
    /// The bytes are not a query.
    Invalid,
}

impl<'a> Command<'a> {
    /// Returns the key that the command changes.
    pub(crate) fn key(&self) -> &'a [u8] {
        match self {
            Command::Put { key, .. }
            | Command::Delete { key }
            | Command::CompareAndSet { key, .. } => key,
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self {
            Command::Put { key, value } => {
                bytes.push(1);
                put(&mut bytes, key);
                put(&mut bytes, value);
            }
            Command::Delete { key } => {
                bytes.push(2);
                put(&mut bytes, key);
            }
            Command::CompareAndSet { key, expected, value } => {
                bytes.push(3);
                put(&mut bytes, key);
                put_option(&mut bytes, *expected);
                put_option(&mut bytes, *value);
            }
        }
        bytes
    }

    /// Decodes a command; returns `None` if the bytes are invalid.
    pub(crate) fn decode(bytes: &'a [u8]) -> Option<Command<'a>> {
        let mut parts = Parts(bytes);
        let command = match parts.byte()? {
            1 => Command::Put { key: parts.part()?, value: parts.part()? },
            2 => Command::Delete { key: parts.part()? },
            3 => Command::CompareAndSet {
                key: parts.part()?,
                expected: parts.option()?,
                value: parts.option()?,
            },
            _ => return None,
        };
        parts.end(command)
    }
}

impl Reply {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let (tag, value) = match self {
            Reply::Done(value) => (1, value),
            Reply::Differs(value) => (2, value),
            Reply::Invalid => return vec![0],
            Reply::NoSpace(quota) => return [&[3], &quota.to_le_bytes()[..]].concat(),
            Reply::DiffersFromLargeValue(bytes) => {
                return [&[4], &bytes.to_le_bytes()[..]].concat();
            }
        };
        let mut bytes = Vec::with_capacity(6 + value.as_ref().map_or(0, Vec::len));
        bytes.push(tag);
        put_option(&mut bytes, value.as_deref());
        bytes
    }

    /// Decodes a reply; returns `None` if the bytes are invalid: the nodes run another state
    /// machine.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Reply> {
        let mut parts = Parts(bytes);
        let reply = match parts.byte()? {
            0 => Reply::Invalid,
            1 => Reply::Done(parts.option()?.map(<[u8]>::to_vec)),
            2 => Reply::Differs(parts.option()?.map(<[u8]>::to_vec)),
            3 => Reply::NoSpace(parts.long()?),
            4 => Reply::DiffersFromLargeValue(parts.long()?),
            _ => return None,
        };
        parts.end(reply)
    }
}

impl<'a> Query<'a> {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self {
            Query::Get { key } => {
                bytes.push(1);
                put(&mut bytes, key);
            }
            Query::Scan { prefix, after, limit } => {
                bytes.push(2);
                put(&mut bytes, prefix);
                put_option(&mut bytes, *after);
                bytes.extend(limit.to_le_bytes());
            }
        }
        bytes
    }

    /// Decodes a query; returns `None` if the bytes are invalid.
    pub(crate) fn decode(bytes: &'a [u8]) -> Option<Query<'a>> {
        let mut parts = Parts(bytes);
        let query = match parts.byte()? {
            1 => Query::Get { key: parts.part()? },
            2 => Query::Scan {
                prefix: parts.part()?,
                after: parts.option()?,
                limit: parts.number()?,
            },
            _ => return None,
        };
        parts.end(query)
    }
}

impl Answer {
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Answer::Invalid => vec![0],
            Answer::Value(value) => {
                let mut bytes = Vec::with_capacity(6 + value.as_ref().map_or(0, Vec::len));
                bytes.push(1);
                put_option(&mut bytes, value.as_deref());
                bytes
            }
            Answer::Pairs { pairs, more } => {
                let mut bytes = vec![2, u8::from(*more)];
                for (key, value) in pairs {
                    put(&mut bytes, key);
                    put(&mut bytes, value);
                }
                bytes
            }
        }
    }

    /// Decodes an answer; returns `None` if the bytes are invalid: the nodes run another state
    /// machine.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Answer> {
        let mut parts = Parts(bytes);
        let answer = match parts.byte()? {
            0 => Answer::Invalid,
            1 => Answer::Value(parts.option()?.map(<[u8]>::to_vec)),
            2 => {
                let more = parts.byte()? == 1;
                let mut pairs = Vec::new();
                while !parts.0.is_empty() {
                    pairs.push((parts.part()?.to_vec(), parts.part()?.to_vec()));
                }
                Answer::Pairs { pairs, more }
            }
            _ => return None,
        };
        parts.end(answer)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use quorate::machine::StateMachine;
    use quorate::types::Index;

    use crate::fixtures::Fixtures;
    use crate::kv::machine::Store;

    use super::*;

    #[test]
    fn encoded_messages_decode_to_themselves() {
        let commands = [
            Command::Put { key: b"k", value: b"" },
            Command::Delete { key: b"k" },
            Command::CompareAndSet { key: b"", expected: None, value: Some(b"v") },
            Command::CompareAndSet { key: b"k", expected: Some(b"v"), value: None },
        ];
        for command in commands {
            let bytes = command.encode();
            assert_eq!(Command::decode(&bytes), Some(command));
            assert_eq!(Command::decode(&bytes[..bytes.len() - 1]), None, "{command:?} truncated");
            assert_eq!(Command::decode(&[&bytes[..], b"x"].concat()), None, "{command:?} too long");
        }
        let queries = [
            Query::Get { key: b"k" },
            Query::Scan { prefix: b"p", after: Some(b"pa"), limit: 7 },
            Query::Scan { prefix: b"", after: None, limit: 0 },
        ];
        for query in queries {
            let bytes = query.encode();
            assert_eq!(Query::decode(&bytes), Some(query));
            assert_eq!(Query::decode(&bytes[..bytes.len() - 1]), None, "{query:?} truncated");
        }
        let value = Some(b"v".to_vec());
        for reply in [
            Reply::Done(None),
            Reply::Differs(value.clone()),
            Reply::NoSpace(7),
            Reply::DiffersFromLargeValue(8),
            Reply::Invalid,
        ] {
            assert_eq!(Reply::decode(&reply.encode()), Some(reply));
        }
        let pairs = vec![(b"a".to_vec(), b"1".to_vec()), (b"b".to_vec(), Vec::new())];
        for answer in [
            Answer::Value(value),
            Answer::Value(None),
            Answer::Pairs { pairs, more: true },
            Answer::Invalid,
        ] {
            assert_eq!(Answer::decode(&answer.encode()), Some(answer));
        }
    }

    #[test]
    fn the_fixtures_of_the_store_are_written_and_read() {
        let mut fixtures = Fixtures::of("kv", 2);
        let mut command = |name: &str, command: Command<'_>| {
            fixtures.value(name, &command.encode(), |kept| {
                assert_eq!(Command::decode(kept), Some(command));
            });
        };
        command("put", Command::Put { key: b"key", value: b"value" });
        command("delete", Command::Delete { key: b"key" });
        let (expected, value) = (Some(&b"a"[..]), Some(&b"b"[..]));
        command("compare-and-set", Command::CompareAndSet { key: b"key", expected, value });
        command(
            "compare-missing",
            Command::CompareAndSet { key: b"key", expected: None, value: None },
        );
        let mut query = |name: &str, query: Query<'_>| {
            fixtures.value(name, &query.encode(), |kept| {
                assert_eq!(Query::decode(kept), Some(query));
            });
        };
        query("get", Query::Get { key: b"key" });
        query("scan", Query::Scan { prefix: b"p", after: Some(b"pa"), limit: 7 });
        let reply = |value| [Reply::Done(value), Reply::Differs(Some(b"old".to_vec()))];
        let replies = reply(None).into_iter().chain(reply(Some(b"v".to_vec())));
        let others = [Reply::NoSpace(7), Reply::Invalid, Reply::DiffersFromLargeValue(8)];
        for (number, reply) in replies.chain(others).enumerate() {
            fixtures.value(&format!("reply-{number}"), &reply.encode(), |kept| {
                assert_eq!(Reply::decode(kept), Some(reply));
            });
        }
        let pairs = vec![(b"a".to_vec(), b"1".to_vec()), (b"b".to_vec(), Vec::new())];
        let answers = [
            Answer::Value(Some(b"v".to_vec())),
            Answer::Value(None),
            Answer::Pairs { pairs, more: true },
            Answer::Invalid,
        ];
        for (number, answer) in answers.into_iter().enumerate() {
            fixtures.value(&format!("answer-{number}"), &answer.encode(), |kept| {
                assert_eq!(Answer::decode(kept), Some(answer));
            });
        }
        for length in 0..32 {
            let (key, value) = (vec![length as u8; length], vec![7; length * length]);
            let put = Command::Put { key: &key, value: &value };
            fixtures.hash(&format!("put-of-{length}"), &put.encode());
        }
        let mut store = Store::default();
        for (index, key) in (1..).zip([&b"a"[..], b"b", b"c"]) {
            store.apply(Index(index), &Command::Put { key, value: &key.repeat(3) }.encode());
        }
        let mut snapshot = Vec::new();
        store.snapshot().read_to_end(&mut snapshot).expect("memory can be read");
        fixtures.value("snapshot", &snapshot, |mut kept| {
            let mut restored = Store::default();
            restored.restore(&mut kept).expect("it is a snapshot");
            let all = Query::Scan { prefix: b"", after: None, limit: 9 }.encode();
            assert_eq!(restored.query(&all), store.query(&all));
        });
        fixtures.finish();
    }

    #[test]
    fn a_length_beyond_the_end_is_invalid() {
        assert_eq!(Command::decode(&[2, 255, 255, 255, 255, b'k']), None);
        assert_eq!(Command::decode(&[]), None);
        assert_eq!(Query::decode(&[9]), None);
    }
}
