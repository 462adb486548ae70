//! Sweeps: a sweep runs many seeds on several threads, and reports their outcomes in the order of
//! the seeds, so that the output does not depend on the threads' speed.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::observe::outcome::{Failure, Outcome};

/// The seeds of a sweep: every `of`-th seed of a range, from position `index` on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seeds {
    /// The whole range, over all shards.
    pub range: RangeInclusive<u64>,
    /// The number of this shard, from 0; below `of`.
    pub index: u64,
    /// The number of shards that the range is split into.
    pub of: u64,
}

/// The parameters of a sweep.
#[derive(Clone, Copy)]
pub struct Sweep<'a> {
    /// The seeds to run.
    pub seeds: &'a Seeds,
    /// The number of threads.
    pub jobs: NonZeroUsize,
    /// The function that runs one seed.
    pub run: &'a (dyn Fn(u64) -> Outcome + Sync),
    /// The interval, in seeds, at which a seed is run twice; failing seeds are always run twice.
    pub recheck_every: u64,
    /// The number of failing seeds after which the sweep ends.
    pub failures_max: u64,
    /// The number of seeds without new coverage after which the sweep ends; see [`NewCoverage`].
    pub stable_after: Option<u64>,
    /// Called before each seed; returns a reason to end the sweep, if there is one.
    pub interrupt: &'a (dyn Fn() -> Option<SweepEnd> + Sync),
    /// Returns the CPU time of the calling thread.
    pub cpu_time: &'a (dyn Fn() -> Duration + Sync),
}

/// One seed that a sweep has run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeedRun {
    /// The outcome of the seed.
    pub outcome: Outcome,
    /// The CPU time of the first run of the seed.
    pub cpu: Duration,
    /// Whether the seed was run twice to compare the outcomes.
    pub rechecked: bool,
}

/// The reason why a sweep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SweepEnd {
    /// Every seed of the range was run.
    Range,
    /// The time limit was reached.
    Time,
    /// Too many seeds in a row reached no new coverage.
    Stable,
    /// The number of failing seeds reached its bound.
    Failures,
    /// The user interrupted the sweep.
    Interrupted,
}

impl Seeds {
    /// Returns all seeds of a range.
    #[must_use]
    pub fn all(range: RangeInclusive<u64>) -> Seeds {
        Seeds { range, index: 0, of: 1 }
    }

    /// Returns the seed at `position`, from 0, if there is one.
    #[must_use]
    pub fn at(&self, position: u64) -> Option<u64> {
        let offset = position.checked_mul(self.of)?.checked_add(self.index)?;
        let seed = self.range.start().checked_add(offset)?;
        self.range.contains(&seed).then_some(seed)
    }

    /// Returns the number of seeds, or `u64::MAX` if there are more.
    #[must_use]
    pub fn count(&self) -> u64 {
        let last_offset = self.range.end() - self.range.start();
        match last_offset.checked_sub(self.index) {
            Some(span) => (span / self.of).saturating_add(1),
            None => 0,
        }
    }
}

