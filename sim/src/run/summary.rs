//! The summary of many seeds.

use std::time::Duration;

use crate::observe::coverage::MARKS;
use crate::observe::outcome::{Failure, Tally};
use crate::run::sweep::SeedRun;
use crate::values::digest::mix;
use crate::values::distinct::DistinctCount;
use crate::values::histogram::Histogram;

/// The sums over the outcomes of many seeds.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// The number of seeds run.
    pub seeds: u64,
    /// A hash over the digests of the seeds, in order; for one seed its digest.
    pub digest: u64,
    /// The sums of the counts of the seeds.
    pub tally: Tally,
    /// The number of seeds that reached each mark of [`MARKS`].
    pub marks: Vec<u64>,
    /// The number of distinct abstract states of all seeds; they are counted only with the guided
    /// strategy.
    pub states: DistinctCount,
    /// The smallest seed that reached each mark of [`MARKS`].
    pub first_seeds: Vec<Option<u64>>,
    /// The number of seeds that were run twice to compare the outcomes.
    pub rechecked: u64,
    /// The total CPU time of the first runs of all seeds.
    pub cpu: Duration,
    /// The failed seeds, in order.
    pub failed: Vec<FailedSeed>,
    /// The seed with the most CPU time.
    pub slowest: Option<SlowestSeed>,
    /// The numbers of replies to committed client commands, one number per seed.
    pub commands_committed: Histogram,
    /// The numbers of faults that took effect, one number per seed.
    pub faults_landed: Histogram,
    /// The numbers of leader changes, one number per seed.
    pub leader_changes: Histogram,
}

/// A failed seed, and the cost of finding it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedSeed {
    /// The seed that failed.
    pub seed: u64,
    /// The reason why it failed.
    pub failure: Failure,
    /// The number of seeds that the sweep had run up to this one, inclusive.
    pub after_seeds: u64,
    /// The CPU time of those seeds.
    pub after_cpu: Duration,
    /// The kinds of faults that took effect in the run or runs of the seed.
    pub faults: Vec<&'static str>,
}

/// The seed with the most CPU time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlowestSeed {
    /// The seed that took the longest.
    pub seed: u64,
    /// The CPU time of its first run.
    pub cpu: Duration,
    /// The number of its events.
    pub events: u64,
}

/// The median of each count over the seeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Medians {
    /// The median of the replies to committed client commands.
    pub commands_committed: u64,
    /// The median of faults that took effect.
    pub faults_landed: u64,
    /// The median of leader changes.
    pub leader_changes: u64,
}

impl Summary {
    /// Adds the results of one seed.
    pub fn add(&mut self, run: &SeedRun) {
        let outcome = &run.outcome;
        self.seeds += 1;
        self.digest =
            if self.seeds == 1 { outcome.digest } else { mix(self.digest, outcome.digest) };
        self.cpu += run.cpu;
        self.rechecked += u64::from(run.rechecked);
        self.commands_committed.add(outcome.tally.commands_committed);
        self.faults_landed.add(outcome.tally.faults.values().sum());
        self.leader_changes.add(outcome.tally.leader_changes);
        self.tally.add(&outcome.tally);
        self.states.extend(outcome.states.iter());
        self.marks.resize(MARKS.len(), 0);
        self.first_seeds.resize(MARKS.len(), None);
        let reached = outcome.marks.iter().enumerate().filter(|(_, times)| **times > 0);
        for (mark, _) in reached {
            self.marks[mark] += 1;
            self.first_seeds[mark].get_or_insert(outcome.seed);
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

    /// Returns the medians over the seeds, the lower one of two; zeros without seeds.
    #[must_use]
    pub fn medians(&self) -> Medians {
        Medians {
            commands_committed: self.commands_committed.median(),
            faults_landed: self.faults_landed.median(),
            leader_changes: self.leader_changes.median(),
        }
    }

    /// Returns the names of the required marks that no seed reached.
    #[must_use]
    pub fn missed_required(&self) -> Vec<&'static str> {
        self.missed(true)
    }

    /// Returns the names of the marks that are not required and that no seed reached.
    #[must_use]
    pub fn missed_others(&self) -> Vec<&'static str> {
        self.missed(false)
    }

    /// Returns the number of marks that some seed reached.
    #[must_use]
    pub fn reached(&self) -> usize {
        self.marks.iter().filter(|seeds| **seeds > 0).count()
    }

