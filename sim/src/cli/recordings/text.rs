//! The account of recordings as text.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use crate::cli::recordings::found::Found;
use crate::cli::recordings::wall_time::{date, time_of_day};
use crate::cli::recordings::window::Window;
use crate::cli::text::{duration, grouped, quantity};
use crate::observe::Violation;
use crate::recordings::{
    AccountLine, CheckedRecordings, ClockOffset, Leadership, Merged, NodeRecording,
};
use crate::values::time::SimTime;

/// Returns the whole account: the recordings, the leaders, and what happened within the window.
pub(crate) fn of(found: &Found, window: &Window) -> String {
    let mut text = String::new();
    for recording in &found.recordings {
        let _ = writeln!(text, "{}", recording_text(recording));
        let errors = recording.errors.iter();
        errors.for_each(|error| _ = writeln!(text, "  error: {error}"));
    }
    found.unread.iter().for_each(|error| _ = writeln!(text, "error: {error}"));
    if found.recordings.is_empty() {
        return text;
    }
    text.push_str(&order_text(&found.merged, found.recordings.len()));
    let clock = Clock::new(found);
    if !found.leaders.is_empty() {
        text.push_str("\nleaders\n");
    }
    for leader in &found.leaders {
        let _ = writeln!(text, "{}", leader_text(&clock, leader));
    }
    text.push_str("\nevents\n");
    let lines = found.lines.iter().filter(|line| window.has(line.at, line.until));
    let mut shown = 0;
    for line in lines {
        let _ = writeln!(text, "{}", line_text(&clock, line));
        shown += 1;
    }
    let left = found.lines.len() - shown;
    if left > 0 {
        let _ = writeln!(text, "{} outside this time window", quantity(left as u64, "line"));
    }
    text.push_str(&checks_text(&found.checks));
    text
}

/// The results of the checks, with the violations at the end, where they are easy to see.
fn checks_text(checks: &[CheckedRecordings]) -> String {
    let mut text = "\nchecks\n".to_owned();
    for checked in checks.iter().filter(|it| it.is_seen()) {
        let CheckedRecordings { check, decided, .. } = checked;
        let _ = write!(text, "{:<4} {:<22} {} hold", check.id, check.name, grouped(*decided));
        let reasons = undecided_texts(checked).into_iter();
        reasons.for_each(|reason| _ = write!(text, ", {reason}"));
        text.push('\n');
    }
    let ids = |belongs: &dyn Fn(&CheckedRecordings) -> bool| {
        let ids = checks.iter().filter(|checked| belongs(checked)).map(|checked| checked.check.id);
        ids.collect::<Vec<_>>().join(" ")
    };
    let unseen = ids(&|checked| checked.beyond.is_none() && !checked.is_seen());
    if !unseen.is_empty() {
        let _ = writeln!(text, "nothing to check: {unseen}");
    }
    let beyond: BTreeSet<&str> = checks.iter().filter_map(|checked| checked.beyond).collect();
    for why in beyond {
        let _ = writeln!(text, "not checked, {why}: {}", ids(&|it| it.beyond == Some(why)));
    }
    for violation in checks.iter().filter_map(|checked| checked.violation.as_ref()) {
        let Violation { id, check, finding, at, .. } = violation;
        let _ = writeln!(text, "violated at {at}: {id} {check}: {finding}");
    }
    text
}

/// The numbers of facts that a check could not decide, each with the reason.
pub(crate) fn undecided_texts(checked: &CheckedRecordings) -> Vec<String> {
    let undecided = checked.undecided.iter();
    undecided.map(|(why, count)| format!("{} undecided: {why}", grouped(*count))).collect()
}

/// How times are printed: as seconds, and as times of day if these are known.
pub(crate) struct Clock {
    origin: Option<Duration>,
}

impl Clock {
    /// The time of day at time 0, with its date, if it is known.
    pub(crate) fn origin_text(&self) -> Option<String> {
        self.origin.map(|origin| format!("{} {} UTC", date(origin), time_of_day(origin)))
    }

    pub(crate) fn new(found: &Found) -> Clock {
        let has_wall_time = found.recordings.iter().all(NodeRecording::has_wall_time);
        Clock { origin: has_wall_time.then_some(found.merged.origin) }
    }

    fn text(&self, at: SimTime) -> String {
        match self.origin {
            Some(origin) => {
                format!(
                    "{at:>12}  {}",
                    time_of_day(origin.saturating_add(Duration::from_nanos(at.0)))
                )
            }
            None => format!("{at:>12}"),
        }
    }
}

