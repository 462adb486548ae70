//! The key-value state machine: an ordered map in memory.

use std::io::{self, Read};
use std::ops::Bound;
use std::sync::Arc;

use quorate::machine::{ConflictTest, Quota, QuotaCommand, StateMachine};
use quorate::types::{Index, QuotaUsage};

use crate::kv::messages::{Answer, Command, Pair, Query, Reply, SHOWN_BYTES_MAX};
use crate::kv::pair::bytes_of;
use crate::kv::snapshot::{Map, Snapshot, read_snapshot};

/// The maximum number of pairs in one answer.
const PAIRS_MAX: u32 = 4096;
/// The maximum number of bytes in one answer; a single larger pair is returned alone.
const ANSWER_BYTES_MAX: usize = 256 << 10;

/// The store of a node. A snapshot shares the map until the next command changes it.
#[derive(Debug, Default)]
pub(crate) struct Store {
    map: Arc<Map>,
    /// The quota of the bytes of all pairs.
    quota: Quota,
}

impl Store {
    fn execute(&mut self, command: Command<'_>) -> Reply {
        let before = self.map.get(command.key()).cloned();
        let value = match command {
            Command::Put { value, .. } => Some(value),
            Command::Delete { .. } => None,
            Command::CompareAndSet { expected, .. } if before.as_deref() != expected => {
                return differs(before.as_deref());
            }
            Command::CompareAndSet { value, .. } => value,
        };
        let bytes = |value: Option<&[u8]>| value.map_or(0, |value| bytes_of(command.key(), value));
        if !self.quota.admit(bytes(before.as_deref()), bytes(value)) {
            return Reply::NoSpace(self.quota.usage().bytes_max);
        }
        let map = Arc::make_mut(&mut self.map);
        match value {
            Some(value) => match map.get_mut(command.key()) {
                Some(stored) => *stored = value.into(),
                None => drop(map.insert(command.key().into(), value.into())),
            },
            None => drop(map.remove(command.key())),
        }
        Reply::Done(before.map(|value| value.to_vec()))
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: u32) -> Answer {
        let limit = usize::try_from(limit.min(PAIRS_MAX)).unwrap_or(usize::MAX);
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let mut pairs: Vec<Pair> = Vec::new();
        let mut bytes = 0;
        let range = self.map.range::<[u8], _>((from, Bound::Unbounded));
        for (key, value) in range.take_while(|(key, _)| key.starts_with(prefix)) {
            bytes += key.len() + value.len() + 8;
            if pairs.len() >= limit || (bytes > ANSWER_BYTES_MAX && !pairs.is_empty()) {
                return Answer::Pairs { pairs, more: true };
            }
            pairs.push((key.to_vec(), value.to_vec()));
        }
        Answer::Pairs { pairs, more: false }
    }
}

/// Returns the reply to a compare that found a different value. It omits a long value, because a
/// command of a few bytes can request the reply again and again, and every node builds and hashes
/// it.
fn differs(value: Option<&[u8]>) -> Reply {
    match value {
        Some(value) if value.len() > SHOWN_BYTES_MAX => {
            Reply::DiffersFromLargeValue(value.len() as u64)
        }
        value => Reply::Differs(value.map(<[u8]>::to_vec)),
    }
}

impl StateMachine for Store {
    fn apply(&mut self, _: Index, command: &[u8]) -> Vec<u8> {
        match Command::decode(command) {
            Some(command) => self.execute(command).encode(),
            None => Reply::Invalid.encode(),
        }
    }

    fn administer(&mut self, _: Index, command: &[u8]) -> Vec<u8> {
        let reply = match QuotaCommand::decode(command) {
            None => Reply::Invalid,
            Some(command) if self.quota.execute(command) => Reply::Done(None),
            Some(_) => Reply::NoSpace(self.quota.usage().bytes_max),
        };
        reply.encode()
    }

    fn quota(&self) -> Option<QuotaUsage> {
        Some(self.quota.usage())
    }

