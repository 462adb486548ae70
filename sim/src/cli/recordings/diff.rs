//! `cargo sim diff` for recordings: the first step in which two recordings of a node differ.

use std::cmp::Ordering;
use std::collections::{BTreeMap, VecDeque};
use std::iter::from_fn;
use std::path::PathBuf;
use std::slice;

use quorate::recording::Replayed;

use crate::cli::console;
use crate::cli::difference::{self, AFTER, BEFORE, Side};
use crate::cli::exit::{CommandError, CommandResult, Exit};
use crate::cli::panics;
use crate::cli::recordings::files::{exit_of, read};
use crate::cli::text::quantity;
use crate::cli::values::DiffTarget;
use crate::recordings::{NodeRecording, Playback, RecordedStart};

/// One step of a recording.
struct StepLine {
    start: u64,
    record: u64,
    text: String,
}

/// Reads the steps of a recording in order, one at a time.
struct StepReader<'a> {
    recording: &'a NodeRecording,
    playback: Playback<'a>,
    /// The start of the current segment.
    start: Option<u64>,
    next: Option<StepLine>,
}

/// The first steps that differ, and the steps around them.
struct Difference {
    before: Vec<String>,
    /// The steps from the first different one on, of both sides.
    sides: [Vec<String>; 2],
}

/// One step of each side; `None` if the side has no more.
type StepPair = (Option<String>, Option<String>);

/// Prints the first step that differs between the recordings in `files` and those in `with`, for
/// each node that both have.
pub(crate) fn diff(files: &[PathBuf], with: &DiffTarget) -> CommandResult {
    let DiffTarget::File(with) = with else {
        let text = "--with: recordings are compared with another recording, not with a seed";
        return Err(CommandError(text.to_owned()));
    };
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
    let (mut ours, mut theirs) = (StepReader::new(one), StepReader::new(other));
    let node = one.node;
    let mut compared = 0;
    for (number, starts, is_same) in paired(one, other) {
        let found = {
            let (ours, theirs) = (ours.steps(starts[0]), theirs.steps(starts[1]));
            match is_same {
                true => first_difference(common(ours, theirs)),
                false => first_difference(side_by_side(ours, theirs)),
            }
        };
        match found {
            Ok(steps) => compared += steps,
            Err(difference) => {
                let text = difference.text([one, other]);
                let text =
                    format!("the recordings of {node} first differ in start {number}\n{text}");
                console::print_line(text.trim_end());
                return true;
            }
        }
    }
    let steps = quantity(compared, "step");
    console::print_line(&match compared {
        0 => format!("{node}: not compared, because the recordings have no step of one start"),
        _ => format!("{node}: no difference in {steps} that both recordings have"),
    });
    false
}

