//! The summary as a table for people, and the lines about one failed seed.

use std::iter;

use crate::cli::args::Family;
use crate::cli::report::content::Report;
use crate::cli::report::worth::{chance_of_news, failing_share_max};
use crate::cli::text::{Finding, counted, grouped, rate, span};
use crate::coverage::MARKS;
use crate::summary::{FailedSeed, Summary};

/// The width of the first column.
const LABEL_WIDTH: usize = 16;
/// Where lists are wrapped.
const LINE_WIDTH: usize = 98;

/// What one failed seed is told with; `replay` runs it again.
pub(crate) fn failure(failed: &FailedSeed, replay: &str) -> String {
    let finding = Finding::of(&failed.failure);
    let at = finding.at.map(|at| format!(" at {at} s")).unwrap_or_default();
    let (check, saw, seed) = (finding.check, finding.saw, failed.seed);
    format!("FAIL  {check}: {saw}\n      seed {seed}{at}\n      replay: {replay}")
}

/// The whole table.
pub(crate) fn summary(report: &Report) -> String {
    let mut lines = Vec::new();
    for (label, value) in rows(report) {
        lines.extend(wrapped(label, &value));
    }
    lines.join("\n")
}

/// Label and value of each row.
pub(crate) fn rows(report: &Report) -> Vec<(&'static str, String)> {
    let (summary, tally) = (&report.summary, &report.summary.tally);
    let Family { profile, rung } = report.family;
    let mut rows = vec![("profile", format!("{} · rung {}", profile.name, rung.name()))];
    match report.replayed {
        Some(seed) => rows.push(("seed", seed.to_string())),
        None => {
            let time = span(report.elapsed);
            let jobs = counted(report.jobs.get() as u64, "thread");
            let count = grouped(summary.seeds);
            rows.push(("seeds", format!("{count} in {time} on {jobs} · {}", report.subject())));
            rows.push(("ended", report.ending().to_owned()));
        }
    }
    rows.push(("digest", format!("{:016x}", summary.digest)));
    rows.push((
        "events",
        format!(
            "{} · {} per second, {} per CPU-second",
            grouped(tally.events),
            grouped(rate(tally.events, report.elapsed)),
            grouped(rate(tally.events, summary.cpu)),
        ),
    ));
    rows.push(("simulated", span(tally.simulated)));
    rows.push(("messages", grouped(tally.messages)));
    let faults = tally.faults.iter().map(|(kind, landed)| format!("{kind} {}", grouped(*landed)));
    rows.push(("faults", list(faults)));
    rows.push(("elections", grouped(tally.elections)));
    rows.push(("leader changes", grouped(tally.leader_changes)));
    let (entries, commands) = (grouped(tally.entries_committed), tally.commands_committed);
    rows.push(("committed", format!("{entries} entries, {} of clients", grouped(commands))));
    rows.push(("checked", counted(tally.operations_checked, "client operation")));
    rows.push(("run twice", counted(summary.rechecked, "seed")));
    if report.replayed.is_none() {
        let medians = summary.medians();
        let (commands, faults) = (medians.commands_committed, medians.faults_landed);
        rows.push((
            "median seed",
            format!(
                "{} committed, {} landed, {}",
                counted(commands, "command"),
                counted(faults, "fault"),
                counted(medians.leader_changes, "leader change"),
            ),
        ));
        if let Some(slowest) = summary.slowest {
            let (seed, events) = (slowest.seed, grouped(slowest.events));
            rows.push(("slowest seed", format!("{seed} · {}, {events} events", span(slowest.cpu))));
        }
    }
    rows.push(("coverage", format!("{} of {} marks reached", summary.reached(), MARKS.len())));
    coverage_rows(report, &mut rows);
    if summary.states.count() > 0 {
        rows.push(("states", format!("about {} abstract ones", grouped(summary.states.count()))));
    }
    if report.replayed.is_none() {
        rows.push(("growth", growth(report)));
    }
    if let Some(canary) = &report.canary {
        rows.push(("canary", canary.told()));
    }
    if summary.failed.is_empty() && report.replayed.is_none() && summary.seeds > 0 {
        rows.push(("bound", bound(summary)));
    }
    rows.push(("result", report.verdict()));
    rows
}

/// A replay names the marks that it reached, a sweep those that it missed.
fn coverage_rows(report: &Report, rows: &mut Vec<(&'static str, String)>) {
    let summary = &report.summary;
    if report.replayed.is_some() {
        let marks = MARKS.iter().zip(&summary.marks);
        rows.push(("  reached", list(marks.filter(|(_, n)| **n > 0).map(|(mark, _)| mark.name))));
        return;
    }
    let (musts, others) = (summary.missed_musts(), summary.missed_others());
    if !musts.is_empty() {
        rows.push(("  missed, must", list(musts)));
    }
    if !others.is_empty() {
        rows.push(("  missed, may", list(others)));
    }
}

/// How many marks were reached after how many seeds, and what more seeds would bring.
fn growth(report: &Report) -> String {
    let summary = &report.summary;
    let tens = iter::successors(Some(1_u64), |seeds| seeds.checked_mul(10));
    let steps = tens.take_while(|seeds| *seeds < summary.seeds);
    let step = |seeds| {
        let reached = summary.reached_by(report.seeds.at(seeds - 1)?);
        Some(format!("{reached} after {}", counted(seeds, "seed")))
    };
    let mut items: Vec<String> = steps.filter_map(step).collect();
    if let Some(newest) = summary.first_seeds.iter().flatten().max() {
        items.push(format!("the last new one by seed {newest}"));
    }
    let chance = chance_of_news(summary) * 100.0;
    items.push(format!("one seed more brings another with a chance of about {chance:.2} %"));
    list(items)
}

/// What it says that no seed failed.
fn bound(summary: &Summary) -> String {
    let seeds = counted(summary.seeds, "seed");
    let one_in = (1.0 / failing_share_max(summary)) as u64;
    format!(
        "0 failures in {seeds}: with 95 % confidence fewer than 1 seed in {} fails",
        grouped(one_in)
    )
}

fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    if items.is_empty() { "none".to_owned() } else { items.join(" · ") }
}

/// A row, with its value broken between the items of a list.
fn wrapped(label: &str, value: &str) -> Vec<String> {
    let mut lines = vec![format!("{label:LABEL_WIDTH$}")];
    for (at, item) in value.split(" · ").enumerate() {
        let line = lines.last_mut().expect("there is a first line");
        if at > 0 {
            line.push_str(" · ");
        }
        if at > 0 && line.chars().count() + item.chars().count() > LINE_WIDTH {
            line.truncate(line.trim_end().len());
            lines.push(format!("{:LABEL_WIDTH$}{item}", ""));
        } else {
            line.push_str(item);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_wrapped_between_items() {
        let items: Vec<String> = (0..40).map(|number| format!("kind-{number}")).collect();
        let lines = wrapped("faults", &list(&items));
        assert!(lines.len() > 1);
        assert!(lines.iter().all(|line| line.chars().count() <= LINE_WIDTH + 2), "{lines:?}");
        let text = lines.join(" ");
        assert!(items.iter().all(|item| text.contains(item.as_str())));
        assert_eq!(wrapped("seeds", "5"), ["seeds           5"]);
        assert_eq!(list(Vec::<String>::new()), "none");
    }
}
