//! The content of the report of a finished sweep, independent of its format.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use crate::cli::canary::Canary;
use crate::cli::exit::Exit;
use crate::cli::run_arguments::SeedOptions;
use crate::cli::shrunk_record::ShrunkRecord;
use crate::cli::text::{Finding, grouped, quantity, replay_line};
use crate::observe::coverage::MARKS;
use crate::observe::fingerprint::Fingerprint;
use crate::run::summary::{FailedSeed, Summary};
use crate::run::sweep::{Seeds, SweepEnd};

/// A default sweep of this many seeds or more must reach every required coverage mark.
pub(crate) const GATE_SEEDS: u64 = 1_000;

const CANARY_MISSED: &str = "no check detected the planted bug (canary)";

/// The result of a finished sweep, or of the replay of one seed.
#[derive(Debug)]
pub(crate) struct Report {
    /// The command name that replay lines begin with, `cargo sim`.
    pub(crate) program: String,
    /// Whether the command runs the built-in key-value store.
    pub(crate) is_builtin: bool,
    /// The profile and the search strategy of all seeds.
    pub(crate) seed_options: SeedOptions,
    /// The requested seeds, or the part of them that was run.
    pub(crate) seeds: Seeds,
    /// The number of merged parts, if this is the report of `cargo sim merge`.
    pub(crate) parts: Option<u64>,
    /// The number of threads that ran seeds.
    pub(crate) jobs: NonZeroUsize,
    /// The replayed seed, or `None` for a sweep.
    pub(crate) replayed_seed: Option<u64>,
    /// The result of the canary runs; `None` for a replay.
    pub(crate) canary: Option<Canary>,
    /// The totals over all seeds that were run.
    pub(crate) summary: Summary,
    /// The shrunk runs, by their seeds: at most one for each kind of failure of each part.
    pub(crate) shrunk: BTreeMap<u64, ShrunkRecord>,
    /// The reason why the sweep stopped.
    pub(crate) end: SweepEnd,
    /// The wall-clock time of the sweep.
    pub(crate) elapsed: Duration,
}

impl Report {
    /// Returns the exit code of the command.
    pub(crate) fn exit(&self) -> Exit {
        let summary = &self.summary;
        match summary.failed.first() {
            Some(failed) => Exit::of(&failed.failure),
            None if self.end == SweepEnd::Interrupted => Exit::Interrupted,
            None if self.canary_undetected() => Exit::ExpectationNotMet,
            None if !self.missed_required().is_empty() => Exit::ExpectationNotMet,
            None => Exit::Success,
        }
    }

    /// Whether marks are required of a sweep like this one if it is large enough: with the default
    /// profile and strategy, and with the built-in store. Clients of another state machine may be
    /// unable to reach some marks.
    pub(crate) fn requires_marks(&self) -> bool {
        self.is_builtin && self.seed_options == SeedOptions::default()
    }

    /// Whether the sweep is one that must reach every required mark.
    pub(crate) fn must_reach_marks(&self) -> bool {
        self.requires_marks() && self.summary.seeds >= GATE_SEEDS
    }

