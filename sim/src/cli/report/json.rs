//! The summary as JSON. Fields are only ever added.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::cli::report::content::Report;
use crate::cli::report::worth::{chance_of_news, failing_share_max};
use crate::cli::text::{Finding, rate};
use crate::coverage::MARKS;
use crate::fingerprint::Fingerprint;
use crate::summary::FailedSeed;
use crate::sweep::End;

/// A sweep, or one seed.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct SweepRecord {
    /// The profile's name.
    pub(crate) profile: String,
    /// The rung's name.
    pub(crate) rung: String,
    /// Which seeds were asked for.
    pub(crate) subject: String,
    /// The first seed of the range that was asked for, and the last.
    pub(crate) range: (u64, u64),
    /// Which part of the range was run, and of how many; nothing if all of it was.
    pub(crate) shard: Option<(u64, u64)>,
    /// Why no more were run: `range`, `time`, `stable`, `failures` or `interrupted`.
    pub(crate) end: String,
    /// The same in a few words.
    pub(crate) ended: String,
    /// The exit code.
    pub(crate) exit_code: u8,
    /// How it ended, in a few words.
    pub(crate) verdict: String,
    /// How many threads ran seeds.
    pub(crate) jobs: u64,
    /// How many seeds were run.
    pub(crate) seeds: u64,
    /// How many of them were run twice.
    pub(crate) seeds_rechecked: u64,
    /// A hash over the seeds' digests.
    pub(crate) digest: String,
    /// How long a person waited.
    pub(crate) wall_seconds: f64,
    /// CPU time of first runs.
    pub(crate) cpu_seconds: f64,
    /// Events of all seeds.
    pub(crate) events: u64,
    /// Per second of wall time.
    pub(crate) events_per_second: u64,
    /// Per second of CPU time.
    pub(crate) events_per_cpu_second: u64,
    /// Simulated time of all seeds.
    pub(crate) simulated_seconds: f64,
    /// Messages given to the network.
    pub(crate) messages: u64,
    /// Faults that landed, by kind.
    pub(crate) faults: BTreeMap<String, u64>,
    /// Elections won.
    pub(crate) elections: u64,
    /// Times the leader became another node.
    pub(crate) leader_changes: u64,
    /// Entries committed.
    pub(crate) entries_committed: u64,
    /// Commands of clients among them.
    pub(crate) commands_committed: u64,
    /// Client operations whose outcome was checked.
    pub(crate) operations_checked: u64,
    /// What the seed in the middle did.
    pub(crate) median_seed: MedianRecord,
    /// How many seeds did how much of that: pairs of a count and how many seeds had it.
    pub(crate) spreads: SpreadsRecord,
    /// The seed that took the most CPU time.
    pub(crate) slowest_seed: Option<SlowestRecord>,
    /// In how many seeds each coverage mark was reached.
    pub(crate) marks: BTreeMap<String, u64>,
    /// About how many abstract states were reached; 0 where the search is not led by them.
    #[serde(default)]
    pub(crate) states: u64,
    /// The least of their hashes, out of which those of several parts are counted.
    #[serde(default)]
    pub(crate) states_least: Vec<u64>,
    /// The smallest seed that reached each coverage mark.
    pub(crate) first_seeds: BTreeMap<String, Option<u64>>,
    /// The marks that no seed reached and every large sweep must.
    pub(crate) missed_musts: Vec<String>,
    /// The estimated probability that one seed more reaches a mark that none has reached.
    pub(crate) chance_of_news: f64,
    /// Below what share of all seeds fails, with 95 % confidence; nothing if some failed here.
    pub(crate) failing_share_max: Option<f64>,
    /// What became of a bug that has to be found; nothing where it was not looked for.
    pub(crate) canary: Option<CanaryRecord>,
    /// The seeds that failed, in order.
    pub(crate) failures: Vec<FailureRecord>,
}

/// Medians over the seeds.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct MedianRecord {
    commands_committed: u64,
    faults_landed: u64,
    leader_changes: u64,
}

