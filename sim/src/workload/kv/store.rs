//! The store: keys and values in memory, as a state machine.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};
use std::sync::Arc;

use quorate::machine::{ConflictTest, Quota, QuotaCommand, StateMachine};
use quorate::types::{Index, QuotaUsage};

use crate::workload::kv::operation::{Operation, Reply};

type Values = BTreeMap<Vec<u8>, Arc<[u8]>>;

/// The key-value store. A clone shares the values until one of the two changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Store {
    values: Arc<Values>,
    /// The quota of the bytes of keys and values.
    quota: Quota,
}

impl Store {
    /// Returns the keys in ascending order, with their values.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.values.iter().map(|(key, value)| (&key[..], &value[..]))
    }

    fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.values.get(key).map(|value| &value[..])
    }

    fn found(&self, key: &[u8]) -> Vec<u8> {
        self.get(key).map_or(Reply::Absent, Reply::Value).encode()
    }

    /// Returns the size of the key and its value, 0 if it is absent.
    fn bytes_at(&self, key: &[u8]) -> u64 {
        self.get(key).map_or(0, |value| (key.len() + value.len()) as u64)
    }

    fn put(&mut self, key: &[u8], value: Vec<u8>) -> Vec<u8> {
        if value.len() > Operation::VALUE_BYTES_MAX {
            return Reply::TooLong.encode();
        }
        if !self.quota.admit(self.bytes_at(key), (key.len() + value.len()) as u64) {
            return Reply::NoSpace.encode();
        }
        Arc::make_mut(&mut self.values).insert(key.to_vec(), Arc::from(value));
        Reply::Done.encode()
    }
}

impl StateMachine for Store {
    fn apply(&mut self, _: Index, command: &[u8]) -> Vec<u8> {
        match Operation::decode(command) {
            None => Reply::Malformed.encode(),
            Some(Operation::Get { key }) => self.found(key),
            Some(Operation::Put { key, value }) => self.put(key, value.to_vec()),
            Some(Operation::Delete { key }) => {
                let (found, freed) = (self.found(key), self.bytes_at(key));
                assert!(self.quota.admit(freed, 0), "a delete does not grow the store");
                Arc::make_mut(&mut self.values).remove(key);
                found
            }
            Some(Operation::CompareAndSet { key, expected, value }) => {
                let current = self.get(key);
                if current != expected {
                    return Reply::Different(current).encode();
                }
                self.put(key, value.to_vec())
            }
            Some(Operation::Append { key, value }) => {
                let longer = [self.get(key).unwrap_or_default(), value].concat();
                self.put(key, longer)
            }
        }
    }

    fn administer(&mut self, _: Index, command: &[u8]) -> Vec<u8> {
        let Some(command) = QuotaCommand::decode(command) else { return Reply::Malformed.encode() };
        let reply = if self.quota.execute(command) { Reply::Done } else { Reply::NoSpace };
        reply.encode()
    }

    fn quota(&self) -> Option<QuotaUsage> {
        Some(self.quota.usage())
    }

    fn conflict_test(&self) -> ConflictTest {
        ConflictTest::new(|query| {
            let query = Operation::decode(query);
            Box::new(move |command| match Operation::decode(command) {
                None | Some(Operation::Get { .. }) => false,
                Some(command) => query.as_ref().is_none_or(|query| query.key() == command.key()),
            })
        })
    }

    fn query(&self, query: &[u8]) -> Vec<u8> {
        match Operation::decode(query) {
            Some(Operation::Get { key }) => self.found(key),
            _ => Reply::Malformed.encode(),
        }
    }

    /// The quota, then each key and its value, in ascending order: the key's length in one byte,
    /// the key, the value's length in four bytes, the value.
    fn snapshot(&self) -> Box<dyn Read + Send> {
        let (values, piece) = (Arc::clone(&self.values), Cursor::new(self.quota.encode().to_vec()));
        Box::new(Frozen { values, last: None, piece })
    }

    fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()> {
        let mut quota = [0; Quota::ENCODED_BYTES];
        snapshot.read_exact(&mut quota)?;
        let (mut values, mut bytes) = (Values::new(), 0);
        while let Some(length) = read_length(snapshot)? {
            let key = read_bytes(snapshot, length as usize)?;
            let mut length = [0; 4];
            snapshot.read_exact(&mut length)?;
            let length = u32::from_le_bytes(length) as usize;
            let is_ascending = values.last_key_value().is_none_or(|(last, _)| *last < key);
            if !is_ascending || length > Operation::VALUE_BYTES_MAX {
                return Err(io::ErrorKind::InvalidData.into());
            }
            bytes += (key.len() + length) as u64;
            values.insert(key, Arc::from(read_bytes(snapshot, length)?));
        }
        self.quota = Quota::decode(&quota, bytes).ok_or(io::ErrorKind::InvalidData)?;
        self.values = Arc::new(values);
        Ok(())
    }
}

/// A frozen view of the store, which is read one value at a time.
struct Frozen {
    values: Arc<Values>,
    /// The last key that has been read.
    last: Option<Vec<u8>>,
    piece: Cursor<Vec<u8>>,
}

