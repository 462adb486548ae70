//! The kill table: the cost of detecting each planted bug.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;

use crate::cli::mutants::mutant_sweep::{MutantSweep, Verdict};
use crate::cli::mutants::table::{Detector, Impossible, Kind, Mutant};
use crate::cli::shrunk_record::ShrunkRecord;
use crate::cli::text::{duration, grouped};
use crate::run::summary::median;

/// The row of one mutant.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) wrong: String,
    kind: Kind,
    detector: Detector,
    pub(crate) sweeps: usize,
    pub(crate) killed: usize,
    /// The number of seeds up to the failing one: the median of the sweeps that killed the mutant.
    pub(crate) seeds_to_kill: Option<u64>,
    pub(crate) cpu_seconds_to_kill: Option<f64>,
    /// The tests that killed the mutant.
    pub(crate) tests: Vec<String>,
    /// The wall-clock time of the tests that killed the mutant, in seconds.
    pub(crate) test_seconds: Option<f64>,
    /// The median number of lines of the shrunk scenarios.
    pub(crate) lines: Option<usize>,
    /// The median time that shrinking took.
    seconds_to_shrink: Option<f64>,
    /// The profile of the sweeps, or `None` for the default profile.
    pub(crate) profile: Option<String>,
    /// The checks, assertions and tests that detected the mutant.
    pub(crate) checks: BTreeSet<String>,
    /// The kinds of faults in the runs that killed the mutant.
    faults: BTreeSet<String>,
    /// The failing seed of the first sweep that killed the mutant.
    seed: Option<u64>,
    /// The results of the sweeps that did not kill the mutant, one line each.
    remarks: Vec<String>,
}

/// Returns the rows in the order of the mutants.
pub(crate) fn rows(mutants: &[Mutant], sweeps: &[MutantSweep]) -> Vec<Row> {
    mutants.iter().map(|mutant| row(mutant, sweeps)).collect()
}

fn row(mutant: &Mutant, sweeps: &[MutantSweep]) -> Row {
    let all: Vec<&MutantSweep> = sweeps.iter().filter(|c| c.mutant == mutant.id).collect();
    let (killed, others): (Vec<&MutantSweep>, Vec<&MutantSweep>) =
        all.iter().partition(|sweep| sweep.verdict == Verdict::Killed);
    let failures: Vec<_> = killed.iter().filter_map(|c| c.failure.as_ref()).collect();
    let seeds: Vec<u64> = failures.iter().map(|failure| failure.after_seeds).collect();
    let cpu: Vec<Duration> =
        failures.iter().map(|f| Duration::from_secs_f64(f.after_cpu_seconds.max(0.0))).collect();
    let shrunk: Vec<&ShrunkRecord> = killed.iter().filter_map(|c| c.shrunk.as_ref()).collect();
    let lines: Vec<usize> = shrunk.iter().map(|shrunk| shrunk.lines).collect();
    let took: Vec<Duration> =
        shrunk.iter().map(|shrunk| Duration::from_secs_f64(shrunk.seconds.max(0.0))).collect();
    Row {
        id: mutant.id.clone(),
        wrong: mutant.wrong.clone(),
        kind: mutant.kind,
        detector: mutant.detector(),
        sweeps: all.len(),
        killed: killed.len(),
        seeds_to_kill: (!seeds.is_empty()).then(|| median(&seeds)),
        cpu_seconds_to_kill: (!cpu.is_empty()).then(|| median(&cpu).as_secs_f64()),
        tests: killed.iter().filter(|c| c.failure.is_none()).flat_map(|c| tests(c)).collect(),
        test_seconds: killed.iter().find_map(|sweep| sweep.test_seconds),
        lines: (!lines.is_empty()).then(|| median(&lines)),
        seconds_to_shrink: (!took.is_empty()).then(|| median(&took).as_secs_f64()),
        profile: mutant.profile.clone(),
        checks: killed.iter().map(|sweep| killer(sweep)).collect(),
        faults: failures.iter().flat_map(|failure| failure.faults.clone()).collect(),
        seed: failures.first().map(|failure| failure.seed),
        remarks: others.iter().map(|sweep| sweep_line(sweep)).collect(),
    }
}

/// Returns the names of the tests that detected the bug.
fn tests(sweep: &MutantSweep) -> impl Iterator<Item = String> {
    sweep.note.split(", ").map(str::to_owned)
}

/// Returns what detected the bug: a check, an assertion with its source location, or tests.
fn killer(sweep: &MutantSweep) -> String {
    match &sweep.failure {
        Some(failure) if ["panic", "simulator"].contains(&failure.kind.as_str()) => {
            format!("panic: {}", failure.detail)
        }
        Some(failure) => failure.check.clone(),
        None => format!("test: {}", sweep.note),
    }
}

