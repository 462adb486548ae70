//! What many seeds came to together.

use std::time::Duration;

use crate::coverage::MARKS;
use crate::digest::mix;
use crate::distinct::Distinct;
use crate::outcome::{Failure, Tally};
use crate::spread::Spread;
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
    /// The abstract states that they came through, where the search is led by them.
    pub states: Distinct,
    /// The smallest seed that reached each mark of [`MARKS`].
    pub first_seeds: Vec<Option<u64>>,
    /// How many seeds were run twice to compare.
    pub rechecked: u64,
    /// CPU time, of first runs only.
    pub cpu: Duration,
    /// The seeds that failed, in order.
    pub failed: Vec<FailedSeed>,
    /// The seed that took the most CPU time.
    pub slowest: Option<SlowestSeed>,
    /// Commands of clients that were committed, of each seed.
    pub commands_committed: Spread,
    /// Faults that landed, of each seed.
    pub faults_landed: Spread,
    /// Times the cluster's leader became another node, of each seed.
    pub leader_changes: Spread,
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
    /// The kinds of faults that landed in the seed's run, or in all of its runs.
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

    /// The medians over the seeds, the lower one if two are in the middle; zeros without seeds.
    #[must_use]
    pub fn medians(&self) -> Medians {
        Medians {
            commands_committed: self.commands_committed.median(),
            faults_landed: self.faults_landed.median(),
            leader_changes: self.leader_changes.median(),
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

    /// Adds what other seeds came to, of the same profile. The digest is one over the digests of
    /// the parts: not that of all seeds in one sweep.
    pub fn merge(&mut self, other: Summary) {
        // Taken apart in full, so that nothing to come is forgotten here.
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

    /// How many marks were reached once all seeds up to this one had been run.
    #[must_use]
    pub fn reached_by(&self, seed: u64) -> usize {
        self.first_seeds.iter().flatten().filter(|first| **first <= seed).count()
    }

    fn missed(&self, must: bool) -> Vec<&'static str> {
        let reached = |at: usize| self.marks.get(at).is_some_and(|seeds| *seeds > 0);
        let marks = MARKS.iter().enumerate();
        marks.filter(|(at, m)| m.must == must && !reached(*at)).map(|(_, m)| m.name).collect()
    }
}

/// The lower median; 0 of nothing.
#[cfg(any(feature = "cli", test))]
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
        let states = Distinct::from_iter([0, seed]);
        let sightings = Default::default();
        let outcome = Outcome { seed, digest: 0, tally, marks, states, sightings, failure };
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
        assert_eq!(summary.states.count(), 5);
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
    fn nothing_run_reaches_nothing() {
        let summary = Summary::default();
        assert_eq!(summary.reached(), 0);
        let missed = summary.missed_musts().len() + summary.missed_others().len();
        assert_eq!(missed, MARKS.len());
        assert_eq!(median::<u64>(&[]), 0);
    }
}
