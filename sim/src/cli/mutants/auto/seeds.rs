//! Starts processes that run seeds with a mutant, and reads what they print.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use crate::cli::exit::CommandError;
use crate::cli::mutants::auto::worker::{SeedFailure, SeedRecord};
use crate::cli::mutants::programs::{MutantBinary, run_with_timeout};

/// A command that runs seeds of one profile.
#[derive(Clone, Copy)]
pub(crate) struct SeedRunner<'a> {
    pub(crate) command: &'a Path,
    pub(crate) profile: &'a str,
    pub(crate) strategy: &'a str,
    /// The CPU time of one seed after which it counts as hung.
    pub(crate) cpu_max: Duration,
}

/// The output of a process.
#[derive(Debug, Default)]
pub(crate) struct SeedResults {
    /// The seeds in ascending order; only the last may have failed.
    pub(crate) seeds: Vec<SeedRecord>,
    /// By mutant, the first seed that reached its place, and the first with another value.
    pub(crate) seen: BTreeMap<usize, Seen>,
}

/// The first seeds that reached the place of a mutant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) reached: Option<u64>,
    pub(crate) different: Option<u64>,
}

impl SeedRunner<'_> {
    /// Runs the seeds up to the first that fails. `active` is the number of the mutant, or `probe`,
    /// or `None` for a run without either.
    pub(crate) fn run(
        &self,
        active: Option<&str>,
        seeds: Range<u64>,
    ) -> Result<SeedResults, CommandError> {
        let active_bug = active.map(str::to_owned);
        let binary = MutantBinary { command: self.command.to_owned(), active_bug };
        let mut command = binary.command();
        let range = format!("{}..{}", seeds.start, seeds.end);
        let limit = format!("{}ms", self.cpu_max.as_millis());
        command.args(["mutant-seeds", "--seeds", &range, "--cpu", &limit]);
        command.args(["--profile", self.profile, "--strategy", self.strategy]);
        let (success, text) = match run_with_timeout(&mut command)? {
            Some((success, text)) => (success, text),
            None => (false, "hang".to_owned()),
        };
        let mut results = read(&text, seeds.start)?;
        let last = results.seeds.last();
        let is_failed = last.is_some_and(|last| last.failure.is_some());
        let next = last.map_or(seeds.start, |last| last.seed + 1);
        if !is_failed && next < seeds.end {
            let kind = if text.lines().last() == Some("hang") { "hang" } else { "abort" };
            if success {
                return Err(CommandError(format!("mutants: seeds {range}: no result of {next}")));
            }
            results.seeds.push(unfinished(next, kind, self.cpu_max));
        }
        Ok(results)
    }
}

/// Returns the record of a seed that the process did not finish.
fn unfinished(seed: u64, kind: &str, cpu_max: Duration) -> SeedRecord {
    let detail = match kind {
        "hang" => format!("no end within {} s of CPU time", cpu_max.as_secs()),
        _ => "the process was aborted, for example because of its memory limit".to_owned(),
    };
    let (kind, check) = (kind.to_owned(), kind.to_owned());
    let failure = Some(SeedFailure { kind, check, detail });
    SeedRecord { seed, digest: String::new(), cpu_seconds: cpu_max.as_secs_f64(), failure }
}

/// Reads the output: for each seed, a line `seen NUMBER BITS` for each mutant whose place this seed
/// was the first to reach, or to reach with another value, and then `seed {…}`.
fn read(text: &str, first: u64) -> Result<SeedResults, CommandError> {
    let mut results = SeedResults::default();
    let mut seed = first;
    for line in text.lines() {
        let invalid = || CommandError(format!("mutants: unexpected output of seeds: {line}"));
        match line.split_once(' ') {
            Some(("seed", json)) => {
                let record: SeedRecord = serde_json::from_str(json).map_err(|_| invalid())?;
                seed = record.seed + 1;
                results.seeds.push(record);
            }
            Some(("seen", numbers)) => {
                let (number, bits) = numbers.split_once(' ').ok_or_else(invalid)?;
                let number = number.parse().map_err(|_| invalid())?;
                let seen: &mut Seen = results.seen.entry(number).or_default();
                seen.reached.get_or_insert(seed);
                if bits == "3" {
                    seen.different.get_or_insert(seed);
                }
            }
            _ => {}
        }
    }
    Ok(results)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_prints_is_read() {
        let seed = |seed: u64, failure: &str| {
            format!(
                "seed {{\"seed\":{seed},\"digest\":\"a\",\"cpu_seconds\":0.1,\
                 \"failure\":{failure}}}\n"
            )
        };
        let failure = "{\"kind\":\"panic\",\"check\":\"panic\",\"detail\":\"x\"}";
        let text = format!("seen 4 1\n{}seen 4 3\nseen 9 3\n{}", seed(7, "null"), seed(8, failure));
        let results = read(&text, 7).expect("it is well formed");
        assert_eq!(results.seeds.len(), 2);
        assert_eq!(results.seeds[1].failure.as_ref().map(|one| one.check.as_str()), Some("panic"));
        assert_eq!(results.seen[&4], Seen { reached: Some(7), different: Some(8) });
        assert_eq!(results.seen[&9], Seen { reached: Some(8), different: Some(8) });
        assert!(read("seed {\n", 0).is_err());
        assert!(read("seen 4\n", 0).is_err());
    }
}
