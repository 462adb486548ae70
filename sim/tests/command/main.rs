//! The built command `quorate-sim`: its output and its exit codes.
//!
//! Sweeps begin at seed 16, because it and the next three have runs of a few thousand events, and
//! seed 0 has a run of 250,000.

mod analysis;
#[path = "../../page/tests/browser/mod.rs"]
mod browser;
mod flags;
mod histories;
mod parts;
mod procs;
mod recipes;
mod recordings;
#[path = "../../../tests/common/skip.rs"]
mod skip;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn command(words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate-sim"));
    command.args(words.split_whitespace()).env_remove("QUORATE_DATA");
    command
}

fn run(words: &str) -> Output {
    command(words).output().expect("the binary starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("the output is text")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("the output is text")
}

/// Asserts exit code 2 and exactly one line on standard error, with `named` in it.
fn assert_usage_error(output: &Output, named: &str) {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(2), "{named}: {text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.starts_with("error: ") && text.contains(named), "{named}: {text}");
    assert_eq!(stdout(output), "", "{named}");
}

fn json(words: &str) -> Value {
    let output = run(words);
    let value = serde_json::from_slice(&output.stdout);
    value.unwrap_or_else(|error| panic!("{words}: {error}: {}", stdout(&output)))
}

#[test]
fn every_usage_error_is_one_line_that_names_the_word() {
    let cases = [
        ("--sed 5", "--sed"),
        ("--seeds 5..2", "5..2"),
        ("--seeds 5..5", "5..5"),
        ("--seeds 5", "'5'"),
        ("--seeds a..b", "a..b"),
        ("--seed -1", "-1"),
        ("--seed 18446744073709551616", "18446744073709551616"),
        ("--profile no-such", "no-such"),
        ("--shard 5/3", "5/3"),
        ("--shard 0/3", "0/3"),
        ("--jobs 0", "'0'"),
        ("--failures-max 0", "'0'"),
        ("--time 60", "'60'"),
        ("--time 0s", "0s"),
        ("--until never", "never"),
        ("--trace", "--seed"),
        ("--seed 1 --trace --json", "--json"),
        ("--seed 1 --seeds 0..5", "--seeds"),
        ("--scenario x.qs", "--scenario"),
        ("extra", "extra"),
        ("bench --repetitions 0", "--repetitions"),
        ("why-not --seed 1 --leader n1 --from 9s --to 3s", "--from 9.0"),
        ("mutants --only NO01", "NO01"),
        ("mutants --auto --module attic", "attic"),
        ("mutants --sweeps x", "'x'"),
        ("mutants --sweeps 99999999999999", "--sweeps 99999999999999"),
        ("mutants --seeds 18446744073709551615", "18446744073709551615 seeds"),
        ("mutants --seeds 0", "'0'"),
        ("--junit /no/such/folder/junit.xml", "/no/such/folder/junit.xml"),
        ("--report /no/such/folder/page.html", "--report"),
    ];
    for (words, named) in cases {
        assert_usage_error(&run(words), named);
    }
}

#[test]
fn a_flag_as_an_environment_variable_is_a_usage_error() {
    for (variable, flag) in [("QUORATE_SEED", "--seed"), ("QUORATE_FAILURES_MAX", "--failures-max")]
    {
        let output = command("--seeds 16..17").env(variable, "5").output();
        let output = output.expect("the binary starts");
        assert_usage_error(&output, variable);
        assert!(stderr(&output).trim_end().ends_with(flag), "{}", stderr(&output));
    }
    // Variables of tests, of `quorate`, and of a system of the user.
    let others = ["QUORATE_DATA", "QUORATE_NODES", "QUORATE_DATA_DIR", "QUORATE_LOG", "QUORATE_X"];
    let mut sweep = command("--seeds 16..17");
    let sweep = others.iter().fold(&mut sweep, |sweep, name| sweep.env(name, "/data"));
    let output = sweep.output().expect("the binary starts");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(!stderr(&output).contains("QUORATE"), "{}", stderr(&output));
}

#[test]
fn help_and_version_are_printed() {
    let help = run("--help");
    assert_eq!((help.status.code(), stderr(&help).as_str()), (Some(0), ""));
    for flag in ["--seeds", "--until", "--shard", "--junit", "bench", "mutants", "Exit codes"] {
        assert!(stdout(&help).contains(flag), "{flag}");
    }
    assert_eq!(run("--version").status.code(), Some(0));
}

#[test]
fn a_small_sweep_passes_and_ends_with_a_table() {
    let output = run("--seeds 16..19");
    let table = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{table}{}", stderr(&output));
    let labels = ["seeds", "stop reason", "events", "simulated time", "faults injected"];
    let more = ["elections won", "committed", "history checked", "replayed", "median seed"];
    for label in labels.iter().chain(&more).chain(&["slowest seed", "coverage growth"]) {
        assert!(table.lines().any(|line| line.starts_with(label)), "{label}: {table}");
    }
    assert!(table.ends_with("result            passed\n"), "{table}");
}

#[test]
fn json_is_the_only_output_and_counts_real_work() {
    let summary = json("--seeds 16..19 --json");
    assert_eq!(summary["seeds"], 3);
    assert_eq!(summary["exit_code"], 0);
    for count in ["events", "elections", "entries_committed", "operations_checked", "messages"] {
        assert!(summary[count].as_u64() > Some(0), "{count}: {summary}");
    }
    assert_eq!(summary["failures"], Value::Array(Vec::new()));
    assert!(summary["marks"].as_object().is_some_and(|marks| marks.len() >= 60), "{summary}");
}

#[test]
fn threads_and_shards_change_no_outcome() {
    let one = json("--seeds 16..20 --jobs 1 --json");
    let four = json("--seeds 16..20 --jobs 4 --json");
    assert_eq!(one["digest"], four["digest"]);
    let part = |number| json(&format!("--seeds 16..20 --shard {number}/2 --json"));
    let parts = [part(1), part(2)];
    for count in ["seeds", "events", "messages", "entries_committed", "operations_checked"] {
        let sum: Option<u64> = parts.iter().map(|part| part[count].as_u64()).sum();
        assert_eq!(sum, one[count].as_u64(), "{count}");
    }
}

#[test]
fn a_replay_equals_the_seed_in_its_sweep() {
    let sweep = json("--seeds 17..18 --json");
    let replay = json("--seed 17 --json");
    for field in ["digest", "events", "faults", "marks"] {
        assert_eq!(sweep[field], replay[field], "{field}");
    }
}

#[test]
fn a_trace_is_the_same_each_time_and_ends_with_the_outcome() {
    // The events, and the table, which has timings in it.
    let traced = || {
        let output = run("--seed 3 --trace");
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let text = stdout(&output);
        let table = text.rfind("\nprofile ").expect("the table follows");
        (text[..table].to_owned(), text[table..].to_owned())
    };
    let (trace, table) = traced();
    assert!(trace.lines().count() > 100, "{} lines", trace.lines().count());
    assert!(table.ends_with("passed\n"), "{table}");
    assert_eq!(traced().0, trace);
}

#[test]
fn a_closed_output_pipe_does_not_change_the_exit_code() {
    let binary = env!("CARGO_BIN_EXE_quorate-sim");
    let cases =
        [("--seed 3 --trace", 0), ("diff --seed 3 --with 4", 14), ("merge no-such.json", 2)];
    for (words, code) in cases {
        let script = format!("set -o pipefail; '{binary}' {words} | head -n 3");
        let Ok(output) = Command::new("bash").args(["-c", &script]).output() else {
            println!("SKIPPED a_closed_output_pipe_does_not_change_the_exit_code: no bash");
            return;
        };
        assert_eq!(output.status.code(), Some(code), "{words}: {}", stderr(&output));
        // A slow machine also prints the progress there.
        assert_eq!(stderr(&output).contains("error"), code == 2, "{words}: {}", stderr(&output));
        assert_eq!(stdout(&output).lines().count(), if code == 2 { 0 } else { 3 }, "{words}");
    }
}

#[test]
fn reports_are_written_in_every_form() {
    let folder = tempfile::tempdir().expect("a folder for the reports");
    let path = |name: &str| folder.path().join(name);
    let read = |path: &Path| fs::read_to_string(path).expect("the report is there");
    let (junit, page, step) = (path("junit.xml"), path("page.html"), path("step.md"));
    let output = command("--seeds 16..19 --github --junit")
        .arg(&junit)
        .arg("--report")
        .arg(&page)
        .env("GITHUB_STEP_SUMMARY", &step)
        .output()
        .expect("the binary starts");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(read(&junit).contains("<testcase name=\"seeds 16..19\""), "{}", read(&junit));
    let html = read(&page);
    assert!(html.starts_with("<!doctype html>") && html.contains("passed"), "{html}");
    assert!(!html.contains("http"), "the page has an external reference");
    assert!(read(&step).contains("| events |"), "{}", read(&step));
}

#[test]
#[cfg(target_os = "linux")]
fn a_report_that_cannot_be_written_loses_neither_the_summary_nor_the_other_reports() {
    let folder = tempfile::tempdir().expect("a folder for the report");
    let page = folder.path().join("page.html");
    let mut sweep = command("--seeds 16..17 --junit /dev/full --report");
    let output = sweep.arg(&page).output().expect("the binary starts");
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("error: --junit: /dev/full: "), "{}", stderr(&output));
    assert!(stdout(&output).ends_with("result            passed\n"), "{}", stdout(&output));
    assert!(fs::read_to_string(&page).is_ok_and(|text| text.contains("passed")));
}

