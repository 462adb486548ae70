//! `cargo sim explain` and `why-not` for recordings.

use std::path::PathBuf;
use std::time::Duration;

use quorate::recording::RecordingErrorReason;
use quorate::types::{Index, NodeId};

use crate::cli::analysis_arguments::WhyNotArguments;
use crate::cli::console;
use crate::cli::exit::{CommandError, CommandResult};
use crate::cli::panics;
use crate::cli::recordings::files::{exit_of_found, read};
use crate::cli::recordings::found::Found;
use crate::cli::recordings::text::clock_texts;
use crate::explain::{self, Explanation};
use crate::record::BuiltRecord;
use crate::recordings::{NodeRecording, PlaybackError, RecordedTimes};
use crate::values::time::SimTime;

/// The maximum number of events that the explanation of a failure reads. They take about a
/// gigabyte.
const EVENTS_MAX: usize = 2_000_000;

/// Times are printed in whole microseconds, so the end of a time window is the last nanosecond of a
/// microsecond, and this much after its first one.
const MICROSECOND: Duration = Duration::from_nanos(999);

/// Explains the decisions that differ from the recorded ones, and the first violation; if there is
/// neither, why each leader came to lead.
pub(crate) fn explain(files: &[PathBuf]) -> CommandResult {
    let found = read_found(files)?;
    let has_diverged = found.recordings.iter().any(|recording| divergence(recording).is_some());
    let texts = match found.is_violated() || has_diverged {
        true => failures(&found),
        false => {
            let changes =
                explain::leader_changes(&found.lines, &found.elections, &found.merged.clocks);
            if changes.is_empty() && !found.recordings.is_empty() {
                console::print_line(
                    "no check is violated, and no recorded node leads: there is nothing to explain",
                );
            }
            changes.iter().map(ToString::to_string).collect()
        }
    };
    if !texts.is_empty() {
        console::print_line(texts.join("\n").trim_end());
    }
    Ok(exit_of_found(files, &found))
}

/// Explains the decisions that differ from the recorded ones, and the first violation.
fn failures(found: &Found) -> Vec<String> {
    let built = record(found, SimTime::default());
    let divergences = found
        .recordings
        .iter()
        .filter_map(|recording| explain_divergence(&built, recording.node, divergence(recording)?));
    let mut explained: Vec<Explanation> = divergences.collect();
    explained.extend(built.up_to_failure().and_then(|record| explain::explain(&record)));
    let violations = found.checks.iter().filter_map(|checked| checked.violation.as_ref());
    let first = violations.min_by_key(|violation| violation.at);
    if let Some(first) = first.filter(|_| built.failing.is_none()) {
        // The record ends before the violation.
        let (id, check, at) = (first.id, first.check, first.at);
        console::print_line(&format!("{id} {check} at {at} s: {}", first.finding));
    }
    explained.iter().map(ToString::to_string).collect()
}

fn divergence(recording: &NodeRecording) -> Option<&PlaybackError> {
    recording.errors.iter().find(|error| error.is_divergence())
}

/// Explains why a node was not elected, or why an index was not committed.
pub(crate) fn why_not(arguments: &WhyNotArguments, from: SimTime, to: SimTime) -> CommandResult {
    let files = arguments.subject.files().unwrap_or_default();
    let found = read_found(files)?;
    let known = || found.recordings.iter().map(|recording| recording.node);
    let unknown = arguments.leader.filter(|node| known().all(|known| known != *node));
    if let Some(node) = unknown.filter(|_| !found.recordings.is_empty()) {
        let known: Vec<String> = known().map(|node| node.to_string()).collect();
        let known = known.join(" ");
        return Err(CommandError(format!("no recording of {node}; recorded nodes: {known}")));
    }
    let lines = match (arguments.leader, arguments.commit) {
        _ if found.recordings.is_empty() => Vec::new(),
        (Some(node), _) => why_not_leader(&found, node, from, to),
        (None, Some(index)) => why_not_committed(&found, Index(index), to),
        (None, None) => Vec::new(),
    };
    lines.iter().for_each(|line| console::print_line(line));
    Ok(exit_of_found(files, &found))
}

fn why_not_leader(found: &Found, node: NodeId, from: SimTime, to: SimTime) -> Vec<String> {
    let times = RecordedTimes::of(&found.lines, node);
    let within = times.within(from, to);
    if within.is_empty() {
        return vec![format!("{node} is not recorded in this time: its recording has {times}")];
    }
    // The window is by the nodes' clocks, so an event of it may come after its end in the merged
    // order.
    let built = record(found, from);
    if built.full_at.is_some_and(|full_at| full_at <= from) {
        return Vec::new();
    }
    let mut lines = explain::why_not_leader(&built.record, node, from, to);
    // Without a flag, the time is that of the recording.
    let begin = if from == SimTime(0) { within.begin() } else { Some(from) };
    let end = if to == SimTime(u64::MAX) { within.end() } else { Some(to) };
    if within.covers(begin.unwrap_or(from), end.unwrap_or(to).before(MICROSECOND)) {
        return lines;
    }
    lines.push(format!("of this time, the recording of {node} has only {within}"));
    lines
}

fn why_not_committed(found: &Found, index: Index, by: SimTime) -> Vec<String> {
    let times = |node: &NodeRecording| RecordedTimes::of(&found.lines, node.node);
    let of_nodes: Vec<_> = found.recordings.iter().map(|node| (node.node, times(node))).collect();
    let is_end = by == SimTime(u64::MAX);
    let is_absent =
        |(_, times): &(NodeId, RecordedTimes)| times.within(by.before(MICROSECOND), by).is_empty();
    if !is_end && of_nodes.iter().all(is_absent) {
        let node = |(node, times): &(NodeId, RecordedTimes)| format!("; {node} has {times}");
        let nodes: String = of_nodes.iter().map(node).collect();
        return vec![format!("no node is recorded at {by} s{nodes}")];
    }
    let built = record(found, SimTime::default());
    explain::why_not_committed(&built.record, index, by)
}

/// Replays the recordings in the files, and prints the errors of those that are not intact, and
/// which clocks cannot be compared.
fn read_found(files: &[PathBuf]) -> CommandResult<Found> {
    let (recordings, unread) = panics::silenced(|| read(files))?;
    let found = Found::new(recordings, unread, |_| {});
    for error in found.errors() {
        console::print_line(&format!("error: {error}"));
    }
    for line in clock_texts(found.merged.clocks.iter().filter(|offset| offset.is_apart())) {
        console::print_line(&format!(
            "clocks: {line}: every time is by the clock of the node that it is about, and the \
             order is the causal one"
        ));
    }
    Ok(found)
}

/// Returns the record of the recordings from this time on, and prints the time up to which it has
/// events.
fn record(found: &Found, from: SimTime) -> BuiltRecord {
    let built = found.record(from..=SimTime(u64::MAX), EVENTS_MAX);
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