/// What each seed did, without saying which.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct SpreadsRecord {
    pub(crate) commands_committed: Vec<(u64, u64)>,
    pub(crate) faults_landed: Vec<(u64, u64)>,
    pub(crate) leader_changes: Vec<(u64, u64)>,
}

/// A bug that has to be found.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct CanaryRecord {
    /// How many seeds were run for it.
    pub(crate) seeds: u64,
    /// The check that found it, if one did.
    pub(crate) found_by: Option<String>,
}

/// The seed that took the most CPU time.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct SlowestRecord {
    pub(crate) seed: u64,
    pub(crate) cpu_seconds: f64,
    pub(crate) events: u64,
}

/// One seed that failed.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct FailureRecord {
    /// The seed.
    pub(crate) seed: u64,
    /// `safety`, `liveness`, `panic`, `nondeterminism` or `stalled`.
    pub(crate) kind: String,
    /// The check by number and name.
    pub(crate) check: String,
    /// The same for all runs that fail alike.
    pub(crate) fingerprint: String,
    /// What it saw.
    pub(crate) saw: String,
    /// When in simulated time, in seconds.
    pub(crate) at: Option<String>,
    /// Where the sources say so: `sim/src/check/election.rs:41`.
    pub(crate) place: Option<String>,
    /// The command line that runs the seed again.
    pub(crate) replay: String,
    /// How many seeds had been run with it, itself included.
    pub(crate) after_seeds: u64,
    /// The CPU time of those.
    pub(crate) after_cpu_seconds: f64,
    /// The kinds of faults that landed in the seed's run, or in all of its runs.
    pub(crate) faults: Vec<String>,
}

/// The report as one JSON object.
pub(crate) fn document(report: &Report) -> String {
    serde_json::to_string_pretty(&record(report)).expect("a record has nothing JSON lacks")
}

fn record(report: &Report) -> SweepRecord {
    let (summary, tally) = (&report.summary, &report.summary.tally);
    let medians = summary.medians();
    let named = MARKS.iter().map(|mark| mark.name.to_owned());
    SweepRecord {
        profile: report.family.profile.name.to_owned(),
        rung: report.family.rung.name().to_owned(),
        subject: report.subject(),
        range: (*report.seeds.range.start(), *report.seeds.range.end()),
        shard: (report.seeds.of > 1).then_some((report.seeds.index + 1, report.seeds.of)),
        end: end_name(report.end).to_owned(),
        ended: report.ending().to_owned(),
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
        median_seed: MedianRecord {
            commands_committed: medians.commands_committed,
            faults_landed: medians.faults_landed,
            leader_changes: medians.leader_changes,
        },
        spreads: SpreadsRecord {
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
        states: summary.states.count(),
        states_least: summary.states.iter().collect(),
        first_seeds: named.zip(summary.first_seeds.clone()).collect(),
        chance_of_news: chance_of_news(summary),
        failing_share_max: summary.failed.is_empty().then(|| failing_share_max(summary)),
        canary: report
            .canary
            .as_ref()
            .map(|canary| CanaryRecord { seeds: canary.seeds, found_by: canary.found_by.clone() }),
        missed_musts: summary.missed_musts().iter().map(|name| (*name).to_owned()).collect(),
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
        saw: finding.saw,
        at: finding.at,
        place: finding.place,
        replay: report.seed_line(failed.seed),
        after_seeds: failed.after_seeds,
        after_cpu_seconds: failed.after_cpu.as_secs_f64(),
        faults: failed.faults.iter().map(|kind| (*kind).to_owned()).collect(),
    }
}

/// The names of the reasons for an end.
pub(crate) const ENDS: [(&str, End); 5] = [
    ("range", End::Range),
    ("time", End::Time),
    ("stable", End::Stable),
    ("failures", End::Failures),
    ("interrupted", End::Interrupted),
];

fn end_name(end: End) -> &'static str {
    let named = ENDS.iter().find(|(_, known)| *known == end);
    named.expect("each has a name").0
}
