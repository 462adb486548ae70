//! Tests of every report format, over sweeps with failures.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::cli::canary::Canary;
use crate::cli::exit::Exit;
use crate::cli::report::content::{Report, by_fingerprint};
use crate::cli::report::{github, json, junit, page, table};
use crate::cli::run_arguments::SeedOptions;
use crate::observe::Violation;
use crate::observe::coverage::MARKS;
use crate::observe::outcome::{Failure, Outcome, PartlyCheckedTally, Tally};
use crate::run::summary::Summary;
use crate::run::sweep::{SeedRun, Seeds, SweepEnd};
use crate::settings::profile::Profile;
use crate::values::time::SimTime;

fn violation(id: &'static str, check: &'static str, saw: &str) -> Violation {
    let place = "sim/src/check/election.rs:41".to_owned();
    Violation { id, check, finding: saw.to_owned(), at: SimTime(1_204_310_000), place }
}

fn safety() -> Failure {
    Failure::Safety(violation("S1", "election-safety", "term 7 has <two> leaders: n2 & n4"))
}

/// Returns the report of a sweep with one seed per item; `marks` is the count of every mark.
pub(crate) fn report(failures: Vec<Option<Failure>>, marks: u32) -> Report {
    let mut summary = Summary::default();
    let count = failures.len() as u64;
    for (seed, failure) in failures.into_iter().enumerate() {
        let tally = Tally { events: 1_000, ..Tally::default() };
        let marks = vec![marks; MARKS.len()];
        let outcome = Outcome {
            seed: seed as u64,
            digest: 0,
            tally,
            marks,
            states: Default::default(),
            scripted: Default::default(),
            failure,
        };
        summary.add(&SeedRun { outcome, cpu: Duration::from_millis(1), rechecked: false });
    }
    Report {
        program: "cargo sim".to_owned(),
        is_builtin: true,
        seed_options: SeedOptions::default(),
        seeds: Seeds::all(0..=count - 1),
        parts: None,
        jobs: NonZeroUsize::MIN,
        replayed_seed: None,
        canary: Some(Canary { seeds: 3, found_by: Some("S17 memory-equals-disk".to_owned()) }),
        summary,
        shrunk: Default::default(),
        end: SweepEnd::Range,
        elapsed: Duration::from_secs(1),
    }
}

fn failed_report() -> Report {
    let panic = Failure::Panic("no quorum at src/raft/leader.rs:41".to_owned());
    report(vec![None, Some(safety()), Some(panic), None, Some(safety())], 1)
}

#[test]
fn the_smallest_failed_seed_decides_the_exit_code() {
    let liveness = Failure::Liveness(violation("L1", "progress", "no progress"));
    let of = |failure: Failure| report(vec![None, Some(failure), Some(safety())], 1).exit();
    assert_eq!(of(safety()), Exit::Safety);
    assert_eq!(of(liveness), Exit::Liveness);
    assert_eq!(of(Failure::Stalled("events cause further events".to_owned())), Exit::Liveness);
    assert_eq!(of(Failure::Panic("text".to_owned())), Exit::Panic);
    assert_eq!(of(Failure::Nondeterminism("text".to_owned())), Exit::Nondeterminism);
    assert_eq!(report(vec![None], 1).exit(), Exit::Success);
    let interrupted = |report| Report { end: SweepEnd::Interrupted, ..report };
    assert_eq!(interrupted(report(vec![None], 1)).exit(), Exit::Interrupted);
    assert_eq!(
        interrupted(failed_report()).exit(),
        Exit::Safety,
        "a failure outranks the interruption"
    );
}