    fn query(&self, query: &[u8]) -> Vec<u8> {
        let answer = match Query::decode(query) {
            Some(Query::Get { key }) => {
                Answer::Value(self.map.get(key).map(|value| value.to_vec()))
            }
            Some(Query::Scan { prefix, after, limit }) => self.scan(prefix, after, limit),
            None => Answer::Invalid,
        };
        answer.encode()
    }

    fn snapshot(&self) -> Box<dyn Read + Send> {
        Box::new(Snapshot::of(Arc::clone(&self.map), &self.quota))
    }

    fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()> {
        let (map, quota) = read_snapshot(snapshot)?;
        *self = Store { map: Arc::new(map), quota };
        Ok(())
    }

    fn conflict_test(&self) -> ConflictTest {
        fn key_of(command: &[u8]) -> Option<&[u8]> {
            Command::decode(command).map(|command| command.key())
        }
        ConflictTest::new(|query| match Query::decode(query) {
            Some(Query::Get { key }) => Box::new(move |command| key_of(command) == Some(key)),
            Some(Query::Scan { prefix, .. }) => {
                Box::new(move |command| key_of(command).is_some_and(|key| key.starts_with(prefix)))
            }
            None => Box::new(|_| false),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(store: &mut Store, command: Command<'_>) -> Reply {
        Reply::decode(&store.apply(Index(1), &command.encode())).expect("a valid reply")
    }

    fn query(store: &Store, query: Query<'_>) -> Answer {
        Answer::decode(&store.query(&query.encode())).expect("a valid answer")
    }

    fn filled() -> Store {
        let mut store = Store::default();
        for key in ["a", "ab", "abc", "b"] {
            apply(&mut store, Command::Put { key: key.as_bytes(), value: b"1" });
        }
        store
    }

    fn keys(answer: Answer) -> (Vec<String>, bool) {
        let Answer::Pairs { pairs, more } = answer else { panic!("{answer:?}") };
        let key = |(key, _): Pair| String::from_utf8(key).expect("keys are text here");
        (pairs.into_iter().map(key).collect(), more)
    }

    #[test]
    fn compare_and_set_sets_only_an_expected_value() {
        let (mut store, one) = (Store::default(), Some(&b"1"[..]));
        let set = |expected, value| Command::CompareAndSet { key: b"k", expected, value };
        assert_eq!(apply(&mut store, set(one, None)), Reply::Differs(None));
        assert_eq!(apply(&mut store, set(None, one)), Reply::Done(None));
        assert_eq!(apply(&mut store, set(None, one)), Reply::Differs(Some(b"1".to_vec())));
        assert_eq!(apply(&mut store, set(one, None)), Reply::Done(Some(b"1".to_vec())));
        assert_eq!(query(&store, Query::Get { key: b"k" }), Answer::Value(None));
    }

    #[test]
    fn a_compare_that_fails_returns_no_long_value() {
        let mut store = Store::default();
        let compare = Command::CompareAndSet { key: b"k", expected: None, value: None };
        for bytes in [SHOWN_BYTES_MAX, SHOWN_BYTES_MAX + 1, 1 << 20] {
            let value = vec![7; bytes];
            apply(&mut store, Command::Put { key: b"k", value: &value });
            let reply = store.apply(Index(1), &compare.encode());
            assert!(reply.len() <= SHOWN_BYTES_MAX + 6, "{bytes}: {} bytes", reply.len());
            let expected = match bytes {
                SHOWN_BYTES_MAX => Reply::Differs(Some(value)),
                bytes => Reply::DiffersFromLargeValue(bytes as u64),
            };
            assert_eq!(Reply::decode(&reply), Some(expected));
        }
    }

    #[test]
    fn a_scan_continues_after_the_last_key() {
        let store = filled();
        let scan = |after, limit| keys(query(&store, Query::Scan { prefix: b"a", after, limit }));
        assert_eq!(scan(None, 2), (vec!["a".to_owned(), "ab".to_owned()], true));
        assert_eq!(scan(Some(b"ab"), 2), (vec!["abc".to_owned()], false));
        assert_eq!(scan(Some(b"abc"), 2), (vec![], false));
        assert_eq!(scan(Some(b""), 9).0.len(), 3, "keys before the prefix are excluded");
    }

    #[test]
    fn an_answer_is_bounded() {
        let (mut store, large) = (Store::default(), vec![0; ANSWER_BYTES_MAX]);
        for key in [b"a", b"b"] {
            apply(&mut store, Command::Put { key, value: &large });
        }
        let all = Query::Scan { prefix: b"", after: None, limit: 9 };
        assert_eq!(keys(query(&store, all)), (vec!["a".to_owned()], true));
    }

    #[test]
    fn a_snapshot_is_not_changed_by_later_commands() {
        let mut store = filled();
        let mut snapshot = store.snapshot();
        apply(&mut store, Command::Delete { key: b"ab" });
        let mut other = Store::default();
        other.restore(&mut snapshot).expect("the snapshot is complete");
        assert_eq!(other.map, filled().map);
        assert_ne!(other.map, store.map);
    }

    fn administer(store: &mut Store, command: QuotaCommand) -> Reply {
        Reply::decode(&store.administer(Index(1), &command.encode())).expect("a valid reply")
    }

    #[test]
    fn after_the_quota_is_reached_no_write_grows_the_store_until_the_alarm_is_cleared() {
        let mut store = Store::default();
        let max = 2 * bytes_of(b"a", b"1");
        assert_eq!(administer(&mut store, QuotaCommand::SetBytes(max)), Reply::Done(None));
        let put = |key, value| Command::Put { key, value };
        assert_eq!(apply(&mut store, put(b"a", b"1")), Reply::Done(None));
        assert_eq!(apply(&mut store, put(b"b", b"12")), Reply::NoSpace(max));
        assert_eq!(apply(&mut store, put(b"b", b"1")), Reply::NoSpace(max), "it would fit");
        let grow = Command::CompareAndSet { key: b"a", expected: Some(b"1"), value: Some(b"12") };
        assert_eq!(apply(&mut store, grow), Reply::NoSpace(max));
        assert_eq!(query(&store, Query::Get { key: b"a" }), Answer::Value(Some(b"1".to_vec())));
        assert_eq!(apply(&mut store, put(b"a", b"2")), Reply::Done(Some(b"1".to_vec())));
        let mut restored = Store::default();
        restored.restore(&mut store.snapshot()).expect("the snapshot is complete");
        assert_eq!(restored.quota(), store.quota());
        for store in [&mut store, &mut restored] {
            let deleted = apply(store, Command::Delete { key: b"a" });
            assert_eq!(deleted, Reply::Done(Some(b"2".to_vec())));
            assert_eq!(administer(store, QuotaCommand::ClearAlarm), Reply::Done(None));
            assert_eq!(apply(store, put(b"b", b"12")), Reply::Done(None));
        }
    }

    #[test]
    fn the_alarm_stays_while_the_quota_is_exceeded() {
        let mut store = filled();
        administer(&mut store, QuotaCommand::SetBytes(1));
        assert_eq!(administer(&mut store, QuotaCommand::ClearAlarm), Reply::NoSpace(1));
        assert_eq!(Reply::decode(&store.administer(Index(1), b"other")), Some(Reply::Invalid));
    }

    #[test]
    fn an_invalid_command_changes_nothing() {
        let mut store = filled();
        assert_eq!(Reply::decode(&store.apply(Index(1), b"invalid")), Some(Reply::Invalid));
        assert_eq!(store.map, filled().map);
    }

    #[test]
    fn a_query_conflicts_only_with_commands_on_its_keys() {
        let test = Store::default().conflict_test();
        let put = Command::Put { key: b"ab", value: b"1" }.encode();
        assert!(test.may_change(&Query::Get { key: b"ab" }.encode(), &put));
        assert!(!test.may_change(&Query::Get { key: b"a" }.encode(), &put));
        let scan = |prefix| Query::Scan { prefix, after: None, limit: 1 }.encode();
        assert!(test.may_change(&scan(b"a"), &put));
        assert!(!test.may_change(&scan(b"b"), &put));
    }
}
