//! One step of a recording: its input, its actions, and what it changes.

use std::fmt::Write as _;

use quorate::raft::{Action, Raft};
use quorate::recording::{Header, Replayed, Step};

use crate::cli::console;
use crate::cli::recordings::arguments::{ReplayArguments, StepEvent};
use crate::recordings::{NodeRecording, Playback, StateChange, state_changes};

/// Prints the selected steps of every recording. Returns whether there was one.
pub(crate) fn print(recordings: &[NodeRecording], arguments: &ReplayArguments) -> bool {
    let printed: usize = recordings.iter().map(|of| print_steps(of, arguments)).sum();
    if printed == 0 {
        console::print_line("no such step in these recordings");
    }
    printed > 0
}

/// The position of a step: the number that identifies its start, and the number of its record.
type Place = (u64, u64);

/// Prints the selected steps of one recording, and returns their number.
fn print_steps(recording: &NodeRecording, arguments: &ReplayArguments) -> usize {
    let selected = select(recording, arguments);
    let mut playback = Playback::new(&recording.sources);
    let (mut start, mut next, mut left) = (None, 0, &selected[..]);
    while let [place, rest @ ..] = left {
        // A copy of the state takes time and memory, so only the selected steps have one.
        let is_next = start.as_ref().is_some_and(|it: &Header| (it.start, next) == *place);
        let before = playback.raft().filter(|_| is_next).cloned();
        match playback.by_ref().find_map(Result::ok) {
            None => break,
            Some(Replayed::Segment { header, .. }) => {
                next = header.first_record;
                start = Some(*header);
            }
            Some(Replayed::Step(step)) => {
                next = step.record.saturating_add(1);
                if let (Some(before), Some(after), Some(header)) = (before, playback.raft(), &start)
                {
                    console::print_line(&text_of(recording, header, &before, after, &step));
                    left = rest;
                }
            }
        }
    }
    selected.len() - left.len()
}

/// The selected steps, at most one of each start: the first one that fits, or with
/// `--to-previous` the last one.
fn select(recording: &NodeRecording, arguments: &ReplayArguments) -> Vec<Place> {
    let mut playback = Playback::new(&recording.sources);
    let (mut start, mut selected): (_, Vec<Place>) = (0, Vec::new());
    loop {
        let committed = |raft: &Raft| raft.log().committed();
        let before = playback.raft().map(committed);
        match playback.by_ref().find_map(Result::ok) {
            None => return selected,
            Some(Replayed::Segment { header, .. }) => start = header.start,
            Some(Replayed::Step(step)) => {
                let commits = playback.raft().map(committed) > before;
                if !is_selected(arguments, commits, &step) {
                    continue;
                }
                match selected.last_mut().filter(|(found, _)| *found == start) {
                    None => selected.push((start, step.record)),
                    Some(found) if arguments.to_previous.is_some() => found.1 = step.record,
                    Some(_) => {}
                }
            }
        }
    }
}

fn is_selected(arguments: &ReplayArguments, commits: bool, step: &Step) -> bool {
    let is_event = |event| match event {
        StepEvent::Role => {
            step.actions.iter().any(|action| matches!(action, Action::RoleChanged { .. }))
        }
        StepEvent::Commit => commits,
        StepEvent::Rejection => step.actions.iter().any(|action| {
            matches!(action, Action::MessageRejected { .. } | Action::Rejected { .. })
        }),
    };
    let ReplayArguments { record, to_next, to_previous, .. } = *arguments;
    match (to_next, to_previous) {
        (Some(event), _) => record.is_none_or(|record| step.record > record) && is_event(event),
        (None, Some(event)) => record.is_none_or(|record| step.record < record) && is_event(event),
        (None, None) => record == Some(step.record),
    }
}

fn text_of(
    recording: &NodeRecording,
    header: &Header,
    before: &Raft,
    after: &Raft,
    step: &Step,
) -> String {
    let starts = &recording.starts;
    let place = starts.iter().position(|start| start.start == header.start).unwrap_or_default();
    let Step { record, now, input, actions } = step;
    let (node, of) = (recording.node, starts.len());
    let mut text = format!("{node}, start {} of {of}, record {record} at {now}\n", place + 1);
    let _ = writeln!(text, "  before  {}", before.status().to_string().trim_end());
    let _ = writeln!(text, "  input   {input}");
    actions.iter().for_each(|action| _ = writeln!(text, "  action  {action}"));
    let _ = writeln!(text, "  after   {}", after.status().to_string().trim_end());
    for StateChange { field, before, after } in state_changes(before, after) {
        let shown = |value: Option<String>| value.unwrap_or("none".to_owned());
        let _ = writeln!(text, "  change  {field}: {} -> {}", shown(before), shown(after));
    }
    text
}
