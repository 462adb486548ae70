//! Expectations of a scenario about its run.

use std::fmt;

use quorate::types::NodeId;

use crate::check::{CHECKS, Check};
use crate::faults::Fault;
use crate::observe::outcome::{Failure, Outcome, ScriptedResults, Tally};
use crate::values::time::SimTime;
use crate::values::words::{Exact, SyntaxError, Words};

/// An expectation about a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The run passes without a failure.
    Pass,
    /// The run violates this check.
    Violated(&'static Check),
    /// A node, a state machine or the simulator panics.
    Panic,
    /// Simulated time stops advancing.
    Stall,
    /// The count is at least this number.
    AtLeast(Count, u64),
    /// The count is at most this number.
    AtMost(Count, u64),
    /// This node, or any node for `None`, leads at this time.
    Leader(Option<NodeId>, SimTime),
    /// No node leads between the two times.
    NoLeader(SimTime, SimTime),
}

/// The counts of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// The number of won elections.
    Elections,
    /// The number of changes of the leading node.
    LeaderChanges,
    /// The number of replies that clients received to their commands.
    Commands,
    /// The number of committed entries of any kind.
    Entries,
    /// The number of replies to commands and answers to reads that clients received.
    Operations,
    /// The number of messages given to the network.
    Messages,
    /// The number of faults of this kind that took effect.
    Faults(Fault),
}

/// The names of all counts except those of faults.
const COUNTS: [(&str, Count); 6] = [
    ("elections", Count::Elections),
    ("leader changes", Count::LeaderChanges),
    ("commands", Count::Commands),
    ("entries", Count::Entries),
    ("operations", Count::Operations),
    ("messages", Count::Messages),
];

/// The names of the outcomes that are not checks.
const ENDS: [(&str, Expect); 3] =
    [("pass", Expect::Pass), ("panic", Expect::Panic), ("stall", Expect::Stall)];

impl Expect {
    /// The expectation that a failure meets; `None` for nondeterminism.
    #[must_use]
    pub fn of(failure: &Failure) -> Option<Expect> {
        match failure {
            Failure::Safety(violation) | Failure::Liveness(violation) => {
                let check = CHECKS.iter().find(|check| check.id == violation.id);
                check.map(Expect::Violated)
            }
            Failure::Panic(_) | Failure::Simulator(_) => Some(Expect::Panic),
            Failure::Stalled(_) => Some(Expect::Stall),
            Failure::Nondeterminism(_) => None,
        }
    }

    /// Whether the expectation names the outcome of the run.
    pub(super) fn is_outcome(self) -> bool {
        matches!(self, Expect::Pass | Expect::Violated(_) | Expect::Panic | Expect::Stall)
    }

    /// Whether the outcome meets the expectation.
    #[must_use]
    pub fn is_met(self, outcome: &Outcome) -> bool {
        match self {
            Expect::Pass => outcome.failure.is_none(),
            Expect::AtLeast(..) | Expect::AtMost(..) => {
                self.count_mismatch(&outcome.tally).is_none()
            }
            Expect::Leader(..) | Expect::NoLeader(..) => {
                self.leader_mismatch(&outcome.scripted).is_none()
            }
            _ => outcome.failure.as_ref().and_then(Expect::of) == Some(self),
        }
    }

    /// The observation that contradicts the expectation; `None` if it is met.
    pub(super) fn unmet(self, outcome: &Outcome) -> Option<String> {
        if self.is_met(outcome) {
            return None;
        }
        Some(match self {
            Expect::AtLeast(..) | Expect::AtMost(..) => self.count_mismatch(&outcome.tally)?,
            Expect::Leader(..) | Expect::NoLeader(..) => self.leader_mismatch(&outcome.scripted)?,
            _ => match &outcome.failure {
                Some(failure) => failure.to_string(),
                None => "no failure".to_owned(),
            },
        })
    }

    /// The count that contradicts the expectation; `None` if it is met.
    pub(crate) fn count_mismatch(self, tally: &Tally) -> Option<String> {
        let (count, holds) = match self {
            Expect::AtLeast(counted, least) => (counted.of(tally), counted.of(tally) >= least),
            Expect::AtMost(counted, most) => (counted.of(tally), counted.of(tally) <= most),
            _ => return None,
        };
        (!holds).then(|| format!("count {count}"))
    }

    /// The leader that contradicts the expectation; `None` if it is met.
    pub(crate) fn leader_mismatch(self, results: &ScriptedResults) -> Option<String> {
        match self {
            Expect::Leader(expected, at) => match (expected, results.leader(at)) {
                (_, None) => Some("no leader".to_owned()),
                (Some(expected), Some(leader)) if leader != expected => {
                    Some(format!("leader {leader}"))
                }
                _ => None,
            },
            Expect::NoLeader(from, to) => {
                results.first_leader(from, to).map(|leader| format!("leader {leader}"))
            }
            _ => None,
        }
    }

