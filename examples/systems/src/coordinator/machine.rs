//! The state machine of the coordinator: keys and values.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::ops::Bound;

use quorate::machine::{ConflictTest, StateMachine};
use quorate::types::Index;

use crate::common::{codec, rows};
use crate::coordinator::message::{
    Command, KEY_BYTES_MAX, PAGE_MAX, Query, RejectReason, Reply, VALUE_BYTES_MAX,
};

/// The maximum number of keys.
pub const KEYS_MAX: usize = 100_000;

/// The state machine: the value of each key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pairs(BTreeMap<String, String>);

impl Pairs {
    /// Returns the pairs in key order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    fn put(&mut self, key: String, value: String) -> Reply {
        if let Err(rejected) = check_key(&key) {
            return rejected;
        }
        if value.len() > VALUE_BYTES_MAX {
            return Reply::Rejected(RejectReason::Value(value.len() as u64));
        }
        if self.0.len() >= KEYS_MAX && !self.0.contains_key(&key) {
            return Reply::Rejected(RejectReason::Full);
        }
        self.0.insert(key, value);
        Reply::Put
    }

    fn put_if(&mut self, key: String, expected: Option<&str>, value: String) -> Reply {
        if let Err(rejected) = check_key(&key) {
            return rejected;
        }
        let current = self.0.get(&key);
        if current.map(String::as_str) != expected {
            let value = current.cloned();
            return Reply::Rejected(RejectReason::ValueDiffers { key, value });
        }
        self.put(key, value)
    }

    fn delete(&mut self, key: String) -> Reply {
        if let Err(rejected) = check_key(&key) {
            return rejected;
        }
        match self.0.remove(&key) {
            Some(value) => Reply::Deleted(value),
            None => Reply::Rejected(RejectReason::NoValue(key)),
        }
    }

    fn get(&self, key: String) -> Reply {
        if let Err(rejected) = check_key(&key) {
            return rejected;
        }
        match self.0.get(&key) {
            Some(value) => Reply::Value(value.clone()),
            None => Reply::Rejected(RejectReason::NoValue(key)),
        }
    }

    fn page(&self, after: Option<&str>) -> Reply {
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let pairs = self.0.range::<str, _>((after, Bound::Unbounded)).take(PAGE_MAX);
        Reply::Pairs(pairs.map(|(key, value)| (key.clone(), value.clone())).collect())
    }
}

/// Returns the rejection of a key that is not valid. The rejection has only the beginning of the
/// key, because the size of a reply is bounded.
fn check_key(key: &str) -> Result<(), Reply> {
    match (1..=KEY_BYTES_MAX).contains(&key.len()) {
        true => Ok(()),
        false => Err(Reply::Rejected(RejectReason::Key(key.chars().take(KEY_BYTES_MAX).collect()))),
    }
}

impl StateMachine for Pairs {
    fn apply(&mut self, _: Index, command: &[u8]) -> Vec<u8> {
        codec::encode(&match codec::decode(command) {
            Some(Command::Put { key, value }) => self.put(key, value),
            Some(Command::PutIf { key, expected, value }) => {
                self.put_if(key, expected.as_deref(), value)
            }
            Some(Command::Delete { key }) => self.delete(key),
            None => Reply::Rejected(RejectReason::InvalidRequest),
        })
    }

    fn query(&self, query: &[u8]) -> Vec<u8> {
        codec::encode(&match codec::decode(query) {
            Some(Query::Get(key)) => self.get(key),
            Some(Query::Pairs(after)) => self.page(after.as_deref()),
            None => Reply::Rejected(RejectReason::InvalidRequest),
        })
    }

    fn snapshot(&self) -> Box<dyn Read + Send> {
        rows::write(self.0.clone().into_iter())
    }

    fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()> {
        self.0.clear();
        rows::read(snapshot, |(key, value)| drop(self.0.insert(key, value)))
    }