    /// Adds the summary of other seeds of the same profile. The digest is then a hash over the
    /// digests of the parts, not that of one sweep over all seeds.
    pub fn merge(&mut self, other: Summary) {
        // Destructured in full, so that a new field cannot be forgotten here.
        let Summary {
            seeds,
            digest,
            tally,
            marks,
            states,
            first_seeds,
            rechecked,
            cpu,
            failed,
            slowest,
            commands_committed,
            faults_landed,
            leader_changes,
        } = other;
        self.digest = if self.seeds == 0 { digest } else { mix(self.digest, digest) };
        self.seeds += seeds;
        self.tally.add(&tally);
        self.states.extend(states.iter());
        self.rechecked += rechecked;
        self.cpu += cpu;
        self.marks.resize(MARKS.len(), 0);
        self.marks.iter_mut().zip(marks).for_each(|(seeds, more)| *seeds += more);
        self.first_seeds.resize(MARKS.len(), None);
        for (first, other) in self.first_seeds.iter_mut().zip(first_seeds) {
            *first = [*first, other].into_iter().flatten().min();
        }
        self.failed.extend(failed);
        self.failed.sort_by_key(|failed| failed.seed);
        let both = [self.slowest, slowest].into_iter().flatten();
        self.slowest = both.max_by_key(|slowest| slowest.cpu);
        for (spread, more) in [
            (&mut self.commands_committed, commands_committed),
            (&mut self.faults_landed, faults_landed),
            (&mut self.leader_changes, leader_changes),
        ] {
            more.iter().for_each(|(value, times)| spread.add_many(value, times));
        }
    }

    /// Returns the number of marks that were reached by the seeds up to this one.
    #[must_use]
    pub fn reached_by(&self, seed: u64) -> usize {
        self.first_seeds.iter().flatten().filter(|first| **first <= seed).count()
    }

    fn missed(&self, must: bool) -> Vec<&'static str> {
        let reached = |at: usize| self.marks.get(at).is_some_and(|seeds| *seeds > 0);
        let marks = MARKS.iter().enumerate();
        marks.filter(|(at, m)| m.required == must && !reached(*at)).map(|(_, m)| m.name).collect()
    }
}

/// Returns the lower median, or the default value if there are no values.
#[cfg(any(feature = "cli", test))]
pub(crate) fn median<T: Copy + Ord + Default>(values: &[T]) -> T {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::outcome::{Outcome, PartlyCheckedTally};

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
            combinations: Default::default(),
            partly_checked: PartlyCheckedTally { without_checks: seed % 2, without_liveness: 0 },
        };
        let marks = vec![1; MARKS.len()];
        let states = DistinctCount::from_iter([0, seed]);
        let scripted = Default::default();
        let outcome = Outcome { seed, digest: 0, tally, marks, states, scripted, failure };
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
        assert_eq!(summary.tally.partly_checked.runs(), 2);
        assert_eq!(summary.slowest.map(|slowest| slowest.seed), Some(4));
        assert_eq!(summary.reached(), MARKS.len());
        assert_eq!(summary.states.count(), 5);
        let medians = Medians { commands_committed: 4, faults_landed: 3, leader_changes: 2 };
        assert_eq!(summary.medians(), medians);
    }

    #[test]
    fn a_failed_seed_records_the_cost_of_finding_it() {
        let mut summary = Summary::default();
        summary.add(&run(1, 0, None));
        summary.add(&run(2, 0, Some(Failure::Panic("planted".to_owned()))));
        let failed = &summary.failed[0];
        assert_eq!((failed.seed, failed.after_seeds), (2, 2));
        assert_eq!(failed.after_cpu, Duration::from_millis(3));
        assert_eq!(failed.faults, ["crash", "loss"]);
    }

    #[test]
    fn parts_add_up_to_the_whole() {
        let runs = [(1, Some(Failure::Panic("planted".to_owned()))), (2, None), (3, None)];
        let (mut whole, mut parts) = (Summary::default(), [Summary::default(), Summary::default()]);
        for (seed, failure) in runs {
            let mut run = run(seed, seed, failure);
            run.outcome.marks[3] = u32::from(seed == 2);
            whole.add(&run);
            parts[seed as usize % 2].add(&run);
        }
        let mut merged = Summary::default();
        parts.into_iter().for_each(|part| merged.merge(part));
        assert_ne!(merged.digest, whole.digest);
        merged.digest = whole.digest;
        assert_eq!(format!("{merged:?}"), format!("{whole:?}"));
        assert_eq!(whole.first_seeds[3], Some(2));
        assert_eq!(whole.reached_by(1) + 1, whole.reached_by(2));
    }

    #[test]
    fn without_seeds_no_mark_is_reached() {
        let summary = Summary::default();
        assert_eq!(summary.reached(), 0);
        let missed = summary.missed_required().len() + summary.missed_others().len();
        assert_eq!(missed, MARKS.len());
        assert_eq!(median::<u64>(&[]), 0);
    }
}
