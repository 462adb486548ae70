//! `cargo sim merge`: adds up the JSON summaries of the parts of one sweep.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::check::{CHECKS, Check};
use crate::cli::args::MergeArguments;
use crate::cli::canary::Canary;
use crate::cli::exit::{CommandError, CommandResult};
use crate::cli::interrupt;
use crate::cli::program::Program;
use crate::cli::report::Outputs;
use crate::cli::report::content::Report;
use crate::cli::report::json::{ENDS, FailureRecord, SweepRecord};
use crate::cli::run_arguments::SeedOptions;
use crate::cli::shrink;
use crate::faults::Fault;
use crate::observe::Violation;
use crate::observe::combinations::Combinations;
use crate::observe::coverage::MARKS;
use crate::observe::fingerprint::Fingerprint;
use crate::observe::outcome::{Failure, PartlyCheckedTally, Tally};
use crate::run::summary::{FailedSeed, SlowestSeed, Summary};
use crate::run::sweep::{Seeds, SweepEnd};
use crate::settings::profile::Profile;
use crate::settings::strategy::Strategy;
use crate::values::histogram::Histogram;
use crate::values::time::SimTime;

/// Merges the files and writes the report.
pub(crate) fn execute(program: &Program, arguments: &MergeArguments) -> CommandResult {
    let outputs = Outputs::open(&arguments.output)?;
    let mut parts = Vec::new();
    for file in &arguments.files {
        parts.push((file, read(file)?));
    }
    let mut report = merged(program, parts)?;
    if arguments.output.shrinks() {
        interrupt::listen(true);
        // The parts may have shrunk runs, but only this command writes them to the directory.
        let is_done = |failed: &&FailedSeed| {
            arguments.output.shrink_to.is_none() && report.shrunk.contains_key(&failed.seed)
        };
        let (failed, seed_options) = (&report.summary.failed, report.seed_options);
        let known = failed.iter().filter(is_done).map(|failed| Fingerprint::of(&failed.failure));
        let known: BTreeSet<Fingerprint> = known.collect();
        let left = failed.iter().filter(|one| !known.contains(&Fingerprint::of(&one.failure)));
        let shrunk = shrink::first_of_each(program, left, seed_options, &arguments.output);
        report.shrunk.extend(shrunk);
    }
    outputs.write(&report)?;
    Ok(report.exit())
}

fn read(file: &Path) -> CommandResult<SweepRecord> {
    let text =
        fs::read_to_string(file).map_err(|error| CommandError::file("merge", file, &error))?;
    serde_json::from_str(&text).map_err(|error| {
        let file = file.display();
        CommandError(format!(
            "merge: {file}: not a `cargo sim --json` file of this version: {error}"
        ))
    })
}

/// Merges the parts of one sweep; each part must occur exactly once.
fn merged(program: &Program, mut parts: Vec<(&PathBuf, SweepRecord)>) -> CommandResult<Report> {
    parts.sort_by_key(|(_, part)| part.shard);
    let (first_file, first) = parts.first().expect("clap requires a file");
    let (first_file, sweep) = ((*first_file).clone(), SweepName::of(first));
    let of = sweep.parts;
    let (count, mut expected) = (parts.len() as u64, 1);
    let mut report: Option<Report> = None;
    for (file, part) in parts {
        let invalid = |error: String| CommandError(format!("merge: {}: {error}", file.display()));
        let own = SweepName::of(&part);
        if own.program != program.name {
            return Err(invalid(format!(
                "`{}` wrote the file, and this is `{}`, which may run other operations: merge it \
                 with `{} merge`",
                own.program, program.name, own.program
            )));
        }
        if own != sweep {
            let other = first_file.display();
            return Err(invalid(format!(
                "{own} is not of the same sweep as {sweep} in {other}: pass the parts of one sweep"
            )));
        }
        let number = part.shard.map_or(1, |(number, _)| number);
        if number < expected {
            return Err(invalid(format!(
                "part {number} of {of} is duplicated: pass each part once"
            )));
        }
        if number > expected {
            return Err(CommandError(format!("merge: part {expected} of {of} is missing")));
        }
        expected += 1;
        let part = restored(program, part).map_err(invalid)?;
        report = Some(match report {
            None => part,
            Some(report) => added(report, part),
        });
    }
    if expected <= of {
        return Err(CommandError(format!("merge: part {expected} of {of} is missing")));
    }
    let report = report.expect("clap requires a file");
    let seeds = Seeds { index: 0, of: 1, ..report.seeds };
    Ok(Report { seeds, parts: Some(count), ..report })
}