    /// Returns the test that a command conflicts with reads of its key, and with pages that may
    /// contain its key.
    fn conflict_test(&self) -> ConflictTest {
        let decode = codec::decode::<Command>;
        ConflictTest::new(move |query| match codec::decode(query) {
            Some(Query::Get(key)) => {
                Box::new(move |command| decode(command).is_some_and(|it| it.key() == key))
            }
            Some(Query::Pairs(after)) => Box::new(move |command| {
                let is_after = |key: &str| after.as_ref().is_none_or(|after| key > after.as_str());
                decode(command).is_some_and(|command| is_after(command.key()))
            }),
            None => Box::new(|_| false),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &str, value: &str) -> Command {
        Command::Put { key: key.to_owned(), value: value.to_owned() }
    }

    fn put_if(key: &str, expected: Option<&str>, value: &str) -> Command {
        let [key, value] = [key, value].map(str::to_owned);
        Command::PutIf { key, expected: expected.map(str::to_owned), value }
    }

    fn delete(key: &str) -> Command {
        Command::Delete { key: key.to_owned() }
    }

    fn get(key: &str) -> Query {
        Query::Get(key.to_owned())
    }

    fn apply(pairs: &mut Pairs, command: &Command) -> Reply {
        let reply = pairs.apply(Index(1), &codec::encode(command));
        codec::decode(&reply).expect("it is a reply")
    }

    fn query(pairs: &Pairs, query: &Query) -> Reply {
        codec::decode(&pairs.query(&codec::encode(query))).expect("it is a reply")
    }

    #[test]
    fn a_key_has_the_last_value_until_it_is_deleted() {
        let mut pairs = Pairs::default();
        let no_value = Reply::Rejected(RejectReason::NoValue("a".to_owned()));
        assert_eq!(query(&pairs, &get("a")), no_value);
        assert_eq!(apply(&mut pairs, &put("a", "1")), Reply::Put);
        assert_eq!(apply(&mut pairs, &put("a", "2")), Reply::Put);
        assert_eq!(query(&pairs, &get("a")), Reply::Value("2".to_owned()));
        assert_eq!(apply(&mut pairs, &delete("a")), Reply::Deleted("2".to_owned()));
        assert_eq!(apply(&mut pairs, &delete("a")), no_value);
        assert_eq!(query(&pairs, &get("a")), no_value);
    }

    #[test]
    fn a_conditional_put_requires_the_expected_value() {
        let mut pairs = Pairs::default();
        let other = |value: Option<&str>| {
            let (key, value) = ("a".to_owned(), value.map(str::to_owned));
            Reply::Rejected(RejectReason::ValueDiffers { key, value })
        };
        assert_eq!(apply(&mut pairs, &put_if("a", Some("1"), "2")), other(None));
        assert_eq!(apply(&mut pairs, &put_if("a", None, "1")), Reply::Put);
        assert_eq!(apply(&mut pairs, &put_if("a", None, "2")), other(Some("1")));
        assert_eq!(apply(&mut pairs, &put_if("a", Some("0"), "2")), other(Some("1")));
        assert_eq!(apply(&mut pairs, &put_if("a", Some("1"), "2")), Reply::Put);
        assert_eq!(query(&pairs, &get("a")), Reply::Value("2".to_owned()));
    }

    #[test]
    fn pairs_are_paged_in_key_order() {
        let mut pairs = Pairs::default();
        let key = |number: usize| format!("{number:03}{}", "k".repeat(KEY_BYTES_MAX - 3));
        let value = "v".repeat(VALUE_BYTES_MAX);
        for number in (0..=PAGE_MAX).rev() {
            assert_eq!(apply(&mut pairs, &put(&key(number), &value)), Reply::Put);
        }
        let page = |after| query(&pairs, &Query::Pairs(after));
        let first = (0..PAGE_MAX).map(|number| (key(number), value.clone())).collect();
        assert_eq!(page(None), Reply::Pairs(first), "a page of the longest pairs fits");
        let rest = vec![(key(PAGE_MAX), value.clone())];
        assert_eq!(page(Some(key(PAGE_MAX - 1))), Reply::Pairs(rest));
        assert_eq!(page(Some(key(PAGE_MAX))), Reply::Pairs(Vec::new()));
    }

    #[test]
    fn requests_out_of_bounds_are_rejected() {
        let mut pairs = Pairs::default();
        for key in [String::new(), "x".repeat(KEY_BYTES_MAX + 1)] {
            for reply in [
                apply(&mut pairs, &put(&key, "1")),
                apply(&mut pairs, &put_if(&key, None, "1")),
                apply(&mut pairs, &put_if(&key, Some("0"), "1")),
                apply(&mut pairs, &delete(&key)),
                query(&pairs, &get(&key)),
            ] {
                assert!(matches!(reply, Reply::Rejected(RejectReason::Key(_))), "{reply:?}");
            }
        }
        let long = "x".repeat(VALUE_BYTES_MAX + 1);
        let rejected = Reply::Rejected(RejectReason::Value(long.len() as u64));
        assert_eq!(apply(&mut pairs, &put("a", &long)), rejected);
        assert_eq!(apply(&mut pairs, &put_if("a", None, &long)), rejected);
        let invalid = Some(Reply::Rejected(RejectReason::InvalidRequest));
        assert_eq!(codec::decode(&pairs.apply(Index(1), &[])), invalid);
        assert_eq!(codec::decode(&pairs.query(&[])), invalid);
        assert_eq!(pairs, Pairs::default(), "the state is unchanged");
    }

    #[test]
    fn a_new_key_beyond_the_limit_is_rejected_and_existing_keys_can_change() {
        let mut pairs = Pairs::default();
        pairs.0.extend((0..KEYS_MAX).map(|number| (number.to_string(), String::new())));
        assert_eq!(apply(&mut pairs, &put("one more", "1")), Reply::Rejected(RejectReason::Full));
        assert_eq!(apply(&mut pairs, &put("0", "1")), Reply::Put);
    }

    #[test]
    fn a_snapshot_contains_all_pairs() {
        let mut pairs = Pairs::default();
        for key in ["a", "b"] {
            assert_eq!(apply(&mut pairs, &put(key, "1")), Reply::Put);
        }
        let mut restored = Pairs::default();
        assert_eq!(apply(&mut restored, &put("c", "1")), Reply::Put);
        restored.restore(&mut pairs.snapshot()).expect("it is a snapshot");
        assert_eq!(restored, pairs);
    }

    #[test]
    fn a_read_waits_only_for_commands_that_may_change_its_answer() {
        let test = Pairs::default().conflict_test();
        let changes = |query: Query, command: &Command| {
            test.may_change(&codec::encode(&query), &codec::encode(command))
        };
        for command in [put("b", "1"), put_if("b", None, "1"), delete("b")] {
            assert!(changes(get("b"), &command));
            assert!(!changes(get("a"), &command));
            assert!(changes(Query::Pairs(None), &command));
            assert!(changes(Query::Pairs(Some("a".to_owned())), &command));
            assert!(!changes(Query::Pairs(Some("b".to_owned())), &command));
        }
        assert!(!test.may_change(&codec::encode(&get("b")), &[]), "the bytes are not a command");
    }
}
