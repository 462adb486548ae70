//! `cargo sim explain`, `at`, `why-not`, `record` and `diff`: one run, looked at closely.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use quorate::types::{Index, NodeId};

use crate::cli::args::{
    AtArguments, DiffArguments, ExplainArguments, RecordArguments, WhyNotArguments,
};
use crate::cli::console;
use crate::cli::exit::{Exit, Trouble};
use crate::cli::program::Program;
use crate::cli::replay::Replay;
use crate::cli::values::With;
use crate::explain;
use crate::record::{EventId, Record, Recording, Until};
use crate::time::SimTime;

/// How many events before the first difference are shown, and how many after it.
const BEFORE: usize = 5;
const AFTER: usize = 3;

/// Tells why a run fails.
pub(crate) fn explain(program: &Program, arguments: &ExplainArguments) -> Result<Exit, Trouble> {
    let replay = Replay::find(program, &arguments.replayed)?;
    let Recording { outcome, record, .. } = replay.record(Until::End);
    match (explain::explain(&record), &outcome.failure) {
        (Some(telling), Some(failure)) => {
            console::say(telling.to_string().trim_end());
            Ok(Exit::of(failure))
        }
        _ => {
            console::say(&format!("{} does not fail", replay.name));
            Ok(Exit::Fine)
        }
    }
}

/// Shows what the nodes are like at some point.
pub(crate) fn at(program: &Program, arguments: &AtArguments) -> Result<Exit, Trouble> {
    let until = match (arguments.time, arguments.event) {
        (Some(time), _) => Until::Time(time),
        (None, Some(event)) => Until::Event(event),
        (None, None) => Until::End,
    };
    let recording = Replay::find(program, &arguments.replayed)?.record(until);
    known(&recording.record, arguments.node)?;
    console::say(explain::standing(&recording, arguments.node).trim_end());
    Ok(Exit::Fine)
}

/// Tells what kept a node from leading, or an index from being committed.
pub(crate) fn why_not(program: &Program, arguments: &WhyNotArguments) -> Result<Exit, Trouble> {
    let to = arguments.to.unwrap_or(SimTime(u64::MAX));
    let until = if arguments.to.is_some() { Until::Time(to) } else { Until::End };
    let Recording { record, .. } = Replay::find(program, &arguments.replayed)?.record(until);
    known(&record, arguments.leader)?;
    let lines = match (arguments.leader, arguments.commit) {
        (Some(node), _) => {
            explain::why_not_leader(&record, node, arguments.from.unwrap_or_default(), to)
        }
        (None, Some(index)) => explain::why_not_committed(&record, Index(index), to),
        (None, None) => Vec::new(),
    };
    lines.iter().for_each(|line| console::say(line));
    Ok(Exit::Fine)
}

fn known(record: &Record, node: Option<NodeId>) -> Result<(), Trouble> {
    match node.filter(|node| !record.nodes.contains(node)) {
        Some(node) => {
            let known: Vec<String> = record.nodes.iter().map(ToString::to_string).collect();
            Err(Trouble(format!("there is no {node} in this run, only {}", known.join(" "))))
        }
        None => Ok(()),
    }
}

/// Writes every event of a run to a file.
pub(crate) fn record(program: &Program, arguments: &RecordArguments) -> Result<Exit, Trouble> {
    let replay = Replay::find(program, &arguments.replayed)?;
    let Recording { record, .. } = replay.record(Until::End);
    let text = lines(&record).join("\n") + "\n";
    let written = fs::write(&arguments.to, text);
    written.map_err(|error| Trouble::file("--to", &arguments.to, &error))?;
    let (count, path) = (record.events.len(), arguments.to.display());
    console::say(&format!("{count} events of {} are in {path}", replay.name));
    Ok(Exit::Fine)
}

fn lines(record: &Record) -> Vec<String> {
    record.all().map(|(id, _)| record.line(id)).collect()
}

/// Shows where two runs part.
pub(crate) fn diff(program: &Program, arguments: &DiffArguments) -> Result<Exit, Trouble> {
    let ours = Replay::find(program, &arguments.replayed)?;
    let (other, theirs, name) = match &arguments.with {
        With::Seed(seed) => {
            let other = Replay::of_seed(program, *seed, &arguments.replayed);
            let (theirs, name) = (lines(&other.record(Until::End).record), other.name.clone());
            (Some(other), theirs, name)
        }
        With::File(path) => (None, read(path)?, path.display().to_string()),
    };
    let own = lines(&ours.record(Until::End).record);
    let Some(place) = parting(&own, &theirs) else {
        console::say(&format!("{} events, and they are the same", own.len()));
        return Ok(Exit::Fine);
    };
    let mut says = format!("the runs part at event {}\n", place + 1);
    let before = place.saturating_sub(BEFORE)..place;
    own[before].iter().for_each(|line| shown(&mut says, "  both", line));
    for (name, of) in [(ours.name.clone(), &own), (name, &theirs)] {
        let _ = writeln!(says, "\n{name}");
        match of.get(place..) {
            Some([]) | None => says.push_str("  ends here\n"),
            Some(rest) => rest.iter().take(AFTER).for_each(|line| shown(&mut says, " ", line)),
        }
    }
    console::say(says.trim_end());
    let until = Until::Event(EventId(place as u32 + 1));
    for run in [Some(ours), other].into_iter().flatten() {
        let state = explain::standing(&run.record(until), None);
        console::say(&format!("\n{}, {}", run.name, state.trim_end()));
    }
    Ok(Exit::Vacuous)
}

fn shown(says: &mut String, margin: &str, line: &str) {
    let _ = writeln!(says, "{margin}  {line}");
}

/// The first place at which the two differ; none if they are the same.
fn parting(one: &[String], other: &[String]) -> Option<usize> {
    let differs = one.iter().zip(other).position(|(one, other)| one != other);
    let shorter = one.len().min(other.len());
    differs.or((one.len() != other.len()).then_some(shorter))
}

fn read(path: &Path) -> Result<Vec<String>, Trouble> {
    let bytes = fs::read(path).map_err(|error| Trouble::file("--with", path, &error))?;
    events(&bytes).map_err(|line| {
        let wrong =
            format!("line {line} is no event of a run: `cargo sim record` writes such a file");
        Trouble::wrong_file(path, &wrong)
    })
}

/// The events of a recording, each with its number as [`lines`] has it; or the first line that is
/// none.
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
    fn runs_part_at_the_first_line_that_differs_or_that_one_has_alone() {
        let lines = |text: &str| -> Vec<String> { text.lines().map(str::to_owned).collect() };
        assert_eq!(parting(&lines("a\nb"), &lines("a\nb")), None);
        assert_eq!(parting(&lines("a\nb"), &lines("a\nc")), Some(1));
        assert_eq!(parting(&lines("a\nb"), &lines("a")), Some(1));
        assert_eq!(parting(&[], &lines("a")), Some(0));
    }

    #[test]
    fn what_is_no_recording_is_refused_at_its_first_wrong_line() {
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
