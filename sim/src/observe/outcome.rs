//! The outcome of one seed.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::mem;
use std::time::Duration;

use quorate::types::NodeId;

use crate::faults::ScriptedOutcome;
use crate::observe::combinations::Combinations;
use crate::observe::{Violation, in_one_line};
use crate::values::digest::mix;
use crate::values::distinct::DistinctCount;
use crate::values::time::SimTime;

/// The outcome of one seed. The same seed, profile and options have the same outcome on every
/// machine and in every build profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The seed of the run.
    pub seed: u64,
    /// A rolling hash over every event of the run.
    pub digest: u64,
    /// The counts of the run.
    pub tally: Tally,
    /// The number of times that each coverage mark was reached, by mark; see `coverage`.
    pub marks: Vec<u32>,
    /// The number of distinct abstract states of the run; they are counted only with the guided
    /// strategy.
    pub states: DistinctCount,
    /// The results of the run's scripted requests, and its leaders over time.
    pub scripted: ScriptedResults,
    /// The reason why the run failed, if it did.
    pub failure: Option<Failure>,
}

/// The observations that a scenario's expectations are checked against.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScriptedResults {
    /// The outcomes of the scripted requests, in the order in which they started.
    pub requests: Vec<ScriptedResult>,
    /// The leaders over time; no node leads before the first one.
    pub leader_periods: Vec<LeaderPeriod>,
}

/// The outcome of one scripted request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptedResult {
    /// The index of its operation in the plan.
    pub op: usize,
    /// The time at which the request started.
    pub since: SimTime,
    /// The outcome of the request.
    pub outcome: ScriptedOutcome,
}

/// A period in which a node leads in the highest term, or no node leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaderPeriod {
    /// The start of the period.
    pub since: SimTime,
    /// The leader, if there is one.
    pub leader: Option<NodeId>,
}

impl ScriptedResults {
    /// Returns the leader at a time.
    #[must_use]
    pub fn leader(&self, at: SimTime) -> Option<NodeId> {
        let begun = self.leader_periods.iter().rev().find(|period| period.since <= at);
        begun.and_then(|period| period.leader)
    }

    /// Returns the leader at `from` or, if there is none, the first leader until `to`, inclusive.
    #[must_use]
    pub fn first_leader(&self, from: SimTime, to: SimTime) -> Option<NodeId> {
        let within = |period: &&LeaderPeriod| (from..=to).contains(&period.since);
        let begun = self.leader_periods.iter().filter(within).find_map(|period| period.leader);
        self.leader(from).or(begun)
    }

    /// Returns the outcome of the first scripted request that the plan operation `op` started.
    #[must_use]
    pub fn outcome(&self, op: usize) -> Option<&ScriptedOutcome> {
        self.requests.iter().find(|answered| answered.op == op).map(|answered| &answered.outcome)
    }
}

/// The counts of one run, or the sums of many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// The number of simulated events: inputs of nodes, disk operations, starts, crashes, and
    /// messages and requests that reach a node that is down.
    pub events: u64,
    /// The simulated time of the run or runs.
    pub simulated: Duration,
    /// The number of faults that took effect, by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// The number of elections won.
    pub elections: u64,
    /// The number of times that a node other than the last leader became leader.
    pub leader_changes: u64,
    /// The number of replies that clients received to their committed commands.
    pub commands_committed: u64,
    /// The number of committed entries of any kind.
    pub entries_committed: u64,
    /// The number of replies to commands and answers to reads that clients received.
    pub operations_checked: u64,
    /// The number of messages sent.
    pub messages: u64,
    /// The combinations of faults that occurred.
    pub combinations: Combinations,
    /// The number of runs that were checked only in part.
    pub partly_checked: PartlyCheckedTally,
}

/// The numbers of runs that went beyond the assumptions of the protocol, so that a part of the
/// checks did not apply to them. Each run is in at most one of the numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PartlyCheckedTally {
    /// The runs whose checks all ended in the middle, because more disks were lost than the cluster
    /// can survive, or a disk was rolled back without a mark.
    pub without_checks: u64,
    /// The runs whose safety was checked to the end of the fault phase and whose liveness was not
    /// checked, because too few nodes had reliable data or state machines.
    pub without_liveness: u64,
}

