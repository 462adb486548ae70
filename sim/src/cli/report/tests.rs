//! Every form of the report, over sweeps that failed.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::cli::args::Family;
use crate::cli::canary::Canary;
use crate::cli::exit::Exit;
use crate::cli::report::content::{Report, by_fingerprint};
use crate::cli::report::{github, json, junit, page, table};
use crate::coverage::MARKS;
use crate::observe::Violation;
use crate::outcome::{Failure, Outcome, Tally};
use crate::profile::Profile;
use crate::summary::Summary;
use crate::sweep::{End, SeedRun, Seeds};
use crate::time::SimTime;

fn violation(number: &'static str, check: &'static str, saw: &str) -> Violation {
    let place = "sim/src/check/election.rs:41".to_owned();
    Violation { number, check, saw: saw.to_owned(), at: SimTime(1_204_310_000), place }
}

fn safety() -> Failure {
    Failure::Safety(violation("S1", "election-safety", "term 7 has <two> leaders: n2 & n4"))
}

/// A sweep in which the seeds fail that have a failure; every mark is reached, or none.
fn report(failures: Vec<Option<Failure>>, marks: u32) -> Report {
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
            sightings: Default::default(),
            failure,
        };
        summary.add(&SeedRun { outcome, cpu: Duration::from_millis(1), rechecked: false });
    }
    Report {
        program: "cargo sim".to_owned(),
        family: Family::default(),
        seeds: Seeds::all(0..=count - 1),
        parts: None,
        jobs: NonZeroUsize::MIN,
        replayed: None,
        canary: Some(Canary { seeds: 3, found_by: Some("S17 memory-equals-disk".to_owned()) }),
        summary,
        end: End::Range,
        elapsed: Duration::from_secs(1),
    }
}

fn failed_report() -> Report {
    let panic = Failure::Panic("no quorum at src/raft/leader.rs:41".to_owned());
    report(vec![None, Some(safety()), Some(panic), None, Some(safety())], 1)
}

#[test]
fn the_smallest_failed_seed_decides_the_exit_code() {
    let liveness = Failure::Liveness(violation("L1", "progress", "nothing happened"));
    let of = |failure: Failure| report(vec![None, Some(failure), Some(safety())], 1).exit();
    assert_eq!(of(safety()), Exit::Safety);
    assert_eq!(of(liveness), Exit::Liveness);
    assert_eq!(of(Failure::Stalled("events beget events".to_owned())), Exit::Liveness);
    assert_eq!(of(Failure::Panic("text".to_owned())), Exit::Panic);
    assert_eq!(of(Failure::Nondeterminism("text".to_owned())), Exit::Nondeterminism);
    assert_eq!(report(vec![None], 1).exit(), Exit::Fine);
    let interrupted = |report| Report { end: End::Interrupted, ..report };
    assert_eq!(interrupted(report(vec![None], 1)).exit(), Exit::Interrupted);
    assert_eq!(interrupted(failed_report()).exit(), Exit::Safety, "what failed stays failed");
}

#[test]
fn a_large_sweep_must_reach_its_marks_and_a_small_one_tells() {
    let missed = MARKS.iter().filter(|mark| mark.must).count();
    assert!(missed > 0, "nothing must be reached");
    let small = report(vec![None; 999], 0);
    assert_eq!(small.exit(), Exit::Fine);
    assert_eq!(small.summary.missed_musts().len(), missed);
    let large = report(vec![None; 1_000], 0);
    assert_eq!(large.exit(), Exit::Vacuous);
    let lives = Some(Canary { seeds: 100, found_by: None });
    let blind = Report { canary: lives, ..report(vec![None], 1) };
    assert_eq!(blind.exit(), Exit::Vacuous);
    assert!(blind.verdict().contains("was not"), "{}", blind.verdict());
    assert!(table::summary(&blind).contains("NOT FOUND in 100 seeds"));
    let failed = Report { canary: blind.canary, ..report(vec![Some(safety())], 1) };
    assert_eq!(failed.exit(), Exit::Safety, "what failed says something all the same");
    assert!(table::summary(&large).contains(&format!("VACUOUS: {missed} marks")));
    assert!(junit::document(&large).is_ok_and(|text| text.contains("failures=\"1\"")));
    assert!(github::annotations(&large)[0].starts_with("::error title=coverage::not reached"));
    let calm = Profile::by_name("calm").expect("it exists");
    assert_eq!(
        Report {
            family: Family { profile: calm, ..Family::default() },
            ..report(vec![None; 1_000], 0)
        }
        .exit(),
        Exit::Fine
    );
    assert_eq!(report(vec![None; 1_000], 1).exit(), Exit::Fine);
}

#[test]
fn a_failed_seed_is_told_with_its_check_its_time_and_its_replay() {
    let report = failed_report();
    let text = table::failure(&report.summary.failed[0], &report.seed_line(1));
    let expected = "FAIL  S1 election-safety: term 7 has <two> leaders: n2 & n4\n      \
                    seed 1 at 1.204310 s\n      replay: cargo sim --seed 1";
    assert_eq!(text, expected);
    assert!(table::summary(&report).ends_with("FAILED: 3 seeds, the smallest is 1"));
}

#[test]
fn what_fails_in_one_way_often_is_one_finding() {
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
fn junit_has_a_case_for_each_way_of_failing() {
    let text = junit::document(&failed_report()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(text.matches("<testcase ").count(), 3, "{text}");
    assert!(text.contains("failures=\"2\""), "{text}");
    assert!(text.contains("all its seeds: 1, 4"), "{text}");
    assert!(text.contains("&lt;two&gt; leaders: n2 &amp; n4"), "{text}");
}

#[test]
fn the_page_escapes_what_a_check_saw() {
    let text = page::document(&failed_report());
    assert!(text.contains("&lt;two&gt; leaders: n2 &amp; n4"));
    assert!(text.contains("<code>cargo sim --seed 4</code>"));
    assert!(!text.contains("<two>") && !text.contains("http") && !text.contains("<script"));
}

#[test]
fn annotations_point_at_the_place_of_the_check_or_the_panic() {
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
    let record: json::SweepRecord = serde_json::from_str(&text).expect("it is what was written");
    assert_eq!((record.seeds, record.exit_code), (5, 10));
    let seeds: Vec<u64> = record.failures.iter().map(|failure| failure.seed).collect();
    assert_eq!(seeds, [1, 2, 4]);
    assert_eq!(record.failures[0].check, "S1 election-safety");
    assert_eq!(record.failures[1].after_seeds, 3);
}
