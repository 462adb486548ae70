//! `cargo sim explain`, `at`, `why-not`, `record` and `diff`: analysis of a single run.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use quorate::types::{Index, NodeId};

use crate::cli::analysis_arguments::{DiffArguments, ExplainArguments, WhyNotArguments};
use crate::cli::args::{AtArguments, RecordArguments};
use crate::cli::console;
use crate::cli::difference::{self, Side};
use crate::cli::exit::{CommandError, CommandResult, Exit};
use crate::cli::panics;
use crate::cli::program::Program;
use crate::cli::progress::CountProgress;
use crate::cli::recordings;
use crate::cli::replay::Replay;
use crate::cli::text::quantity;
use crate::cli::values::DiffTarget;
use crate::explain;
use crate::observe::outcome::Failure;
use crate::record::{EventId, Record, RecordUntil, Recording};
use crate::run::redraws::TIMES_MAX;
use crate::values::time::SimTime;

/// Explains why a run fails.
pub(crate) fn explain(program: &Program, arguments: &ExplainArguments) -> CommandResult {
    if let Some(files) = arguments.subject.files() {
        return recordings::explain(files);
    }
    let replay = Replay::find(program, &arguments.subject.run())?;
    let Recording { outcome, record, .. } = replay.record(RecordUntil::End);
    match (explain::explain(&record), &outcome.failure) {
        (Some(explanation), Some(failure)) => {
            console::print_line(explanation.to_string().trim_end());
            if let Some(runs) = arguments.redraws {
                console::print_line(inevitability(&replay, failure, &record, runs).trim_end());
            }
            Ok(Exit::of(failure))
        }
        _ => {
            console::print_line(&format!("{} passes: no failure to explain", replay.name));
            Ok(Exit::Success)
        }
    }
}

/// The maximum number of events of the turning point that are printed.
const TURNING_EVENTS_MAX: usize = 12;

/// Measures when the failure of a run became inevitable, and describes it.
fn inevitability(replay: &Replay, failure: &Failure, record: &Record, runs: u32) -> String {
    let failing = record.last().expect("a failed run has events");
    let failed_at = record.event(failing).at;
    let mut progress = CountProgress::start("times redrawn", TIMES_MAX);
    let mut done = 0;
    let found = panics::silenced(|| {
        replay.case.inevitability(&replay.options, failure, failed_at, runs, || {
            done += 1;
            progress.advance(done, &format!("{} each", quantity(runs.into(), "run")));
        })
    });
    progress.finish();
    let mut text = format!(
        "\nruns that fail in the same way if all random choices from this time on are redrawn:\n\n\
         {found}\n"
    );
    let Some((open, closed)) = found.turning_point else {
        text.push_str(
            "it was inevitable from the start: it follows from the settings of the run, or from \
             the program",
        );
        return text;
    };
    let _ = writeln!(text, "it became inevitable between {open} s and {closed} s:\n");
    let past = record.causal_past(failing);
    let during = |id: &EventId| (open..=closed).contains(&record.event(*id).at);
    let turning: Vec<EventId> = past.into_iter().filter(during).collect();
    for id in &turning[turning.len().saturating_sub(TURNING_EVENTS_MAX)..] {
        let _ = writeln!(text, "{}", record.line(*id));
    }
    text
}

/// Prints the state of the nodes at a point of a run.
pub(crate) fn at(program: &Program, arguments: &AtArguments) -> CommandResult {
    let until = match (arguments.time, arguments.event) {
        (Some(time), _) => RecordUntil::Time(time),
        (None, Some(event)) => RecordUntil::Event(event),
        (None, None) => RecordUntil::End,
    };
    let recording = Replay::find(program, &arguments.run)?.record(until);
    require_known_node(&recording.record, arguments.node)?;
    let last = recording.record.last();
    if let Some(event) = arguments.event.filter(|event| Some(*event) > last) {
        let count = quantity(recording.record.events.len() as u64, "event");
        return Err(CommandError(format!("no event {event} in this run, which has {count}")));
    }
    console::print_line(explain::cluster_state(&recording, arguments.node).trim_end());
    Ok(Exit::Success)
}

/// Explains why a node was not elected, or why an index was not committed.
pub(crate) fn why_not(program: &Program, arguments: &WhyNotArguments) -> CommandResult {
    let (from, to) = (arguments.from.unwrap_or_default(), arguments.to);
    let to = to.unwrap_or(SimTime(u64::MAX));
    if from > to {
        return Err(CommandError(format!("--from {from} is after --to {to}")));
    }
    if arguments.subject.files().is_some() {
        return recordings::why_not(arguments, from, to);
    }
    let until = if arguments.to.is_some() { RecordUntil::Time(to) } else { RecordUntil::End };
    let replay = Replay::find(program, &arguments.subject.run())?;
    let Recording { record, .. } = replay.record(until);
    require_known_node(&record, arguments.leader)?;
    let lines = match (arguments.leader, arguments.commit) {
        (Some(node), _) => explain::why_not_leader(&record, node, from, to),
        (None, Some(index)) => explain::why_not_committed(&record, Index(index), to),
        (None, None) => Vec::new(),
    };
    lines.iter().for_each(|line| console::print_line(line));
    Ok(Exit::Success)
}

