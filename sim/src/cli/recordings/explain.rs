//! `cargo sim explain` and `why-not` for recordings.

use std::path::PathBuf;

use quorate::recording::RecordingErrorReason;
use quorate::types::{Index, NodeId};

use crate::cli::analysis_arguments::WhyNotArguments;
use crate::cli::console;
use crate::cli::exit::{CommandError, Exit};
use crate::cli::panics;
use crate::cli::recordings::files::{exit_of_found, read};
use crate::cli::recordings::found::Found;
use crate::explain::{self, Explanation};
use crate::record::BuiltRecord;
use crate::recordings::PlaybackError;
use crate::values::time::SimTime;

/// The maximum number of events that an explanation reads, which take about a gigabyte.
const EVENTS_MAX: usize = 2_000_000;

/// Explains the decisions that differ from the recorded ones and the first violation or, without
/// both, why each leader came to lead.
pub(crate) fn explain(files: &[PathBuf]) -> Result<Exit, CommandError> {
    let found = read_found(files)?;
    let built = record(&found);
    let divergences = found.recordings.iter().filter_map(|recording| {
        let error = recording.errors.iter().find(|error| error.is_divergence())?;
        explain_divergence(&built, recording.node, error)
    });
    let mut explained: Vec<Explanation> = divergences.collect();
    explained.extend(built.up_to_failure().and_then(|record| explain::explain(&record)));
    let violations = found.checks.iter().filter_map(|checked| checked.violation.as_ref());
    match violations.min_by_key(|violation| violation.at).filter(|_| built.failing.is_none()) {
        // The record ends before the violation.
        Some(first) => {
            let (id, check, at) = (first.id, first.check, first.at);
            console::print_line(&format!("{id} {check} at {at} s: {}", first.finding));
        }
        None if explained.is_empty() => {
            explained = explain::leader_changes(&built.record, &found.lines);
            if explained.is_empty() && !found.recordings.is_empty() {
                console::print_line(
                    "no check is violated, and no recorded node leads: there is nothing to explain",
                );
            }
        }
        None => {}
    }
    let texts: Vec<String> = explained.iter().map(ToString::to_string).collect();
    if !texts.is_empty() {
        console::print_line(texts.join("\n").trim_end());
    }
    Ok(exit_of_found(files, &found))
}

/// Explains why a node was not elected, or why an index was not committed.
pub(crate) fn why_not(
    arguments: &WhyNotArguments,
    from: SimTime,
    to: SimTime,
) -> Result<Exit, CommandError> {
    let files = arguments.subject.files().unwrap_or_default();
    let found = read_found(files)?;
    let record = record(&found).record;
    let unknown = arguments.leader.filter(|node| !record.nodes.contains(node));
    if let Some(node) = unknown.filter(|_| !found.recordings.is_empty()) {
        let known: Vec<String> = record.nodes.iter().map(ToString::to_string).collect();
        let known = known.join(" ");
        return Err(CommandError(format!("no recording of {node}; recorded nodes: {known}")));
    }
    let lines = match (arguments.leader, arguments.commit) {
        _ if found.recordings.is_empty() => Vec::new(),
        (Some(node), _) => explain::why_not_leader(&record, node, from, to),
        (None, Some(index)) => explain::why_not_committed(&record, Index(index), to),
        (None, None) => Vec::new(),
    };
    lines.iter().for_each(|line| console::print_line(line));
    Ok(exit_of_found(files, &found))
}

/// Replays the recordings in the files, and prints the errors of those that are not intact.
fn read_found(files: &[PathBuf]) -> Result<Found, CommandError> {
    panics::silence_in_seeds();
    let (recordings, unread) = panics::silenced(|| read(files))?;
    let found = Found::new(recordings, unread, |_| {});
    for error in found.errors() {
        console::print_line(&format!("error: {error}"));
    }
    Ok(found)
}

/// Returns the record of the whole recordings, and prints the time up to which it has events.
fn record(found: &Found) -> BuiltRecord {
    let built = found.record(SimTime::default()..=SimTime(u64::MAX), EVENTS_MAX);
    if let Some(full_at) = built.full_at {
        console::print_line(&format!(
            "the recordings have too many events: only those up to {full_at} s are explained"
        ));
    }
    built
}

/// Explains a replay that ends because the core decides differently from the recorded one.
fn explain_divergence(
    built: &BuiltRecord,
    node: NodeId,
    error: &PlaybackError,
) -> Option<Explanation> {
    let cause = match &error.error.reason {
        RecordingErrorReason::ActionsDiffer(step) => format!(
            "up to here every action of {node} equals the recorded one; at the input `{}` the core \
             of this program takes other actions. Which of them differ is undecided, because a \
             recording has only a digest of the actions",
            step.input
        ),
        RecordingErrorReason::StateDiffers { record, .. } => format!(
            "every action of {node} equals the recorded one, but before record {record} its state \
             does not: the two programs keep another state for the same inputs"
        ),
        RecordingErrorReason::Panicked { record, .. } => {
            format!("the core of {node} panics at record {record}, whose input is the next one")
        }
        _ => return None,
    };
    let finding = format!("{node}: {}", error.error.reason);
    let steps = explain::last_steps(&built.record, node, &finding, &cause);
    Some(steps.unwrap_or(Explanation { finding, facts: Vec::new(), cause }))
}
