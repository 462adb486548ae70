//! State machines whose commands, queries, replies and states are values instead of bytes.
//!
//! A user implements [`TypedMachine`]. Every such machine is a [`StateMachine`], which decodes
//! commands and queries, and encodes replies, answers and snapshots. `runtime::TypedClient` is the
//! client of such a cluster.
//!
//! ```
//! use quorate::machine::StateMachine;
//! use quorate::typed::{TypedMachine, decode_reply, encode};
//! use quorate::types::Index;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Default, Serialize, Deserialize)]
//! struct Counter(u64);
//!
//! #[derive(Serialize, Deserialize)]
//! enum Command {
//!     Add(u64),
//! }
//!
//! impl TypedMachine for Counter {
//!     type Command = Command;
//!     type Reply = u64;
//!     type Query = ();
//!     type Answer = u64;
//!     fn apply(&mut self, _: Index, Command::Add(count): Command) -> u64 {
//!         self.0 += count;
//!         self.0
//!     }
//!     fn query(&self, (): ()) -> u64 {
//!         self.0
//!     }
//! }
//!
//! let mut machine = Counter::default();
//! let reply = StateMachine::apply(&mut machine, Index(1), &encode(&Command::Add(3))?);
//! assert_eq!(decode_reply::<u64>(&reply), Ok(3));
//! # Ok::<(), quorate::typed::TypedError>(())
//! ```
//!
//! # The encoding
//! Integers have a fixed size, the fields of a struct follow one another, and a variant of an enum
//! is its number. A new version may therefore add variants at the end of an enum, and must change
//! nothing else: the log and the snapshots hold values of earlier versions. A node that does not
//! know a variant of a command changes nothing, and its state would differ from that of the other
//! nodes. A build with a new variant therefore has a higher [`TypedMachine::version_max`]. **Raise
//! the version before a client sends the variant**: from then on each node knows it, or applies
//! nothing.
//!
//! The serde attributes `flatten`, `untagged`, `tag` and `skip_serializing_if` do not work, because
//! the encoding does not describe itself. All replicas must encode equal states alike: use a
//! `BTreeMap` instead of a `HashMap`. A client decides how deep a recursive value is, and how long
//! a sequence of values without bytes, such as a `Vec<()>`: no type of a request should contain a
//! recursive type or such a sequence.

use std::io::{self, Cursor, Read};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::machine::StateMachine;
use crate::types::Index;
use crate::types::text::texts;
use crate::wire::{decode_value, encode_value};

/// The largest encoding of a command, query, reply or answer, in bytes. A node's own bound on
/// commands, `Config::command_bytes_max`, is usually smaller.
pub const VALUE_BYTES_MAX: usize = 64 << 20;

/// A state machine with typed commands, queries, replies and answers. The value itself is the
/// state: a snapshot is its encoding. The whole encoding is in memory while a snapshot is taken, so
/// a large state implements [`StateMachine`] instead.
///
/// As a [`StateMachine`], a machine does not change for bytes that do not decode to a command, and
/// its reply says so: a client of another version gets a [`TypedError`].
pub trait TypedMachine: Serialize + DeserializeOwned {
    /// A client's request to change the state.
    type Command: Serialize + DeserializeOwned;
    /// The result of a command.
    type Reply: Serialize + DeserializeOwned;
    /// A client's question about the state.
    type Query: Serialize + DeserializeOwned;
    /// The result of a query.
    type Answer: Serialize + DeserializeOwned;

    /// Applies one command, by the rules of [`StateMachine::apply`]: deterministic, and a rejected
    /// command is a reply.
    fn apply(&mut self, index: Index, command: Self::Command) -> Self::Reply;

    /// Answers a query from the state alone.
    fn query(&self, query: Self::Query) -> Self::Answer;

    /// Returns the highest version of the rules of [`TypedMachine::apply`] that this build has:
    /// [`StateMachine::version_max`].
    fn version_max(&self) -> u32 {
        0
    }

