//! The explanation of a failure: sentences about events, oldest first, and one sentence of cause.

use std::collections::BTreeMap;
use std::fmt;

use quorate_page::document::Sentence;

use crate::record::EventId;
use crate::values::time::SimTime;

/// The explanation of a failure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    /// The failure in the words of the violated check.
    pub finding: String,
    /// The events that led to the failure, oldest first; at most [`Explanation::FACTS_MAX`].
    pub facts: Vec<Fact>,
    /// The cause of the failure in one sentence.
    pub cause: String,
}

/// One event that led to a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// The number of the event in the recording.
    pub id: EventId,
    /// The simulated time of the event.
    pub at: SimTime,
    /// The description of the event, in one sentence.
    pub sentence: String,
}

/// An explanation under construction; facts are added in any order.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    /// The sentences about each event; several sentences are joined into one fact.
    facts: BTreeMap<EventId, (SimTime, Vec<String>)>,
    cause: String,
}

impl Explanation {
    /// The maximum number of facts; the oldest facts are dropped.
    pub const FACTS_MAX: usize = 15;

    /// Returns the sentences for a page: the facts, and the cause.
    #[must_use]
    pub fn page_sentences(&self) -> Vec<Sentence> {
        let fact =
            |fact: &Fact| Sentence { text: fact.sentence.clone(), event: Some(fact.id.0 - 1) };
        let cause = Sentence { text: format!("Cause: {}", self.cause), event: None };
        self.facts.iter().map(fact).chain([cause]).collect()
    }
}

impl Draft {
    /// Adds a sentence about an event, unless the same sentence is already there.
    pub(super) fn fact(&mut self, id: EventId, at: SimTime, sentence: impl Into<String>) {
        let sentence = sentence.into();
        let (_, sentences) = self.facts.entry(id).or_insert_with(|| (at, Vec::new()));
        // A sentence replaces an earlier one that it begins with.
        sentences.retain(|earlier| !sentence.starts_with(earlier.as_str()));
        if !sentences.iter().any(|earlier| earlier.starts_with(&sentence)) {
            sentences.push(sentence);
        }
    }

    /// Whether the draft has a fact about the event.
    pub(super) fn has_fact(&self, id: EventId) -> bool {
        self.facts.contains_key(&id)
    }

    /// Sets the cause, unless it is already set.
    pub(super) fn cause(&mut self, sentence: impl Into<String>) {
        if self.cause.is_empty() {
            self.cause = sentence.into();
        }
    }

    /// Sets the cause in place of any other.
    pub(super) fn replace_cause(&mut self, sentence: String) {
        self.cause = sentence;
    }

    /// Whether the cause is set.
    pub(super) fn has_cause(&self) -> bool {
        !self.cause.is_empty()
    }

    /// Returns the explanation with its latest facts.
    pub(super) fn finish(self, finding: String) -> Explanation {
        let too_many = self.facts.len().saturating_sub(Explanation::FACTS_MAX);
        let facts = self.facts.into_iter().skip(too_many);
        let facts =
            facts.map(|(id, (at, sentence))| Fact { id, at, sentence: sentence.join("; ") });
        Explanation { finding, facts: facts.collect(), cause: self.cause }
    }
}

impl fmt::Display for Explanation {
    /// Writes one line for each sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.finding)?;
        writeln!(f)?;
        for Fact { id, at, sentence } in &self.facts {
            writeln!(f, "{at:>10} s  {id:<7} {sentence}")?;
        }
        writeln!(f)?;
        writeln!(f, "cause: {}", self.cause)
    }
}
