//! What one seed came to.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use quorate::types::NodeId;

use crate::digest::mix;
use crate::distinct::Distinct;
use crate::observe::{Violation, in_one_line};
use crate::plan::Answer;
use crate::time::SimTime;

/// What one seed came to. The same seed, profile and options give the same outcome on every
/// machine and in every build profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// A rolling hash over every event of the run.
    pub digest: u64,
    /// What was counted on the way.
    pub tally: Tally,
    /// How often each coverage mark was reached, by mark; see `coverage`.
    pub marks: Vec<u32>,
    /// The abstract states that it came through, where the search is led by them.
    pub states: Distinct,
    /// What a person can have seen of it.
    pub sightings: Sightings,
    /// Why the run failed, if it did.
    pub failure: Option<Failure>,
}

/// What a person can see of a run from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sightings {
    /// What came of each errand, in the order in which they began.
    pub answers: Vec<Answered>,
    /// Who led, in the order of time; nobody did before.
    pub reigns: Vec<Reign>,
}

/// What came of an errand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Which operation of the plan it was.
    pub op: usize,
    /// When it began.
    pub since: SimTime,
    /// What came of it.
    pub answer: Answer,
}

/// From when on a node leads in the highest term of all that do, or none leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reign {
    /// When it began.
    pub since: SimTime,
    /// The node.
    pub leader: Option<NodeId>,
}

impl Sightings {
    /// Who led at a time.
    #[must_use]
    pub fn leader(&self, at: SimTime) -> Option<NodeId> {
        let begun = self.reigns.iter().rev().find(|reign| reign.since <= at);
        begun.and_then(|reign| reign.leader)
    }

    /// The first that led between two times.
    #[must_use]
    pub fn first_leader(&self, from: SimTime, to: SimTime) -> Option<NodeId> {
        let within = |reign: &&Reign| (from..=to).contains(&reign.since);
        let begun = self.reigns.iter().filter(within).find_map(|reign| reign.leader);
        self.leader(from).or(begun)
    }

    /// What came of an operation of the plan, the first time that it was an errand.
    #[must_use]
    pub fn answer(&self, op: usize) -> Option<&Answer> {
        self.answers.iter().find(|answered| answered.op == op).map(|answered| &answered.answer)
    }
}

/// Counts of one run, or of many added up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Inputs delivered to a node, and network, timer and disk completions.
    pub events: u64,
    /// Simulated time.
    pub simulated: Duration,
    /// Faults that landed, by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// Elections won.
    pub elections: u64,
    /// Times the cluster's leader became another node.
    pub leader_changes: u64,
    /// Commands of clients that were committed.
    pub commands_committed: u64,
    /// Entries committed, of any kind.
    pub entries_committed: u64,
    /// Client operations whose outcome was checked.
    pub operations_checked: u64,
    /// Messages given to the network.
    pub messages: u64,
}

/// Why a run failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A safety check saw something wrong.
    Safety(Violation),
    /// A liveness check saw nothing where progress was due.
    Liveness(Violation),
    /// The core or a state machine panicked.
    Panic(String),
    /// The second run of the seed had another digest.
    Nondeterminism(String),
    /// Simulated time stopped advancing: the events themselves beget events.
    Stalled(String),
}

impl Outcome {
    /// Adds the next run of the same seed: how that one ended is how the whole did.
    pub(crate) fn add(&mut self, next: Outcome) {
        // Taken apart in full, so that nothing to come is forgotten here.
        let Outcome { seed: _, digest, tally, marks, states, sightings, failure } = next;
        self.digest = mix(self.digest, digest);
        self.tally.add(&tally);
        let marks = self.marks.iter_mut().zip(marks);
        marks.for_each(|(all, more)| *all = all.saturating_add(more));
        self.states.extend(states.iter());
        (self.sightings, self.failure) = (sightings, failure);
    }
}

impl Tally {
    /// Adds what another run came to.
    pub fn add(&mut self, other: &Tally) {
        // Taken apart in full, so that no count to come is forgotten here.
        let Tally {
            events,
            simulated,
            faults,
            elections,
            leader_changes,
            commands_committed,
            entries_committed,
            operations_checked,
            messages,
        } = other;
        self.events += events;
        self.simulated += *simulated;
        for (kind, landed) in faults {
            *self.faults.entry(kind).or_default() += landed;
        }
        self.elections += elections;
        self.leader_changes += leader_changes;
        self.commands_committed += commands_committed;
        self.entries_committed += entries_committed;
        self.operations_checked += operations_checked;
        self.messages += messages;
    }
}

impl Failure {
    /// The failure of a run in which a check found something wrong.
    pub(crate) fn of(violation: Violation) -> Failure {
        let liveness = violation.number.starts_with('L');
        if liveness { Failure::Liveness(violation) } else { Failure::Safety(violation) }
    }

    /// The failure of a run that ended in a panic with this payload.
    pub(crate) fn panicked(payload: &(dyn Any + Send)) -> Failure {
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        Failure::Panic(in_one_line(text.unwrap_or("a panic without a message")))
    }
}

impl fmt::Display for Failure {
    /// In one line: what failed, and what was seen.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Safety(Violation { number, check, saw, at, .. })
            | Failure::Liveness(Violation { number, check, saw, at, .. }) => {
                write!(f, "{number} {check} at {at} s: {saw}")
            }
            Failure::Panic(text) => write!(f, "panic: {text}"),
            Failure::Nondeterminism(text) => write!(f, "not deterministic: {text}"),
            Failure::Stalled(text) => write!(f, "stalled: {text}"),
        }
    }
}
