//! What a sweep came to, told in every form that was asked for.

mod github;
mod json;
mod junit;
mod page;
mod table;

use std::env;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cli::args::SweepArguments;
use crate::cli::console;
use crate::cli::exit::{Exit, Trouble};
use crate::cli::text::Finding;
use crate::profile::Profile;
use crate::summary::{FailedSeed, Summary};
use crate::sweep::{End, Seeds};

pub(crate) use json::{FailureRecord, SweepRecord};
pub(crate) use table::failure;

/// From how many seeds on a sweep of the default profile must reach every mark that must be.
const GATE_SEEDS: u64 = 1_000;

/// A finished sweep.
#[derive(Debug)]
pub(crate) struct Report {
    /// What the seeds drew from.
    pub(crate) profile: &'static Profile,
    /// The seeds that were asked for.
    pub(crate) seeds: Seeds,
    /// How many threads ran them.
    pub(crate) jobs: NonZeroUsize,
    /// The one seed, if it is not a sweep.
    pub(crate) replayed: Option<u64>,
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
        let large = self.profile == <&Profile>::default() && summary.seeds >= GATE_SEEDS;
        match summary.failed.first() {
            _ if self.end == End::Interrupted => Exit::Interrupted,
            Some(failed) => Exit::of(&failed.failure),
            None if large && !summary.missed_musts().is_empty() => Exit::Vacuous,
            None => Exit::Fine,
        }
    }

    /// How it ended, in a few words.
    pub(crate) fn verdict(&self) -> String {
        let missed = self.summary.missed_musts().len();
        match (self.exit(), self.summary.failed.as_slice()) {
            (Exit::Interrupted, []) => "interrupted: nothing was wrong so far".to_owned(),
            (Exit::Interrupted, failed) => format!("interrupted: {} failed", failed.len()),
            (_, [_]) if self.replayed.is_some() => "FAILED".to_owned(),
            (_, [one]) => format!("FAILED: seed {}", one.seed),
            (_, [first, ..]) => {
                let count = self.summary.failed.len();
                format!("FAILED: {count} seeds, the smallest is {}", first.seed)
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

/// The failed seeds of each check: one check that fails often is one finding.
pub(crate) fn by_check(failed: &[FailedSeed]) -> Vec<(String, Vec<&FailedSeed>)> {
    let mut groups: Vec<(String, Vec<&FailedSeed>)> = Vec::new();
    for seed in failed {
        let check = Finding::of(&seed.failure).check;
        match groups.iter_mut().find(|(name, _)| *name == check) {
            Some((_, seeds)) => seeds.push(seed),
            None => groups.push((check, vec![seed])),
        }
    }
    groups
}

/// The forms that were asked for; their files are open before the first seed runs.
pub(crate) struct Outputs {
    json: bool,
    junit: Option<Output>,
    page: Option<Output>,
    github: Option<Output>,
}

struct Output {
    flag: &'static str,
    path: PathBuf,
    file: File,
}

impl Outputs {
    /// Opens the files.
    pub(crate) fn open(arguments: &SweepArguments) -> Result<Outputs, Trouble> {
        let create = |flag, path: &Option<PathBuf>| {
            path.as_deref().map(|path| Output::create(flag, path)).transpose()
        };
        let github = arguments.github.then(Output::step_summary).transpose()?;
        Ok(Outputs {
            json: arguments.json,
            junit: create("--junit", &arguments.junit)?,
            page: create("--report", &arguments.report)?,
            github,
        })
    }

    /// Tells the report in every form.
    pub(crate) fn write(self, report: &Report) -> Result<(), Trouble> {
        if let Some(output) = self.junit {
            output.write(&junit::document(report)?)?;
        }
        if let Some(output) = self.page {
            output.write(&page::document(report))?;
        }
        if let Some(output) = self.github {
            output.write(&github::step_summary(report))?;
            for line in github::annotations(report) {
                // The runner reads both streams; JSON must stay alone on standard output.
                if self.json { eprintln!("{line}") } else { console::say(&line) }
            }
        }
        let text = if self.json { json::document(report) } else { table::summary(report) };
        console::say(&text);
        Ok(())
    }
}

impl Output {
    fn create(flag: &'static str, path: &Path) -> Result<Output, Trouble> {
        let file = File::create(path).map_err(|error| Trouble::file(flag, path, &error))?;
        Ok(Output { flag, path: path.to_owned(), file })
    }

    /// The file that GitHub Actions shows below a job's steps.
    fn step_summary() -> Result<Output, Trouble> {
        let flag = "--github";
        let path = env::var_os("GITHUB_STEP_SUMMARY").map(PathBuf::from).ok_or_else(|| {
            Trouble(format!("{flag}: GITHUB_STEP_SUMMARY is not set: is this GitHub Actions?"))
        })?;
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let file = file.map_err(|error| Trouble::file(flag, &path, &error))?;
        Ok(Output { flag, path, file })
    }

    fn write(mut self, text: &str) -> Result<(), Trouble> {
        let written = self.file.write_all(text.as_bytes());
        written.map_err(|error| Trouble::file(self.flag, &self.path, &error))
    }
}