/// The pairs of starts to compare: the starts that both recordings have or, if there are none, the
/// first of each, the second of each, and so on. A pair has its number, and whether both are the
/// same start.
fn paired<'a>(
    one: &'a NodeRecording,
    other: &'a NodeRecording,
) -> Vec<(usize, [&'a RecordedStart; 2], bool)> {
    let theirs: BTreeMap<u64, &RecordedStart> =
        other.starts.iter().map(|start| (start.start, start)).collect();
    let same = one.starts.iter().zip(1..).filter_map(|(our, number)| {
        let their = theirs.get(&our.start)?;
        Some((number, [our, *their], true))
    });
    let same: Vec<_> = same.collect();
    if !same.is_empty() {
        return same;
    }
    let pairs = one.starts.iter().zip(&other.starts).zip(1..);
    pairs.map(|((our, their), number)| (number, [our, their], false)).collect()
}

/// Pairs the steps that both sides have, by the numbers of their records, which ascend.
fn common(
    ours: impl Iterator<Item = StepLine>,
    theirs: impl Iterator<Item = StepLine>,
) -> impl Iterator<Item = StepPair> {
    let (mut ours, mut theirs) = (ours.peekable(), theirs.peekable());
    from_fn(move || {
        loop {
            match ours.peek()?.record.cmp(&theirs.peek()?.record) {
                Ordering::Less => drop(ours.next()),
                Ordering::Greater => drop(theirs.next()),
                Ordering::Equal => {
                    let (our, their) = (ours.next(), theirs.next());
                    return Some((our.map(|step| step.text), their.map(|step| step.text)));
                }
            }
        }
    })
}

/// Pairs the first steps, the second ones, and so on.
fn side_by_side(
    mut ours: impl Iterator<Item = StepLine>,
    mut theirs: impl Iterator<Item = StepLine>,
) -> impl Iterator<Item = StepPair> {
    from_fn(move || {
        let pair = (ours.next().map(|step| step.text), theirs.next().map(|step| step.text));
        (pair != (None, None)).then_some(pair)
    })
}

/// Returns the first difference, or the number of equal steps. Keeps only the steps that a
/// difference shows in memory.
fn first_difference(mut pairs: impl Iterator<Item = StepPair>) -> Result<u64, Difference> {
    let (mut before, mut equal) = (VecDeque::new(), 0);
    while let Some((our, their)) = pairs.next() {
        if our == their {
            before.extend(our);
            if before.len() > BEFORE {
                before.pop_front();
            }
            equal += 1;
            continue;
        }
        let mut sides = [Vec::from_iter(our), Vec::from_iter(their)];
        for (our, their) in pairs.by_ref().take(AFTER - 1) {
            sides[0].extend(our);
            sides[1].extend(their);
        }
        return Err(Difference { before: before.into(), sides });
    }
    Ok(equal)
}

impl Difference {
    fn text(&self, recordings: [&NodeRecording; 2]) -> String {
        let [own, with] = recordings
            .map(|of| of.sources.first().map_or(String::new(), |source| source.to_string()));
        let [ours, theirs] = &self.sides;
        let lines = [[&self.before[..], ours].concat(), [&self.before[..], theirs].concat()];
        let sides = [Side { name: &own, lines: &lines[0] }, Side { name: &with, lines: &lines[1] }];
        difference::text_around(self.before.len(), sides, "steps")
    }
}

impl<'a> StepReader<'a> {
    fn new(recording: &'a NodeRecording) -> StepReader<'a> {
        let playback = Playback::new(&recording.sources);
        StepReader { recording, playback, start: None, next: None }
    }

    /// The steps of a start. If an earlier call has read beyond them, the files are read again.
    fn steps(&mut self, start: &RecordedStart) -> impl Iterator<Item = StepLine> {
        let RecordedStart { start, steps, .. } = *start;
        if steps > 0 && !self.seek(start) {
            *self = StepReader::new(self.recording);
            self.seek(start);
        }
        from_fn(move || {
            self.next = self.next.take().or_else(|| self.read());
            self.next.take_if(|step| step.start == start)
        })
    }

    /// Skips the steps before those of a start. Returns false if there are none from here on.
    fn seek(&mut self, start: u64) -> bool {
        loop {
            self.next = self.next.take().or_else(|| self.read());
            match &self.next {
                Some(step) if step.start == start => return true,
                Some(_) => self.next = None,
                None => return false,
            }
        }
    }

    /// Reads the next step, without its time.
    fn read(&mut self) -> Option<StepLine> {
        loop {
            match self.playback.by_ref().find_map(Result::ok)? {
                Replayed::Segment { header, .. } => self.start = Some(header.start),
                Replayed::Step(step) => {
                    let Some(start) = self.start else { continue };
                    let status = self.playback.raft().map(|raft| raft.status().to_string());
                    let status = status.unwrap_or_default();
                    let actions = step.actions.iter().map(|action| format!("; {action}"));
                    let actions: String = actions.collect();
                    let record = step.record;
                    let text = format!("#{record:<7}  {status}  {}{actions}", step.input);
                    return Some(StepLine { start, record, text });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The steps of a recording without an end.
    fn endless(change: Option<u64>) -> impl Iterator<Item = StepLine> {
        (0..).map(move |record| {
            let text = if change == Some(record) { "other".to_owned() } else { record.to_string() };
            StepLine { start: 1, record, text }
        })
    }

    #[test]
    fn only_the_shown_steps_after_the_difference_are_read() {
        let found = first_difference(common(endless(None), endless(Some(1_000)))).err();
        let Difference { before, sides } = found.expect("they differ");
        assert_eq!(before, ["995", "996", "997", "998", "999"]);
        assert_eq!(sides, [["1000", "1001", "1002"], ["other", "1001", "1002"]]);
    }

    #[test]
    fn steps_are_paired_by_their_numbers_or_by_their_places() {
        let some = |first, steps| endless(None).skip(first).take(steps);
        assert_eq!(first_difference(common(some(0, 9), some(4, 20))).ok(), Some(5));
        assert_eq!(first_difference(common(some(0, 2), some(4, 20))).ok(), Some(0));
        assert_eq!(first_difference(side_by_side(some(0, 9), some(0, 9))).ok(), Some(9));
        let longer = first_difference(side_by_side(some(0, 9), some(0, 8))).err();
        let sides = longer.expect("one has more").sides;
        assert_eq!(sides, [vec!["8".to_owned()], Vec::new()]);
    }
}