impl Sweep<'_> {
    /// Runs the seeds, and passes their runs to `each`, in the order of the seeds, on the calling
    /// thread.
    ///
    /// An end caused by outcomes is decided in the order of the seeds, too: later seeds that other
    /// threads have already run are dropped.
    pub fn run_all(&self, each: &mut dyn FnMut(&SeedRun)) -> SweepEnd {
        let next = AtomicU64::new(0);
        let enough = AtomicBool::new(false);
        let (sender, receiver) = mpsc::channel();
        thread::scope(|scope| {
            for _ in 0..self.jobs.get() {
                let sender = sender.clone();
                scope.spawn(|| self.work(&next, &enough, sender));
            }
            drop(sender);
            self.merge(&receiver, &enough, each)
        })
    }

    /// Runs seeds on one thread until there are none, or the sweep has ended.
    fn work(
        &self,
        next: &AtomicU64,
        enough: &AtomicBool,
        sender: mpsc::Sender<(u64, Result<SeedRun, SweepEnd>)>,
    ) {
        while !enough.load(Ordering::Relaxed) {
            let position = next.fetch_add(1, Ordering::Relaxed);
            let result = match (self.seeds.at(position), (self.interrupt)()) {
                (None, _) => Err(SweepEnd::Range),
                (Some(_), Some(end)) => Err(end),
                (Some(seed), None) => Ok(self.run_seed(position, seed)),
            };
            let ended = result.is_err();
            // The receiver is dropped only when the sweep has ended.
            if sender.send((position, result)).is_err() || ended {
                return;
            }
        }
    }

    /// Receives results in any order, and reports them in order; the first end ends the sweep.
    fn merge(
        &self,
        receiver: &mpsc::Receiver<(u64, Result<SeedRun, SweepEnd>)>,
        enough: &AtomicBool,
        each: &mut dyn FnMut(&SeedRun),
    ) -> SweepEnd {
        let mut early = BTreeMap::new();
        let mut shown = 0;
        let mut failures = 0;
        let mut coverage = NewCoverage::default();
        for (position, result) in receiver {
            early.insert(position, result);
            while let Some(result) = early.remove(&shown) {
                let run = match result {
                    Ok(run) => run,
                    Err(end) => {
                        enough.store(true, Ordering::Relaxed);
                        return end;
                    }
                };
                shown += 1;
                failures += u64::from(run.outcome.failure.is_some());
                coverage.add(&run.outcome);
                each(&run);
                if let Some(end) = self.end_after(failures, coverage.seeds_without_new) {
                    enough.store(true, Ordering::Relaxed);
                    return end;
                }
            }
        }
        unreachable!("every thread sends an end before it returns")
    }

    fn end_after(&self, failures: u64, seeds_without_new: u64) -> Option<SweepEnd> {
        if failures >= self.failures_max {
            return Some(SweepEnd::Failures);
        }
        let stable = self.stable_after.is_some_and(|bound| seeds_without_new >= bound);
        stable.then_some(SweepEnd::Stable)
    }

    fn run_seed(&self, position: u64, seed: u64) -> SeedRun {
        let started = (self.cpu_time)();
        let mut outcome = (self.run)(seed);
        let cpu = (self.cpu_time)().saturating_sub(started);
        let rechecked = position.is_multiple_of(self.recheck_every) || outcome.failure.is_some();
        if rechecked && let Some(difference) = difference(&outcome, &(self.run)(seed)) {
            outcome.failure = Some(Failure::Nondeterminism(difference));
        }
        SeedRun { outcome, cpu, rechecked }
    }
}

/// Describes the difference between two runs of one seed, if there is one.
fn difference(first: &Outcome, second: &Outcome) -> Option<String> {
    if first == second {
        return None;
    }
    let difference = if first.digest != second.digest {
        format!("digest {:016x}, run again {:016x}", first.digest, second.digest)
    } else if first.tally != second.tally {
        "the same digest, but different counts when run again".to_owned()
    } else if first.marks != second.marks {
        "the same digest, but different coverage marks when run again".to_owned()
    } else {
        "the same digest, but a different failure or different results when run again".to_owned()
    };
    Some(match &first.failure {
        Some(failure) => format!("{difference}; the first run failed with {failure:?}"),
        None => difference,
    })
}

/// Detects seeds with new coverage: the count of a mark in the seed reaches a power of two that it
/// reached in no earlier seed.
#[derive(Clone, Debug, Default)]
pub struct NewCoverage {
    magnitudes_max: Vec<u32>,
    /// The number of seeds since the last one with new coverage.
    pub seeds_without_new: u64,
}

impl NewCoverage {
    /// Adds the next seed.
    pub fn add(&mut self, outcome: &Outcome) {
        self.magnitudes_max.resize(self.magnitudes_max.len().max(outcome.marks.len()), 0);
        let mut is_new = false;
        for (most, count) in self.magnitudes_max.iter_mut().zip(&outcome.marks) {
            let magnitude = u32::BITS - count.leading_zeros();
            is_new |= magnitude > *most;
            *most = magnitude.max(*most);
        }
        self.seeds_without_new = if is_new { 0 } else { self.seeds_without_new + 1 };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::observe::outcome::{ScriptedResults, Tally};
    use crate::values::distinct::DistinctCount;

    fn outcome(seed: u64) -> Outcome {
        let (tally, scripted) = (Tally::default(), ScriptedResults::default());
        let states = DistinctCount::default();
        Outcome { seed, digest: seed, tally, marks: vec![1], states, scripted, failure: None }
    }

    fn failing(seed: u64) -> Outcome {
        Outcome { failure: Some(Failure::Panic("planted".to_owned())), ..outcome(seed) }
    }

    fn never() -> Option<SweepEnd> {
        None
    }

    fn no_time() -> Duration {
        Duration::ZERO
    }

    /// Returns a sweep of passing seeds on three threads.
    fn sweep(seeds: &Seeds) -> Sweep<'_> {
        Sweep {
            seeds,
            jobs: NonZeroUsize::new(3).expect("three"),
            run: &outcome,
            recheck_every: 100,
            failures_max: 2,
            stable_after: None,
            interrupt: &never,
            cpu_time: &no_time,
        }
    }

    fn shown(sweep: Sweep<'_>) -> (Vec<SeedRun>, SweepEnd) {
        let mut runs = Vec::new();
        let end = sweep.run_all(&mut |run| runs.push(run.clone()));
        (runs, end)
    }