/// Returns the result of a sweep as one line.
pub(crate) fn sweep_line(sweep: &MutantSweep) -> String {
    let number = sweep.number + 1;
    let note = sweep.note.lines().next().unwrap_or_default();
    match (sweep.verdict, &sweep.failure) {
        (Verdict::Killed, Some(failure)) => {
            let (seed, seeds) = (failure.seed, grouped(failure.after_seeds));
            let cpu = duration(Duration::from_secs_f64(failure.after_cpu_seconds.max(0.0)));
            let check = killer(sweep);
            let small = match &sweep.shrunk {
                Some(ShrunkRecord { lines, seconds, runs, .. }) => {
                    let (runs, took) =
                        (grouped(*runs), duration(Duration::from_secs_f64(*seconds)));
                    format!("; shrunk to {lines} lines in {runs} runs, {took}")
                }
                None if note.is_empty() => String::new(),
                None => format!("; {note}"),
            };
            format!("sweep {number}: killed by {check}, seed {seed}, {seeds} seeds, {cpu}{small}")
        }
        (Verdict::Killed, None) => {
            let took = Duration::from_secs_f64(sweep.test_seconds.unwrap_or(0.0));
            format!("killed by {} in {}", killer(sweep), duration(took))
        }
        (Verdict::Survived, _) if note.is_empty() => {
            format!("sweep {number}: SURVIVED {} seeds", grouped(sweep.seeds_max))
        }
        (Verdict::Survived, _) => format!("sweep {number}: SURVIVED: {note}"),
        (Verdict::Rejected, Some(failure)) => {
            let (seed, check) = (failure.seed, &failure.check);
            format!("sweep {number}: REJECTED {check}, seed {seed}: {note}")
        }
        (Verdict::Rejected, None) => format!("sweep {number}: REJECTED: {note}"),
        (Verdict::Hung, _) => format!("sweep {number}: HUNG: {note}"),
        (Verdict::Unbuildable, _) => format!("sweep {number}: UNBUILDABLE: {note}"),
    }
}

/// Returns the kill table as text, followed by the bugs that cannot be planted.
pub(crate) fn table(rows: &[Row], impossible: &[Impossible]) -> String {
    let mut lines = vec![format!(
        "{:8} {:9} {:>6} {:>6} {:>8} {:>5} {:>8}  {:8}  {}",
        "mutant", "kind", "killed", "seeds", "CPU s", "lines", "shrink s", "seed", "detected by"
    )];
    for row in rows {
        let kind = if row.kind == Kind::Safety { "safety" } else { "liveness" };
        let killed = format!("{}/{}", row.killed, row.sweeps);
        let seeds = row.seeds_to_kill.map_or_else(|| "-".to_owned(), grouped);
        let cpu = row.cpu_seconds_to_kill.map_or_else(|| "-".to_owned(), |s| format!("{s:.3}"));
        let left = row.lines.map_or_else(|| "-".to_owned(), |lines| lines.to_string());
        let took = row.seconds_to_shrink.map_or_else(|| "-".to_owned(), |s| format!("{s:.1}"));
        let seed = row.seed.map_or_else(|| "-".to_owned(), |seed| seed.to_string());
        let mut by = row.checks.iter().cloned().collect::<Vec<_>>().join(", ");
        if let Some(profile) = &row.profile {
            by.push_str(&format!(" ({profile})"));
        }
        let id = &row.id;
        lines.push(format!(
            "{id:8} {kind:9} {killed:>6} {seeds:>6} {cpu:>8} {left:>5} {took:>8}  {seed:8}  {by}"
        ));
        lines.extend(row.remarks.iter().map(|remark| format!("         {remark}")));
    }
    let killed = rows.iter().filter(|row| row.killed == row.sweeps).count();
    lines.push(format!("{killed} of {} killed in every sweep", rows.len()));
    let left: Vec<usize> = rows.iter().filter_map(|row| row.lines).collect();
    if !left.is_empty() {
        let took: Vec<Duration> = rows
            .iter()
            .filter_map(|row| row.seconds_to_shrink.map(Duration::from_secs_f64))
            .collect();
        let (median_lines, median_took) = (median(&left), duration(median(&took)));
        lines.push(format!("{} shrunk: median {median_lines} lines, {median_took}", left.len()));
    }
    lines
        .extend(impossible.iter().map(|bug| format!("not applicable: {}: {}", bug.id, bug.reason)));
    lines.join("\n")
}

/// Returns the kill table as JSON.
pub(crate) fn json(rows: &[Row]) -> String {
    serde_json::to_string_pretty(rows).expect("a row is always valid JSON")
}
