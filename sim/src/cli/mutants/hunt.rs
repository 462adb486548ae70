//! One campaign against one mutant: a sweep until a seed fails, and the proof that the seed found
//! the planted bug.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cli::clock::{self, Stopwatch};
use crate::cli::exit::Trouble;
use crate::cli::report::json::{FailureRecord, SweepRecord};
use crate::cli::shrink::ShrunkRecord;
use crate::rung::Rung;

/// How long one process may run before it counts as hung.
const PROCESS_TIME_MAX: Duration = Duration::from_secs(900);
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
    pub(crate) mutant: &'a Path,
    /// Without it.
    pub(crate) original: &'a Path,
    /// The profile, unless it is the default one.
    pub(crate) profile: Option<&'a str>,
    /// How far the sweeps go.
    pub(crate) rung: Rung,
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
    let (mut from, mut cpu_seconds) = (first, 0.0);
    while from < end {
        let range = format!("{from}..{end}");
        let Some(sweep) = run(hunt.mutant, hunt, &["--seeds", &range, "--failures-max", "1"])?
        else {
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

/// Runs the command and reads its summary; `None` if it did not end in time.
fn run(binary: &Path, hunt: Hunt<'_>, words: &[&str]) -> Result<Option<SweepRecord>, Trouble> {
    let mut command = Command::new(binary);
    command.args(words).arg("--json").args(hunt.family());
    let Some((_, text)) = finish(&mut command)? else { return Ok(None) };
    let record = serde_json::from_str(&text);
    record.map(Some).map_err(|error| {
        let words = words.join(" ");
        Trouble(format!("mutants: {} {words}: no summary: {error}", binary.display()))
    })
}

/// Runs a command. Returns whether it succeeded, and what it printed; `None` if it did not end in
/// time.
pub(crate) fn finish(command: &mut Command) -> Result<Option<(bool, String)>, Trouble> {
    let program = command.get_program().to_owned();
    let failed = |error| Trouble::file("mutants", Path::new(&program), &error);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    // What it prints is read aside: it could fill the pipe.
    let mut pipe = child.stdout.take().expect("it is piped");
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut pipe, &mut text).map(|_| text)
    });
    let watch = Stopwatch::start();
    let ended = loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            break Some(status.success());
        }
        if watch.elapsed() > PROCESS_TIME_MAX {
            child.kill().and_then(|()| child.wait()).map_err(failed)?;
            break None;
        }
        clock::pause(Duration::from_millis(5));
    };
    let text = reader.join().expect("reading does not panic").map_err(failed)?;
    Ok(ended.map(|succeeded| (succeeded, text)))
}
