//! `cargo sim shrink`: shrinks a failing run and writes it as a scenario and as a test.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, IsTerminal};
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use quorate_page::document::{Fact, Table};
use quorate_page::html;

use crate::cli::args::{OutputArguments, ShrinkArguments};
use crate::cli::clock::Stopwatch;
use crate::cli::console;
use crate::cli::exit::{CommandError, CommandResult, Exit};
use crate::cli::interrupt;
use crate::cli::panics;
use crate::cli::program::Program;
use crate::cli::replay::Replay;
use crate::cli::run_arguments::SeedOptions;
use crate::cli::shrunk_record::ShrunkRecord;
use crate::cli::text::{Finding, duration, grouped, quantity};
use crate::cli::view;
use crate::observe::fingerprint::Fingerprint;
use crate::record::RecordUntil;
use crate::run::summary::FailedSeed;
use crate::run::{Case, RunOptions};
use crate::scenario::{Expect, Scenario};
use crate::shrink::{ShrinkOptions, Shrunk, Size, shrink};

/// The limits of runs and of time for each failure of a sweep with `--shrink`.
const RUNS_OF_SWEEP: NonZeroU64 = NonZeroU64::new(5_000).expect("5000 is not zero");
const TIME_OF_SWEEP: Duration = Duration::from_secs(30);

/// Shrinks the run and prints the result.
pub(crate) fn execute(program: &Program, arguments: &ShrinkArguments) -> CommandResult {
    if arguments.emit_test.is_some() {
        program.require_builtin_workload("--emit-test")?;
    }
    interrupt::listen(true);
    let replay = Replay::find(program, &arguments.run)?;
    let Replay { case, options, line: origin, .. } = &replay;
    let cores = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let (jobs, runs, time) = (arguments.jobs.unwrap_or(cores), arguments.runs, arguments.time);
    let Some((shrunk, took)) = shrink_with_progress(case, options, jobs, runs, time) else {
        return Err(CommandError(format!("shrink: {origin} passes: no failure to shrink")));
    };
    // The result is printed first, because a file that cannot be written must not lose it.
    let text = match arguments.json {
        true => serde_json::to_string_pretty(&record(&shrunk, took)),
        false => Ok(result_text(&shrunk, took)),
    };
    console::print_line(&text.expect("a record is always valid JSON"));
    if let Some(path) = &arguments.emit_scenario {
        write("--emit-scenario", path, &scenario_file(&shrunk, origin))?;
    }
    if let Some(path) = &arguments.emit_test {
        write("--emit-test", path, &test_file(&shrunk, origin))?;
    }
    if let Some(path) = &arguments.html {
        let title = view::title(&replay, &arguments.run);
        write("--html", path, &page(program, &title, &replay, &shrunk))?;
    }
    Ok(shrunk.outcome.failure.as_ref().map_or(Exit::Success, Exit::of))
}

/// Shrinks the first failed seed of each fingerprint, prints the results, on standard error if
/// standard output is JSON, and writes their scenarios and pages to the directory of
/// `--shrink-to`. Returns the results by seed.
pub(crate) fn first_of_each<'a>(
    program: &Program,
    failed: impl IntoIterator<Item = &'a FailedSeed>,
    seed_options: SeedOptions,
    output: &OutputArguments,
) -> BTreeMap<u64, ShrunkRecord> {
    let cores = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let (mut seen, mut records) = (BTreeSet::new(), BTreeMap::new());
    for FailedSeed { seed, failure, .. } in failed {
        let fingerprint = Fingerprint::of(failure);
        if seen.contains(&fingerprint) || interrupt::interrupted() {
            continue;
        }
        let replay = Replay::of_seed(program, *seed, seed_options);
        let Replay { case, options, .. } = &replay;
        let Some((shrunk, took)) = in_limits(case, options, cores) else {
            eprintln!("seed {seed} passes when it is replayed: not shrunk");
            continue;
        };
        seen.insert(fingerprint);
        let text = format!("\nseed {seed}\n{}", result_text(&shrunk, took));
        if output.json {
            eprintln!("{text}")
        } else {
            console::print_line(&text)
        }
        if let Some(folder) = &output.shrink_to {
            // The report of the sweep is worth more than a directory.
            if let Err(error) = write_files(program, folder, &replay, &shrunk) {
                eprintln!("error: {error}");
            }
        }
        records.insert(*seed, record(&shrunk, took));
    }
    records
}

/// Shrinks a case within the limits for one kind of failure of a sweep.
pub(crate) fn in_limits(
    case: &Case,
    options: &RunOptions,
    jobs: NonZeroUsize,
) -> Option<(Shrunk, Duration)> {
    shrink_with_progress(case, options, jobs, RUNS_OF_SWEEP, TIME_OF_SWEEP)
}

/// Writes the shrunk run of a seed to the directory, as [`files_of`] names the files.
pub(crate) fn write_files(
    program: &Program,
    folder: &Path,
    replay: &Replay,
    shrunk: &Shrunk,
) -> CommandResult<()> {
    let flag = "--shrink-to";
    fs::create_dir_all(folder).map_err(|error| CommandError::file(flag, folder, &error))?;
    let [scenario, html] = files_of(folder, replay, shrunk);
    write(flag, &scenario, &scenario_file(shrunk, &replay.line))?;
    let title = format!("{}, profile {}", replay.name, replay.options.profile.name);
    write(flag, &html, &page(program, &title, replay, shrunk))
}