#[test]
fn a_large_sweep_must_reach_every_required_mark() {
    let missed = MARKS.iter().filter(|mark| mark.required).count();
    assert!(missed > 0, "no mark is required");
    let small = report(vec![None; 999], 0);
    assert_eq!(small.exit(), Exit::Success);
    assert_eq!(small.summary.missed_required().len(), missed);
    assert_eq!(small.missed_required(), Vec::<&str>::new());
    let text = table::summary(&small);
    assert!(text.contains("required marks are judged from 1,000 seeds on"), "{text}");
    assert!(!text.contains("missed") && !text.contains("change/completed"), "{text}");
    assert!(!page::document(&small).contains("class=\"bad\""));
    let large = report(vec![None; 1_000], 0);
    assert_eq!(large.exit(), Exit::ExpectationNotMet);
    let other = Report { is_builtin: false, ..report(vec![None; 1_000], 0) };
    assert_eq!(other.exit(), Exit::Success, "another state machine may reach fewer marks");
    assert!(!page::document(&other).contains("required from"), "{}", page::document(&other));
    let undetected = Some(Canary { seeds: 100, found_by: None });
    let blind = Report { canary: undetected, ..report(vec![None], 1) };
    assert_eq!(blind.exit(), Exit::ExpectationNotMet);
    assert!(blind.verdict().contains("no check detected"), "{}", blind.verdict());
    assert!(table::summary(&blind).contains("NOT DETECTED in 100 seeds"));
    assert!(github::annotations(&blind)[0].contains("no check detected the planted bug"));
    assert!(
        junit::document(&blind).is_ok_and(|text| text.contains("no check detected the planted"))
    );
    let failed = Report { canary: blind.canary, ..report(vec![Some(safety())], 1) };
    assert_eq!(failed.exit(), Exit::Safety, "a failed seed outranks the canary");
    assert!(
        table::summary(&large).contains(&format!("INCONCLUSIVE: {missed} required coverage marks"))
    );
    assert!(junit::document(&large).is_ok_and(|text| text.contains("failures=\"1\"")));
    assert!(github::annotations(&large)[0].starts_with("::error title=coverage::required"));
    let no_faults = Profile::by_name("no-faults").expect("the profile exists");
    assert_eq!(
        Report {
            seed_options: SeedOptions { profile: no_faults, ..SeedOptions::default() },
            ..report(vec![None; 1_000], 0)
        }
        .exit(),
        Exit::Success
    );
    assert_eq!(report(vec![None; 1_000], 1).exit(), Exit::Success);
}

#[test]
fn a_profile_is_not_blamed_for_marks_that_its_runs_cannot_reach() {
    let profile = Profile::by_name("crash").expect("the profile exists");
    let seed_options = SeedOptions { profile, ..SeedOptions::default() };
    let crash = Report { seed_options, ..report(vec![None; 1_000], 0) };
    let text = table::summary(&crash);
    assert!(text.contains("  not reached") && text.contains("fault/crash/leader"), "{text}");
    assert!(!text.contains("missed") && !text.contains("change/completed"), "{text}");
    assert!(text.contains("  not in profile"), "{text}");
}

#[test]
fn a_failed_seed_is_printed_with_its_check_time_and_replay_line() {
    let report = failed_report();
    let text = table::failure(&report.summary.failed[0], &report.seed_line(1));
    let expected = "FAIL  seed 1: safety check S1 election-safety failed at 1.204310 s of \
                    simulated time\n      term 7 has <two> leaders: n2 & n4\n      \
                    replay: cargo sim --seed 1";
    assert_eq!(text, expected);
    assert!(table::summary(&report).ends_with("FAILED: 3 seeds, the smallest is seed 1"));
}

#[test]
fn failed_seeds_are_grouped_by_fingerprint() {
    let report = failed_report();
    let groups = by_fingerprint(&report.summary.failed);
    let seeds: Vec<(&str, usize)> =
        groups.iter().map(|(check, seeds)| (check.as_str(), seeds.len())).collect();
    let names: Vec<&str> = seeds.iter().map(|(name, _)| *name).collect();
    assert!(names[0].starts_with("S1 election-safety [S1-"), "{names:?}");
    assert!(names[1].starts_with("panic [panic-"), "{names:?}");
    assert_eq!(seeds.iter().map(|(_, count)| *count).collect::<Vec<_>>(), [2, 1]);
}

