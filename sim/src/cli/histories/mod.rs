//! `cargo sim check`: checks history files for linearizability.

mod outcome;
mod report;

use std::fs::{self, File};
use std::io;
use std::num::NonZeroUsize;
use std::path::Path;
use std::thread;
use std::time::Duration;

use quorate_checker::budget::Budget;
use quorate_checker::formats::{self, AnyHistory, Options, ReadError};
use quorate_checker::verdict::Verdict;

use crate::cli::args::CheckArguments;
use crate::cli::clock::Stopwatch;
use crate::cli::console;
use crate::cli::exit::{CommandError, CommandResult, Exit};
use crate::cli::histories::outcome::{FileOutcome, HistoryOutcome, Times};
use crate::cli::histories::report::FileReport;
use crate::cli::interrupt;
use crate::cli::progress::SearchSpinner;

/// The time limit for minimising a counterexample.
const MINIMISE_FOR: Duration = Duration::from_secs(10);

/// Checks every file and prints the results.
pub(crate) fn execute(arguments: &CheckArguments) -> CommandResult {
    // Reading does not poll for Ctrl-C, and standard input may never end: let Ctrl-C end it.
    interrupt::listen(false);
    let (mut reports, mut exits) = (Vec::new(), Vec::new());
    let mut page_wanted = arguments.html.as_deref();
    for path in &arguments.files {
        let name = match path == Path::new("-") {
            true => "standard input".to_owned(),
            false => path.display().to_string(),
        };
        let mut outcome = check_file(path, &name, arguments, page_wanted.is_some());
        if let FileOutcome::Checked {
            outcome: HistoryOutcome::NotLinearizable { page, .. }, ..
        } = &mut outcome
            && let (Some(page), Some(path)) = (page.take(), page_wanted.take())
        {
            // The verdicts are worth more than a page.
            if let Err(error) = fs::write(path, page) {
                eprintln!("error: {}", CommandError::file("--html", path, &error));
                exits.push(Exit::Usage);
            }
        }
        let report = FileReport::of(&name, &outcome);
        if !arguments.json {
            report.print();
        }
        let exit = report.exit();
        reports.push(report);
        if exit == Exit::Interrupted {
            break;
        }
    }
    exits.extend(reports.iter().map(FileReport::exit));
    let order = [Exit::Interrupted, Exit::Safety, Exit::Usage, Exit::LimitReached];
    let exit = order.into_iter().find(|exit| exits.contains(exit)).unwrap_or(Exit::Success);
    if arguments.json {
        console::print_line(&report::document(&reports, exit));
    }
    Ok(exit)
}

fn check_file(path: &Path, name: &str, arguments: &CheckArguments, page: bool) -> FileOutcome {
    let options = Options {
        object: arguments.model,
        init: arguments.init.clone(),
        init_by_key: arguments.init_by_key.clone(),
        failed_cas_is_read: arguments.failed_cas_is_read,
        ..Options::default()
    };
    let read = if path == Path::new("-") {
        formats::read(io::stdin().lock(), &options)
    } else {
        let file = File::open(path).map_err(ReadError::Input);
        file.and_then(|file| formats::read(file, &options))
    };
    match read {
        Err(error) => FileOutcome::Unreadable(error.to_string()),
        Ok(loaded) => {
            interrupt::set_polled(true);
            let watch = Stopwatch::start();
            let (outcome, verdict_after) = decide(&loaded.history, name, &watch, arguments, page);
            interrupt::set_polled(false);
            let evidence = watch.elapsed().saturating_sub(verdict_after);
            let times = Times { verdict: verdict_after, evidence };
            FileOutcome::Checked { loaded: Box::new(loaded), outcome, times }
        }
    }
}

/// Checks a history, and minimises and draws the counterexample if it is not linearizable. Returns
/// the outcome, and the time until the verdict.
fn decide(
    history: &AnyHistory,
    name: &str,
    watch: &Stopwatch,
    arguments: &CheckArguments,
    page: bool,
) -> (HistoryOutcome, Duration) {
    let spinner = SearchSpinner::start(name);
    let until = |limit: Duration| {
        let spinner = &spinner;
        move || {
            spinner.tick();
            interrupt::interrupted() || watch.elapsed() >= limit
        }
    };
    let stop = until(arguments.time);
    let threads = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN).get();
    let budget = Budget {
        bytes_max: arguments.memory,
        configurations_max: u64::MAX,
        threads,
        stop: Some(&stop),
    };
    let verdict = history.check(&budget);
    let verdict_after = watch.elapsed();
    let outcome = match verdict {
        Verdict::Linearizable => HistoryOutcome::Linearizable,
        Verdict::Unknown(_) if interrupt::interrupted() => HistoryOutcome::Interrupted,
        Verdict::Unknown(exhausted) => HistoryOutcome::LimitReached(exhausted),
        Verdict::NotLinearizable(_) if arguments.verdict_only => HistoryOutcome::NotLinearizable {
            counterexample: None,
            lanes: String::new(),
            page: None,
        },
        Verdict::NotLinearizable(counterexample) => {
            let stop = until(watch.elapsed() + MINIMISE_FOR);
            let budget = Budget { configurations_max: 100_000_000, stop: Some(&stop), ..budget };
            let counterexample = history.minimise(&counterexample, &budget);
            let lanes = history.lanes(&counterexample);
            let page = page.then(|| history.page(&counterexample));
            let counterexample = Some(counterexample);
            HistoryOutcome::NotLinearizable { counterexample, lanes, page }
        }
    };
    (outcome, verdict_after)
}
