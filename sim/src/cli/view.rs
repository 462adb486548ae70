//! `cargo sim view`: the timeline of one run as an HTML page.

use std::fs;

use quorate_page::document::{Document, Fact};
use quorate_page::html;

use crate::cli::args::ViewArguments;
use crate::cli::console;
use crate::cli::exit::{CommandError, CommandResult, Exit};
use crate::cli::program::Program;
use crate::cli::replay::Replay;
use crate::cli::run_arguments::RunArguments;
use crate::cli::text::quantity;
use crate::explain;
use crate::picture::document;
use crate::record::{RecordUntil, Recording};
use crate::workload::Workload;

/// Replays the run, writes its page, and returns the exit code of its outcome.
pub(crate) fn execute(program: &Program, arguments: &ViewArguments) -> CommandResult {
    let replay = Replay::find(program, &arguments.replayed)?;
    let recording = replay.record(RecordUntil::End);
    let title = title(&replay, &arguments.replayed);
    let mut document = page_document(program, &title, &recording);
    let fact = Fact { label: "replay".to_owned(), value: replay.line, code: true };
    document.facts.insert(0, fact);
    let events = quantity(document.events.len() as u64, "event");
    if html::is_too_long(&document) {
        return Err(CommandError(format!(
            "view: a page cannot show the {events} of this run, because browsers cannot read so \
             much: write a scenario with a shorter `fault phase` or fewer clients, or use `{} at`",
            program.name
        )));
    }
    let page = html::page(&title, &[document]);
    fs::write(&arguments.html, &page)
        .map_err(|error| CommandError::file("--html", &arguments.html, &error))?;
    let failure = recording.outcome.failure;
    let verdict = failure.as_ref().map_or("passed".to_owned(), ToString::to_string);
    console::print_line(&format!("{}: {events}; {verdict}", arguments.html.display()));
    Ok(failure.as_ref().map_or(Exit::Success, Exit::of))
}

/// Returns the title of the page of a run.
pub(crate) fn title(replay: &Replay, replayed: &RunArguments) -> String {
    match replayed.scenario {
        Some(_) => replay.name.clone(),
        None => format!("{}, profile {}", replay.name, replayed.seed_options.profile.name),
    }
}

/// Returns the page content of a recorded run, with the explanation of its failure.
pub(crate) fn page_document(program: &Program, title: &str, recording: &Recording) -> Document {
    let mut document =
        document(title, recording, &|command| program.workload.describe_command(command));
    if let Some(explanation) = explain::explain(&recording.record) {
        document.explanation = explanation.page_sentences();
    }
    document
}
