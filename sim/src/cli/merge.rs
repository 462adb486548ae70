//! `cargo sim merge`: what the parts of one sweep came to, added up.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::check::{CHECKS, Check};
use crate::cli::args::{Family, MergeArguments};
use crate::cli::canary::Canary;
use crate::cli::exit::{Exit, Trouble};
use crate::cli::program::Program;
use crate::cli::report::Outputs;
use crate::cli::report::content::Report;
use crate::cli::report::json::{ENDS, FailureRecord, SweepRecord};
use crate::coverage::MARKS;
use crate::fault::Fault;
use crate::observe::Violation;
use crate::outcome::{Failure, Tally};
use crate::profile::Profile;
use crate::rung::Rung;
use crate::spread::Spread;
use crate::summary::{FailedSeed, SlowestSeed, Summary};
use crate::sweep::{End, Seeds};
use crate::time::SimTime;

/// Adds up and tells.
pub(crate) fn go(program: &Program, arguments: &MergeArguments) -> Result<Exit, Trouble> {
    let outputs = Outputs::open(&arguments.told)?;
    let mut parts = Vec::new();
    for file in &arguments.files {
        parts.push((file, read(file)?));
    }
    let report = merged(program, parts)?;
    outputs.write(&report)?;
    Ok(report.exit())
}

fn read(file: &Path) -> Result<SweepRecord, Trouble> {
    let text = fs::read_to_string(file).map_err(|error| Trouble::file("merge", file, &error))?;
    serde_json::from_str(&text).map_err(|error| {
        let why = "is not what `cargo sim --json` of this version prints";
        Trouble(format!("merge: {}: {why}: {error}", file.display()))
    })
}

/// All parts of one sweep, each of them once.
fn merged(program: &Program, mut parts: Vec<(&PathBuf, SweepRecord)>) -> Result<Report, Trouble> {
    parts.sort_by_key(|(_, part)| part.shard);
    let (first_file, first) = parts.first().expect("there is a file");
    let first_file = (*first_file).clone();
    let (profile, rung, range) = (first.profile.clone(), first.rung.clone(), first.range);
    let of = first.shard.map_or(1, |(_, of)| of);
    let (count, mut expected) = (parts.len() as u64, 1);
    let mut report: Option<Report> = None;
    for (file, part) in parts {
        let wrong = |what: String| Trouble(format!("merge: {}: {what}", file.display()));
        if (&part.profile, &part.rung, part.range) != (&profile, &rung, range)
            || part.shard.map_or(1, |s| s.1) != of
        {
            let other = first_file.display();
            return Err(wrong(format!(
                "is {} of profile {}, and {other} is not part of that: \
                give the parts of one sweep",
                part.subject, part.profile
            )));
        }
        let number = part.shard.map_or(1, |(number, _)| number);
        if number < expected {
            return Err(wrong(format!("is part {number} of {of} once more: give each part once")));
        }
        if number > expected {
            return Err(Trouble(format!("merge: part {expected} of {of} is missing")));
        }
        expected += 1;
        let part = restored(program, part).map_err(wrong)?;
        report = Some(match report {
            None => part,
            Some(report) => added(report, part),
        });
    }
    if expected <= of {
        return Err(Trouble(format!("merge: part {expected} of {of} is missing")));
    }
    let report = report.expect("there is a file");
    let seeds = Seeds { index: 0, of: 1, ..report.seeds };
    Ok(Report { seeds, parts: Some(count), ..report })
}

fn added(mut report: Report, part: Report) -> Report {
    report.summary.merge(part.summary);
    report.jobs = report.jobs.saturating_add(part.jobs.get());
    report.elapsed = report.elapsed.max(part.elapsed);
    let rank = |end: End| ENDS.iter().position(|(_, known)| *known == end);
    report.end = [report.end, part.end].into_iter().max_by_key(|end| rank(*end)).expect("of two");
    report.canary = match (report.canary, part.canary) {
        (Some(one), Some(other)) => Some(Canary {
            seeds: one.seeds + other.seeds,
            found_by: one.found_by.and_then(|check| other.found_by.map(|_| check)),
        }),
        (one, other) => one.or(other),
    };
    report
}

