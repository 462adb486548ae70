//! What a scenario expects of its run.

use std::fmt;
use std::time::Duration;

use quorate::types::NodeId;

use crate::check::{CHECKS, Check};
use crate::fault::Fault;
use crate::outcome::{Failure, Outcome, Sightings, Tally};
use crate::time::SimTime;
use crate::words::{Exact, Mistake, Words};

/// Something that is to come of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Nothing goes wrong.
    Pass,
    /// This check is broken.
    Broken(&'static Check),
    /// A node panics.
    Panic,
    /// Simulated time stops advancing.
    Stall,
    /// So many of these are counted at least.
    AtLeast(Counted, u64),
    /// And at the most.
    AtMost(Counted, u64),
    /// A node leads at a time: this one, or any.
    Leader(Option<NodeId>, SimTime),
    /// No node leads at any time between the two.
    NoLeader(SimTime, SimTime),
}

/// What a run counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Elections won.
    Elections,
    /// Times the cluster's leader became another node.
    LeaderChanges,
    /// Commands of clients that were committed.
    Commands,
    /// Entries committed, of any kind.
    Entries,
    /// Client operations whose outcome was checked.
    Operations,
    /// Messages given to the network.
    Messages,
    /// Faults of a kind that landed.
    Faults(Fault),
}

/// The counts but those of faults, by name.
const COUNTS: [(&str, Counted); 6] = [
    ("elections", Counted::Elections),
    ("leader changes", Counted::LeaderChanges),
    ("commands", Counted::Commands),
    ("entries", Counted::Entries),
    ("operations", Counted::Operations),
    ("messages", Counted::Messages),
];

/// The outcomes that are no checks.
const ENDS: [(&str, Expect); 3] =
    [("pass", Expect::Pass), ("panic", Expect::Panic), ("stall", Expect::Stall)];

impl Expect {
    /// The outcome that a failure is.
    #[must_use]
    pub fn of(failure: &Failure) -> Option<Expect> {
        match failure {
            Failure::Safety(violation) | Failure::Liveness(violation) => {
                let check = CHECKS.iter().find(|check| check.number == violation.number);
                check.map(|check| Expect::Broken(check))
            }
            Failure::Panic(_) => Some(Expect::Panic),
            Failure::Stalled(_) => Some(Expect::Stall),
            Failure::Nondeterminism(_) => None,
        }
    }

    /// Whether it says how the run ends.
    pub(super) fn is_end(self) -> bool {
        matches!(self, Expect::Pass | Expect::Broken(_) | Expect::Panic | Expect::Stall)
    }

    /// Whether it came true.
    #[must_use]
    pub fn holds(self, outcome: &Outcome) -> bool {
        match self {
            Expect::Pass => outcome.failure.is_none(),
            Expect::AtLeast(..) | Expect::AtMost(..) => self.counted_in(&outcome.tally).is_none(),
            Expect::Leader(..) | Expect::NoLeader(..) => self.seen_in(&outcome.sightings).is_none(),
            _ => outcome.failure.as_ref().and_then(Expect::of) == Some(self),
        }
    }

    /// What was seen, if it is something else.
    pub(super) fn unmet(self, outcome: &Outcome) -> Option<String> {
        if self.holds(outcome) {
            return None;
        }
        Some(match self {
            Expect::AtLeast(..) | Expect::AtMost(..) => self.counted_in(&outcome.tally)?,
            Expect::Leader(..) | Expect::NoLeader(..) => self.seen_in(&outcome.sightings)?,
            _ => match &outcome.failure {
                Some(failure) => format!("saw {failure}"),
                None => "nothing went wrong".to_owned(),
            },
        })
    }

    /// What was counted, if it is something else.
    pub(crate) fn counted_in(self, tally: &Tally) -> Option<String> {
        let (count, holds) = match self {
            Expect::AtLeast(counted, least) => (counted.of(tally), counted.of(tally) >= least),
            Expect::AtMost(counted, most) => (counted.of(tally), counted.of(tally) <= most),
            _ => return None,
        };
        (!holds).then(|| format!("counted {count}"))
    }

    /// What was seen of who leads, if it is something else.
    pub(crate) fn seen_in(self, sightings: &Sightings) -> Option<String> {
        match self {
            Expect::Leader(expected, at) => match (expected, sightings.leader(at)) {
                (_, None) => Some("nobody led".to_owned()),
                (Some(expected), Some(leader)) if leader != expected => {
                    Some(format!("{leader} led"))
                }
                _ => None,
            },
            Expect::NoLeader(from, to) => {
                sightings.first_leader(from, to).map(|leader| format!("{leader} led"))
            }
            _ => None,
        }
    }