    /// Raises the version of the rules, by the rules of [`StateMachine::set_version`].
    fn set_version(&mut self, index: Index, version: u32) {
        let _ = (index, version);
    }

    /// Makes this value, which was just decoded from a snapshot, follow the rules of `version`, by
    /// which the snapshot was written. A state machine that keeps the version in a field with the
    /// attribute `serde(skip)` sets it here. A state machine whose encoding contains the version,
    /// such as an enum with a variant for each version of the state, does nothing. A state machine
    /// with more than one version must implement this method: by default it fails for every version
    /// above 0.
    ///
    /// # Errors
    /// The reason why this value cannot follow that version; the restore fails with it.
    fn restored(&mut self, version: u32) -> io::Result<()> {
        if version > 0 {
            let text = "the state machine has versions, and must implement `restored`";
            return Err(io::Error::new(io::ErrorKind::Unsupported, text));
        }
        Ok(())
    }
}

/// The error of encoding or decoding a value, on the node or here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum TypedError {
    /// The node could not decode the command or the query, which changed nothing: the versions of
    /// the client and of the state machine differ.
    Undecodable,
    /// The node executed the command or the query, and could not encode the result, or the result
    /// has more than [`VALUE_BYTES_MAX`] bytes.
    UnencodableResult,
    /// The command or query cannot be encoded, or is larger than [`VALUE_BYTES_MAX`]; the text says
    /// which. It was not sent.
    Unencodable(String),
    /// The result is not of the expected type: the versions of the client and of the state machine
    /// differ. A command was executed.
    UndecodableResult(String),
}

// The errors of the node carry no text: they are replies, which must be equal on all replicas, even
// on replicas of different versions.
texts! { TypedError:
    Self::Undecodable =>
        "the node cannot decode the request, which changed nothing: client and node have \
         different types";
    Self::UnencodableResult =>
        "the request was executed, but its result cannot be encoded, or has more than \
         {VALUE_BYTES_MAX} bytes";
    Self::Unencodable(error) => "the value cannot be sent: {error}";
    Self::UndecodableResult(error) =>
        "the request was executed, but its result cannot be decoded ({error}): client and node \
         have different types";
}

impl std::error::Error for TypedError {}

/// Encodes a command or a query.
///
/// # Errors
/// [`TypedError::Unencodable`].
pub fn encode(value: &impl Serialize) -> Result<Vec<u8>, TypedError> {
    bounded(value).map_err(TypedError::Unencodable)
}

/// Decodes a command or a query, as a node does: for programs that get the bytes, such as the
/// checks and the descriptions of a simulated workload.
///
/// # Errors
/// [`TypedError::Undecodable`].
pub fn decode_request<T: DeserializeOwned>(request: &[u8]) -> Result<T, TypedError> {
    decode_value::<T, VALUE_BYTES_MAX>(request).map_err(|_| TypedError::Undecodable)
}

/// Decodes the reply to a command, or the answer to a query.
///
/// # Errors
/// [`TypedError::UndecodableResult`], or the error of the node.
pub fn decode_reply<R: DeserializeOwned>(reply: &[u8]) -> Result<R, TypedError> {
    decode_value::<Result<R, TypedError>, VALUE_BYTES_MAX>(reply)
        .map_err(TypedError::UndecodableResult)?
}

impl<M: TypedMachine> StateMachine for M {
    fn apply(&mut self, index: Index, command: &[u8]) -> Vec<u8> {
        result_of(command, |command| TypedMachine::apply(self, index, command))
    }

    fn query(&self, query: &[u8]) -> Vec<u8> {
        result_of(query, |query| TypedMachine::query(self, query))
    }

    fn snapshot(&self) -> Box<dyn Read + Send> {
        match encode_value(self) {
            Ok(bytes) => Box::new(Cursor::new(bytes)),
            Err(error) => Box::new(Unreadable(error)),
        }
    }

    fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()> {
        let mut bytes = Vec::new();
        snapshot.read_to_end(&mut bytes)?;
        let invalid = |error| {
            let text = format!("the snapshot is not a state of this type: {error}");
            io::Error::new(io::ErrorKind::InvalidData, text)
        };
        *self = decode_value::<M, { usize::MAX }>(&bytes).map_err(invalid)?;
        Ok(())
    }

