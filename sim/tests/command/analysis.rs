//! `cargo sim view`, `record`, `at`, `why-not`, `explain`, `trace` and `diff` of runs: what each
//! flag changes, and the exit codes.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::{assert_usage_error, run, stderr, stdout};

const PASSING: &str = "nodes 3\nfault phase 1s\nat 500ms crash n2 for 300ms\n";

/// The last survivor takes over while the network is partitioned.
const FAILING: &str =
    "nodes 3\nsurvivor after 1.2s\nfault phase 2400ms\nat 1s isolate leader for 4s\n";

/// Writes a scenario; returns `--scenario` and its path as words of a command line.
fn scenario(folder: &TempDir, text: &str) -> String {
    let file = folder.path().join("a.scenario");
    fs::write(&file, text).expect("it is written");
    format!("--scenario {}", file.display())
}

/// Runs a command that ends with this exit code; returns standard output.
fn ends(words: &str, code: i32) -> String {
    let output = run(words);
    assert_eq!(output.status.code(), Some(code), "{words}: {}{}", stdout(&output), stderr(&output));
    stdout(&output)
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).expect("it was written")
}

#[test]
fn recorded_events_equal_those_of_the_same_run_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let (one, file) = (scenario(&folder, PASSING), folder.path().join("events.txt"));
    let text = ends(&format!("record {one} --to {}", file.display()), 0);
    let lines = read(&file).lines().count();
    assert!(text.starts_with("wrote ") && text.contains(" events of "), "{text}");
    let with = format!("--with {}", file.display());
    assert_eq!(
        ends(&format!("diff {one} {with}"), 0),
        format!("no difference in {lines} events\n")
    );
    let other = scenario(&folder, &PASSING.replace("n2", "n3"));
    let text = ends(&format!("diff {other} {with}"), 14);
    assert!(text.starts_with("the runs first differ at event "), "{text}");
    assert!(text.contains("a.scenario") && text.contains("events.txt"), "{text}");
    let no_events = one.replace("--scenario", "--with");
    assert_usage_error(&run(&format!("diff {one} {no_events}")), "line 1 is not an event");
    assert_usage_error(&run(&format!("diff {one} --with no-such")), "no-such");
    assert_usage_error(&run(&format!("record {one} --to /no/such/file")), "--to: /no/such/file");
}

#[test]
fn the_state_of_the_nodes_is_shown_at_a_time_an_event_and_the_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = scenario(&folder, PASSING);
    let state = |words: &str| ends(&format!("at {at} {words}"), 0);
    let (crashed, last) = (state("--time 0.6s"), state(""));
    assert!(crashed.contains("\nn2  down\n") && !last.contains("down"), "{crashed}{last}");
    let first = state("--event 1");
    assert!(first.starts_with("after #") && first.contains(" at 0.000000 s\n"), "{first}");
    assert_eq!(state("--event #1"), first);
    let one = state("--time 0.6s --node n2");
    assert!(one.contains("n2") && !one.contains("\nn1"), "{one}");
    let wrong = |words: &str| run(&format!("at {at} {words}"));
    assert_usage_error(&wrong("--node n9"), "no node n9 in this run; nodes: n1 n2 n3");
    assert_usage_error(&wrong("--event 4000000"), "no event #4000000 in this run, which has 2,");
}

#[test]
fn what_did_not_happen_in_a_run_is_explained() {
    let folder = tempfile::tempdir().expect("a folder");
    let one = scenario(&folder, PASSING);
    let why_not = |words: &str| ends(&format!("why-not {one} {words}"), 0);
    let crashed = why_not("--leader n2 --from 0.55s --to 0.75s");
    assert!(crashed.starts_with("n2 requested no vote in this time: it was down"), "{crashed}");
    let whole = why_not("--leader n2");
    assert_ne!(whole, crashed, "the window is a part of the run");
    let missing = why_not("--commit 99999999 --to 0.9s");
    assert!(missing.starts_with("n1 leads term t1, but its log ends with "), "{missing}");
    assert!(why_not("--commit 1").starts_with("n1 committed index 1 at "));
    assert_usage_error(&run(&format!("why-not {one} --leader n9")), "no node n9");
}

#[test]
fn a_failure_is_explained_with_the_time_from_which_it_was_inevitable() {
    let folder = tempfile::tempdir().expect("a folder");
    let passes = ends(&format!("explain {} --redraws", scenario(&folder, PASSING)), 0);
    assert!(passes.ends_with("a.scenario passes: no failure to explain\n"), "{passes}");
    let fails = scenario(&folder, FAILING);
    let text = ends(&format!("explain {fails}"), 10);
    assert!(
        text.starts_with("S10 leader-completeness at ") && text.contains("\ncause: "),
        "{text}"
    );
    let redrawn = ends(&format!("explain {fails} --redraws 1"), 10);
    let curve = redrawn.strip_prefix(&text).expect("the explanation comes first");
    assert!(curve.contains("\n    0.000000 s  ") && curve.contains(" of 1\n"), "{curve}");
    assert!(curve.contains("it became inevitable between "), "{curve}");
}