/// Describes the recording of a node in one line.
pub(crate) fn recording_text(recording: &NodeRecording) -> String {
    let NodeRecording { node, starts, .. } = recording;
    let mut text = format!("{node}");
    let steps = quantity(recording.steps(), "step");
    let _ = write!(text, "  {steps} of {}", quantity(starts.len() as u64, "start"));
    match recording.span() {
        Some((from, to)) if recording.has_wall_time() => {
            let (from_time, to_time) = (time_of_day(from), time_of_day(to));
            let _ = write!(text, ", {} {from_time} to {to_time} UTC", date(from));
            let _ = write!(text, " ({})", duration(to.saturating_sub(from)));
        }
        Some((from, to)) => {
            let _ = write!(text, ", {} of its own clock", duration(to.saturating_sub(from)));
        }
        None => {}
    }
    if starts.first().is_some_and(|start| start.first_record > 0) {
        text.push_str(", without the beginning of the first start");
    }
    let gaps: u64 = starts.iter().map(|start| start.gaps).sum();
    if gaps > 0 {
        let _ = write!(text, ", with {}", quantity(gaps, "gap"));
    }
    let mut versions: Vec<&str> = starts.iter().map(|start| start.version.as_str()).collect();
    versions.dedup();
    let _ = write!(text, ", quorate {}", versions.join(" and "));
    if recording.errors.iter().all(|error| !error.is_divergence()) {
        text.push_str(": every action equals the recorded one");
    }
    text
}

/// The numbers of messages with and without a recorded send, and the differences of the clocks;
/// empty for one node.
fn order_text(merged: &Merged, nodes: usize) -> String {
    let mut text = String::new();
    if nodes < 2 {
        return text;
    }
    let _ = write!(text, "messages: {} with a recorded send", grouped(merged.matched));
    if merged.unmatched > 0 {
        let _ = write!(text, ", {} without", grouped(merged.unmatched));
    }
    text.push('\n');
    if merged.disordered > 0 {
        let messages = quantity(merged.disordered, "message");
        let _ = writeln!(
            text,
            "{messages} of them arrived before the only recorded send of an identical message"
        );
    }
    clock_texts(&merged.clocks).iter().for_each(|line| _ = writeln!(text, "clocks: {line}"));
    text
}

/// The differences between the clocks, one line for each pair of nodes.
pub(crate) fn clock_texts<'a>(clocks: impl IntoIterator<Item = &'a ClockOffset>) -> Vec<String> {
    let line = |offset: &ClockOffset| {
        let ClockOffset { one, other, min, max } = offset;
        if !offset.is_constant() {
            return format!("the difference between {one}'s and {other}'s changed");
        }
        let (min, max) = (millis(*min), millis(*max));
        format!("{other}'s is ahead of {one}'s by {min} to {max} ms")
    };
    clocks.into_iter().map(line).collect()
}

/// Formats nanoseconds as milliseconds with three decimals: `-0.048`.
fn millis(nanos: i128) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let micros = nanos.unsigned_abs() / 1_000;
    format!("{sign}{}.{:03}", micros / 1_000, micros % 1_000)
}

fn leader_text(clock: &Clock, leader: &Leadership) -> String {
    let Leadership { node, term, from, to, .. } = leader;
    let mut text = format!("{}  {node}  leads {term}", clock.text(*from));
    if let Some(to) = to {
        let _ = write!(text, " until {to}");
    }
    let (began, ended) = leader_causes(leader);
    let _ = write!(text, "; {began}; {ended}");
    text
}

/// Why a leadership began, and why it ended.
pub(crate) fn leader_causes(leader: &Leadership) -> (String, String) {
    let Leadership { has_beginning, campaign, end, restart, pause, .. } = leader;
    let began = match campaign {
        Some(cause) => format!("it campaigned: {cause}"),
        None if *has_beginning => "its campaign is not recorded".to_owned(),
        None => "it led before its recording begins there".to_owned(),
    };
    let pause =
        pause.map_or(String::new(), |pause| format!("it took no step for {}; ", duration(pause)));
    let ended = match (end, restart) {
        (Some(cause), _) => format!("it stopped: {cause}"),
        (None, Some(restart)) => {
            format!("its recording ends there, and it starts again at {restart}")
        }
        (None, None) => "it still leads when its recording ends".to_owned(),
    };
    (began, format!("{pause}{ended}"))
}

fn line_text(clock: &Clock, line: &AccountLine) -> String {
    let AccountLine { at, until, node, term, record, count, note } = line;
    let record = record.map_or(String::new(), |record| format!("#{record}"));
    let mut text = format!("{}  {node:<3} {term:<4} {record:<9} {note}", clock.text(*at));
    if *count > 1 {
        let _ = write!(text, " ({} until {until})", quantity(*count, "time"));
    }
    text
}