    fn seeds_of(runs: &[SeedRun]) -> Vec<u64> {
        runs.iter().map(|run| run.outcome.seed).collect()
    }

    #[test]
    fn seeds_are_shown_in_order_however_long_each_takes() {
        let slow_first = |seed: u64| {
            for _ in 0..20_000 * (7 - seed % 7) {
                std::hint::spin_loop();
            }
            outcome(seed)
        };
        let (runs, end) = shown(Sweep { run: &slow_first, ..sweep(&Seeds::all(5..=64)) });
        assert_eq!(seeds_of(&runs), (5..=64).collect::<Vec<_>>());
        assert_eq!(end, SweepEnd::Range);
    }

    #[test]
    fn shards_run_every_seed_once() {
        let mut dealt = Vec::new();
        for index in 0..3 {
            let seeds = Seeds { range: 10..=20, index, of: 3 };
            let (runs, _) = shown(sweep(&seeds));
            assert_eq!(runs.len() as u64, seeds.count());
            dealt.extend(seeds_of(&runs));
        }
        dealt.sort_unstable();
        assert_eq!(dealt, (10..=20).collect::<Vec<_>>());
    }

    #[test]
    fn the_largest_seed_can_be_run() {
        let seeds = Seeds::all(u64::MAX..=u64::MAX);
        assert_eq!((seeds.at(0), seeds.at(1), seeds.count()), (Some(u64::MAX), None, 1));
        assert_eq!(Seeds::all(0..=u64::MAX).count(), u64::MAX);
        assert_eq!(Seeds { range: 0..=1, index: 2, of: 3 }.count(), 0);
    }

    #[test]
    fn enough_failures_end_the_sweep_at_the_same_seed_every_time() {
        let from_ten = |seed: u64| if seed >= 10 { failing(seed) } else { outcome(seed) };
        for _ in 0..20 {
            let (runs, end) = shown(Sweep { run: &from_ten, ..sweep(&Seeds::all(0..=999)) });
            assert_eq!((seeds_of(&runs), end), ((0..=11).collect(), SweepEnd::Failures));
        }
    }

    #[test]
    fn every_hundredth_seed_and_every_failing_one_is_run_twice() {
        let times = Mutex::new(BTreeMap::new());
        let counted = |seed: u64| {
            *times.lock().expect("no thread panics").entry(seed).or_insert(0) += 1;
            if seed == 7 { failing(seed) } else { outcome(seed) }
        };
        let (runs, _) = shown(Sweep { run: &counted, ..sweep(&Seeds::all(0..=199)) });
        let rechecked: Vec<u64> =
            runs.iter().filter(|run| run.rechecked).map(|run| run.outcome.seed).collect();
        assert_eq!(rechecked, [0, 7, 100]);
        for (seed, times) in times.lock().expect("no thread panics").iter() {
            assert_eq!(*times, if rechecked.contains(seed) { 2 } else { 1 }, "seed {seed}");
        }
    }

    #[test]
    fn a_second_run_that_differs_is_nondeterminism() {
        let runs_so_far = AtomicU64::new(0);
        let fickle = |seed: u64| {
            let digest = runs_so_far.fetch_add(1, Ordering::Relaxed);
            Outcome { digest, ..outcome(seed) }
        };
        let (runs, _) = shown(Sweep { run: &fickle, ..sweep(&Seeds::all(0..=0)) });
        let failure = runs[0].outcome.failure.clone();
        let text = "digest 0000000000000000, run again 0000000000000001";
        assert_eq!(failure, Some(Failure::Nondeterminism(text.to_owned())));
    }

    #[test]
    fn an_interrupted_sweep_has_shown_a_prefix() {
        let polls = AtomicU64::new(0);
        let late = || (polls.fetch_add(1, Ordering::Relaxed) >= 50).then_some(SweepEnd::Time);
        let seeds = Seeds::all(0..=9_999);
        let (runs, end) = shown(Sweep { interrupt: &late, ..sweep(&seeds) });
        assert_eq!(end, SweepEnd::Time);
        assert_eq!(seeds_of(&runs), (0..runs.len() as u64).collect::<Vec<_>>());
        assert!(runs.len() >= 40, "{} seeds", runs.len());
    }

    #[test]
    fn a_sweep_is_stable_once_seeds_bring_nothing_new() {
        let rarer = |seed: u64| Outcome { marks: vec![1, u32::from(seed == 30)], ..outcome(seed) };
        let seeds = Seeds::all(0..=9_999);
        let sweep = Sweep { run: &rarer, stable_after: Some(40), ..sweep(&seeds) };
        let (runs, end) = shown(sweep);
        assert_eq!((runs.len(), end), (71, SweepEnd::Stable));
    }
}