    /// What follows `leader` or `no leader`.
    fn of_leader(words: &mut Words<'_>, nobody: bool) -> Result<Expect, Mistake> {
        let start = SimTime::default();
        if nobody {
            words.need("from")?;
            let from = words.duration()?;
            words.need("to")?;
            let to = words.duration()?;
            if to < from {
                return Err(words.wrong("it ends before it begins: write the earlier time first"));
            }
            return Ok(Expect::NoLeader(start.after(from), start.after(to)));
        }
        let leader = if words.accept("any") { None } else { Some(words.node()?) };
        words.need("at")?;
        Ok(Expect::Leader(leader, start.after(words.duration()?)))
    }

    /// What follows the word `expect`.
    pub(super) fn read(words: &mut Words<'_>) -> Result<Expect, Mistake> {
        // A check may be named by its number, its name, or both.
        if let Some(check) = CHECKS.iter().find(|check| words.accept(check.number)) {
            words.accept(check.name);
            return Ok(Expect::Broken(check));
        }
        if words.accept("no leader") {
            return Expect::of_leader(words, true);
        }
        if !words.clone().accept("leader changes") && words.accept("leader") {
            return Expect::of_leader(words, false);
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
            return Ok(Expect::Broken(CHECKS[at - checks]));
        }
        let place = at - ENDS.len();
        let counted = match COUNTS.get(place) {
            Some((_, counted)) => *counted,
            None => Counted::Faults(Fault::ALL[place - COUNTS.len()]),
        };
        let most = words.name("comparison", &[">=", "<="])? == 1;
        let number = words.count(0, u64::MAX)?;
        Ok(if most { Expect::AtMost(counted, number) } else { Expect::AtLeast(counted, number) })
    }
}

impl Counted {
    fn of(self, tally: &Tally) -> u64 {
        match self {
            Counted::Elections => tally.elections,
            Counted::LeaderChanges => tally.leader_changes,
            Counted::Commands => tally.commands_committed,
            Counted::Entries => tally.entries_committed,
            Counted::Operations => tally.operations_checked,
            Counted::Messages => tally.messages,
            Counted::Faults(fault) => tally.faults.get(fault.name()).copied().unwrap_or(0),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Counted::Faults(fault) => fault.name(),
            _ => COUNTS.iter().find(|(_, it)| *it == self).map_or("", |(name, _)| name),
        }
    }
}

/// A time as the span from the start of the run to it.
fn instant(time: SimTime) -> Exact {
    Exact(Duration::from_nanos(time.0))
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expect::Pass => f.write_str("pass"),
            Expect::Broken(check) => write!(f, "{} {}", check.number, check.name),
            Expect::Panic => f.write_str("panic"),
            Expect::Stall => f.write_str("stall"),
            Expect::AtLeast(counted, number) => write!(f, "{} >= {number}", counted.name()),
            Expect::AtMost(counted, number) => write!(f, "{} <= {number}", counted.name()),
            Expect::Leader(Some(node), at) => write!(f, "leader {node} at {}", instant(*at)),
            Expect::Leader(None, at) => write!(f, "leader any at {}", instant(*at)),
            Expect::NoLeader(from, to) => {
                write!(f, "no leader from {} to {}", instant(*from), instant(*to))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Expect, Mistake> {
        Expect::read(&mut Words::of(text, 1))
    }

    #[test]
    fn every_expectation_reads_as_it_prints() {
        let counts = COUNTS.map(|(_, counted)| counted);
        let counts = counts.into_iter().chain(Fault::ALL.map(Counted::Faults));
        let counted = counts.flat_map(|it| [Expect::AtLeast(it, 3), Expect::AtMost(it, 0)]);
        let checks = CHECKS.iter().map(|check| Expect::Broken(check));
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
    fn a_check_goes_by_its_number_or_its_name() {
        let safety = read("S1 election-safety").expect("it is right");
        assert_eq!(read("S1"), Ok(safety));
        assert_eq!(read("election-safety"), Ok(safety));
        let wrong = read("election-savety").expect_err("no such").to_string();
        assert!(wrong.contains("did you mean `election-safety`?"), "{wrong}");
        assert!(read("elections = 3").is_err());
        assert!(read("leader n3").is_err());
        let wrong = read("no leader from 4s to 3s").expect_err("it is empty").to_string();
        assert!(wrong.contains("write the earlier time first"), "{wrong}");
    }
}
