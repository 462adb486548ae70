//! The operations of the store and its replies, and their encoding.
//!
//! An operation is its kind, the length of the key, the key, and the fields of the kind; a reply is
//! its kind and the fields of the kind. An expected or a current value, which may be missing, has
//! its length before it, in four bytes, little-endian; any other value goes up to the end.

/// An operation on the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation<'a> {
    /// Reads the value of a key.
    Get {
        /// The key to read.
        key: &'a [u8],
    },
    /// Sets the value of a key.
    Put {
        /// The key to write.
        key: &'a [u8],
        /// The new value of the key.
        value: &'a [u8],
    },
    /// Removes a key and its value.
    Delete {
        /// The key to remove.
        key: &'a [u8],
    },
    /// Sets the value of a key if it has the expected one.
    CompareAndSet {
        /// The key to compare and write.
        key: &'a [u8],
        /// The expected value; `None` if the key must be absent.
        expected: Option<&'a [u8]>,
        /// The new value of the key.
        value: &'a [u8],
    },
    /// Appends to the value of a key; an absent key counts as empty.
    Append {
        /// The key to append to.
        key: &'a [u8],
        /// The bytes to append.
        value: &'a [u8],
    },
}

/// A reply of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply<'a> {
    /// The key is absent, or was absent.
    Absent,
    /// The value of the key, or its value before it was deleted.
    Value(&'a [u8]),
    /// The write was executed.
    Done,
    /// The key does not have the expected value, so nothing was written.
    Different(Option<&'a [u8]>),
    /// The value would become too long, so nothing was written.
    TooLong,
    /// The write would exceed the quota of the store, or its alarm is on, so nothing was written.
    NoSpace,
    /// The bytes are not an operation, or a write sent as a query, so nothing was written.
    Malformed,
}

const GET: u8 = 0;
const PUT: u8 = 1;
const DELETE: u8 = 2;
const COMPARE_AND_SET: u8 = 3;
const APPEND: u8 = 4;

/// The length that stands for a missing value.
const NO_VALUE: u32 = u32::MAX;

impl<'a> Operation<'a> {
    /// The size of the longest key, in bytes.
    pub const KEY_BYTES_MAX: usize = u8::MAX as usize;
    /// The size of the longest value, in bytes.
    pub const VALUE_BYTES_MAX: usize = 4096;

    /// Returns the key of the operation.
    #[must_use]
    pub fn key(&self) -> &'a [u8] {
        match self {
            Operation::Get { key }
            | Operation::Put { key, .. }
            | Operation::Delete { key }
            | Operation::CompareAndSet { key, .. }
            | Operation::Append { key, .. } => key,
        }
    }

    /// Encodes the operation.
    ///
    /// # Panics
    /// If the key is longer than `KEY_BYTES_MAX`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (kind, key) = match *self {
            Operation::Get { key } => (GET, key),
            Operation::Put { key, .. } => (PUT, key),
            Operation::Delete { key } => (DELETE, key),
            Operation::CompareAndSet { key, .. } => (COMPARE_AND_SET, key),
            Operation::Append { key, .. } => (APPEND, key),
        };
        let length = u8::try_from(key.len()).expect("no key is longer than KEY_BYTES_MAX");
        let mut bytes = vec![kind, length];
        bytes.extend(key);
        match *self {
            Operation::Get { .. } | Operation::Delete { .. } => {}
            Operation::Put { value, .. } | Operation::Append { value, .. } => bytes.extend(value),
            Operation::CompareAndSet { expected, value, .. } => {
                encode_option(expected, &mut bytes);
                bytes.extend(value);
            }
        }
        bytes
    }

    /// Decodes an operation; returns `None` for other bytes.
    #[must_use]
    pub fn decode(bytes: &'a [u8]) -> Option<Operation<'a>> {
        let (&[kind, length], rest) = bytes.split_first_chunk()?;
        let (key, rest) = rest.split_at_checked(length as usize)?;
        match kind {
            GET if rest.is_empty() => Some(Operation::Get { key }),
            PUT => Some(Operation::Put { key, value: rest }),
            DELETE if rest.is_empty() => Some(Operation::Delete { key }),
            COMPARE_AND_SET => {
                let (expected, value) = decode_option(rest)?;
                Some(Operation::CompareAndSet { key, expected, value })
            }
            APPEND => Some(Operation::Append { key, value: rest }),
            _ => None,
        }
    }
}