/// The files of a shrunk run: `S11-3f21-seed-7.scenario` and `.html`.
pub(crate) fn files_of(folder: &Path, replay: &Replay, shrunk: &Shrunk) -> [PathBuf; 2] {
    ["scenario", "html"]
        .map(|end| folder.join(format!("{}-seed-{}.{end}", shrunk.fingerprint, replay.case.seed)))
}

/// Shrinks a case with a progress display; returns `None` if the case passes.
fn shrink_with_progress(
    case: &Case,
    options: &RunOptions,
    jobs: NonZeroUsize,
    runs: NonZeroU64,
    time: Duration,
) -> Option<(Shrunk, Duration)> {
    let watch = Stopwatch::start();
    let bar = io::stderr().is_terminal().then(|| {
        let style = ProgressStyle::with_template("{spinner} shrinking: {msg}, {elapsed}");
        ProgressBar::no_length().with_style(style.expect("the template is a constant"))
    });
    let shrinking = ShrinkOptions {
        jobs,
        runs_max: runs.get(),
        is_out_of_time: &|| watch.elapsed() >= time || interrupt::interrupted(),
        run: &panics::run_case,
        on_progress: &|runs, lines| {
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

/// Returns the result as text for people.
fn result_text(shrunk: &Shrunk, took: Duration) -> String {
    let finding = finding(shrunk);
    let at = finding.at.as_ref().map(|at| format!(" at {at} s of simulated time"));
    let lines: String = shrunk.scenario.lines().iter().map(|line| format!("\n  {line}")).collect();
    let more = if shrunk.is_smallest { "" } else { ", stopped at the limit" };
    format!(
        "FAIL  {}{}\n      {}\nshrunk {} -> {} ({}, {}, fingerprint {}{more}){lines}",
        finding.title(),
        at.unwrap_or_default(),
        finding.detail,
        size(&shrunk.before),
        size(&shrunk.after),
        duration(took),
        quantity(shrunk.runs, "run"),
        shrunk.fingerprint,
    )
}

fn size(size: &Size) -> String {
    format!(
        "{} ({}, {}, {}, {})",
        quantity(size.lines as u64, "line"),
        quantity(size.nodes.into(), "node"),
        quantity(size.planned as u64, "fault"),
        quantity(size.operations, "operation"),
        quantity(size.events, "event"),
    )
}

fn finding(shrunk: &Shrunk) -> Finding {
    Finding::of(shrunk.outcome.failure.as_ref().expect("a shrunk run fails"))
}

fn record(shrunk: &Shrunk, took: Duration) -> ShrunkRecord {
    let finding = finding(shrunk);
    ShrunkRecord {
        check: finding.check,
        detail: finding.detail,
        fingerprint: shrunk.fingerprint.to_string(),
        lines_before: shrunk.before.lines,
        lines: shrunk.after.lines,
        nodes: shrunk.after.nodes,
        faults: shrunk.after.planned,
        operations: shrunk.after.operations,
        runs: shrunk.runs,
        seconds: took.as_secs_f64(),
        is_minimal: shrunk.is_smallest,
        scenario: shrunk.scenario.lines(),
    }
}

/// Returns the scenario with a comment that names the failure and the original run.
fn scenario_file(shrunk: &Shrunk, origin: &str) -> String {
    let finding = finding(shrunk);
    format!("# {}: {}\n# Found by `{origin}`.\n{}", finding.check, finding.detail, shrunk.scenario)
}

/// Returns a Rust test that runs the shrunk scenario and fails as long as that run fails.
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
         fn does_not_fail_with_{name}() {{\n    \
         let scenario = r#\"\n{lines}    \"#;\n    \
         if let Err(error) = quorate_sim::scenario::run_text(scenario) {{\n        \
         panic!(\"{{error}}\");\n    }}\n}}\n",
        finding.check, finding.detail,
    )
}

/// Returns an HTML page of the shrunk run, which it opens on, and the original run.
fn page(program: &Program, title: &str, replay: &Replay, shrunk: &Shrunk) -> String {
    let pictured = |name: &str, title: &str, scenario: &Scenario, fact: Fact| {
        let recording =
            panics::silenced(|| scenario.case.record(&replay.options, RecordUntil::End));
        let mut document = view::page_document(program, title, &recording);
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
    let left = format!("{title}, shrunk to {}", quantity(shrunk.after.lines as u64, "line"));
    let mut first = pictured("shrunk", &left, &shrunk.scenario, size);
    let original = pictured("original", title, &whole, line.clone());
    if html::is_too_long(&original) {
        let events = quantity(original.events.len() as u64, "event");
        let value = format!("not on this page, because browsers cannot read its {events}");
        let note = Fact { label: "original".to_owned(), value, code: false };
        first.facts.splice(0..0, [line, note]);
        return html::page(&left, &[first]);
    }
    html::page(&format!("{title}, shrunk and original"), &[first, original])
}

fn write(flag: &str, path: &Path, text: &str) -> CommandResult<()> {
    fs::write(path, text).map_err(|error| CommandError::file(flag, path, &error))
}