#[test]
#[cfg(target_os = "linux")]
fn the_verdict_on_recordings_is_printed_although_their_page_cannot_be_written() {
    let root = tempfile::tempdir().expect("a directory");
    let files = recordings::two_leaders(&root).join(" ");
    let output = run(&format!("replay {files} --html /dev/full"));
    assert_eq!(output.status.code(), Some(10), "{}", stderr(&output));
    let finding = "n3 votes for both n1 and n2 in term t1";
    assert!(stdout(&output).contains(finding), "{}", stdout(&output));
    assert!(stderr(&output).contains("error: --html: /dev/full: "), "{}", stderr(&output));
}

#[test]
fn a_time_limit_ends_a_sweep_without_a_seed_range() {
    let summary = json("--time 300ms --json");
    assert_eq!(summary["end_text"], "time limit reached");
    assert!(summary["seeds"].as_u64() > Some(0));
}

#[test]
fn the_first_limit_reached_ends_a_sweep() {
    let summary = json("--seeds 16..19 --until stable --time 10m --json");
    let ended = (&summary["seeds"], &summary["end_text"]);
    assert_eq!(ended, (&3.into(), &"all seeds were run".into()));
}

#[test]
#[cfg(unix)]
fn ctrl_c_prints_the_summary_so_far() {
    use std::process::Stdio;

    let folder = tempfile::tempdir().expect("a folder for the report");
    let page = folder.path().join("page.html");
    let child = command("--seeds 16..1000000 --time 10m --report")
        .arg(&page)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    // The report is opened once the command listens for Ctrl-C.
    while !page.exists() {
        std::thread::yield_now();
    }
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()), "the signal was not sent");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(stdout(&output).ends_with("interrupted: no failures so far\n"));
    assert!(fs::read_to_string(&page).is_ok_and(|text| text.contains("interrupted")));
}