    fn version_max(&self) -> u32 {
        TypedMachine::version_max(self)
    }

    fn set_version(&mut self, index: Index, version: u32) {
        TypedMachine::set_version(self, index, version);
    }

    fn restore_version(&mut self, version: u32, snapshot: &mut dyn Read) -> io::Result<()> {
        self.restore(snapshot)?;
        self.restored(version)
    }
}

/// Decodes a request, executes it, and encodes its result or the error.
fn result_of<T: DeserializeOwned, R: Serialize>(
    request: &[u8],
    execute: impl FnOnce(T) -> R,
) -> Vec<u8> {
    let result = decode_request(request).map(execute);
    bounded(&result).unwrap_or_else(|_| {
        let result = Err::<(), _>(TypedError::UnencodableResult);
        bounded(&result).expect("the number of a variant is small")
    })
}

/// Encodes a value of at most [`VALUE_BYTES_MAX`] bytes.
fn bounded(value: &impl Serialize) -> Result<Vec<u8>, String> {
    let bytes = encode_value(value)?;
    if bytes.len() > VALUE_BYTES_MAX {
        return Err(format!("it has {} bytes, more than {VALUE_BYTES_MAX}", bytes.len()));
    }
    Ok(bytes)
}

/// The snapshot of a state that cannot be encoded: reading it fails.
struct Unreadable(String);

