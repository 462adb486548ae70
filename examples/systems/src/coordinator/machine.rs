//! Keys and their values, and what commands do to them. It knows nothing of nodes.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::ops::Bound;

use quorate::machine::{ConflictTest, StateMachine};
use quorate::types::Index;

use crate::common::{codec, rows};
use crate::coordinator::message::{
    Command, KEY_BYTES_MAX, PAGE_MAX, Query, Refusal, Reply, VALUE_BYTES_MAX,
};

/// The most keys that have a value at the same time.
pub const KEYS_MAX: usize = 100_000;

/// Keys that have a value, and the values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pairs(BTreeMap<String, String>);

impl Pairs {
    /// The pairs by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    fn put(&mut self, key: String, value: String) -> Reply {
        if !(1..=KEY_BYTES_MAX).contains(&key.len()) {
            return Reply::Refused(Refusal::Key(key.chars().take(KEY_BYTES_MAX).collect()));
        }
        if value.len() > VALUE_BYTES_MAX {
            return Reply::Refused(Refusal::Value(value.len() as u64));
        }
        if self.0.len() >= KEYS_MAX && !self.0.contains_key(&key) {
            return Reply::Refused(Refusal::Full);
        }
        self.0.insert(key, value);
        Reply::Put
    }

    fn put_if(&mut self, key: String, expected: Option<&str>, value: String) -> Reply {
        let found = self.0.get(&key);
        if found.map(String::as_str) != expected {
            let value = found.cloned();
            return Reply::Refused(Refusal::Other { key, value });
        }
        self.put(key, value)
    }

    fn delete(&mut self, key: String) -> Reply {
        match self.0.remove(&key) {
            Some(value) => Reply::Deleted(value),
            None => Reply::Refused(Refusal::NoValue(key)),
        }
    }

    fn get(&self, key: String) -> Reply {
        match self.0.get(&key) {
            Some(value) => Reply::Value(value.clone()),
            None => Reply::Refused(Refusal::NoValue(key)),
        }
    }

    fn page(&self, after: Option<&str>) -> Reply {
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let pairs = self.0.range::<str, _>((after, Bound::Unbounded)).take(PAGE_MAX);
        Reply::Pairs(pairs.map(|(key, value)| (key.clone(), value.clone())).collect())
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
            None => Reply::Refused(Refusal::Malformed),
        })
    }

    fn query(&self, query: &[u8]) -> Vec<u8> {
        codec::encode(&match codec::decode(query) {
            Some(Query::Get(key)) => self.get(key),
            Some(Query::Pairs(after)) => self.page(after.as_deref()),
            None => Reply::Refused(Refusal::Malformed),
        })
    }

    fn snapshot(&self) -> Box<dyn Read + Send> {
        rows::write(self.0.clone().into_iter())
    }

    fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()> {
        self.0.clear();
        rows::read(snapshot, |(key, value)| drop(self.0.insert(key, value)))
    }

    /// A command changes what is told of its own key, and no page of keys before it.
    fn conflict_test(&self) -> ConflictTest {
        ConflictTest::new(|query, command| {
            let Some(command) = codec::decode::<Command>(command) else { return false };
            match codec::decode(query) {
                Some(Query::Get(key)) => command.key() == key,
                Some(Query::Pairs(after)) => after.is_none_or(|after| *command.key() > *after),
                None => false,
            }
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

    fn order(pairs: &mut Pairs, command: &Command) -> Reply {
        let told = pairs.apply(Index(1), &codec::encode(command));
        codec::decode(&told).expect("it is a reply")
    }

    fn ask(pairs: &Pairs, query: &Query) -> Reply {
        codec::decode(&pairs.query(&codec::encode(query))).expect("it is a reply")
    }

    #[test]
    fn a_key_has_what_was_put_last_until_it_is_deleted() {
        let mut pairs = Pairs::default();
        let no_value = Reply::Refused(Refusal::NoValue("a".to_owned()));
        assert_eq!(ask(&pairs, &get("a")), no_value);
        assert_eq!(order(&mut pairs, &put("a", "1")), Reply::Put);
        assert_eq!(order(&mut pairs, &put("a", "2")), Reply::Put);
        assert_eq!(ask(&pairs, &get("a")), Reply::Value("2".to_owned()));
        assert_eq!(order(&mut pairs, &delete("a")), Reply::Deleted("2".to_owned()));
        assert_eq!(order(&mut pairs, &delete("a")), no_value);
        assert_eq!(ask(&pairs, &get("a")), no_value);
    }

    #[test]
    fn a_value_is_put_only_over_the_one_expected() {
        let mut pairs = Pairs::default();
        let other = |value: Option<&str>| {
            let (key, value) = ("a".to_owned(), value.map(str::to_owned));
            Reply::Refused(Refusal::Other { key, value })
        };
        assert_eq!(order(&mut pairs, &put_if("a", Some("1"), "2")), other(None));
        assert_eq!(order(&mut pairs, &put_if("a", None, "1")), Reply::Put);
        assert_eq!(order(&mut pairs, &put_if("a", None, "2")), other(Some("1")));
        assert_eq!(order(&mut pairs, &put_if("a", Some("0"), "2")), other(Some("1")));
        assert_eq!(order(&mut pairs, &put_if("a", Some("1"), "2")), Reply::Put);
        assert_eq!(ask(&pairs, &get("a")), Reply::Value("2".to_owned()));
    }

    #[test]
    fn pairs_come_in_pages_by_key() {
        let mut pairs = Pairs::default();
        let key = |number: usize| format!("{number:03}{}", "k".repeat(KEY_BYTES_MAX - 3));
        let value = "v".repeat(VALUE_BYTES_MAX);
        for number in (0..=PAGE_MAX).rev() {
            assert_eq!(order(&mut pairs, &put(&key(number), &value)), Reply::Put);
        }
        let page = |after| ask(&pairs, &Query::Pairs(after));
        let first = (0..PAGE_MAX).map(|number| (key(number), value.clone())).collect();
        assert_eq!(page(None), Reply::Pairs(first), "the longest ones fit into a word");
        let rest = vec![(key(PAGE_MAX), value.clone())];
        assert_eq!(page(Some(key(PAGE_MAX - 1))), Reply::Pairs(rest));
        assert_eq!(page(Some(key(PAGE_MAX))), Reply::Pairs(Vec::new()));
    }

    #[test]
    fn what_is_out_of_bounds_is_refused() {
        let mut pairs = Pairs::default();
        for key in [String::new(), "x".repeat(KEY_BYTES_MAX + 1)] {
            let told = order(&mut pairs, &put(&key, "1"));
            assert!(matches!(told, Reply::Refused(Refusal::Key(_))), "{told:?}");
        }
        let long = "x".repeat(VALUE_BYTES_MAX + 1);
        let refused = Reply::Refused(Refusal::Value(long.len() as u64));
        assert_eq!(order(&mut pairs, &put("a", &long)), refused);
        assert_eq!(order(&mut pairs, &put_if("a", None, &long)), refused);
        let malformed = Some(Reply::Refused(Refusal::Malformed));
        assert_eq!(codec::decode(&pairs.apply(Index(1), &[])), malformed);
        assert_eq!(codec::decode(&pairs.query(&[])), malformed);
        assert_eq!(pairs, Pairs::default(), "nothing happened");
    }

    #[test]
    fn no_key_too_many_is_taken_and_those_that_are_there_change() {
        let mut pairs = Pairs::default();
        pairs.0.extend((0..KEYS_MAX).map(|number| (number.to_string(), String::new())));
        assert_eq!(order(&mut pairs, &put("one more", "1")), Reply::Refused(Refusal::Full));
        assert_eq!(order(&mut pairs, &put("0", "1")), Reply::Put);
    }

    #[test]
    fn a_snapshot_is_all_of_it() {
        let mut pairs = Pairs::default();
        for key in ["a", "b"] {
            assert_eq!(order(&mut pairs, &put(key, "1")), Reply::Put);
        }
        let mut restored = Pairs::default();
        assert_eq!(order(&mut restored, &put("c", "1")), Reply::Put);
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
        assert!(!test.may_change(&codec::encode(&get("b")), &[]), "it is no command");
    }
}