#[test]
fn a_scenario_meets_its_expectation_or_the_difference_is_printed() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.scenario");
    let scenario = |text: &str| {
        fs::write(&file, text).expect("it is written");
        command("--scenario").arg(&file).output().expect("the binary starts")
    };
    let text = "fault phase 2s\nat 1s crash leader for 300ms\nexpect crash >= 1\n";
    let output = scenario(text);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).ends_with("as expected: `crash >= 1`\n"), "{}", stdout(&output));
    let output = scenario(&text.replace("crash >= 1", "S1"));
    assert_eq!(output.status.code(), Some(14), "{}", stderr(&output));
    assert!(stdout(&output).contains("FAIL"), "{}", stdout(&output));
    let output = scenario(&text.replace("leader", "leadre"));
    assert_usage_error(&output, "a.scenario:2:13: `leadre` is not a node");
    assert_usage_error(&run("--scenario no-such"), "no-such");
}

#[test]
fn a_shrunk_seed_is_written_as_a_scenario_and_a_test() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, test) = (folder.path().join("a.scenario"), folder.path().join("a.rs"));
    let words = "shrink --profile survivor-partitioned --seed 1 --runs 40";
    let mut shrinking = command(words);
    shrinking.arg("--emit-scenario").arg(&file).arg("--emit-test").arg(&test);
    let output = shrinking.output().expect("the binary starts");
    assert_eq!(output.status.code(), Some(10), "{}", stderr(&output));
    let output = stdout(&output);
    assert!(output.contains("\nshrunk ") && output.contains("fingerprint S10-"), "{output}");
    let again = command("--scenario").arg(&file).output().expect("the binary starts");
    assert_eq!(again.status.code(), Some(0), "{}", stdout(&again));
    let text = |file| fs::read_to_string(file).expect("it was written");
    let (scenario, test) = (text(&file), text(&test));
    assert!(scenario.contains("\nexpect S10 leader-completeness"), "{scenario}");
    assert!(test.contains("#[test]") && test.contains("expect pass"), "{test}");
    let passes = (0..).find(|seed| {
        let output = run(&format!("shrink --profile survivor-partitioned --seed {seed} --runs 1"));
        output.status.code() == Some(2) && stderr(&output).contains("no failure to shrink")
    });
    assert!(passes < Some(50), "{passes:?}");
}

#[test]
fn the_page_of_a_shrunk_scenario_opens_on_it_and_has_the_original() {
    let folder = tempfile::tempdir().expect("a folder");
    let page = folder.path().join("both.html");
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/split_brain.scenario");
    let mut shrinking = command("shrink --runs 60 --scenario");
    let output = shrinking.arg(file).arg("--html").arg(&page).output().expect("the binary starts");
    assert_eq!(output.status.code(), Some(10), "{}", stderr(&output));
    let page = fs::read_to_string(&page).expect("it was written");
    assert_eq!(page.matches("class=\"document\"").count(), 2);
    assert!(page.len() <= 5_000_000, "{} bytes", page.len());
    let script = "
        for (const { run } of page.panes) {
            const [scenario] = run.tables;
            const explained = run.explanation.length > 0;
            report([run.name, run.violation.check, scenario.title, explained].join());
            report(scenario.rows.length);
            report(run.events);
        }
        report(document.querySelectorAll('.pane').length);";
    let Some(lines) = browser::run_script("shrunk", &page, "", script) else { return };
    let number = |place: usize| lines[place].parse::<u64>().expect("it is a number");
    let named = |name| format!("{name},S10 leader-completeness,Scenario,true");
    assert_eq!([&lines[0], &lines[3]], [&named("shrunk"), &named("original")]);
    assert!(number(1) > 0 && number(4) > 0, "{lines:?}");
    assert!(number(2) > 0 && number(2) < number(5), "{lines:?}");
    assert_eq!(number(6), 1, "the page opens on the shrunk run alone");
}
