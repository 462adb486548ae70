//! The HTML page of recordings.

use std::fs;
use std::path::Path;

use quorate::types::NodeId;
use quorate_page::document::{Document, Fact, Fault, Table, Violation};
use quorate_page::html;

use crate::cli::exit::{CommandError, CommandResult};
use crate::cli::recordings::found::Found;
use crate::cli::recordings::text::{
    Clock, clock_texts, leader_causes, recording_text, undecided_texts,
};
use crate::cli::recordings::window::Window;
use crate::cli::text::{grouped, quantity};
use crate::explain;
use crate::picture::record_document;
use crate::record::{BuiltRecord, EventId};
use crate::recordings::{AccountLine, Leadership, Note};

/// The maximum number of events on a page. Browsers draw so many without delay.
const EVENTS_MAX: usize = 300_000;

/// The things on the page of a simulated run that recordings of cores do not have.
const ABSENT: &str = "faults, clients, disks, state machines and snapshot transfers are not \
    recorded: the bars at the top are pauses and silent links that the recordings show, and of \
    each write only its submission and its completion are known";

/// Writes the page of the events in the window, and returns their number.
pub(crate) fn write(file: &Path, found: &Found, window: &Window) -> CommandResult<u64> {
    let built = found.record(window.range(), EVENTS_MAX);
    if let Some(full_at) = built.full_at {
        let (range, events) = (window.range(), grouped(EVENTS_MAX as u64));
        return Err(CommandError(format!(
            "--html: a page shows at most {events} events, where long logs and commands count, \
             too, and the recordings have as many from {} to {full_at} s, of {} s: select a part \
             with --from and --to, --around or --last",
            range.start(),
            range.end(),
        )));
    }
    let document = document(found, window, &built);
    if html::is_too_long(&document) {
        return Err(CommandError(
            "--html: browsers cannot read so long a page: select a shorter part with --from and \
             --to, --around or --last"
                .to_owned(),
        ));
    }
    let page = html::page(&document.title, std::slice::from_ref(&document));
    fs::write(file, &page).map_err(|error| CommandError::file("--html", file, &error))?;
    Ok(document.events.len() as u64)
}

fn document(found: &Found, window: &Window, built: &BuiltRecord) -> Document {
    let title = format!("recordings of {}", node_names(found));
    let format = |command: &[u8]| quorate_page::text::printable(command);
    let mut document = record_document(&title, &built.record, &format);
    document.facts = facts(found, window);
    document.faults = faults(found, window, built);
    document.tables = vec![leaders(found), checks(found)];
    document.violation = built.failing.as_ref().map(|(event, violation)| Violation {
        event: place(*event),
        check: format!("{} {}", violation.id, violation.check),
        finding: violation.finding.clone(),
    });
    let explanation = built.up_to_failure().and_then(|record| explain::explain(&record));
    document.explanation =
        explanation.map(|explained| explained.page_sentences()).unwrap_or_default();
    document
}

/// The position of an event in a document.
fn place(id: EventId) -> u32 {
    id.0 - 1
}

fn node_names(found: &Found) -> String {
    let names: Vec<String> =
        found.recordings.iter().map(|recording| recording.node.to_string()).collect();
    names.join(", ")
}

fn facts(found: &Found, window: &Window) -> Vec<Fact> {
    let fact = |label: &str, value: String| Fact { label: label.to_owned(), value, code: false };
    let range = window.range();
    let mut facts = vec![fact("window", format!("{} to {} s", range.start(), range.end()))];
    facts.extend(Clock::new(found).origin_text().map(|origin| fact("time 0", origin)));
    let recordings = found.recordings.iter();
    facts.extend(recordings.map(|recording| fact("recording", recording_text(recording))));
    facts.extend(found.errors().map(|error| fact("error", error.to_string())));
    facts.extend(clock_texts(&found.merged.clocks).into_iter().map(|text| fact("clocks", text)));
    facts.push(fact("not recorded", ABSENT.to_owned()));
    for violation in found.checks.iter().filter_map(|checked| checked.violation.as_ref()) {
        let (id, at, finding) = (violation.id, violation.at, &violation.finding);
        let note = if window.has(at, at) { "" } else { ", outside this window" };
        facts.push(fact("violated", format!("{id} at {at} s{note}: {finding}")));
    }
    facts
}

/// The pauses and the silent links in the window, as bars.
fn faults(found: &Found, window: &Window, built: &BuiltRecord) -> Vec<Fault> {
    let position = |id: NodeId| {
        let place = built.record.nodes.iter().position(|node| *node == id);
        place.and_then(|place| u16::try_from(place).ok())
    };
    let fault = |line: &AccountLine| {
        let (node, from, text) = match &line.note {
            Note::TookNoStep { pause, .. } => {
                (line.node, line.at.before(*pause), format!("{} takes no step", line.node))
            }
            Note::HeardNothing { from, since, .. } => {
                (line.node, *since, format!("{} hears nothing from {from}", line.node))
            }
            _ => return None,
        };
        let from = from.max(*window.range().start());
        let until = line.at.min(*window.range().end());
        window.has(from, line.at).then(|| Fault {
            text,
            from: from.0,
            until: Some(until.max(from).0),
            nodes: position(node).into_iter().collect(),
            event: None,
        })
    };
    let mut faults: Vec<Fault> = found.lines.iter().filter_map(fault).collect();
    faults.sort_by_key(|fault| fault.from);
    faults
}

/// The leaders of the whole recordings.
fn leaders(found: &Found) -> Table {
    let row = |leader: &Leadership| {
        let (began, ended) = leader_causes(leader);
        let until = leader.to.map_or(String::new(), |to| to.to_string());
        vec![
            leader.from.to_string(),
            until,
            leader.node.to_string(),
            leader.term.to_string(),
            began,
            ended,
        ]
    };
    Table {
        title: "Leaders".to_owned(),
        note: format!("{} in the whole recordings", quantity(found.leaders.len() as u64, "leader")),
        columns: ["from, in s", "until", "node", "term", "began", "ended"]
            .map(str::to_owned)
            .to_vec(),
        rows: found.leaders.iter().map(row).collect(),
        marked: None,
    }
}

/// The results of the checks over the whole recordings.
fn checks(found: &Found) -> Table {
    let seen = || found.checks.iter().filter(|checked| checked.is_seen());
    let rows = seen().map(|checked| {
        vec![
            format!("{} {}", checked.check.id, checked.check.name),
            grouped(checked.decided),
            undecided_texts(checked).join(", "),
            checked.violation.as_ref().map_or(String::new(), |it| it.finding.clone()),
        ]
    });
    let marked = seen().position(|checked| checked.violation.is_some());
    Table {
        title: "Checks".to_owned(),
        note: "of the whole recordings; other nodes and steps may violate what holds here"
            .to_owned(),
        columns: ["check", "holds", "undecided", "violated"].map(str::to_owned).to_vec(),
        rows: rows.collect(),
        marked: marked.and_then(|place| u32::try_from(place).ok()),
    }
}
