//! `cargo sim shrink`: a run that fails, made small, and written as a scenario and as a test.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, IsTerminal};
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::Path;
use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use quorate_page::document::{Fact, Table};
use quorate_page::html;
use serde::{Deserialize, Serialize};

use crate::cli::args::ShrinkArguments;
use crate::cli::clock::Stopwatch;
use crate::cli::console;
use crate::cli::exit::{Exit, Trouble};
use crate::cli::interrupt;
use crate::cli::panics;
use crate::cli::program::Program;
use crate::cli::replay::Replay;
use crate::cli::text::{Finding, counted, grouped, span};
use crate::cli::view;
use crate::fingerprint::Fingerprint;
use crate::record::Until;
use crate::run::{Case, RunOptions};
use crate::scenario::{Expect, Scenario};
use crate::shrink::{Shrinking, Shrunk, Size, shrink};
use crate::summary::FailedSeed;

/// The most runs, and the most time, for each failure of a sweep.
const RUNS_OF_SWEEP: NonZeroU64 = NonZeroU64::new(5_000).expect("it is not zero");
const TIME_OF_SWEEP: Duration = Duration::from_secs(30);

/// What is left of a run, for programs.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct ShrunkRecord {
    /// The check by number and name, or how else it failed.
    pub(crate) check: String,
    /// What it saw, in the run that is left.
    pub(crate) saw: String,
    /// What is the same about the failure before and after.
    pub(crate) fingerprint: String,
    /// The lines of the scenario of the whole run.
    pub(crate) lines_before: usize,
    /// The lines that are left.
    pub(crate) lines: usize,
    /// The nodes that are left.
    pub(crate) nodes: u8,
    /// The operations that are left of the plan.
    pub(crate) planned: usize,
    /// The operations of clients that are left.
    pub(crate) operations: u64,
    /// How many runs it took.
    pub(crate) runs: u64,
    /// How long a person waited.
    pub(crate) seconds: f64,
    /// Whether nothing more can be left out.
    pub(crate) is_smallest: bool,
    /// The scenario.
    pub(crate) scenario: Vec<String>,
}

/// Makes the run small and tells what is left.
pub(crate) fn go(program: &Program, arguments: &ShrinkArguments) -> Result<Exit, Trouble> {
    if arguments.emit_test.is_some() {
        program.must_be_ours("--emit-test")?;
    }
    interrupt::listen(true);
    let replay = Replay::find(program, &arguments.replayed)?;
    let Replay { case, options, line: origin, .. } = &replay;
    let cores = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let bounds = (arguments.jobs.unwrap_or(cores), arguments.runs, arguments.time);
    let Some((shrunk, took)) = watched(case, options, bounds) else {
        return Err(Trouble(format!(
            "shrink: {origin}: nothing fails, so nothing is to be shrunk"
        )));
    };
    if let Some(path) = &arguments.emit_scenario {
        write("--emit-scenario", path, &scenario_file(&shrunk, origin))?;
    }
    if let Some(path) = &arguments.emit_test {
        write("--emit-test", path, &test_file(&shrunk, origin))?;
    }
    if let Some(path) = &arguments.html {
        let title = view::title(&replay, &arguments.replayed);
        write("--html", path, &page(program, &title, &replay, &shrunk))?;
    }
    let text = match arguments.json {
        true => serde_json::to_string_pretty(&record(&shrunk, took)),
        false => Ok(told(&shrunk, took)),
    };
    console::say(&text.expect("a record has nothing JSON lacks"));
    Ok(shrunk.outcome.failure.as_ref().map_or(Exit::Fine, Exit::of))
}

/// Makes the first seed of each kind of failure small, and tells what is left of it.
pub(crate) fn first_of_each(failed: &[FailedSeed], options: &RunOptions, jobs: NonZeroUsize) {
    let mut seen = BTreeSet::new();
    for FailedSeed { seed, failure, .. } in failed {
        if !seen.insert(Fingerprint::of(failure)) || interrupt::heard() {
            continue;
        }
        let case = panics::quietly(|| Case::of_seed(*seed, options));
        if let Some((shrunk, took)) = watched(&case, options, (jobs, RUNS_OF_SWEEP, TIME_OF_SWEEP))
        {
            console::say(&format!("\nseed {seed}\n{}", told(&shrunk, took)));
        }
    }
}

/// Makes a case small while a person may watch; none if nothing fails.
fn watched(
    case: &Case,
    options: &RunOptions,
    (jobs, runs, time): (NonZeroUsize, NonZeroU64, Duration),
) -> Option<(Shrunk, Duration)> {
    let watch = Stopwatch::start();
    let bar = io::stderr().is_terminal().then(|| {
        let style = ProgressStyle::with_template("{spinner} shrinking: {msg}, {elapsed}");
        ProgressBar::no_length().with_style(style.expect("the template is a constant"))
    });
    let shrinking = Shrinking {
        jobs,
        runs_max: runs.get(),
        is_late: &|| watch.elapsed() >= time || interrupt::heard(),
        run: &panics::run_case,
        watch: &|runs, lines| {
            if let Some(bar) = &bar {
                bar.set_message(format!("{lines} lines after {} runs", grouped(runs)));
                bar.tick();
            }
        },
    };
    let shrunk = shrink(case, options, shrinking);
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    Some((shrunk?, watch.elapsed()))
}

