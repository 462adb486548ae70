//! The key-value state machine: an ordered map in memory.

use std::io::{self, Read};
use std::ops::Bound;
use std::sync::Arc;

use quorate::machine::{ConflictTest, StateMachine};
use quorate::types::Index;

use crate::kv::messages::{Answer, Command, Pair, Query, Reply};
use crate::kv::snapshot::{Map, Snapshot, read_snapshot};

/// The most pairs in one answer.
const PAIRS_MAX: u32 = 4096;
/// The most bytes in one answer; a single larger pair is returned alone.
const ANSWER_BYTES_MAX: usize = 256 << 10;

/// The store of a node. A snapshot shares the map until the next command changes it.
#[derive(Debug, Default)]
pub(crate) struct Store(Arc<Map>);

impl Store {
    fn execute(&mut self, command: Command<'_>) -> Reply {
        let before = self.0.get(command.key()).map(|value| value.to_vec());
        let value = match command {
            Command::Put { value, .. } => Some(value),
            Command::Delete { .. } => None,
            Command::CompareAndSet { expected, .. } if before.as_deref() != expected => {
                return Reply::Differs(before);
            }
            Command::CompareAndSet { value, .. } => value,
        };
        let map = Arc::make_mut(&mut self.0);
        match value {
            Some(value) => drop(map.insert(command.key().into(), value.into())),
            None => drop(map.remove(command.key())),
        }
        Reply::Done(before)
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: u32) -> Answer {
        let limit = usize::try_from(limit.min(PAIRS_MAX)).unwrap_or(usize::MAX);
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let mut pairs: Vec<Pair> = Vec::new();
        let mut bytes = 0;
        let range = self.0.range::<[u8], _>((from, Bound::Unbounded));
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

impl StateMachine for Store {
    fn apply(&mut self, _: Index, command: &[u8]) -> Vec<u8> {
        match Command::decode(command) {
            Some(command) => self.execute(command).encode(),
            None => Reply::Invalid.encode(),
        }
    }

    fn query(&self, query: &[u8]) -> Vec<u8> {
        let answer = match Query::decode(query) {
            Some(Query::Get { key }) => Answer::Value(self.0.get(key).map(|value| value.to_vec())),
            Some(Query::Scan { prefix, after, limit }) => self.scan(prefix, after, limit),
            None => Answer::Invalid,
        };
        answer.encode()
    }

    fn snapshot(&self) -> Box<dyn Read + Send> {
        Box::new(Snapshot::of(Arc::clone(&self.0)))
    }

    fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()> {
        self.0 = Arc::new(read_snapshot(snapshot)?);
        Ok(())
    }

    fn conflict_test(&self) -> ConflictTest {
        ConflictTest::new(|query, command| {
            let Some(command) = Command::decode(command) else { return false };
            match Query::decode(query) {
                Some(Query::Get { key }) => key == command.key(),
                Some(Query::Scan { prefix, .. }) => command.key().starts_with(prefix),
                None => false,
            }
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
        assert_eq!(other.0, filled().0);
        assert_ne!(other.0, store.0);
    }

    #[test]
    fn an_invalid_command_changes_nothing() {
        let mut store = filled();
        assert_eq!(Reply::decode(&store.apply(Index(1), b"invalid")), Some(Reply::Invalid));
        assert_eq!(store.0, filled().0);
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
