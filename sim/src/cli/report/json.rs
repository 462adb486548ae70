//! The summary as JSON, the format that `cargo sim merge` reads.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::cli::canary::Canary;
use crate::cli::report::content::Report;
use crate::cli::report::estimates::{failure_rate_max, new_mark_probability};
use crate::cli::shrunk_record::ShrunkRecord;
use crate::cli::text::{Finding, rate};
use crate::observe::coverage::MARKS;
use crate::observe::fingerprint::Fingerprint;
use crate::run::summary::FailedSeed;
use crate::run::sweep::SweepEnd;

/// The summary of a sweep, or of one replayed seed.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct SweepRecord {
    /// The command whose workload was run, `cargo sim`.
    pub(crate) program: String,
    /// The name of the profile, `default`.
    pub(crate) profile: String,
    /// The name of the search strategy, `nemeses`.
    pub(crate) strategy: String,
    /// The requested seeds in words, `seeds 0..1000`.
    pub(crate) subject: String,
    /// The first and the last seed of the requested range.
    pub(crate) range: (u64, u64),
    /// The part of the range that was run, from 1, and the number of parts; `null` for the whole.
    pub(crate) shard: Option<(u64, u64)>,
    /// The stop reason: `range`, `time`, `stable`, `failures` or `interrupted`.
    pub(crate) end: String,
    /// The stop reason in words.
    pub(crate) end_text: String,
    /// The exit code of the command.
    pub(crate) exit_code: u8,
    /// The result in words, `passed`.
    pub(crate) verdict: String,
    /// The number of threads that ran seeds.
    pub(crate) jobs: u64,
    /// The number of seeds that were run.
    pub(crate) seeds: u64,
    /// The number of seeds that were run twice to detect nondeterminism.
    pub(crate) seeds_rechecked: u64,
    /// A hash of the digests of all seeds, in hexadecimal.
    pub(crate) digest: String,
    /// The wall-clock time of the sweep.
    pub(crate) wall_seconds: f64,
    /// The CPU time of the first run of each seed.
    pub(crate) cpu_seconds: f64,
    /// The number of simulated events of all seeds.
    pub(crate) events: u64,
    /// Events per second of wall-clock time.
    pub(crate) events_per_second: u64,
    /// Events per second of CPU time.
    pub(crate) events_per_cpu_second: u64,
    /// The simulated time of all seeds.
    pub(crate) simulated_seconds: f64,
    /// The number of messages sent to the network.
    pub(crate) messages: u64,
    /// The number of injected faults by kind.
    pub(crate) faults: BTreeMap<String, u64>,
    /// The number of elections won.
    pub(crate) elections: u64,
    /// The number of times another node became leader.
    pub(crate) leader_changes: u64,
    /// The number of committed log entries.
    pub(crate) entries_committed: u64,
    /// The number of replies that clients received to their committed commands.
    pub(crate) commands_committed: u64,
    /// The number of replies to commands and of answers to reads that clients received.
    pub(crate) operations_checked: u64,
    /// The number of runs whose checks all ended in the middle, because more disks were lost than
    /// the cluster can survive, or a disk was rolled back without a mark.
    #[serde(default)]
    pub(crate) runs_without_checks: u64,
    /// The number of other runs whose liveness was not checked.
    #[serde(default)]
    pub(crate) runs_without_liveness: u64,
    /// The combinations of faults that occurred, as a set of bits.
    #[serde(default)]
    pub(crate) combinations: Vec<u64>,
    /// The number of combinations of fault, role and phase that occurred.
    #[serde(default)]
    pub(crate) combinations_in_phases: usize,
    /// The number of pairs of faults that occurred.
    #[serde(default)]
    pub(crate) pairs_of_faults: usize,
    /// Medians over all seeds.
    pub(crate) median_seed: MedianRecord,
    /// The distributions over all seeds: pairs of a value and the number of seeds with it.
    pub(crate) distributions: DistributionsRecord,
    /// The seed that took the most CPU time.
    pub(crate) slowest_seed: Option<SlowestRecord>,
    /// The number of seeds that reached each coverage mark.
    pub(crate) marks: BTreeMap<String, u64>,
    /// The estimated number of abstract states; 0 unless the search strategy is `guided`.
    #[serde(default)]
    pub(crate) abstract_states: u64,
    /// The smallest hashes of the abstract states, from which a merge estimates their number.
    #[serde(default)]
    pub(crate) state_hashes_min: Vec<u64>,
    /// The smallest seed that reached each coverage mark.
    pub(crate) first_seeds: BTreeMap<String, Option<u64>>,
    /// The coverage marks that the sweep had to reach and that no seed reached; empty if the sweep
    /// is small, or has another profile or search strategy than the default.
    pub(crate) missed_required_marks: Vec<String>,
    /// The estimated probability that one more seed reaches a new coverage mark.
    pub(crate) new_mark_probability: f64,
    /// The upper bound of the failure rate with 95 % confidence; `null` if a seed failed.
    pub(crate) failure_rate_max: Option<f64>,
    /// The result of the canary runs; `null` for a replay.
    pub(crate) canary: Option<Canary>,
    /// The failed seeds in ascending order.
    pub(crate) failures: Vec<FailureRecord>,
}

