//! Errands: what a person wants a client to ask the key-value store, and what is to come of it.

use std::fmt;

use quorate::types::ReadLevel;

use crate::plan::{Answer, Errand, Task, Who};
use crate::words::{self, Exact, Mistake, Words};

/// How a missing value is written.
const NOTHING: &str = "nothing";

/// The freshness of reads by name, the one that is not written first.
const LEVELS: [(ReadLevel, &str); 4] = [
    (ReadLevel::Linearizable, "linearizable"),
    (ReadLevel::Lease, "lease"),
    (ReadLevel::Replica, "replica"),
    (ReadLevel::Local, "local"),
];

impl Errand {
    /// The words that errands begin with.
    pub(crate) const NAMES: [&'static str; 3] = ["put", "cas", "get"];

    /// Whether this is what was expected of it.
    #[must_use]
    pub fn is_met_by(&self, answer: &Answer) -> bool {
        match (&self.task, answer) {
            (Task::Get(_, _, Some(expected)), Answer::Value(value)) => value == expected,
            (Task::Get(_, _, None), Answer::Value(_))
            | (Task::Put(..) | Task::Swap(..), Answer::Done) => true,
            _ => false,
        }
    }

    /// The key that it is about.
    #[must_use]
    pub fn key(&self) -> &str {
        match &self.task {
            Task::Put(key, _) | Task::Swap(key, ..) | Task::Get(key, ..) => key,
        }
    }

    /// What follows `put`.
    pub(super) fn put(words: &mut Words<'_>) -> Result<Errand, Mistake> {
        let what = "a key and its value, like x=1";
        let (key, value) = words.read(what, |word| pair(word).filter(|(_, v)| v != NOTHING))?;
        Errand { task: Task::Put(key, value), via: None, expected: false }.sent(words)
    }

    /// What follows `cas`.
    pub(super) fn swap(words: &mut Words<'_>) -> Result<Errand, Mistake> {
        let (key, from) = words.read("a key and its value, like x=1 or x=nothing", pair)?;
        words.need("->")?;
        let to = words.read("a value", |word| text(word).filter(|to| to != NOTHING))?;
        Errand { task: Task::Swap(key, value(from), to), via: None, expected: false }.sent(words)
    }

    /// What follows `get`, which names no value.
    pub(super) fn get(words: &mut Words<'_>) -> Result<Errand, Mistake> {
        let key = words.read("a key", text)?;
        Errand::read_of(key, None, words)
    }

    /// What follows `expect put`, `expect cas` or `expect get`, up to the time.
    pub(crate) fn expected(name: &str, words: &mut Words<'_>) -> Result<Errand, Mistake> {
        let errand = match name {
            "put" => Errand::put(words)?,
            "cas" => Errand::swap(words)?,
            _ => {
                let what = "a key and its value, like x=1 or x=nothing";
                let (key, expected) = words.read(what, pair)?;
                Errand::read_of(key, Some(value(expected)), words)?
            }
        };
        Ok(Errand { expected: true, ..errand })
    }

    fn read_of(
        key: String,
        expected: Option<Option<String>>,
        words: &mut Words<'_>,
    ) -> Result<Errand, Mistake> {
        let task = Task::Get(key.clone(), ReadLevel::Linearizable, expected.clone());
        let errand = Errand { task, via: None, expected: false }.sent(words)?;
        let level = match words.peek().filter(|word| !["at", ","].contains(word)) {
            None => ReadLevel::Linearizable,
            Some(word) => match words::duration(word) {
                Some(age) => {
                    words.duration()?;
                    ReadLevel::Bounded(age)
                }
                None => {
                    let names = LEVELS.map(|(_, name)| name);
                    LEVELS[words.name("freshness of a read", &names)?].0
                }
            },
        };
        Ok(Errand { task: Task::Get(key, level, expected), ..errand })
    }

    /// The errand with the node that is asked, if one is named.
    fn sent(self, words: &mut Words<'_>) -> Result<Errand, Mistake> {
        let via = if words.accept("via") { Some(Who::read(words)?) } else { None };
        Ok(Errand { via, ..self })
    }
}

/// A key or a value: letters, digits and a few signs, and no word that names a node.
fn text(word: &str) -> Option<String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._/".contains(c);
    let is_text = !word.is_empty() && word.len() <= 64 && word.chars().all(fits);
    (is_text && words::nodes_in(word).next().is_none()).then(|| word.to_owned())
}

fn pair(word: &str) -> Option<(String, String)> {
    let (key, value) = word.split_once('=')?;
    Some((text(key)?, text(value)?))
}

/// The value that the word means.
fn value(word: String) -> Option<String> {
    (word != NOTHING).then_some(word)
}

/// How a value is written.
struct Written<'a>(&'a Option<String>);

impl fmt::Display for Written<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_deref().unwrap_or(NOTHING))
    }
}

impl fmt::Display for Errand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.task {
            Task::Put(key, value) => write!(f, "put {key}={value}")?,
            Task::Swap(key, from, to) => write!(f, "cas {key}={} -> {to}", Written(from))?,
            Task::Get(key, _, None) => write!(f, "get {key}")?,
            Task::Get(key, _, Some(value)) => write!(f, "get {key}={}", Written(value))?,
        }
        if let Some(via) = self.via {
            write!(f, " via {via}")?;
        }
        match self.task {
            Task::Get(_, ReadLevel::Bounded(age), _) => write!(f, " {}", Exact(age)),
            Task::Get(_, level, _) if level != ReadLevel::Linearizable => {
                let name = LEVELS.iter().find(|(known, _)| *known == level);
                write!(f, " {}", name.map_or("", |(_, name)| name))
            }
            _ => Ok(()),
        }
    }
}

impl Answer {
    /// What it says about the errand's key.
    #[must_use]
    pub fn about(&self, key: &str) -> String {
        match self {
            Answer::Done => "that it was done".to_owned(),
            Answer::Value(value) => format!("{key}={}", Written(value)),
            Answer::Silence => "no answer".to_owned(),
        }
    }
}
