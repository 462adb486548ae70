//! One campaign against one mutant: a sweep until a seed fails, and the proof that the seed found
//! the planted bug.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use crate::cli::exit::Trouble;
use crate::cli::mutants::programs::{Planted, finish};
use crate::cli::report::json::{FailureRecord, SweepRecord};
use crate::cli::shrink::ShrunkRecord;
use crate::rung::Rung;

/// How far apart the first seeds of two campaigns are.
const CAMPAIGN_STRIDE: u64 = 1_000_000;

/// What a campaign came to.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Campaign {
    /// The fingerprint of the sources.
    pub(crate) sources: String,
    /// The mutant.
    pub(crate) mutant: String,
    /// A hash of its edits.
    pub(crate) edits: String,
    /// Counted from 0; the first runs the seeds of the default sweep.
    pub(crate) campaign: u64,
    /// The most seeds it was to run.
    pub(crate) seeds_max: u64,
    /// The rung of its seeds.
    pub(crate) rung: String,
    /// How it ended.
    pub(crate) verdict: Verdict,
    /// More about the verdict, where there is more.
    pub(crate) note: String,
    /// The failure that killed the mutant, or was rejected.
    pub(crate) failure: Option<FailureRecord>,
    /// How long the tests ran that killed the mutant, if it was tests.
    #[serde(default)]
    pub(crate) test_seconds: Option<f64>,
    /// What was left of the run that failed, if it was shrunk.
    #[serde(default)]
    pub(crate) shrunk: Option<ShrunkRecord>,
}

/// How a campaign ended.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    /// A standing check or invariant failed, fails again on replay, and passes without the bug.
    Killed,
    /// No seed failed.
    Survived,
    /// A seed failed, but another way when run again, or only then.
    Rejected,
    /// A process did not end in time.
    Hung,
    /// The mutant does not compile without warnings.
    Unbuildable,
}

/// The two commands a campaign runs, and how.
#[derive(Clone, Copy)]
pub(crate) struct Hunt<'a> {
    /// With the bug.
    pub(crate) mutant: &'a Planted,
    /// Without it.
    pub(crate) original: &'a Planted,
    /// The profile, unless it is the default one.
    pub(crate) profile: Option<&'a str>,
    /// How far the sweeps go.
    pub(crate) rung: Rung,
    /// How many seeds run at a time.
    pub(crate) jobs: NonZeroUsize,
}

impl<'a> Hunt<'a> {
    /// The words that name what seeds draw from.
    pub(crate) fn family(self) -> Vec<&'a str> {
        let profile = self.profile.map(|profile| ["--profile", profile]);
        profile.into_iter().chain([["--rung", self.rung.name()]]).flatten().collect()
    }
}

/// How a hunt ended, more about it, and the failure if a seed failed.
pub(crate) type Ending = (Verdict, String, Option<FailureRecord>);

/// Hunts over up to `seeds_max` seeds. A seed that fails without the bug too proves nothing; the
/// hunt goes on after it.
pub(crate) fn hunt(hunt: Hunt<'_>, campaign: u64, seeds_max: u64) -> Result<Ending, Trouble> {
    let first = campaign * CAMPAIGN_STRIDE;
    let end = first + seeds_max;
    let jobs = hunt.jobs.to_string();
    let (mut from, mut cpu_seconds) = (first, 0.0);
    while from < end {
        let range = format!("{from}..{end}");
        let words = ["--seeds", &range, "--failures-max", "1", "--jobs", &jobs];
        let Some(sweep) = run(hunt.mutant, hunt, &words)? else {
            return Ok((Verdict::Hung, format!("the sweep of {range} did not end"), None));
        };
        let Some(mut failure) = sweep.failures.into_iter().next() else { break };
        cpu_seconds += failure.after_cpu_seconds;
        failure.after_cpu_seconds = cpu_seconds;
        failure.after_seeds = failure.seed - first + 1;
        from = failure.seed + 1;
        match prove(hunt, &failure)? {
            Proof::Conclusive(verdict, note) => return Ok((verdict, note, Some(failure))),
            Proof::FailsAnyway => {}
        }
    }
    Ok((Verdict::Survived, String::new(), None))
}

/// What a failed seed shows.
enum Proof {
    Conclusive(Verdict, String),
    /// It fails without the bug too.
    FailsAnyway,
}

/// Whether the failure shows the bug.
fn prove(hunt: Hunt<'_>, failure: &FailureRecord) -> Result<Proof, Trouble> {
    let rejected = |note: String| Ok(Proof::Conclusive(Verdict::Rejected, note));
    let hung = |note: String| Ok(Proof::Conclusive(Verdict::Hung, note));
    if failure.kind == "nondeterminism" {
        return rejected("a mere difference between two runs counts as no kill".to_owned());
    }
    let seed = failure.seed.to_string();
    match run(hunt.original, hunt, &["--seed", &seed])? {
        Some(original) if original.failures.is_empty() => {}
        Some(_) => return Ok(Proof::FailsAnyway),
        None => return hung(format!("{seed} did not end without the bug")),
    }
    let Some(replay) = run(hunt.mutant, hunt, &["--seed", &seed])? else {
        return hung(format!("the replay of {seed} did not end"));
    };
    match replay.failures.first() {
        Some(again) if (&again.check, &again.saw) == (&failure.check, &failure.saw) => {
            Ok(Proof::Conclusive(Verdict::Killed, String::new()))
        }
        Some(again) => rejected(format!("the replay sees {} instead", again.saw)),
        None => rejected("the replay passes".to_owned()),
    }
}

/// Runs a sweep and reads its summary; `None` if it did not end in time.
fn run(planted: &Planted, hunt: Hunt<'_>, words: &[&str]) -> Result<Option<SweepRecord>, Trouble> {
    let mut command = planted.command();
    command.args(words).arg("--json").args(hunt.family());
    let Some((_, text)) = finish(&mut command)? else { return Ok(None) };
    let record = serde_json::from_str(&text);
    record.map(Some).map_err(|error| {
        let (words, command) = (words.join(" "), planted.command.display());
        Trouble(format!("mutants: {command} {words}: no summary: {error}"))
    })
}

/// The digests of these seeds with the bug and without it, if both end in time.
pub(crate) fn digests(hunt: Hunt<'_>, seeds: &str) -> Result<[Option<String>; 2], Trouble> {
    let digest = |planted| {
        let sweep = run(planted, hunt, &["--seeds", seeds])?;
        Ok(sweep.map(|sweep| sweep.digest))
    };
    Ok([digest(hunt.mutant)?, digest(hunt.original)?])
}