fn require_known_node(record: &Record, node: Option<NodeId>) -> CommandResult<()> {
    match node.filter(|node| !record.nodes.contains(node)) {
        Some(node) => {
            let known: Vec<String> = record.nodes.iter().map(ToString::to_string).collect();
            Err(CommandError(format!("no node {node} in this run; nodes: {}", known.join(" "))))
        }
        None => Ok(()),
    }
}

/// Writes all events of a run to a file.
pub(crate) fn record(program: &Program, arguments: &RecordArguments) -> CommandResult {
    let replay = Replay::find(program, &arguments.run)?;
    let Recording { record, .. } = replay.record(RecordUntil::End);
    let text = lines(&record).join("\n") + "\n";
    let written = fs::write(&arguments.to, text);
    written.map_err(|error| CommandError::file("--to", &arguments.to, &error))?;
    let (count, path) = (record.events.len(), arguments.to.display());
    console::print_line(&format!("wrote {count} events of {} to {path}", replay.name));
    Ok(Exit::Success)
}

fn lines(record: &Record) -> Vec<String> {
    record.all().map(|(id, _)| record.line(id)).collect()
}

/// Prints the first event that differs between two runs.
pub(crate) fn diff(program: &Program, arguments: &DiffArguments) -> CommandResult {
    if let Some(files) = arguments.subject.files() {
        return recordings::diff(files, &arguments.with);
    }
    let ours = Replay::find(program, &arguments.subject.run())?;
    let (other, theirs, name) = match &arguments.with {
        DiffTarget::Seed(seed) => {
            let options = arguments.subject.seed_options;
            let other = Replay::of_seed(program, *seed, options);
            let (theirs, name) =
                (lines(&other.record(RecordUntil::End).record), other.name.clone());
            (Some(other), theirs, name)
        }
        DiffTarget::File(path) => (None, read(path)?, path.display().to_string()),
    };
    let own = lines(&ours.record(RecordUntil::End).record);
    let Some(place) = difference::first_difference(&own, &theirs) else {
        console::print_line(&format!("no difference in {} events", own.len()));
        return Ok(Exit::Success);
    };
    let sides = [Side { name: &ours.name, lines: &own }, Side { name: &name, lines: &theirs }];
    let text = difference::text_around(place, sides, "events");
    let text = format!("the runs first differ at event {}\n{text}", place + 1);
    console::print_line(text.trim_end());
    let until = RecordUntil::Event(EventId(place as u32 + 1));
    for run in [Some(ours), other].into_iter().flatten() {
        let state = explain::cluster_state(&run.record(until), None);
        console::print_line(&format!("\n{}, {}", run.name, state.trim_end()));
    }
    Ok(Exit::ExpectationNotMet)
}

fn read(path: &Path) -> CommandResult<Vec<String>> {
    let bytes = fs::read(path).map_err(|error| CommandError::file("--with", path, &error))?;
    events(&bytes).map_err(|line| {
        let error = format!("line {line} is not an event: expected a file of `cargo sim record`");
        CommandError::invalid_file(path, &error)
    })
}

/// Parses a file of `cargo sim record`: returns the lines of [`lines`], or the number of the first
/// line that is not the event with that number.
fn events(bytes: &[u8]) -> Result<Vec<String>, usize> {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let is_event = |number: &usize| {
        let line = lines.get(number - 1).and_then(|line| line.strip_prefix('#'));
        line.and_then(|line| line.split(' ').next()) == Some(number.to_string().as_str())
    };
    match (1..=lines.len().max(1)).find(|number| !is_event(number)) {
        Some(wrong) => Err(wrong),
        None => Ok(lines),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_events_is_rejected_at_its_first_invalid_line() {
        assert_eq!(
            events(b"#1  0.0  n1  starts\n#2  0.1  n2  starts\n").map(|all| all.len()),
            Ok(2)
        );
        assert_eq!(events(b"#1  0.0  n1  starts\n#3  0.1  n2  starts\n"), Err(2));
        assert_eq!(events(b"#1  0.0  n1  starts\n\xff\xfe"), Err(2));
        assert_eq!(events(b"nodes 3\n"), Err(1));
        assert_eq!(events(b""), Err(1));
    }
}