#[test]
fn junit_has_a_test_case_for_each_kind_of_failure() {
    let text = junit::document(&failed_report()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(text.matches("<testcase ").count(), 3, "{text}");
    assert!(text.contains("failures=\"2\""), "{text}");
    assert!(text.contains("all failing seeds: 1, 4"), "{text}");
    assert!(text.contains("&lt;two&gt; leaders: n2 &amp; n4"), "{text}");
}

#[test]
fn junit_shows_that_a_sweep_is_incomplete() {
    let ended = |end, seeds| Report { end, seeds, ..report(vec![None; 12], 1) };
    let junit = |report: &Report| junit::document(report).unwrap_or_else(|error| panic!("{error}"));
    let interrupted = ended(SweepEnd::Interrupted, Seeds::all(0..=999));
    let text = junit(&interrupted);
    assert!(text.contains("errors=\"1\""), "{text}");
    assert!(text.contains("<error message=\"interrupted after 12 of 1,000 seeds\""), "{text}");
    let late = ended(SweepEnd::Time, Seeds::all(0..=999));
    let text = junit(&late);
    let skipped = "<skipped message=\"time limit reached after 12 of 1,000 seeds\"";
    assert!(text.contains(skipped) && text.contains("errors=\"0\""), "{text}");
    assert_eq!(late.exit(), Exit::Success);
    assert!(late.verdict().starts_with("passed so far: time limit"), "{}", late.verdict());
    // A sweep without a range, or of a whole one, is complete.
    for seeds in [Seeds::all(0..=u64::MAX), Seeds::all(0..=11)] {
        let whole = ended(SweepEnd::Time, seeds);
        let text = junit(&whole);
        assert!(!text.contains("<skipped") && !text.contains("<error"), "{text}");
        assert_eq!(whole.verdict(), "passed");
    }
    let endless = ended(SweepEnd::Interrupted, Seeds::all(0..=u64::MAX));
    assert!(junit(&endless).contains("<error message=\"interrupted after 12 seeds\""));
    let failed = Report { end: SweepEnd::Interrupted, ..failed_report() };
    let text = junit(&failed);
    assert!(text.contains("errors=\"1\"") && text.contains("failures=\"2\""), "{text}");
}

#[test]
fn runs_that_were_checked_only_in_part_are_counted_apart() {
    assert!(!table::summary(&report(vec![None], 1)).contains("partly checked"));
    let mut partly = report(vec![None; 3], 1);
    let tally = PartlyCheckedTally { without_checks: 2, without_liveness: 1 };
    partly.summary.tally.partly_checked = tally;
    let text = table::summary(&partly).split_whitespace().collect::<Vec<_>>().join(" ");
    let row = "partly checked 2 runs without checks after a rollback or a loss of too many disks \
               · \
               1 run for safety only, because too few nodes had reliable data";
    assert!(text.contains(row), "{text}");
    let json: serde_json::Value =
        serde_json::from_str(&json::document(&partly)).expect("the document is valid");
    assert_eq!(
        (&json["runs_without_checks"], &json["runs_without_liveness"]),
        (&2.into(), &1.into())
    );
}

#[test]
fn the_page_escapes_the_detail_of_a_failure() {
    let text = page::document(&failed_report());
    assert!(text.contains("&lt;two&gt; leaders: n2 &amp; n4"));
    assert!(text.contains("<code>cargo sim --seed 4</code>"));
    assert!(!text.contains("<two>") && !text.contains("http") && !text.contains("<script"));
}

#[test]
fn annotations_point_at_the_source_location() {
    let lines = github::annotations(&failed_report());
    let panic = "::no quorum at src/raft/leader.rs:41%0Areplay: cargo sim --seed 2 (1 seed)";
    assert!(lines[1].starts_with("::error file=src/raft/leader.rs,line=41,title=panic [panic-"));
    assert!(lines[1].ends_with(panic), "{}", lines[1]);
    let check = "::error file=sim/src/check/election.rs,line=41,title=S1 election-safety [S1-";
    assert!(lines[0].starts_with(check), "{}", lines[0]);
    assert!(lines[0].contains("]::term 7"), "{}", lines[0]);
    let text = github::step_summary(&failed_report());
    assert!(text.contains("### S1 election-safety [S1-") && text.contains("], 2 seeds"), "{text}");
}

#[test]
fn json_has_every_failure() {
    let text = json::document(&failed_report());
    let record: json::SweepRecord = serde_json::from_str(&text).expect("the document is valid");
    assert_eq!((record.seeds, record.exit_code), (5, 10));
    let seeds: Vec<u64> = record.failures.iter().map(|failure| failure.seed).collect();
    assert_eq!(seeds, [1, 2, 4]);
    assert_eq!(record.failures[0].check, "S1 election-safety");
    assert_eq!(record.failures[1].after_seeds, 3);
}