/// What is left, for people.
fn told(shrunk: &Shrunk, took: Duration) -> String {
    let finding = finding(shrunk);
    let at = finding.at.map(|at| format!(" at {at} s")).unwrap_or_default();
    let lines: String = shrunk.scenario.lines().iter().map(|line| format!("\n  {line}")).collect();
    let more = if shrunk.is_smallest { "" } else { ", stopped early" };
    format!(
        "FAIL  {}{at}: {}\nshrunk {} -> {} ({}, {}, fingerprint {}{more}){lines}",
        finding.check,
        finding.saw,
        size(&shrunk.before),
        size(&shrunk.after),
        span(took),
        counted(shrunk.runs, "run"),
        shrunk.fingerprint,
    )
}

fn size(size: &Size) -> String {
    format!(
        "{} ({}, {}, {}, {})",
        counted(size.lines as u64, "line"),
        counted(size.nodes.into(), "node"),
        counted(size.planned as u64, "fault"),
        counted(size.operations, "operation"),
        counted(size.events, "event"),
    )
}

fn finding(shrunk: &Shrunk) -> Finding {
    Finding::of(shrunk.outcome.failure.as_ref().expect("what is shrunk fails"))
}

fn record(shrunk: &Shrunk, took: Duration) -> ShrunkRecord {
    let finding = finding(shrunk);
    ShrunkRecord {
        check: finding.check,
        saw: finding.saw,
        fingerprint: shrunk.fingerprint.to_string(),
        lines_before: shrunk.before.lines,
        lines: shrunk.after.lines,
        nodes: shrunk.after.nodes,
        planned: shrunk.after.planned,
        operations: shrunk.after.operations,
        runs: shrunk.runs,
        seconds: took.as_secs_f64(),
        is_smallest: shrunk.is_smallest,
        scenario: shrunk.scenario.lines(),
    }
}

/// The scenario with a comment that says where it comes from.
fn scenario_file(shrunk: &Shrunk, origin: &str) -> String {
    let finding = finding(shrunk);
    format!("# {}: {}\n# Found by `{origin}`.\n{}", finding.check, finding.saw, shrunk.scenario)
}

/// A test that fails as long as the run does.
fn test_file(shrunk: &Shrunk, origin: &str) -> String {
    let finding = finding(shrunk);
    let name: String = shrunk
        .fingerprint
        .to_string()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' })
        .collect();
    let mut passes = shrunk.scenario.clone();
    passes.expect = vec![Expect::Pass];
    let lines: String = passes.lines().iter().map(|line| format!("        {line}\n")).collect();
    format!(
        "//! {}: {}\n//! Found by `{origin}`.\n\n#[test]\n\
         fn nothing_fails_as_in_{name}() {{\n    \
         let scenario = r#\"\n{lines}    \"#;\n    \
         if let Err(trouble) = quorate_sim::scenario::run_text(scenario) {{\n        \
         panic!(\"{{trouble}}\");\n    }}\n}}\n",
        finding.check, finding.saw,
    )
}

/// A page of the whole run and of what is left of it.
fn page(program: &Program, title: &str, replay: &Replay, shrunk: &Shrunk) -> String {
    let pictured = |name: &str, title: &str, scenario: &Scenario, fact: Fact| {
        let recording = panics::quietly(|| scenario.case.record(&replay.options, Until::End));
        let mut document = view::pictured(program, title, &recording);
        document.name = name.to_owned();
        document.facts.insert(0, fact);
        document.tables.push(Table {
            title: "Scenario".to_owned(),
            note: String::new(),
            columns: vec!["line".to_owned()],
            rows: scenario.lines().into_iter().map(|line| vec![line]).collect(),
            marked: None,
        });
        document
    };
    let expect = shrunk.scenario.expect.clone();
    let whole = Scenario::of(replay.case.clone(), expect, &replay.options.workload);
    let line = Fact { label: "replay".to_owned(), value: replay.line.clone(), code: true };
    let size = format!("{} -> {}", size(&shrunk.before), size(&shrunk.after));
    let size = Fact { label: "shrunk".to_owned(), value: size, code: false };
    let left = format!("{title}, shrunk to {}", counted(shrunk.after.lines as u64, "line"));
    let documents = [
        pictured("original", title, &whole, line),
        pictured("shrunk", &left, &shrunk.scenario, size),
    ];
    html::page(&format!("{title}, original and shrunk"), &documents)
}

fn write(flag: &str, path: &Path, text: &str) -> Result<(), Trouble> {
    fs::write(path, text).map_err(|error| Trouble::file(flag, path, &error))
}