    /// Parses the words after `leader` or `no leader`.
    fn read_leader(words: &mut Words<'_>, no_leader: bool) -> Result<Expect, SyntaxError> {
        let start = SimTime::default();
        if no_leader {
            words.need("from")?;
            let from = words.duration()?;
            words.need("to")?;
            let to = words.duration()?;
            if to < from {
                return Err(words
                    .error("the end time is before the start time: write the earlier time first"));
            }
            return Ok(Expect::NoLeader(start.after(from), start.after(to)));
        }
        let leader = if words.accept("any") { None } else { Some(words.node()?) };
        words.need("at")?;
        Ok(Expect::Leader(leader, start.after(words.duration()?)))
    }

    /// Parses the words after `expect`.
    pub(super) fn read(words: &mut Words<'_>) -> Result<Expect, SyntaxError> {
        // A check is named by its id, by its name, or by both.
        if let Some(check) = CHECKS.iter().find(|check| words.accept(check.id)) {
            words.accept(check.name);
            return Ok(Expect::Violated(check));
        }
        if words.accept("no leader") {
            return Expect::read_leader(words, true);
        }
        if !words.clone().accept("leader changes") && words.accept("leader") {
            return Expect::read_leader(words, false);
        }
        let ends = ENDS.iter().map(|(name, _)| *name);
        let counts = COUNTS.iter().map(|(name, _)| *name).chain(Fault::ALL.map(Fault::name));
        let mut names: Vec<&str> = ends.chain(counts).collect();
        let checks = names.len();
        names.extend(CHECKS.iter().map(|check| check.name));
        let at = words.name("outcome, count or check", &names)?;
        if let Some((_, end)) = ENDS.get(at) {
            return Ok(*end);
        }
        if at >= checks {
            return Ok(Expect::Violated(&CHECKS[at - checks]));
        }
        let place = at - ENDS.len();
        let counted = match COUNTS.get(place) {
            Some((_, counted)) => *counted,
            None => Count::Faults(Fault::ALL[place - COUNTS.len()]),
        };
        let most = words.name("comparison", &[">=", "<="])? == 1;
        let number = words.count(0, u64::MAX)?;
        Ok(if most { Expect::AtMost(counted, number) } else { Expect::AtLeast(counted, number) })
    }
}

impl Count {
    fn of(self, tally: &Tally) -> u64 {
        match self {
            Count::Elections => tally.elections,
            Count::LeaderChanges => tally.leader_changes,
            Count::Commands => tally.commands_committed,
            Count::Entries => tally.entries_committed,
            Count::Operations => tally.operations_checked,
            Count::Messages => tally.messages,
            Count::Faults(fault) => tally.faults.get(fault.name()).copied().unwrap_or(0),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Count::Faults(fault) => fault.name(),
            _ => COUNTS.iter().find(|(_, it)| *it == self).map_or("", |(name, _)| name),
        }
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expect::Pass => f.write_str("pass"),
            Expect::Violated(check) => write!(f, "{} {}", check.id, check.name),
            Expect::Panic => f.write_str("panic"),
            Expect::Stall => f.write_str("stall"),
            Expect::AtLeast(counted, number) => write!(f, "{} >= {number}", counted.name()),
            Expect::AtMost(counted, number) => write!(f, "{} <= {number}", counted.name()),
            Expect::Leader(Some(node), at) => write!(f, "leader {node} at {}", Exact::at(*at)),
            Expect::Leader(None, at) => write!(f, "leader any at {}", Exact::at(*at)),
            Expect::NoLeader(from, to) => {
                write!(f, "no leader from {} to {}", Exact::at(*from), Exact::at(*to))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn read(text: &str) -> Result<Expect, SyntaxError> {
        Expect::read(&mut Words::of(text, 1))
    }

    #[test]
    fn every_expectation_reads_as_it_prints() {
        let counts = COUNTS.map(|(_, counted)| counted);
        let counts = counts.into_iter().chain(Fault::ALL.map(Count::Faults));
        let counted = counts.flat_map(|it| [Expect::AtLeast(it, 3), Expect::AtMost(it, 0)]);
        let checks = CHECKS.iter().map(Expect::Violated);
        let at = |millis| SimTime::default().after(Duration::from_millis(millis));
        let leaders = [
            Expect::Leader(Some(NodeId(3)), at(4_000)),
            Expect::Leader(None, at(1_500)),
            Expect::NoLeader(at(3_000), at(3_500)),
        ];
        let ends = ENDS.map(|(_, end)| end).into_iter();
        for expect in ends.chain(checks).chain(counted).chain(leaders) {
            assert_eq!(read(&expect.to_string()), Ok(expect));
        }
    }

    #[test]
    fn a_check_is_named_by_its_id_or_its_name() {
        let safety = read("S1 election-safety").expect("the check exists");
        assert_eq!(read("S1"), Ok(safety));
        assert_eq!(read("election-safety"), Ok(safety));
        let error = read("election-savety").expect_err("no such check").to_string();
        assert!(error.contains("did you mean `election-safety`?"), "{error}");
        assert!(read("elections = 3").is_err());
        assert!(read("leader n3").is_err());
        let error = read("no leader from 4s to 3s").expect_err("the span is empty").to_string();
        assert!(error.contains("write the earlier time first"), "{error}");
    }
}
