//! One sweep with one mutant: runs seeds until one fails, and verifies that this seed fails
//! because of the planted bug.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use crate::cli::exit::{CommandError, CommandResult};
use crate::cli::mutants::programs::{MutantBinary, run_with_timeout};
use crate::cli::report::json::{FailureRecord, SweepRecord};
use crate::cli::shrunk_record::ShrunkRecord;
use crate::settings::strategy::Strategy;

/// The distance between the first seeds of two consecutive sweeps with one mutant.
pub(crate) const SWEEP_STRIDE: u64 = 1_000_000;

/// The result of one sweep with a mutant, or of the tests that must detect the mutant.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct MutantSweep {
    /// The fingerprint of the sources, in hexadecimal.
    pub(crate) sources: String,
    /// The id of the mutant, `EL01`.
    pub(crate) mutant: String,
    /// A hash of the edits of the mutant, in hexadecimal.
    pub(crate) edits: String,
    /// The number of the sweep, from 0. Its first seed is this number times [`SWEEP_STRIDE`].
    pub(crate) number: u64,
    /// The number of seeds that a mutant must pass to survive.
    pub(crate) seeds_max: u64,
    /// The name of the search strategy.
    pub(crate) strategy: String,
    /// Whether the mutant was killed, and otherwise why not.
    pub(crate) verdict: Verdict,
    /// Details of the verdict, such as the names of the failed tests; may be empty.
    pub(crate) note: String,
    /// The failure that killed the mutant, or was rejected.
    pub(crate) failure: Option<FailureRecord>,
    /// The run time of the tests that killed the mutant, if tests did.
    #[serde(default)]
    pub(crate) test_seconds: Option<f64>,
    /// The shrunk run, if the failed run was shrunk.
    #[serde(default)]
    pub(crate) shrunk: Option<ShrunkRecord>,
}

/// The verdict of a sweep with a mutant, or of the tests that must detect it.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    /// A seed or a test failed with the bug, failed again when it was repeated, and passes without
    /// the bug.
    Killed,
    /// No seed or test failed because of the bug.
    Survived,
    /// A seed failed, but not in the same way when it was run again, or only because two runs of it
    /// differ; or a test also fails without the bug.
    Rejected,
    /// A process reached its time limit.
    Hung,
    /// The mutant does not compile without warnings.
    Unbuildable,
}

/// The two binaries of a sweep and their arguments.
#[derive(Clone, Copy)]
pub(crate) struct SweepCommand<'a> {
    /// The binary with the bug active.
    pub(crate) mutant: &'a MutantBinary,
    /// The binary without the bug.
    pub(crate) original: &'a MutantBinary,
    /// The profile, or `None` for the default profile.
    pub(crate) profile: Option<&'a str>,
    /// The search strategy of the sweeps.
    pub(crate) strategy: Strategy,
    /// The number of seeds that run in parallel.
    pub(crate) jobs: NonZeroUsize,
}

impl<'a> SweepCommand<'a> {
    /// Returns the flags of the profile and the search strategy.
    pub(crate) fn seed_arguments(self) -> Vec<&'a str> {
        let profile = self.profile.map(|profile| ["--profile", profile]);
        profile.into_iter().chain([["--strategy", self.strategy.name()]]).flatten().collect()
    }
}

/// The verdict of a sweep, its details, and the failure if a seed failed.
pub(crate) type SweepOutcome = (Verdict, String, Option<FailureRecord>);

/// Runs up to `seeds_max` seeds, from the first seed of sweep `number` on, until one kills the
/// mutant. A seed that also fails without the bug is skipped, because it does not show the bug.
pub(crate) fn run_sweep(
    command: SweepCommand<'_>,
    number: u64,
    seeds_max: u64,
) -> CommandResult<SweepOutcome> {
    let first = number * SWEEP_STRIDE;
    let end = first + seeds_max;
    let jobs = command.jobs.to_string();
    let (mut from, mut cpu_seconds) = (first, 0.0);
    while from < end {
        let range = format!("{from}..{end}");
        let words = ["--seeds", &range, "--failures-max", "1", "--jobs", &jobs];
        let Some(summary) = run(command.mutant, command, &words)? else {
            return Ok((
                Verdict::Hung,
                format!("time limit of the sweep of {range} reached"),
                None,
            ));
        };
        let Some(mut failure) = summary.failures.into_iter().next() else { break };
        cpu_seconds += failure.after_cpu_seconds;
        failure.after_cpu_seconds = cpu_seconds;
        failure.after_seeds = failure.seed - first + 1;
        from = failure.seed + 1;
        match verify_kill(command, &failure)? {
            KillEvidence::Conclusive(verdict, note) => return Ok((verdict, note, Some(failure))),
            KillEvidence::FailsAnyway => {}
        }
    }
    Ok((Verdict::Survived, String::new(), None))
}

/// The evidence that a failed seed gives.
enum KillEvidence {
    /// The verdict of the sweep, with its details.
    Conclusive(Verdict, String),
    /// The seed also fails without the bug.
    FailsAnyway,
}

/// Verifies that the bug causes the failure: the seed passes without the bug, and fails with it
/// again in the same way.
fn verify_kill(command: SweepCommand<'_>, failure: &FailureRecord) -> CommandResult<KillEvidence> {
    let rejected = |note: String| Ok(KillEvidence::Conclusive(Verdict::Rejected, note));
    let hung = |note: String| Ok(KillEvidence::Conclusive(Verdict::Hung, note));
    if failure.kind == "nondeterminism" {
        return rejected("nondeterminism does not count as a kill".to_owned());
    }
    let seed = failure.seed.to_string();
    match run(command.original, command, &["--seed", &seed])? {
        Some(original) if original.failures.is_empty() => {}
        Some(_) => return Ok(KillEvidence::FailsAnyway),
        None => return hung(format!("time limit of seed {seed} without the bug reached")),
    }
    let Some(replay) = run(command.mutant, command, &["--seed", &seed])? else {
        return hung(format!("time limit of the replay of seed {seed} reached"));
    };
    match replay.failures.first() {
        Some(again) if (&again.check, &again.detail) == (&failure.check, &failure.detail) => {
            Ok(KillEvidence::Conclusive(Verdict::Killed, String::new()))
        }
        Some(again) => rejected(format!("the replay fails with {} instead", again.detail)),
        None => rejected("the replay passes".to_owned()),
    }
}

/// Runs the simulator with these flags and returns its summary, or `None` if it reached the time
/// limit.
fn run(
    binary: &MutantBinary,
    command: SweepCommand<'_>,
    words: &[&str],
) -> CommandResult<Option<SweepRecord>> {
    let mut process = binary.command();
    process.args(words).arg("--json").args(command.seed_arguments());
    let Some((_, text)) = run_with_timeout(&mut process)? else { return Ok(None) };
    let record = serde_json::from_str(&text);
    record.map(Some).map_err(|error| {
        let (words, path) = (words.join(" "), binary.command.display());
        CommandError(format!("mutants: {path} {words}: no JSON summary: {error}"))
    })
}

/// Returns the digest of a sweep over these seeds with the mutant's binary, and with the original
/// one; `None` for a sweep that reached the time limit.
pub(crate) fn digests(
    command: SweepCommand<'_>,
    seeds: &str,
) -> CommandResult<[Option<String>; 2]> {
    let digest = |binary| {
        let sweep = run(binary, command, &["--seeds", seeds])?;
        Ok(sweep.map(|sweep| sweep.digest))
    };
    Ok([digest(command.mutant)?, digest(command.original)?])
}
