//! What clients ask of the store, and what they are told. Keys and values are any bytes.
//!
//! A first byte says what it is; byte strings have their length before them.

use crate::kv::bytes::{Parts, put, put_option};

/// Something that changes the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command<'a> {
    /// The key has this value from now on.
    Put { key: &'a [u8], value: &'a [u8] },
    /// The key is not there any more.
    Delete { key: &'a [u8] },
    /// The same as one of the others, if the key has the value expected; None is no key.
    CompareAndSet { key: &'a [u8], expected: Option<&'a [u8]>, value: Option<&'a [u8]> },
}

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// It was carried out; the value that the key had before.
    Done(Option<Vec<u8>>),
    /// The key did not have the value expected, but this one.
    Differs(Option<Vec<u8>>),
    /// The bytes were no command. Nothing happened.
    Malformed,
}

/// Something that is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Query<'a> {
    /// The value of a key.
    Get { key: &'a [u8] },
    /// Keys that begin with `prefix`, in their order, those after `after` alone, at most `limit`.
    Scan { prefix: &'a [u8], after: Option<&'a [u8]>, limit: u32 },
}

/// A key and its value.
pub(crate) type Pair = (Vec<u8>, Vec<u8>);

/// The answer to a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The value; None if there is no such key.
    Value(Option<Vec<u8>>),
    /// A piece of a scan, and whether there is more after it.
    Pairs { pairs: Vec<Pair>, more: bool },
    /// The bytes were no query.
    Malformed,
}

impl<'a> Command<'a> {
    /// The key that it is about.
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

    /// None if the bytes are no command.
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
            Reply::Malformed => return vec![0],
        };
        let mut bytes = vec![tag];
        put_option(&mut bytes, value.as_deref());
        bytes
    }

    /// None if the bytes are no reply: the nodes run something else.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Reply> {
        let mut parts = Parts(bytes);
        let reply = match parts.byte()? {
            0 => Reply::Malformed,
            1 => Reply::Done(parts.option()?.map(<[u8]>::to_vec)),
            2 => Reply::Differs(parts.option()?.map(<[u8]>::to_vec)),
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

    /// None if the bytes are no query.
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
            Answer::Malformed => vec![0],
            Answer::Value(value) => {
                let mut bytes = vec![1];
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

    /// None if the bytes are no answer: the nodes run something else.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Answer> {
        let mut parts = Parts(bytes);
        let answer = match parts.byte()? {
            0 => Answer::Malformed,
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
    use super::*;

    #[test]
    fn what_is_said_is_understood() {
        let commands = [
            Command::Put { key: b"k", value: b"" },
            Command::Delete { key: b"k" },
            Command::CompareAndSet { key: b"", expected: None, value: Some(b"v") },
            Command::CompareAndSet { key: b"k", expected: Some(b"v"), value: None },
        ];
        for command in commands {
            let bytes = command.encode();
            assert_eq!(Command::decode(&bytes), Some(command));
            assert_eq!(Command::decode(&bytes[..bytes.len() - 1]), None, "{command:?} cut short");
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
            assert_eq!(Query::decode(&bytes[..bytes.len() - 1]), None, "{query:?} cut short");
        }
        let value = Some(b"v".to_vec());
        for reply in [Reply::Done(None), Reply::Differs(value.clone()), Reply::Malformed] {
            assert_eq!(Reply::decode(&reply.encode()), Some(reply));
        }
        let pairs = vec![(b"a".to_vec(), b"1".to_vec()), (b"b".to_vec(), Vec::new())];
        for answer in [
            Answer::Value(value),
            Answer::Value(None),
            Answer::Pairs { pairs, more: true },
            Answer::Malformed,
        ] {
            assert_eq!(Answer::decode(&answer.encode()), Some(answer));
        }
    }

    #[test]
    fn a_length_beyond_the_end_is_no_command() {
        assert_eq!(Command::decode(&[2, 255, 255, 255, 255, b'k']), None);
        assert_eq!(Command::decode(&[]), None);
        assert_eq!(Query::decode(&[9]), None);
    }
}
