//! Starts processes that run seeds with a mutant, and reads what they print.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use crate::cli::exit::{CommandError, CommandResult};
use crate::cli::mutants::auto::worker::{SeedFailure, SeedRecord};
use crate::cli::mutants::programs::{MutantBinary, ProcessEnd, run_until_timeout};

/// A command that runs seeds of one profile.
#[derive(Clone, Copy)]
pub(crate) struct SeedRunner<'a> {
    pub(crate) command: &'a Path,
    pub(crate) profile: &'a str,
    pub(crate) strategy: &'a str,
    /// The CPU time of one seed after which it counts as hung.
    pub(crate) cpu_max: Duration,
}

/// The output of one or more processes.
#[derive(Debug, Default)]
pub(crate) struct SeedResults {
    /// The seeds in ascending order. [`SeedRunner::run`] ends with the first that fails.
    pub(crate) seeds: Vec<SeedRecord>,
    /// By mutant, the first seed that reached its place, and the first with a different value.
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
    ) -> CommandResult<SeedResults> {
        let active_bug = active.map(str::to_owned);
        let binary = MutantBinary { command: self.command.to_owned(), active_bug };
        let limit = format!("{}ms", self.cpu_max.as_millis());
        run_in_processes(seeds, self.cpu_max, |part| {
            let mut command = binary.command();
            let range = format!("{}..{}", part.start, part.end);
            command.args(["mutant-seeds", "--seeds", &range, "--cpu", &limit]);
            command.args(["--profile", self.profile, "--strategy", self.strategy]);
            run_until_timeout(&mut command)
        })
    }
}