#[test]
fn the_page_of_a_run_has_its_outcome() {
    let folder = tempfile::tempdir().expect("a folder");
    let page = folder.path().join("page.html");
    let view = |text: &str, code| {
        ends(&format!("view {} --html {}", scenario(&folder, text), page.display()), code)
    };
    let passes = view(PASSING, 0);
    assert!(passes.starts_with(&page.display().to_string()), "{passes}");
    assert!(passes.ends_with(" events; passed\n"), "{passes}");
    assert!(!read(&page).contains("S10 leader-completeness"));
    assert!(view(FAILING, 10).contains("events; S10 leader-completeness at "));
    let text = read(&page);
    assert!(text.contains("S10 leader-completeness") && text.contains("class=\"document\">"));
    let nowhere = run(&format!("view {} --html /no/such/a.html", scenario(&folder, PASSING)));
    assert_usage_error(&nowhere, "--html: /no/such/a.html");
}

#[test]
fn a_shrunk_run_is_printed_even_if_its_file_cannot_be_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let fails = scenario(&folder, FAILING);
    let words = format!("shrink {fails} --runs 3 --jobs 1 --json --emit-scenario /no/such/a");
    let output = run(&words);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--emit-scenario: /no/such/a"), "{}", stderr(&output));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    assert_eq!((&json["runs"], &json["is_minimal"]), (&3.into(), &false.into()));
    let limited = ends(&format!("shrink {fails} --time 1us"), 10);
    assert!(limited.contains(", stopped at the limit)"), "{limited}");
}

#[test]
fn a_trace_for_the_specification_ends_at_its_limit() {
    let folder = tempfile::tempdir().expect("a folder");
    let (one, tla) = (scenario(&folder, PASSING), folder.path().join("trace.tla"));
    let trace = |words: &str| {
        let text = ends(&format!("trace {one} --tla {} {words}", tla.display()), 0);
        assert!(read(&tla).contains("MODULE trace_data"), "{text}");
        let lines = text.strip_prefix("wrote ").and_then(|rest| rest.split(' ').next());
        lines.and_then(|lines| lines.parse::<u64>().ok()).expect("the number of lines")
    };
    let (whole, early, few) = (trace(""), trace("--until 0.3s"), trace("--lines 20"));
    assert!(few < early && early < whole && few >= 20, "{whole} {early} {few}");
    assert_usage_error(&run(&format!("trace {one} --tla /no/such/a.tla")), "--tla: /no/such");
}

#[test]
fn a_seed_is_one_run_for_each_profile_and_strategy() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut runs = Vec::new();
    for flags in ["", "--profile no-faults", "--strategy swarm"] {
        let file = folder.path().join("events.txt");
        ends(&format!("record --seed 17 {flags} --to {}", file.display()), 0);
        let at_end = ends(&format!("at --seed 17 {flags} --node n1"), 0);
        let events = read(&file);
        let last = format!("after #{} at ", events.lines().count());
        assert!(at_end.starts_with(&last), "{last}: {at_end}");
        let same = format!("diff --seed 17 {flags} --with {}", file.display());
        assert!(ends(&same, 0).starts_with("no difference in "));
        runs.push(events);
    }
    let count = runs.len();
    runs.sort_unstable();
    runs.dedup();
    assert_eq!(runs.len(), count, "two of them are equal");
}

#[test]
fn the_process_of_automatic_mutants_prints_a_line_for_each_seed() {
    let text = ends("mutant-seeds --seeds 16..18 --cpu 10m --profile no-faults", 0);
    let seeds: Vec<serde_json::Value> = text
        .lines()
        .map(|line| line.strip_prefix("seed ").expect("the line begins with the word"))
        .map(|json| serde_json::from_str(json).expect("it is JSON"))
        .collect();
    let numbers: Vec<Option<u64>> = seeds.iter().map(|seed| seed["seed"].as_u64()).collect();
    assert_eq!(numbers, [Some(16), Some(17)]);
    let sweep = |seed: &serde_json::Value| {
        let words = format!("--seed {} --profile no-faults --json", seed["seed"]);
        serde_json::from_str::<serde_json::Value>(&ends(&words, 0)).expect("it is JSON")
    };
    assert!(seeds.iter().all(|seed| seed["failure"].is_null()), "{text}");
    assert_ne!(seeds[0]["digest"], seeds[1]["digest"]);
    assert_eq!(sweep(&seeds[0])["failures"], serde_json::json!([]));
    assert_eq!(ends("mutant-seeds --seeds 0..1 --cpu 1us", 11), "hang\n");
}