/// The parameters that all parts of one sweep have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
struct SweepName {
    program: String,
    profile: String,
    strategy: String,
    range: (u64, u64),
    /// The number of parts of the sweep.
    parts: u64,
}

impl SweepName {
    fn of(part: &SweepRecord) -> SweepName {
        SweepName {
            program: part.program.clone(),
            profile: part.profile.clone(),
            strategy: part.strategy.clone(),
            range: part.range,
            parts: part.shard.map_or(1, |(_, of)| of),
        }
    }
}

impl fmt::Display for SweepName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SweepName { program, profile, strategy, range: (first, last), parts } = self;
        write!(
            f,
            "a sweep of seeds {first}..={last} by `{program}` in {parts} parts, with profile \
             {profile} and strategy {strategy},"
        )
    }
}

fn added(mut report: Report, part: Report) -> Report {
    report.summary.merge(part.summary);
    report.shrunk.extend(part.shrunk);
    report.jobs = report.jobs.saturating_add(part.jobs.get());
    report.elapsed = report.elapsed.max(part.elapsed);
    let rank = |end: SweepEnd| ENDS.iter().position(|(_, known)| *known == end);
    report.end = [report.end, part.end].into_iter().max_by_key(|end| rank(*end)).expect("of two");
    report.canary = match (report.canary, part.canary) {
        (Some(one), Some(other)) => Some(Canary {
            // Every part looks for the bug in the same seeds, from the first of the sweep on.
            seeds: one.seeds.max(other.seeds),
            found_by: one.found_by.and_then(|check| other.found_by.map(|_| check)),
        }),
        (one, other) => one.or(other),
    };
    report
}

/// Returns the report that a JSON record was written from.
fn restored(program: &Program, part: SweepRecord) -> Result<Report, String> {
    let end = ENDS.iter().find(|(name, _)| *name == part.end);
    let (_, end) = *end.ok_or_else(|| format!("unknown stop reason {:?}", part.end))?;
    let jobs = usize::try_from(part.jobs).ok().and_then(NonZeroUsize::new);
    let (number, of) = part.shard.unwrap_or((1, 1));
    let failures = part.failures.clone().into_iter();
    let shrunk = failures.filter_map(|failure| Some((failure.seed, failure.shrunk?)));
    Ok(Report {
        program: program.name.clone(),
        is_builtin: program.is_builtin,
        seed_options: SeedOptions {
            profile: Profile::by_name(&part.profile).map_err(|error| error.to_string())?,
            strategy: Strategy::by_name(&part.strategy).ok_or("unknown search strategy")?,
        },
        seeds: Seeds { range: part.range.0..=part.range.1, index: number.saturating_sub(1), of },
        parts: None,
        jobs: jobs.ok_or("the number of jobs is zero or too large")?,
        replayed_seed: None,
        canary: part.canary.clone(),
        end,
        elapsed: seconds(part.wall_seconds)?,
        shrunk: shrunk.collect(),
        summary: summary(part)?,
    })
}

fn summary(part: SweepRecord) -> Result<Summary, String> {
    let digest = u64::from_str_radix(&part.digest, 16);
    let mut faults = BTreeMap::new();
    for (name, landed) in &part.faults {
        faults.insert(fault(name)?, *landed);
    }
    let distribution = |pairs: Vec<(u64, u64)>| {
        let mut distribution = Histogram::default();
        pairs.into_iter().for_each(|(value, times)| distribution.add_many(value, times));
        distribution
    };
    let failed: Result<_, String> = part.failures.iter().map(failed).collect();
    let slowest = part.slowest_seed.as_ref().map(|slowest| {
        let cpu = seconds(slowest.cpu_seconds)?;
        Ok::<_, String>(SlowestSeed { seed: slowest.seed, cpu, events: slowest.events })
    });
    Ok(Summary {
        seeds: part.seeds,
        digest: digest.map_err(|_| format!("{:?} is not a digest", part.digest))?,
        tally: Tally {
            events: part.events,
            simulated: seconds(part.simulated_seconds)?,
            faults,
            elections: part.elections,
            leader_changes: part.leader_changes,
            commands_committed: part.commands_committed,
            entries_committed: part.entries_committed,
            operations_checked: part.operations_checked,
            messages: part.messages,
            combinations: Combinations::from_words(&part.combinations)
                .ok_or_else(|| "the combinations are not those of this version".to_owned())?,
            partly_checked: PartlyCheckedTally {
                without_checks: part.runs_without_checks,
                without_liveness: part.runs_without_liveness,
            },
        },
        marks: MARKS.iter().map(|mark| part.marks.get(mark.name).copied().unwrap_or(0)).collect(),
        states: part.state_hashes_min.into_iter().collect(),
        first_seeds: MARKS
            .iter()
            .map(|mark| part.first_seeds.get(mark.name).copied().flatten())
            .collect(),
        rechecked: part.seeds_rechecked,
        cpu: seconds(part.cpu_seconds)?,
        failed: failed?,
        slowest: slowest.transpose()?,
        commands_committed: distribution(part.distributions.commands_committed),
        faults_landed: distribution(part.distributions.faults_landed),
        leader_changes: distribution(part.distributions.leader_changes),
    })
}

