//! What many seeds came to together.

use std::time::Duration;

use crate::coverage::MARKS;
use crate::digest::mix;
use crate::outcome::{Failure, Tally};
use crate::sweep::SeedRun;

/// Outcomes added up.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// How many seeds were run.
    pub seeds: u64,
    /// A hash over their digests, in order; of one seed its digest.
    pub digest: u64,
    /// Their counts, added.
    pub tally: Tally,
    /// In how many seeds each mark of [`MARKS`] was reached.
    pub marks: Vec<u64>,
    /// How many seeds were run twice to compare.
    pub rechecked: u64,
    /// CPU time, of first runs only.
    pub cpu: Duration,
    /// The seeds that failed, in order.
    pub failed: Vec<FailedSeed>,
    /// The seed that took the most CPU time.
    pub slowest: Option<SlowestSeed>,
    commands_committed: Vec<u64>,
    faults_landed: Vec<u64>,
    leader_changes: Vec<u64>,
}

/// A seed that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedSeed {
    /// The seed.
    pub seed: u64,
    /// Why.
    pub failure: Failure,
    /// How many seeds of the sweep had been run with it, itself included.
    pub after_seeds: u64,
    /// The CPU time of those seeds.
    pub after_cpu: Duration,
    /// The kinds of faults that landed in the run.
    pub faults: Vec<&'static str>,
}

/// The seed that took the most CPU time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlowestSeed {
    /// The seed.
    pub seed: u64,
    /// The CPU time of one run.
    pub cpu: Duration,
    /// Its events.
    pub events: u64,
}

/// What the seed in the middle did, of each count by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Medians {
    /// Commands of clients that were committed.
    pub commands_committed: u64,
    /// Faults that landed.
    pub faults_landed: u64,
    /// Times the cluster's leader became another node.
    pub leader_changes: u64,
}

impl Summary {
    /// Adds one seed.
    pub fn add(&mut self, run: &SeedRun) {
        let outcome = &run.outcome;
        self.seeds += 1;
        self.digest =
            if self.seeds == 1 { outcome.digest } else { mix(self.digest, outcome.digest) };
        self.cpu += run.cpu;
        self.rechecked += u64::from(run.rechecked);
        self.commands_committed.push(outcome.tally.commands_committed);
        self.faults_landed.push(outcome.tally.faults.values().sum());
        self.leader_changes.push(outcome.tally.leader_changes);
        self.tally.add(&outcome.tally);
        self.marks.resize(MARKS.len(), 0);
        for (seeds, reached) in self.marks.iter_mut().zip(&outcome.marks) {
            *seeds += u64::from(*reached > 0);
        }
        if self.slowest.is_none_or(|slowest| run.cpu > slowest.cpu) {
            let events = outcome.tally.events;
            self.slowest = Some(SlowestSeed { seed: outcome.seed, cpu: run.cpu, events });
        }
        if let Some(failure) = &outcome.failure {
            self.failed.push(FailedSeed {
                seed: outcome.seed,
                failure: failure.clone(),
                after_seeds: self.seeds,
                after_cpu: self.cpu,
                faults: outcome.tally.faults.keys().copied().collect(),
            });
        }
    }

    /// The medians over the seeds, the lower one if two are in the middle; zeros without seeds.
    #[must_use]
    pub fn medians(&self) -> Medians {
        Medians {
            commands_committed: median(&self.commands_committed),
            faults_landed: median(&self.faults_landed),
            leader_changes: median(&self.leader_changes),
        }
    }

    /// The names of the marks that no seed reached and every large sweep must.
    #[must_use]
    pub fn missed_musts(&self) -> Vec<&'static str> {
        self.missed(true)
    }

    /// The names of the marks that no seed reached and that may be missed.
    #[must_use]
    pub fn missed_others(&self) -> Vec<&'static str> {
        self.missed(false)
    }

    /// How many marks some seed reached.
    #[must_use]
    pub fn reached(&self) -> usize {
        self.marks.iter().filter(|seeds| **seeds > 0).count()
    }

    fn missed(&self, must: bool) -> Vec<&'static str> {
        let reached = |at: usize| self.marks.get(at).is_some_and(|seeds| *seeds > 0);
        let marks = MARKS.iter().enumerate();
        marks.filter(|(at, m)| m.must == must && !reached(*at)).map(|(_, m)| m.name).collect()
    }
}

/// The lower median; 0 of nothing.
pub(crate) fn median<T: Copy + Ord + Default>(values: &[T]) -> T {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Outcome;

    fn run(seed: u64, faults: u64, failure: Option<Failure>) -> SeedRun {
        let tally = Tally {
            events: 10,
            simulated: Duration::from_secs(1),
            faults: [("crash", faults), ("loss", 1)].into(),
            elections: 1,
            leader_changes: seed,
            commands_committed: 2 * seed,
            entries_committed: 3,
            operations_checked: 4,
            messages: 5,
        };
        let marks = vec![1; MARKS.len()];
        let outcome = Outcome { seed, digest: 0, tally, marks, failure };
        SeedRun { outcome, cpu: Duration::from_millis(seed), rechecked: seed == 1 }
    }

    #[test]
    fn counts_add_up() {
        let mut summary = Summary::default();
        for seed in 1..=4 {
            summary.add(&run(seed, seed, None));
        }
        assert_eq!((summary.seeds, summary.rechecked), (4, 1));
        assert_eq!(summary.tally.events, 40);
        assert_eq!(summary.tally.faults, [("crash", 10), ("loss", 4)].into());
        assert_eq!(summary.tally.simulated, Duration::from_secs(4));
        assert_eq!(summary.slowest.map(|slowest| slowest.seed), Some(4));
        assert_eq!(summary.reached(), MARKS.len());
        let medians = Medians { commands_committed: 4, faults_landed: 3, leader_changes: 2 };
        assert_eq!(summary.medians(), medians);
    }

    #[test]
    fn a_failed_seed_says_what_it_took_to_find() {
        let mut summary = Summary::default();
        summary.add(&run(1, 0, None));
        summary.add(&run(2, 0, Some(Failure::Panic("planted".to_owned()))));
        let failed = &summary.failed[0];
        assert_eq!((failed.seed, failed.after_seeds), (2, 2));
        assert_eq!(failed.after_cpu, Duration::from_millis(3));
        assert_eq!(failed.faults, ["crash", "loss"]);
    }

    #[test]
    fn nothing_run_reaches_nothing() {
        let summary = Summary::default();
        assert_eq!(summary.reached(), 0);
        let missed = summary.missed_musts().len() + summary.missed_others().len();
        assert_eq!(missed, MARKS.len());
        assert_eq!(median::<u64>(&[]), 0);
    }
}