/// Medians over the seeds.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct MedianRecord {
    commands_committed: u64,
    faults_landed: u64,
    leader_changes: u64,
}

/// Pairs of a value and the number of seeds that have it, for each measure.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct DistributionsRecord {
    pub(crate) commands_committed: Vec<(u64, u64)>,
    pub(crate) faults_landed: Vec<(u64, u64)>,
    pub(crate) leader_changes: Vec<(u64, u64)>,
}

/// The seed that took the most CPU time.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct SlowestRecord {
    pub(crate) seed: u64,
    pub(crate) cpu_seconds: f64,
    pub(crate) events: u64,
}

/// A failed seed and how to replay it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct FailureRecord {
    /// The number of the seed.
    pub(crate) seed: u64,
    /// `safety`, `liveness`, `panic`, `simulator`, `nondeterminism` or `stalled`.
    pub(crate) kind: String,
    /// The check by id and name, `S1 election-safety`; the kind if no check failed.
    pub(crate) check: String,
    /// The fingerprint, equal for all runs with the same failure.
    pub(crate) fingerprint: String,
    /// The observed violation, or the panic message.
    pub(crate) detail: String,
    /// The simulated time of the violation, in seconds.
    pub(crate) at: Option<String>,
    /// The source location of the check or the panic: `sim/src/check/election.rs:41`.
    pub(crate) location: Option<String>,
    /// The command line that replays the seed.
    pub(crate) replay: String,
    /// The number of seeds that had been run by then, this one included.
    pub(crate) after_seeds: u64,
    /// The CPU time of these seeds.
    pub(crate) after_cpu_seconds: f64,
    /// The kinds of faults that were injected into the run, or into all runs of the seed.
    pub(crate) faults: Vec<String>,
    /// The shrunk run, with `--shrink`, for the first seed of each kind of failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) shrunk: Option<ShrunkRecord>,
}

/// Returns the report as one JSON object.
pub(crate) fn document(report: &Report) -> String {
    serde_json::to_string_pretty(&record(report)).expect("a record is always valid JSON")
}