    /// Returns the marks that the sweep missed although it had to reach them; none if the sweep is
    /// small, or has another profile, search strategy or workload than the default.
    pub(crate) fn missed_required(&self) -> Vec<&'static str> {
        if self.must_reach_marks() { self.summary.missed_required() } else { Vec::new() }
    }

    /// Returns the marks that runs of the profile may reach and that no seed reached, apart from
    /// [`Report::missed_required`].
    pub(crate) fn missed_others(&self) -> Vec<&'static str> {
        let required = match self.must_reach_marks() {
            true => Vec::new(),
            false => self.summary.missed_required(),
        };
        let all = required.into_iter().chain(self.summary.missed_others());
        all.filter(|mark| self.seed_options.profile.may_reach(mark)).collect()
    }

    /// Returns the number of marks that no run of the profile can reach.
    pub(crate) fn marks_beyond_profile(&self) -> usize {
        MARKS.iter().filter(|mark| !self.seed_options.profile.may_reach(mark.name)).count()
    }

    /// Returns the command line that replays a seed.
    pub(crate) fn seed_line(&self, seed: u64) -> String {
        replay_line(&self.program, seed, self.seed_options)
    }

    /// Returns true if the canary was run and no check detected it.
    pub(crate) fn canary_undetected(&self) -> bool {
        self.canary.as_ref().is_some_and(|canary| canary.found_by.is_none())
    }

    /// Returns the result in a few words, `passed` or `FAILED: seed 7`.
    pub(crate) fn verdict(&self) -> String {
        match (self.exit(), self.summary.failed.as_slice()) {
            (Exit::Interrupted, _) => "interrupted: no failures so far".to_owned(),
            (_, [_]) if self.replayed_seed.is_some() => "FAILED".to_owned(),
            (_, [one]) => format!("FAILED: seed {}", one.seed),
            (_, [first, ..]) => {
                let count = self.summary.failed.len();
                format!("FAILED: {count} seeds, the smallest is seed {}", first.seed)
            }
            (Exit::ExpectationNotMet, []) if self.canary_undetected() => {
                format!("INCONCLUSIVE: {CANARY_MISSED}")
            }
            (Exit::ExpectationNotMet, []) => {
                let missed = self.missed_required().len();
                format!("INCONCLUSIVE: {missed} required coverage marks were not reached")
            }
            (_, []) => match self.incomplete_because() {
                Some(incomplete) => format!("passed so far: {incomplete}"),
                None => "passed".to_owned(),
            },
        }
    }

    /// Returns why seeds of the requested range were not run, if the user or the time limit ended
    /// the sweep. A sweep without a range is complete at its time limit.
    pub(crate) fn incomplete_because(&self) -> Option<String> {
        let has_range = *self.seeds.range.end() < u64::MAX;
        let is_incomplete = match self.end {
            SweepEnd::Interrupted => true,
            SweepEnd::Time => has_range && self.summary.seeds < self.seeds.count(),
            SweepEnd::Range | SweepEnd::Stable | SweepEnd::Failures => false,
        };
        let run = match has_range {
            true => format!("{} of {}", grouped(self.summary.seeds), seeds(self.seeds.count())),
            false => seeds(self.summary.seeds),
        };
        is_incomplete.then(|| format!("{} after {run}", self.end_text()))
    }

    /// Returns why the sweep is inconclusive, with every missed mark; `None` if it is not, or if a
    /// seed failed.
    pub(crate) fn inconclusive_because(&self) -> Option<String> {
        if self.exit() != Exit::ExpectationNotMet {
            return None;
        }
        let missed = self.missed_required().join(", ");
        Some(match self.canary_undetected() {
            true => CANARY_MISSED.to_owned(),
            false => format!("required coverage marks were not reached: {missed}"),
        })
    }

    /// Returns the requested seeds: `seeds 0..1000`, `part 2 of 4 of seeds 0..1000`, `seed 7`.
    pub(crate) fn subject(&self) -> String {
        if let Some(seed) = self.replayed_seed {
            return format!("seed {seed}");
        }
        let (first, last) = (*self.seeds.range.start(), *self.seeds.range.end());
        let range = match last.checked_add(1) {
            Some(end) => format!("seeds {first}..{end}"),
            None => format!("seeds from {first}"),
        };
        if let Some(parts) = self.parts {
            return format!("{range}, in {}", quantity(parts, "part"));
        }
        match self.seeds.of {
            1 => range,
            of => format!("part {} of {of} of {range}", self.seeds.index + 1),
        }
    }

    /// Returns the reason why the sweep stopped.
    pub(crate) fn end_text(&self) -> &'static str {
        match self.end {
            SweepEnd::Range => "all seeds were run",
            SweepEnd::Time => "time limit reached",
            SweepEnd::Stable => {
                "stable: 500 seeds in a row added no coverage: no count of a coverage mark reached \
                 a power of two that no earlier seed had reached"
            }
            SweepEnd::Failures => "failure limit reached (--failures-max)",
            SweepEnd::Interrupted => "interrupted",
        }
    }
}

fn seeds(count: u64) -> String {
    quantity(count, "seed")
}

/// Groups failed seeds by fingerprint, so that many seeds with one failure count as one finding.
/// The name of a group is `CHECK [FINGERPRINT]`.
pub(crate) fn by_fingerprint(failed: &[FailedSeed]) -> Vec<(String, Vec<&FailedSeed>)> {
    let mut groups: Vec<(Fingerprint, Vec<&FailedSeed>)> = Vec::new();
    for seed in failed {
        let fingerprint = Fingerprint::of(&seed.failure);
        match groups.iter_mut().find(|(known, _)| *known == fingerprint) {
            Some((_, seeds)) => seeds.push(seed),
            None => groups.push((fingerprint, vec![seed])),
        }
    }
    let named = groups.into_iter().map(|(fingerprint, seeds)| {
        let check = Finding::of(&seeds[0].failure).check;
        (format!("{check} [{fingerprint}]"), seeds)
    });
    named.collect()
}