/// Runs the seeds with `process`, which returns the end of a process and its output. The time limit
/// is for one process, not for one seed: another process runs the seeds that it leaves. A seed is a
/// hang if a process that began with this seed reached the limit, or if the process reports that
/// the seed used more CPU time than `cpu_max`.
fn run_in_processes(
    seeds: Range<u64>,
    cpu_max: Duration,
    mut process: impl FnMut(Range<u64>) -> CommandResult<(ProcessEnd, String)>,
) -> CommandResult<SeedResults> {
    let mut results = SeedResults::default();
    let mut next = seeds.start;
    while next < seeds.end {
        let first = next;
        let (end, text) = process(first..seeds.end)?;
        let is_stopped = end == ProcessEnd::TimeLimit;
        // A process that was killed may have written a part of a line.
        let whole = if is_stopped { text.rfind('\n').map_or(0, |at| at + 1) } else { text.len() };
        results.read(&text[..whole], first)?;
        let last = results.seeds.last();
        if last.is_some_and(|last| last.failure.is_some()) {
            break;
        }
        next = last.map_or(first, |last| last.seed + 1);
        let is_hang = text.lines().last() == Some("hang") || (is_stopped && next == first);
        if next == seeds.end || (is_stopped && !is_hang) {
            continue;
        }
        // A refusal, for example of an unknown mutant, says nothing about the mutant.
        let reason = match end {
            ProcessEnd::Succeeded => Some(format!("no result of {next}")),
            ProcessEnd::Refused => Some("the command refuses to run them (exit code 2)".to_owned()),
            ProcessEnd::Failed | ProcessEnd::TimeLimit => None,
        };
        if let Some(reason) = reason {
            let Range { end, .. } = seeds;
            return Err(CommandError(format!("mutants: seeds {first}..{end}: {reason}")));
        }
        let kind = if is_hang { "hang" } else { "abort" };
        results.seeds.push(unfinished(next, kind, cpu_max));
        break;
    }
    Ok(results)
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

impl SeedResults {
    /// Adds the output of a process that began with the seed `first`: for each seed, a line `seen
    /// NUMBER BITS` for each mutant whose place this seed was the first to reach, or to reach with
    /// a different value, and then `seed {…}`.
    fn read(&mut self, text: &str, first: u64) -> CommandResult<()> {
        let mut seed = first;
        for line in text.lines() {
            let invalid = || CommandError(format!("mutants: unexpected output of seeds: {line}"));
            match line.split_once(' ') {
                Some(("seed", json)) => {
                    let record: SeedRecord = serde_json::from_str(json).map_err(|_| invalid())?;
                    seed = record.seed + 1;
                    self.seeds.push(record);
                }
                Some(("seen", numbers)) => {
                    let (number, bits) = numbers.split_once(' ').ok_or_else(invalid)?;
                    let number = number.parse().map_err(|_| invalid())?;
                    let seen: &mut Seen = self.seen.entry(number).or_default();
                    seen.reached.get_or_insert(seed);
                    if bits == "3" {
                        seen.different.get_or_insert(seed);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed(seed: u64, failure: &str) -> String {
        format!(
            "seed {{\"seed\":{seed},\"digest\":\"a\",\"cpu_seconds\":0.1,\
             \"failure\":{failure}}}\n"
        )
    }

    /// Runs seeds 0 to 3 with processes that end in these ways; returns the first seeds of the
    /// processes, the kind of failure of each seed, and all results.
    fn ran(outputs: &[(ProcessEnd, String)]) -> (Vec<u64>, Vec<Option<String>>, SeedResults) {
        let mut outputs = outputs.iter().cloned();
        let mut starts = Vec::new();
        let results = run_in_processes(0..4, Duration::from_secs(9), |part| {
            starts.push(part.start);
            Ok(outputs.next().expect("no more processes are started"))
        });
        let results = results.expect("the output is well formed");
        let kind = |record: &SeedRecord| record.failure.as_ref().map(|one| one.kind.clone());
        (starts, results.seeds.iter().map(kind).collect(), results)
    }

    #[test]
    fn the_seeds_that_a_stopped_process_leaves_are_run_by_another() {
        let passes = |number| seed(number, "null");
        let stopped =
            (ProcessEnd::TimeLimit, format!("seen 4 1\n{}{}seed {{\"se", passes(0), passes(1)));
        let rest = (ProcessEnd::Succeeded, format!("seen 4 3\n{}{}", passes(2), passes(3)));
        let (starts, kinds, results) = ran(&[stopped.clone(), rest]);
        assert_eq!((starts, kinds), (vec![0, 2], vec![None; 4]), "slow is not a hang");
        assert_eq!(results.seen[&4], Seen { reached: Some(0), different: Some(2) });

        let hang = Some("hang".to_owned());
        let (starts, kinds, _) = ran(&[stopped, (ProcessEnd::TimeLimit, String::new())]);
        assert_eq!((starts, kinds), (vec![0, 2], vec![None, None, hang.clone()]));
        let (_, kinds, _) = ran(&[(ProcessEnd::Failed, format!("{}hang\n", passes(0)))]);
        assert_eq!(kinds, [None, hang]);
        let (_, kinds, _) = ran(&[(ProcessEnd::Failed, passes(0))]);
        assert_eq!(kinds, [None, Some("abort".to_owned())]);
    }

    #[test]
    fn a_refusal_is_no_failure_of_a_mutant() {
        let ran =
            |end| run_in_processes(0..4, Duration::from_secs(9), |_| Ok((end, String::new())));
        let error = ran(ProcessEnd::Refused).expect_err("the process refuses the seeds").0;
        assert_eq!(error, "mutants: seeds 0..4: the command refuses to run them (exit code 2)");
        let failed = ran(ProcessEnd::Failed).expect("a mutant may abort the process");
        assert_eq!(failed.seeds.len(), 1);
    }

    #[test]
    fn what_a_process_prints_is_read() {
        let failure = "{\"kind\":\"panic\",\"check\":\"panic\",\"detail\":\"x\"}";
        let text = format!("seen 4 1\n{}seen 4 3\nseen 9 3\n{}", seed(7, "null"), seed(8, failure));
        let mut results = SeedResults::default();
        results.read(&text, 7).expect("it is well formed");
        assert_eq!(results.seeds.len(), 2);
        assert_eq!(results.seeds[1].failure.as_ref().map(|one| one.check.as_str()), Some("panic"));
        assert_eq!(results.seen[&4], Seen { reached: Some(7), different: Some(8) });
        assert_eq!(results.seen[&9], Seen { reached: Some(8), different: Some(8) });
        for invalid in ["seed {\n", "seen 4\n"] {
            assert!(SeedResults::default().read(invalid, 0).is_err(), "{invalid}");
        }
    }
}
