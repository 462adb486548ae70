//! `cargo sim check`: whether histories in files are linearizable.

mod judged;
mod told;

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
use crate::cli::exit::{Exit, Trouble};
use crate::cli::histories::judged::{Found, Judged};
use crate::cli::histories::told::Told;
use crate::cli::interrupt;
use crate::cli::progress::Waiting;

/// How long evidence may take to become less.
const MINIMISE_FOR: Duration = Duration::from_secs(10);

/// Decides on every file, and tells.
pub(crate) fn go(arguments: &CheckArguments) -> Result<Exit, Trouble> {
    // While a file is read nobody looks; standard input may never end.
    interrupt::listen(false);
    let mut told = Vec::new();
    let mut page_wanted = arguments.html.as_deref();
    for path in &arguments.files {
        let name = match path == Path::new("-") {
            true => "standard input".to_owned(),
            false => path.display().to_string(),
        };
        let mut found = look(path, &name, arguments, page_wanted.is_some());
        if let Found::Judged { judged: Judged::NotLinearizable { page, .. }, .. } = &mut found
            && let (Some(page), Some(path)) = (page.take(), page_wanted.take())
        {
            fs::write(path, page).map_err(|error| Trouble::file("--html", path, &error))?;
        }
        let one = Told::of(&name, &found);
        if !arguments.json {
            one.say();
        }
        let exit = one.exit();
        told.push(one);
        if exit == Exit::Interrupted {
            break;
        }
    }
    let exits: Vec<Exit> = told.iter().map(Told::exit).collect();
    let order = [Exit::Interrupted, Exit::Safety, Exit::Usage, Exit::GaveUp];
    let exit = order.into_iter().find(|exit| exits.contains(exit)).unwrap_or(Exit::Fine);
    if arguments.json {
        console::say(&told::document(&told, exit));
    }
    Ok(exit)
}

fn look(path: &Path, name: &str, arguments: &CheckArguments, page: bool) -> Found {
    let options = Options {
        object: arguments.model,
        init: arguments.init.clone(),
        failed_cas_shows: arguments.failed_cas_shows,
        ..Options::default()
    };
    let read = if path == Path::new("-") {
        formats::read(io::stdin().lock(), &options)
    } else {
        let file = File::open(path).map_err(ReadError::Input);
        file.and_then(|file| formats::read(file, &options))
    };
    match read {
        Err(error) => Found::Unreadable(error.to_string()),
        Ok(loaded) => {
            interrupt::watch(true);
            let watch = Stopwatch::start();
            let judge = Judge { name, arguments, watch, page };
            let judged = loaded.history.visit(judge);
            interrupt::watch(false);
            Found::Judged { loaded: Box::new(loaded), judged, elapsed: watch.elapsed() }
        }
    }
}

/// Checks, and explains what is not linearizable.
struct Judge<'a> {
    name: &'a str,
    arguments: &'a CheckArguments,
    watch: Stopwatch,
    page: bool,
}

impl Visitor for Judge<'_> {
    type Out = Judged;

    fn visit<M: Model>(self, model: &M, history: &History<M::Op, M::Ret>) -> Judged {
        let waiting = Waiting::start(self.name);
        let until = |limit: Duration| {
            let (watch, waiting) = (self.watch, &waiting);
            move || {
                waiting.tick();
                interrupt::heard() || watch.elapsed() >= limit
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
        let evidence = match verdict {
            Verdict::Linearizable => return Judged::Linearizable,
            Verdict::Unknown(_) if interrupt::heard() => return Judged::Interrupted,
            Verdict::Unknown(exhausted) => return Judged::GaveUp(exhausted),
            Verdict::NotLinearizable(evidence) => evidence,
        };
        let stop = until(self.watch.elapsed() + MINIMISE_FOR);
        let budget = Budget { configurations_max: 100_000_000, stop: Some(&stop), ..budget };
        let evidence = explain::minimise(model, history, &evidence, &budget);
        let lanes = explain::lanes(model, history, &evidence);
        let page = self.page.then(|| explain::page(model, history, &evidence));
        Judged::NotLinearizable { evidence, lanes, page }
    }
}