impl<'a> Reply<'a> {
    /// Encodes the reply into bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match *self {
            Reply::Absent => vec![0],
            Reply::Value(value) => [&[1], value].concat(),
            Reply::Done => vec![2],
            Reply::Different(current) => {
                let mut bytes = vec![3];
                encode_option(current, &mut bytes);
                bytes
            }
            Reply::TooLong => vec![4],
            Reply::Malformed => vec![5],
            Reply::NoSpace => vec![6],
        }
    }

    /// Decodes a reply; returns `None` for other bytes.
    #[must_use]
    pub fn decode(bytes: &'a [u8]) -> Option<Reply<'a>> {
        match bytes {
            [0] => Some(Reply::Absent),
            [1, value @ ..] => Some(Reply::Value(value)),
            [2] => Some(Reply::Done),
            [3, rest @ ..] => match decode_option(rest)? {
                (current, []) => Some(Reply::Different(current)),
                _ => None,
            },
            [4] => Some(Reply::TooLong),
            [5] => Some(Reply::Malformed),
            [6] => Some(Reply::NoSpace),
            _ => None,
        }
    }
}

fn encode_option(value: Option<&[u8]>, bytes: &mut Vec<u8>) {
    let length = value.map_or(NO_VALUE, |value| {
        u32::try_from(value.len()).expect("no value is longer than VALUE_BYTES_MAX")
    });
    bytes.extend(length.to_le_bytes());
    bytes.extend(value.unwrap_or_default());
}

fn decode_option(bytes: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    match u32::from_le_bytes(*length) {
        NO_VALUE => Some((None, rest)),
        length => {
            let (value, rest) = rest.split_at_checked(length as usize)?;
            Some((Some(value), rest))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_have_a_fixed_encoding() {
        let golden: [(Operation<'_>, &[u8]); 6] = [
            (Operation::Get { key: b"k" }, b"\0\x01k"),
            (Operation::Put { key: b"k", value: b"v" }, b"\x01\x01kv"),
            (Operation::Delete { key: b"" }, b"\x02\0"),
            (
                Operation::CompareAndSet { key: b"k", expected: Some(b"ab"), value: b"c" },
                b"\x03\x01k\x02\0\0\0abc",
            ),
            (
                Operation::CompareAndSet { key: b"k", expected: None, value: b"" },
                b"\x03\x01k\xff\xff\xff\xff",
            ),
            (Operation::Append { key: b"k", value: b"" }, b"\x04\x01k"),
        ];
        for (operation, bytes) in golden {
            assert_eq!(operation.encode(), bytes);
            assert_eq!(Operation::decode(bytes), Some(operation));
        }
    }

    #[test]
    fn other_bytes_are_no_operation() {
        let odd: [&[u8]; 7] = [
            b"",
            b"\0",
            b"\x05\0",
            b"\0\x02k",
            b"\0\x01kv",
            b"\x03\0\x01\0\0",
            b"\x03\0\x01\0\0\0",
        ];
        for bytes in odd {
            assert_eq!(Operation::decode(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn replies_decode_to_the_encoded_reply() {
        let replies = [
            Reply::Absent,
            Reply::Value(b""),
            Reply::Value(b"v"),
            Reply::Done,
            Reply::Different(None),
            Reply::Different(Some(b"v")),
            Reply::TooLong,
            Reply::NoSpace,
            Reply::Malformed,
        ];
        for reply in replies {
            assert_eq!(Reply::decode(&reply.encode()), Some(reply));
        }
        for bytes in [&b""[..], b"\0\0", b"\x03\x01\0\0\0", b"\x03\0\0\0\0v", b"\x07"] {
            assert_eq!(Reply::decode(bytes), None, "{bytes:?}");
        }
    }
}
