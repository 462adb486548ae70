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

/// Prints the selected steps of one recording, and returns their number.
fn print_steps(recording: &NodeRecording, arguments: &ReplayArguments) -> usize {
    let mut playback = Playback::new(&recording.sources);
    let (mut start, mut printed, mut is_found) = (None, 0, false);
    loop {
        let before = playback.raft().cloned();
        let Some(part) = playback.by_ref().find_map(Result::ok) else { return printed };
        match part {
            Replayed::Segment { header, .. } => {
                // A search begins anew with each start; it ends with the first step that it finds.
                let is_new = start.as_ref().is_none_or(|old: &Header| old.start != header.start);
                is_found &= !is_new;
                start = Some(*header);
            }
            Replayed::Step(step) => {
                let (Some(before), Some(after)) = (before, playback.raft()) else { continue };
                if !is_found && is_selected(arguments, &before, after, &step) {
                    let header = start.as_ref().expect("steps follow a header");
                    console::print_line(&text_of(recording, header, &before, after, &step));
                    (is_found, printed) = (true, printed + 1);
                }
            }
        }
    }
}

fn is_selected(arguments: &ReplayArguments, before: &Raft, after: &Raft, step: &Step) -> bool {
    let is_event = |event| match event {
        StepEvent::Role => {
            step.actions.iter().any(|action| matches!(action, Action::RoleChanged { .. }))
        }
        StepEvent::Commit => after.log().committed() > before.log().committed(),
        StepEvent::Refusal => step.actions.iter().any(|action| {
            matches!(action, Action::MessageRejected { .. } | Action::Rejected { .. })
        }),
    };
    match (arguments.record, arguments.to_next) {
        (Some(record), None) => step.record == record,
        (Some(record), Some(event)) => step.record > record && is_event(event),
        (None, event) => event.is_some_and(is_event),
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
