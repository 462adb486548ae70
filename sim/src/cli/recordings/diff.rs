//! `cargo sim diff` for recordings: the first step in which two recordings of a node differ.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::slice;

use quorate::recording::Replayed;

use crate::cli::console;
use crate::cli::difference::{self, Side};
use crate::cli::exit::{CommandError, Exit};
use crate::cli::panics;
use crate::cli::recordings::files::{exit_of, read};
use crate::cli::text::quantity;
use crate::cli::values::DiffTarget;
use crate::recordings::{NodeRecording, Playback};

/// The steps of one start, by their numbers, each as a line.
struct StartSteps {
    start: u64,
    steps: BTreeMap<u64, String>,
}

/// Prints the first step that differs between the recordings in `files` and those in `with`, for
/// each node that both have.
pub(crate) fn diff(files: &[PathBuf], with: &DiffTarget) -> Result<Exit, CommandError> {
    let DiffTarget::File(with) = with else {
        let text = "--with: recordings are compared with another recording, not with a seed";
        return Err(CommandError(text.to_owned()));
    };
    panics::silence_in_seeds();
    let with = slice::from_ref(with);
    let (ours, our_unread) = panics::silenced(|| read(files))?;
    let (theirs, their_unread) = panics::silenced(|| read(with))?;
    let errors = ours.iter().chain(&theirs).flat_map(|recording| &recording.errors);
    for error in errors.chain(&our_unread).chain(&their_unread) {
        console::print_line(&format!("error: {error}"));
    }
    let pairs = ours.iter().filter_map(|one| {
        let other = theirs.iter().find(|other| other.node == one.node)?;
        Some((one, other))
    });
    let (mut differs, mut nodes) = (false, 0);
    for (one, other) in pairs {
        if one.cluster != other.cluster {
            let (one, other) = (&one.sources[0], &other.sources[0]);
            return Err(CommandError(format!(
                "{one} and {other} are recordings of different clusters"
            )));
        }
        nodes += 1;
        differs |= panics::silenced(|| print_difference(one, other));
    }
    if nodes == 0 && !ours.is_empty() && !theirs.is_empty() {
        return Err(CommandError("--with: the two sides have no node in common".to_owned()));
    }
    for (some, others) in [(&ours, &theirs), (&theirs, &ours)] {
        for lone in some.iter().filter(|one| others.iter().all(|other| other.node != one.node)) {
            let source = &lone.sources[0];
            console::print_line(&format!("{}: not compared: only in {source}", lone.node));
        }
    }
    let exits = [exit_of(files, &ours, &our_unread), exit_of(with, &theirs, &their_unread)];
    let failed = exits.into_iter().find(|exit| *exit != Exit::Success);
    Ok(if differs { Exit::ExpectationNotMet } else { failed.unwrap_or(Exit::Success) })
}

/// Prints the first difference of two recordings of a node. Returns whether there is one.
fn print_difference(one: &NodeRecording, other: &NodeRecording) -> bool {
    let names =
        [one, other].map(|of| of.sources.first().map_or(String::new(), |it| it.to_string()));
    let (ours, theirs) = (steps_of(one), steps_of(other));
    let node = one.node;
    let mut compared = 0;
    for (number, our, their) in paired(&ours, &theirs) {
        let lines = [our, their];
        let Some(place) = difference::first_difference(&lines[0], &lines[1]) else {
            compared += lines[0].len() as u64;
            continue;
        };
        let [own, with] = &names;
        let sides = [Side { name: own, lines: &lines[0] }, Side { name: with, lines: &lines[1] }];
        let text = difference::text_around(place, sides, "steps");
        let text = format!("the recordings of {node} first differ in start {number}\n{text}");
        console::print_line(text.trim_end());
        return true;
    }
    let steps = quantity(compared, "step");
    console::print_line(&match compared {
        0 => format!("{node}: not compared, because the recordings have no step of one start"),
        _ => format!("{node}: no difference in {steps} that both recordings have"),
    });
    false
}

/// The lines to compare, with the number of the start: those of the steps that both recordings have
/// of the same start, or else all of the first starts, of the second ones, and so on.
fn paired(ours: &[StartSteps], theirs: &[StartSteps]) -> Vec<(usize, Vec<String>, Vec<String>)> {
    let all = |of: &StartSteps| of.steps.values().cloned().collect::<Vec<_>>();
    let common = |of: &StartSteps, other: &StartSteps| {
        let steps = of.steps.iter().filter(|(record, _)| other.steps.contains_key(record));
        steps.map(|(_, line)| line.clone()).collect::<Vec<_>>()
    };
    let same = ours.iter().zip(1..).filter_map(|(our, number)| {
        let their = theirs.iter().find(|their| their.start == our.start)?;
        Some((number, common(our, their), common(their, our)))
    });
    let same: Vec<_> = same.collect();
    if !same.is_empty() {
        return same;
    }
    let pairs = ours.iter().zip(theirs).zip(1..);
    pairs.map(|((our, their), number)| (number, all(our), all(their))).collect()
}

/// The steps of each start of a recording, without their times.
fn steps_of(recording: &NodeRecording) -> Vec<StartSteps> {
    let mut playback = Playback::new(&recording.sources);
    let mut found: Vec<StartSteps> = Vec::new();
    while let Some(part) = playback.by_ref().find_map(Result::ok) {
        match part {
            Replayed::Segment { header, .. } => {
                if found.last().is_none_or(|last| last.start != header.start) {
                    found.push(StartSteps { start: header.start, steps: BTreeMap::new() });
                }
            }
            Replayed::Step(step) => {
                let Some(start) = found.last_mut() else { continue };
                let status = playback.raft().map(|raft| raft.status().to_string());
                let status = status.unwrap_or_default();
                let actions = step.actions.iter().map(|action| format!("; {action}"));
                let actions: String = actions.collect();
                let record = step.record;
                let line = format!("#{record:<7}  {status}  {}{actions}", step.input);
                start.steps.insert(record, line);
            }
        }
    }
    found
}