impl Read for Frozen {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.piece.read(buffer)?;
        if count > 0 || buffer.is_empty() {
            return Ok(count);
        }
        let next = match &self.last {
            None => self.values.first_key_value(),
            Some(last) => {
                let after = (std::ops::Bound::Excluded(last), std::ops::Bound::Unbounded);
                self.values.range::<Vec<u8>, _>(after).next()
            }
        };
        let Some((key, value)) = next else { return Ok(0) };
        let mut piece = vec![u8::try_from(key.len()).expect("decoding gives no longer key")];
        piece.extend(key);
        let length = u32::try_from(value.len()).expect("no value is longer than its bound");
        piece.extend(length.to_le_bytes());
        piece.extend(&value[..]);
        self.last = Some(key.clone());
        self.piece = Cursor::new(piece);
        self.piece.read(buffer)
    }
}

/// Reads the length of the next key; returns `None` at the end.
fn read_length(reader: &mut dyn Read) -> io::Result<Option<u8>> {
    let mut length = [0; 1];
    loop {
        match reader.read(&mut length) {
            Ok(0) => return Ok(None),
            Ok(_) => return Ok(Some(length[0])),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn read_bytes(reader: &mut dyn Read, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The default quota of 2 GiB, without an alarm.
    const QUOTA: &[u8] = b"\0\0\0\x80\0\0\0\0\0";

    fn after(operations: &[Operation<'_>]) -> (Store, Vec<Vec<u8>>) {
        let mut store = Store::default();
        let replies = operations.iter().map(|operation| store.apply(Index(1), &operation.encode()));
        let replies = replies.collect();
        (store, replies)
    }

    fn bytes_of(store: &Store) -> Vec<u8> {
        let mut bytes = Vec::new();
        store.snapshot().read_to_end(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn each_operation_replies_with_what_it_did() {
        let cas = |expected, value| Operation::CompareAndSet { key: b"k", expected, value };
        let (store, replies) = after(&[
            Operation::Get { key: b"k" },
            cas(None, b"a"),
            cas(None, b"b"),
            cas(Some(b"a"), b"c"),
            Operation::Append { key: b"k", value: b"d" },
            Operation::Append { key: b"l", value: b"e" },
            Operation::Delete { key: b"k" },
            Operation::Delete { key: b"k" },
            cas(Some(b"cd"), b"f"),
            Operation::Put { key: b"k", value: b"" },
        ]);
        let expected = [
            Reply::Absent,
            Reply::Done,
            Reply::Different(Some(b"a")),
            Reply::Done,
            Reply::Done,
            Reply::Done,
            Reply::Value(b"cd"),
            Reply::Absent,
            Reply::Different(None),
            Reply::Done,
        ];
        assert_eq!(replies, expected.map(|reply| reply.encode()));
        assert_eq!(store.iter().collect::<Vec<_>>(), [(&b"k"[..], &b""[..]), (b"l", b"e")]);
    }

    #[test]
    fn a_value_grows_up_to_its_bound() {
        let whole = vec![7; Operation::VALUE_BYTES_MAX];
        let (store, replies) = after(&[
            Operation::Put { key: b"k", value: &whole },
            Operation::Append { key: b"k", value: b"x" },
            Operation::Put { key: b"l", value: &[&whole[..], b"x"].concat() },
        ]);
        assert_eq!(replies[1..], [Reply::TooLong.encode(), Reply::TooLong.encode()]);
        assert_eq!(store.query(&Operation::Get { key: b"k" }.encode())[1..], whole);
        assert_eq!(store.iter().count(), 1);
    }

    #[test]
    fn other_bytes_change_nothing() {
        let (mut store, _) = after(&[Operation::Put { key: b"k", value: b"v" }]);
        let before = store.clone();
        assert_eq!(store.apply(Index(2), b"nonsense"), Reply::Malformed.encode());
        assert_eq!(store.query(&Operation::Delete { key: b"k" }.encode()), [5]);
        assert_eq!(store, before);
    }

    #[test]
    fn a_snapshot_has_a_fixed_encoding_and_no_later_writes() {
        let (mut store, _) = after(&[
            Operation::Put { key: b"l", value: b"" },
            Operation::Put { key: b"k", value: b"vw" },
        ]);
        let expected = [QUOTA, b"\x01k\x02\0\0\0vw\x01l\0\0\0\0"].concat();
        assert_eq!(bytes_of(&store), expected);
        let mut frozen = store.snapshot();
        store.apply(Index(3), &Operation::Delete { key: b"k" }.encode());
        let mut bytes = Vec::new();
        frozen.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, expected);

        let mut other = store.clone();
        other.restore(&mut &bytes[..]).unwrap();
        assert_eq!(bytes_of(&other), expected);
        assert_ne!(other.digest().unwrap(), store.digest().unwrap());
    }

    #[test]
    fn forged_snapshots_are_rejected() {
        let refused = |pairs: &[u8]| {
            let bytes = [QUOTA, pairs].concat();
            let (mut store, _) = after(&[Operation::Put { key: b"kept", value: b"" }]);
            store.restore(&mut &bytes[..]).expect_err("it is forged").kind()
        };
        let whole = b"\x01k\x02\0\0\0vw\x01l\0\0\0\0";
        for length in (1..whole.len()).filter(|length| *length != 8) {
            assert_eq!(refused(&whole[..length]), io::ErrorKind::UnexpectedEof, "{length}");
        }
        assert_eq!(refused(b"\x01l\0\0\0\0\x01k\0\0\0\0"), io::ErrorKind::InvalidData);
        assert_eq!(refused(b"\x01k\xff\xff\xff\xff"), io::ErrorKind::InvalidData);
        let (mut store, mut odd) = (Store::default(), QUOTA.to_vec());
        odd[8] = 2;
        let error = store.restore(&mut &odd[..]).expect_err("an alarm is on or off");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
