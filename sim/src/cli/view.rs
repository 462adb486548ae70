//! `cargo sim view`: one run as a page to look at.

use std::fs;

use quorate_page::document::{Document, Fact, Sentence};
use quorate_page::html;

use crate::cli::args::{Replayed, ViewArguments};
use crate::cli::console;
use crate::cli::exit::{Exit, Trouble};
use crate::cli::program::Program;
use crate::cli::replay::Replay;
use crate::cli::text::counted;
use crate::explain;
use crate::picture::document;
use crate::record::{Recording, Until};
use crate::workload::Workload;

/// Runs the seed and writes its page. What the run comes to is the command's answer, too.
pub(crate) fn go(program: &Program, arguments: &ViewArguments) -> Result<Exit, Trouble> {
    let replay = Replay::find(program, &arguments.replayed)?;
    let recording = replay.record(Until::End);
    let title = title(&replay, &arguments.replayed);
    let mut document = pictured(program, &title, &recording);
    let fact = Fact { label: "replay".to_owned(), value: replay.line, code: true };
    document.facts.insert(0, fact);
    let events = counted(document.events.len() as u64, "event");
    let page = html::page(&title, &[document]);
    fs::write(&arguments.html, &page)
        .map_err(|error| Trouble::file("--html", &arguments.html, &error))?;
    let failure = recording.outcome.failure;
    let verdict = failure.as_ref().map_or("nothing went wrong".to_owned(), ToString::to_string);
    console::say(&format!("{}: {events}; {verdict}", arguments.html.display()));
    Ok(failure.as_ref().map_or(Exit::Fine, Exit::of))
}

/// What the page of a run is about.
pub(crate) fn title(replay: &Replay, replayed: &Replayed) -> String {
    match replayed.scenario {
        Some(_) => replay.name.clone(),
        None => format!("{}, profile {}", replay.name, replayed.family.profile.name),
    }
}

/// A recorded run as the page draws it, with why it failed.
pub(crate) fn pictured(program: &Program, title: &str, recording: &Recording) -> Document {
    let mut document = document(title, recording, &|command| program.workload.words(command));
    if let Some(telling) = explain::explain(&recording.record) {
        let facts = telling.facts.into_iter().map(|fact| (fact.says, Some(fact.id.0 - 1)));
        let told = facts.chain([(format!("Cause: {}", telling.cause), None)]);
        document.story = told.map(|(text, event)| Sentence { text, event }).collect();
    }
    document
}
