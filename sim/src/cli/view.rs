//! `cargo sim view`: one seed as a page to look at.

use std::fs;

use quorate_page::document::Fact;
use quorate_page::html;

use crate::cli::args::ViewArguments;
use crate::cli::console;
use crate::cli::exit::{Exit, Trouble};
use crate::cli::panics;
use crate::cli::text::{counted, replay_line};
use crate::picture::{document, words};
use crate::record::Until;
use crate::run::{RunOptions, record};

/// Runs the seed and writes its page. What the run comes to is the command's answer, too.
pub(crate) fn go(arguments: &ViewArguments) -> Result<Exit, Trouble> {
    panics::keep_quiet_in_seeds();
    let (seed, profile) = (arguments.seed, arguments.profile);
    let options = RunOptions { profile, ..RunOptions::default() };
    let recording = record(seed, &options, Until::End);
    let title = format!("seed {seed}, profile {}", profile.name);
    let mut document = document(&title, &recording, &words::kv);
    let replay = replay_line(seed, profile);
    document.facts.insert(0, Fact { label: "replay".to_owned(), value: replay, code: true });
    let events = counted(document.events.len() as u64, "event");
    let page = html::page(&title, &[document]);
    fs::write(&arguments.html, &page)
        .map_err(|error| Trouble::file("--html", &arguments.html, &error))?;
    let failure = recording.outcome.failure;
    let verdict = failure.as_ref().map_or("nothing went wrong".to_owned(), ToString::to_string);
    console::say(&format!("{}: {events}; {verdict}", arguments.html.display()));
    Ok(failure.as_ref().map_or(Exit::Fine, Exit::of))
}