/// The report that a record was made of.
fn restored(program: &Program, part: SweepRecord) -> Result<Report, String> {
    let end = ENDS.iter().find(|(name, _)| *name == part.end);
    let (_, end) = *end.ok_or_else(|| format!("nothing ends by {:?}", part.end))?;
    let jobs = usize::try_from(part.jobs).ok().and_then(NonZeroUsize::new);
    let (number, of) = part.shard.unwrap_or((1, 1));
    Ok(Report {
        program: program.name.clone(),
        family: Family {
            profile: Profile::by_name(&part.profile).map_err(|error| error.to_string())?,
            rung: Rung::by_name(&part.rung).ok_or("it is of no rung there is")?,
        },
        seeds: Seeds { range: part.range.0..=part.range.1, index: number.saturating_sub(1), of },
        parts: None,
        jobs: jobs.ok_or("nobody ran it")?,
        replayed: None,
        canary: part
            .canary
            .as_ref()
            .map(|canary| Canary { seeds: canary.seeds, found_by: canary.found_by.clone() }),
        end,
        elapsed: seconds(part.wall_seconds)?,
        summary: summary(part)?,
    })
}

fn summary(part: SweepRecord) -> Result<Summary, String> {
    let digest = u64::from_str_radix(&part.digest, 16);
    let mut faults = BTreeMap::new();
    for (name, landed) in &part.faults {
        faults.insert(fault(name)?, *landed);
    }
    let spread = |pairs: Vec<(u64, u64)>| {
        let mut spread = Spread::default();
        pairs.into_iter().for_each(|(value, times)| spread.add_many(value, times));
        spread
    };
    let failed: Result<_, String> = part.failures.iter().map(failed).collect();
    let slowest = part.slowest_seed.as_ref().map(|slowest| {
        let cpu = seconds(slowest.cpu_seconds)?;
        Ok::<_, String>(SlowestSeed { seed: slowest.seed, cpu, events: slowest.events })
    });
    Ok(Summary {
        seeds: part.seeds,
        digest: digest.map_err(|_| format!("{:?} is no digest", part.digest))?,
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
        },
        marks: MARKS.iter().map(|mark| part.marks.get(mark.name).copied().unwrap_or(0)).collect(),
        states: part.states_least.into_iter().collect(),
        first_seeds: MARKS
            .iter()
            .map(|mark| part.first_seeds.get(mark.name).copied().flatten())
            .collect(),
        rechecked: part.seeds_rechecked,
        cpu: seconds(part.cpu_seconds)?,
        failed: failed?,
        slowest: slowest.transpose()?,
        commands_committed: spread(part.spreads.commands_committed),
        faults_landed: spread(part.spreads.faults_landed),
        leader_changes: spread(part.spreads.leader_changes),
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
    let saw = record.saw.clone();
    Ok(match record.kind.as_str() {
        "safety" => Failure::Safety(violation(record)?),
        "liveness" => Failure::Liveness(violation(record)?),
        "panic" => Failure::Panic(saw),
        "nondeterminism" => Failure::Nondeterminism(saw),
        "stalled" => Failure::Stalled(saw),
        kind => return Err(format!("no seed fails by {kind:?}")),
    })
}

fn violation(record: &FailureRecord) -> Result<Violation, String> {
    let named = |check: &&&Check| record.check == format!("{} {}", check.number, check.name);
    let check = CHECKS.iter().find(named);
    let check = check.ok_or_else(|| format!("there is no check {:?}", record.check))?;
    let at = record.at.as_deref().and_then(sim_time);
    Ok(Violation {
        number: check.number,
        check: check.name,
        saw: record.saw.clone(),
        at: at.ok_or_else(|| format!("seed {} failed at no time", record.seed))?,
        place: record.place.clone().unwrap_or_default(),
    })
}

/// Reads seconds with microseconds.
fn sim_time(text: &str) -> Option<SimTime> {
    let (seconds, micros) = text.split_once('.')?;
    let micros = (micros.len() == 6).then(|| micros.parse::<u64>().ok()).flatten()?;
    let nanos = seconds.parse::<u64>().ok()?.checked_mul(1_000_000_000)?;
    Some(SimTime(nanos.checked_add(micros * 1_000)?))
}

fn fault(name: &str) -> Result<&'static str, String> {
    let known = Fault::ALL.iter().map(|fault| fault.name()).find(|known| *known == name);
    known.ok_or_else(|| format!("there is no fault {name:?}"))
}

fn seconds(number: f64) -> Result<Duration, String> {
    Duration::try_from_secs_f64(number).map_err(|error| format!("{number} s: {error}"))
}
