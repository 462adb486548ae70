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
use quorate_checker::explain;
use quorate_checker::formats::{self, Options, ReadError, Visitor};
use quorate_checker::history::History;
use quorate_checker::model::Model;
use quorate_checker::verdict::Verdict;

use crate::cli::args::CheckArguments;
use crate::cli::clock::Stopwatch;
use crate::cli::console;
use crate::cli::exit::{CommandError, Exit};
use crate::cli::histories::outcome::{FileOutcome, HistoryOutcome, Times};
use crate::cli::histories::report::FileReport;
use crate::cli::interrupt;
use crate::cli::progress::SearchSpinner;

/// The time limit for minimising a counterexample.
const MINIMISE_FOR: Duration = Duration::from_secs(10);

/// Checks every file and prints the results.
pub(crate) fn execute(arguments: &CheckArguments) -> Result<Exit, CommandError> {
    // Reading does not poll for Ctrl-C, and standard input may never end: let Ctrl-C end it.
    interrupt::listen(false);
    let mut reports = Vec::new();
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
            fs::write(path, page).map_err(|error| CommandError::file("--html", path, &error))?;
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
    let exits: Vec<Exit> = reports.iter().map(FileReport::exit).collect();
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
            let checker = Checker { name, arguments, watch, page };
            let (outcome, verdict_after) = loaded.history.visit(checker);
            interrupt::set_polled(false);
            let evidence = watch.elapsed().saturating_sub(verdict_after);
            let times = Times { verdict: verdict_after, evidence };
            FileOutcome::Checked { loaded: Box::new(loaded), outcome, times }
        }
    }
}

/// Checks a history, and minimises and draws the counterexample if it is not linearizable.
struct Checker<'a> {
    name: &'a str,
    arguments: &'a CheckArguments,
    watch: Stopwatch,
    page: bool,
}

impl Visitor for Checker<'_> {
    /// The outcome, and the time until the verdict.
    type Out = (HistoryOutcome, Duration);

    fn visit<M: Model>(self, model: &M, history: &History<M::Op, M::Ret>) -> Self::Out {
        let spinner = SearchSpinner::start(self.name);
        let until = |limit: Duration| {
            let (watch, spinner) = (self.watch, &spinner);
            move || {
                spinner.tick();
                interrupt::interrupted() || watch.elapsed() >= limit
            }
        };
        let stop = until(self.arguments.time);
        let threads = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN).get();
        let budget = Budget {
            bytes_max: self.arguments.memory,
            configurations_max: u64::MAX,
            threads,
            stop: Some(&stop),
        };
        let verdict = quorate_checker::check::check(model, history, &budget);
        let verdict_after = self.watch.elapsed();
        let counterexample = match verdict {
            Verdict::Linearizable => return (HistoryOutcome::Linearizable, verdict_after),
            Verdict::Unknown(_) if interrupt::interrupted() => {
                return (HistoryOutcome::Interrupted, verdict_after);
            }
            Verdict::Unknown(exhausted) => {
                return (HistoryOutcome::LimitReached(exhausted), verdict_after);
            }
            Verdict::NotLinearizable(_) if self.arguments.verdict_only => {
                let (counterexample, lanes, page) = (None, String::new(), None);
                let outcome = HistoryOutcome::NotLinearizable { counterexample, lanes, page };
                return (outcome, verdict_after);
            }
            Verdict::NotLinearizable(counterexample) => counterexample,
        };
        let stop = until(self.watch.elapsed() + MINIMISE_FOR);
        let budget = Budget { configurations_max: 100_000_000, stop: Some(&stop), ..budget };
        let counterexample = explain::minimise(model, history, &counterexample, &budget);
        let lanes = explain::lanes(model, history, &counterexample);
        let page = self.page.then(|| explain::page(model, history, &counterexample));
        let counterexample = Some(counterexample);
        (HistoryOutcome::NotLinearizable { counterexample, lanes, page }, verdict_after)
    }
}