impl Read for Unreadable {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::new(io::ErrorKind::InvalidData, self.0.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    struct Map(BTreeMap<String, u64>);

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Command {
        Put(String, u64),
        Remove(String),
    }

    /// A value whose serialization fails.
    struct Broken;

    impl Serialize for Broken {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("it is broken"))
        }
    }

    impl<'de> Deserialize<'de> for Broken {
        fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Broken, D::Error> {
            Ok(Broken)
        }
    }

    impl TypedMachine for Map {
        type Command = Command;
        type Reply = Option<u64>;
        type Query = String;
        type Answer = Option<u64>;
        fn apply(&mut self, _: Index, command: Command) -> Option<u64> {
            match command {
                Command::Put(key, value) => self.0.insert(key, value),
                Command::Remove(key) => self.0.remove(&key),
            }
        }
        fn query(&self, key: String) -> Option<u64> {
            self.0.get(&key).copied()
        }
    }

    /// Applies a command of bytes.
    fn apply(machine: &mut impl StateMachine, index: u64, command: &[u8]) -> Vec<u8> {
        machine.apply(Index(index), command)
    }

    fn put(machine: &mut Map, key: &str, value: u64) -> Result<Option<u64>, TypedError> {
        let command = encode(&Command::Put(key.to_owned(), value)).expect("it can be encoded");
        decode_reply(&apply(machine, 1, &command))
    }

    #[test]
    fn commands_queries_and_snapshots_are_values() {
        let mut machine = Map::default();
        assert_eq!(put(&mut machine, "a", 1), Ok(None));
        assert_eq!(put(&mut machine, "a", 2), Ok(Some(1)));
        let query = encode(&"a".to_owned()).expect("it can be encoded");
        assert_eq!(decode_reply(&StateMachine::query(&machine, &query)), Ok(Some(2_u64)));

        let mut other = Map::default();
        assert_eq!(put(&mut other, "b", 9), Ok(None));
        other.restore(&mut machine.snapshot()).expect("a snapshot of the same type");
        assert_eq!(other, machine);
        let remove = encode(&Command::Remove("a".to_owned())).expect("it can be encoded");
        assert_eq!(decode_reply(&apply(&mut machine, 2, &remove)), Ok(Some(2_u64)));
    }

    #[test]
    fn bytes_of_other_types_change_nothing_and_are_rejected() {
        let mut machine = Map::default();
        assert_eq!(put(&mut machine, "a", 1), Ok(None));
        let before = machine.clone();
        let valid = encode(&Command::Put("b".to_owned(), 2)).expect("it can be encoded");
        let unknown_variant = 2_u32.to_le_bytes().to_vec();
        let with_more = [&valid[..], &[0]].concat();
        for command in [&valid[..valid.len() - 1], &unknown_variant, &with_more, &[]] {
            let reply = decode_reply::<Option<u64>>(&apply(&mut machine, 2, command));
            assert_eq!(reply, Err(TypedError::Undecodable), "{command:?}");
            let decoded = decode_request::<Command>(command);
            assert_eq!(decoded, Err(TypedError::Undecodable), "{command:?}");
        }
        assert_eq!(machine, before);
        assert_eq!(decode_request(&valid), Ok(Command::Put("b".to_owned(), 2)));
        let reply = apply(&mut machine, 2, &valid);
        let reply = decode_reply::<BTreeMap<String, String>>(&reply);
        assert!(matches!(reply, Err(TypedError::UndecodableResult(_))), "{reply:?}");
    }

    #[test]
    fn a_claimed_length_takes_no_memory() {
        let mut machine = Map::default();
        let mut command = vec![0; 4];
        command.extend_from_slice(&(u64::MAX >> 1).to_le_bytes());
        let reply = decode_reply::<Option<u64>>(&apply(&mut machine, 1, &command));
        assert_eq!(reply, Err(TypedError::Undecodable));
    }

    #[test]
    fn a_value_that_cannot_be_encoded_or_is_too_long_is_an_error() {
        assert!(matches!(encode(&Broken), Err(TypedError::Unencodable(_))));
        let reply = result_of(&[], |()| Broken);
        assert_eq!(decode_reply::<Broken>(&reply).map(drop), Err(TypedError::UnencodableResult));
        let long = vec![0_u8; VALUE_BYTES_MAX];
        assert!(matches!(encode(&long), Err(TypedError::Unencodable(_))), "with its length");
        let reply = result_of(&[], |()| long);
        assert_eq!(decode_reply::<Vec<u8>>(&reply), Err(TypedError::UnencodableResult));
    }

    #[test]
    fn a_version_is_passed_on_and_comes_back_with_a_snapshot() {
        /// A counter of commands by version 0, and of their values by version 1.
        #[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
        struct Counter {
            count: u64,
            #[serde(skip)]
            version: u32,
        }

        impl TypedMachine for Counter {
            type Command = u64;
            type Reply = u64;
            type Query = ();
            type Answer = u64;
            fn apply(&mut self, _: Index, value: u64) -> u64 {
                self.count += if self.version == 0 { 1 } else { value };
                self.count
            }
            fn query(&self, (): ()) -> u64 {
                self.count
            }
            fn version_max(&self) -> u32 {
                1
            }
            fn set_version(&mut self, _: Index, version: u32) {
                self.version = version;
            }
            fn restored(&mut self, version: u32) -> io::Result<()> {
                self.version = version;
                Ok(())
            }
        }

        let add = encode(&5_u64).expect("it can be encoded");
        let mut machine = Counter::default();
        assert_eq!(StateMachine::version_max(&machine), 1);
        assert_eq!(decode_reply(&apply(&mut machine, 1, &add)), Ok(1_u64));
        StateMachine::set_version(&mut machine, Index(2), 1);
        assert_eq!(decode_reply(&apply(&mut machine, 3, &add)), Ok(6_u64));
        let mut other = Counter::default();
        other.restore_version(1, &mut machine.snapshot()).expect("a snapshot of the same type");
        assert_eq!(other, machine);
        other.restore_version(0, &mut machine.snapshot()).expect("a snapshot of the same type");
        assert_eq!(decode_reply(&apply(&mut other, 4, &add)), Ok(7_u64));
    }

    #[test]
    fn a_foreign_snapshot_is_an_error() {
        let mut machine = Map::default();
        let error = machine.restore(&mut &[1, 2, 3][..]).expect_err("these bytes are not a map");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(error.to_string().contains("not a state of this type"), "{error}");
    }
}
