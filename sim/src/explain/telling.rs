//! What is told of a failure: sentences about events, oldest first, and the cause in one.

use std::collections::BTreeMap;
use std::fmt;

use crate::record::EventId;
use crate::time::SimTime;

/// How a failure came about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Telling {
    /// What failed, in the words of the check.
    pub verdict: String,
    /// What led to it, oldest first.
    pub facts: Vec<Fact>,
    /// What was wrong, in one sentence.
    pub cause: String,
}

/// One event that led to a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// The event.
    pub id: EventId,
    /// When it was.
    pub at: SimTime,
    /// What happened, in a sentence.
    pub says: String,
}

/// Gathers what is to be told, in any order.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    /// By event; of several sentences about one event all are told, as one.
    facts: BTreeMap<EventId, (SimTime, Vec<String>)>,
    cause: String,
}

impl Telling {
    /// More sentences than this nobody reads: the oldest give way.
    pub const FACTS_MAX: usize = 15;
}

impl Draft {
    /// What happened in an event. Said twice, it is told once.
    pub(super) fn fact(&mut self, id: EventId, at: SimTime, says: impl Into<String>) {
        let says = says.into();
        let (_, sentences) = self.facts.entry(id).or_insert_with(|| (at, Vec::new()));
        // A sentence that says more takes the place of the one that it begins with.
        sentences.retain(|said| !says.starts_with(said.as_str()));
        if !sentences.iter().any(|said| said.starts_with(&says)) {
            sentences.push(says);
        }
    }

    /// Whether anything is told of the event.
    pub(super) fn tells(&self, id: EventId) -> bool {
        self.facts.contains_key(&id)
    }

    /// What was wrong. The first word counts.
    pub(super) fn cause(&mut self, says: impl Into<String>) {
        if self.cause.is_empty() {
            self.cause = says.into();
        }
    }

    /// Whether the cause is known.
    pub(super) fn has_cause(&self) -> bool {
        !self.cause.is_empty()
    }

    /// All of it, as far as anybody reads it.
    pub(super) fn told(self, verdict: String) -> Telling {
        let too_many = self.facts.len().saturating_sub(Telling::FACTS_MAX);
        let facts = self.facts.into_iter().skip(too_many);
        let facts = facts.map(|(id, (at, says))| Fact { id, at, says: says.join("; ") });
        Telling { verdict, facts: facts.collect(), cause: self.cause }
    }
}

impl fmt::Display for Telling {
    /// One line a sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.verdict)?;
        writeln!(f)?;
        for Fact { id, at, says } in &self.facts {
            writeln!(f, "{at:>10} s  {id:<7} {says}")?;
        }
        writeln!(f)?;
        writeln!(f, "cause: {}", self.cause)
    }
}