impl PartlyCheckedTally {
    /// Returns the number of all runs that were checked only in part.
    #[must_use]
    pub fn runs(self) -> u64 {
        self.without_checks + self.without_liveness
    }

    /// Returns both numbers, each with what was checked in its runs, and why no more.
    #[must_use]
    pub fn parts(self) -> [(u64, &'static str); 2] {
        [
            (self.without_checks, "without checks after a rollback or a loss of too many disks"),
            (self.without_liveness, "for safety only, because too few nodes had reliable data"),
        ]
    }

    fn add(&mut self, other: PartlyCheckedTally) {
        self.without_checks += other.without_checks;
        self.without_liveness += other.without_liveness;
    }
}

/// The reason why a run failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A safety check found a violation.
    Safety(Violation),
    /// A liveness check found a violation, for example no progress in time.
    Liveness(Violation),
    /// A node or a state machine panicked, or the simulator, if the location of the panic is
    /// unknown.
    Panic(String),
    /// The simulator itself panicked: it has a bug, or a node did something that it assumes to be
    /// impossible.
    Simulator(String),
    /// The second run of the seed had a different outcome.
    Nondeterminism(String),
    /// Simulated time stopped advancing, or nearly stopped, because events trigger one another
    /// without end.
    Stalled(String),
}

impl Outcome {
    /// Adds the next run of a guided seed, which has many runs: counts are summed, and the failure
    /// is that of the last run.
    pub(crate) fn add(&mut self, next: Outcome) {
        // Destructured in full, so that a new field cannot be forgotten here.
        let Outcome { seed: _, digest, tally, marks, states, scripted, failure } = next;
        self.digest = mix(self.digest, digest);
        self.tally.add(&tally);
        let marks = self.marks.iter_mut().zip(marks);
        marks.for_each(|(all, more)| *all = all.saturating_add(more));
        self.states.extend(states.iter());
        (self.scripted, self.failure) = (scripted, failure);
    }
}

impl Tally {
    /// Adds the counts of another run.
    pub fn add(&mut self, other: &Tally) {
        // Destructured in full, so that a new count cannot be forgotten here.
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
            combinations,
            partly_checked,
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
        self.combinations.extend(combinations);
        self.partly_checked.add(*partly_checked);
    }
}

impl Failure {
    /// Returns the failure of a run in which a check found a violation.
    #[must_use]
    pub fn of(violation: Violation) -> Failure {
        let liveness = violation.id.starts_with('L');
        if liveness { Failure::Liveness(violation) } else { Failure::Safety(violation) }
    }

    /// Whether both failures are of the same kind and, if a check failed, of the same check.
    pub(crate) fn is_like(&self, other: &Failure) -> bool {
        let check = |failure: &Failure| match failure {
            Failure::Safety(violation) | Failure::Liveness(violation) => Some(violation.id),
            _ => None,
        };
        mem::discriminant(self) == mem::discriminant(other) && check(self) == check(other)
    }

    /// Returns the failure of a run that panicked with this payload.
    #[must_use]
    pub fn panicked(payload: &(dyn Any + Send)) -> Failure {
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        Failure::Panic(in_one_line(text.unwrap_or("a panic without a message")))
    }
}

impl fmt::Display for Failure {
    /// Prints one line: the failed check or kind of failure, and the evidence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Safety(Violation { id, check, finding, at, .. })
            | Failure::Liveness(Violation { id, check, finding, at, .. }) => {
                write!(f, "{id} {check} at {at} s: {finding}")
            }
            Failure::Panic(text) => write!(f, "panic: {text}"),
            Failure::Simulator(text) => write!(f, "panic of the simulator itself: {text}"),
            Failure::Nondeterminism(text) => write!(f, "not deterministic: {text}"),
            Failure::Stalled(text) => write!(f, "stalled: {text}"),
        }
    }
}