fn record(report: &Report) -> SweepRecord {
    let (summary, tally) = (&report.summary, &report.summary.tally);
    let medians = summary.medians();
    let named = MARKS.iter().map(|mark| mark.name.to_owned());
    SweepRecord {
        program: report.program.clone(),
        profile: report.seed_options.profile.name.to_owned(),
        strategy: report.seed_options.strategy.name().to_owned(),
        subject: report.subject(),
        range: (*report.seeds.range.start(), *report.seeds.range.end()),
        shard: (report.seeds.of > 1).then_some((report.seeds.index + 1, report.seeds.of)),
        end: end_name(report.end).to_owned(),
        end_text: report.end_text().to_owned(),
        exit_code: report.exit() as u8,
        verdict: report.verdict(),
        jobs: report.jobs.get() as u64,
        seeds: summary.seeds,
        seeds_rechecked: summary.rechecked,
        digest: format!("{:016x}", summary.digest),
        wall_seconds: report.elapsed.as_secs_f64(),
        cpu_seconds: summary.cpu.as_secs_f64(),
        events: tally.events,
        events_per_second: rate(tally.events, report.elapsed),
        events_per_cpu_second: rate(tally.events, summary.cpu),
        simulated_seconds: tally.simulated.as_secs_f64(),
        messages: tally.messages,
        faults: tally.faults.iter().map(|(kind, n)| ((*kind).to_owned(), *n)).collect(),
        elections: tally.elections,
        leader_changes: tally.leader_changes,
        entries_committed: tally.entries_committed,
        commands_committed: tally.commands_committed,
        operations_checked: tally.operations_checked,
        runs_without_checks: tally.partly_checked.without_checks,
        runs_without_liveness: tally.partly_checked.without_liveness,
        combinations: tally.combinations.to_words(),
        combinations_in_phases: tally.combinations.in_phases(),
        pairs_of_faults: tally.combinations.pairs(),
        median_seed: MedianRecord {
            commands_committed: medians.commands_committed,
            faults_landed: medians.faults_landed,
            leader_changes: medians.leader_changes,
        },
        distributions: DistributionsRecord {
            commands_committed: summary.commands_committed.iter().collect(),
            faults_landed: summary.faults_landed.iter().collect(),
            leader_changes: summary.leader_changes.iter().collect(),
        },
        slowest_seed: summary.slowest.map(|slowest| SlowestRecord {
            seed: slowest.seed,
            cpu_seconds: slowest.cpu.as_secs_f64(),
            events: slowest.events,
        }),
        marks: named.clone().zip(summary.marks.clone()).collect(),
        abstract_states: summary.states.count(),
        state_hashes_min: summary.states.iter().collect(),
        first_seeds: named.zip(summary.first_seeds.clone()).collect(),
        new_mark_probability: new_mark_probability(summary),
        failure_rate_max: summary.failed.is_empty().then(|| failure_rate_max(summary)),
        canary: report.canary.clone(),
        missed_required_marks: report
            .missed_required()
            .iter()
            .map(|name| (*name).to_owned())
            .collect(),
        failures: summary.failed.iter().map(|failed| failure(failed, report)).collect(),
    }
}

fn failure(failed: &FailedSeed, report: &Report) -> FailureRecord {
    let finding = Finding::of(&failed.failure);
    FailureRecord {
        seed: failed.seed,
        kind: finding.kind.to_owned(),
        check: finding.check,
        fingerprint: Fingerprint::of(&failed.failure).to_string(),
        detail: finding.detail,
        at: finding.at,
        location: finding.location,
        replay: report.seed_line(failed.seed),
        after_seeds: failed.after_seeds,
        after_cpu_seconds: failed.after_cpu.as_secs_f64(),
        faults: failed.faults.iter().map(|kind| (*kind).to_owned()).collect(),
        shrunk: report.shrunk.get(&failed.seed).cloned(),
    }
}

/// The JSON names of the stop reasons.
pub(crate) const ENDS: [(&str, SweepEnd); 5] = [
    ("range", SweepEnd::Range),
    ("time", SweepEnd::Time),
    ("stable", SweepEnd::Stable),
    ("failures", SweepEnd::Failures),
    ("interrupted", SweepEnd::Interrupted),
];

fn end_name(end: SweepEnd) -> &'static str {
    let named = ENDS.iter().find(|(_, known)| *known == end);
    named.expect("each reason has a name").0
}
