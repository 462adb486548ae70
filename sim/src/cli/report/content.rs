//! What there is to tell of a finished sweep, whatever the form.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::cli::args::Family;
use crate::cli::canary::Canary;
use crate::cli::exit::Exit;
use crate::cli::text::{Finding, replay_line};
use crate::fingerprint::Fingerprint;
use crate::summary::{FailedSeed, Summary};
use crate::sweep::{End, Seeds};

/// From how many seeds on a sweep of the default profile must reach every mark that must be.
const GATE_SEEDS: u64 = 1_000;

/// A finished sweep.
#[derive(Debug)]
pub(crate) struct Report {
    /// What the command is called.
    pub(crate) program: String,
    /// What the seeds drew from.
    pub(crate) family: Family,
    /// The seeds that were asked for.
    pub(crate) seeds: Seeds,
    /// From how many parts it was added up, if it was.
    pub(crate) parts: Option<u64>,
    /// How many threads ran them.
    pub(crate) jobs: NonZeroUsize,
    /// The one seed, if it is not a sweep.
    pub(crate) replayed: Option<u64>,
    /// What became of the bug that has to be found, if it was looked for.
    pub(crate) canary: Option<Canary>,
    /// What they came to.
    pub(crate) summary: Summary,
    /// Why no more were run.
    pub(crate) end: End,
    /// How long a person waited.
    pub(crate) elapsed: Duration,
}

impl Report {
    /// The exit code it comes to.
    pub(crate) fn exit(&self) -> Exit {
        let summary = &self.summary;
        let large = self.family == Family::default() && summary.seeds >= GATE_SEEDS;
        match summary.failed.first() {
            Some(failed) => Exit::of(&failed.failure),
            None if self.end == End::Interrupted => Exit::Interrupted,
            None if self.canary_lives() => Exit::Vacuous,
            None if large && !summary.missed_musts().is_empty() => Exit::Vacuous,
            None => Exit::Fine,
        }
    }

    /// The command line that runs a seed again.
    pub(crate) fn seed_line(&self, seed: u64) -> String {
        replay_line(&self.program, seed, self.family)
    }

    /// Whether the bug was not found that has to be.
    pub(crate) fn canary_lives(&self) -> bool {
        self.canary.as_ref().is_some_and(|canary| canary.found_by.is_none())
    }

    /// How it ended, in a few words.
    pub(crate) fn verdict(&self) -> String {
        let missed = self.summary.missed_musts().len();
        match (self.exit(), self.summary.failed.as_slice()) {
            (Exit::Interrupted, _) => "interrupted: nothing was wrong so far".to_owned(),
            (_, [_]) if self.replayed.is_some() => "FAILED".to_owned(),
            (_, [one]) => format!("FAILED: seed {}", one.seed),
            (_, [first, ..]) => {
                let count = self.summary.failed.len();
                format!("FAILED: {count} seeds, the smallest is {}", first.seed)
            }
            (Exit::Vacuous, []) if self.canary_lives() => {
                "VACUOUS: a bug that was planted to be found was not".to_owned()
            }
            (Exit::Vacuous, []) => {
                format!("VACUOUS: {missed} marks that must be reached were not")
            }
            (_, []) => "passed".to_owned(),
        }
    }

    /// What ran: `seeds 0..1000`, `part 2 of 4 of seeds 0..1000`, `seed 7`.
    pub(crate) fn subject(&self) -> String {
        if let Some(seed) = self.replayed {
            return format!("seed {seed}");
        }
        let (first, last) = (*self.seeds.range.start(), *self.seeds.range.end());
        let range = match last.checked_add(1) {
            Some(end) => format!("seeds {first}..{end}"),
            None => format!("seeds from {first}"),
        };
        if let Some(parts) = self.parts {
            return format!("{range}, in {parts} parts");
        }
        match self.seeds.of {
            1 => range,
            of => format!("part {} of {of} of {range}", self.seeds.index + 1),
        }
    }

    /// Why it ended where it did.
    pub(crate) fn ending(&self) -> &'static str {
        match self.end {
            End::Range => "all seeds were run",
            End::Time => "the time was up",
            End::Stable => {
                "stable: in 500 seeds in a row no coverage mark was reached more often than in \
                 any seed before, by a power of two"
            }
            End::Failures => "enough seeds had failed",
            End::Interrupted => "interrupted",
        }
    }
}

/// The failed seeds of each fingerprint, with the check and the fingerprint as their name: what
/// fails in one way often is one finding.
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