fn failed(record: &FailureRecord) -> Result<FailedSeed, String> {
    let faults: Result<_, String> = record.faults.iter().map(|name| fault(name)).collect();
    Ok(FailedSeed {
        seed: record.seed,
        failure: failure(record)?,
        after_seeds: record.after_seeds,
        after_cpu: seconds(record.after_cpu_seconds)?,
        faults: faults?,
    })
}

fn failure(record: &FailureRecord) -> Result<Failure, String> {
    let detail = record.detail.clone();
    Ok(match record.kind.as_str() {
        "safety" => Failure::Safety(violation(record)?),
        "liveness" => Failure::Liveness(violation(record)?),
        "panic" => Failure::Panic(detail),
        "simulator" => Failure::Simulator(detail),
        "nondeterminism" => Failure::Nondeterminism(detail),
        "stalled" => Failure::Stalled(detail),
        kind => {
            return Err(format!(
                "unknown kind of failure {kind:?}: merge it with the build that wrote the file"
            ));
        }
    })
}

fn violation(record: &FailureRecord) -> Result<Violation, String> {
    let named = |check: &&Check| record.check == format!("{} {}", check.id, check.name);
    let check = CHECKS.iter().find(named);
    let check = check.ok_or_else(|| format!("unknown check {:?}", record.check))?;
    let at = record.at.as_deref().and_then(sim_time);
    Ok(Violation {
        id: check.id,
        check: check.name,
        finding: record.detail.clone(),
        at: at.ok_or_else(|| format!("seed {} has no valid time of failure", record.seed))?,
        place: record.location.clone().unwrap_or_default(),
    })
}

/// Parses seconds with six decimals.
fn sim_time(text: &str) -> Option<SimTime> {
    let (seconds, micros) = text.split_once('.')?;
    let micros = (micros.len() == 6).then(|| micros.parse::<u64>().ok()).flatten()?;
    let nanos = seconds.parse::<u64>().ok()?.checked_mul(1_000_000_000)?;
    Some(SimTime(nanos.checked_add(micros * 1_000)?))
}

fn fault(name: &str) -> Result<&'static str, String> {
    let known = Fault::ALL.iter().map(|fault| fault.name()).find(|known| *known == name);
    known.ok_or_else(|| format!("unknown fault {name:?}"))
}

fn seconds(number: f64) -> Result<Duration, String> {
    Duration::try_from_secs_f64(number).map_err(|error| format!("{number} s: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::report::json;
    use crate::cli::report::tests::report;
    use crate::run::RunOptions;

    /// The part `number` of two of a sweep.
    fn part(number: u64) -> SweepRecord {
        let mut report = report(vec![None, None], 1);
        (report.seeds.index, report.seeds.of) = (number - 1, 2);
        serde_json::from_str(&json::document(&report)).expect("a document is valid")
    }

    fn merge(parts: [SweepRecord; 2]) -> Result<u64, String> {
        let workload = RunOptions::default().workload;
        let program = Program { name: "cargo sim".to_owned(), workload, is_builtin: true };
        let files = ["one", "other"].map(PathBuf::from);
        let merged = merged(&program, files.iter().zip(parts).collect());
        merged.map(|report| report.summary.seeds).map_err(|error| error.to_string())
    }

    #[test]
    fn parts_of_another_program_or_sweep_are_rejected_with_both_names() {
        assert_eq!(merge([part(1), part(2)]), Ok(4));
        let program = "cargo chaos".to_owned();
        let error = merge([part(1), SweepRecord { program, ..part(2) }]).expect_err("another");
        let both = "merge: other: `cargo chaos` wrote the file, and this is `cargo sim`";
        assert!(error.starts_with(both), "{error}");
        let error = merge([part(1), SweepRecord { range: (0, 9), ..part(2) }]).expect_err("other");
        let both = ["a sweep of seeds 0..=9 by", "the same sweep as a sweep of seeds 0..=1 by"];
        assert!(both.iter().all(|name| error.contains(name)), "{error}");
    }
}
