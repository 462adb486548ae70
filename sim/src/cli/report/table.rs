//! The summary as a text table, and the message of one failed seed.

use std::iter;

use crate::cli::report::content::{GATE_SEEDS, Report};
use crate::cli::report::estimates::{failure_rate_max, new_mark_probability};
use crate::cli::run_arguments::SeedOptions;
use crate::cli::text::{Finding, duration, grouped, quantity, rate};
use crate::observe::combinations::Combinations;
use crate::observe::coverage::MARKS;
use crate::observe::outcome::PartlyCheckedTally;
use crate::run::summary::{FailedSeed, Summary};

/// The width of the label column.
const LABEL_WIDTH: usize = 18;
/// The column at which lists are wrapped.
const LINE_WIDTH: usize = 98;

/// Returns the message of a failed seed: check, time, detail and the command line `replay`.
pub(crate) fn failure(failed: &FailedSeed, replay: &str) -> String {
    let finding = Finding::of(&failed.failure);
    let at = finding.at.as_ref().map(|at| format!(" at {at} s of simulated time"));
    let (title, at, seed) = (finding.title(), at.unwrap_or_default(), failed.seed);
    let detail = finding.detail;
    format!("FAIL  seed {seed}: {title}{at}\n      {detail}\n      replay: {replay}")
}

/// Returns a line about all failed seeds with one fingerprint: the name of the group, the detail
/// of its first seed, and the command line that replays this seed.
pub(crate) fn failure_line(name: &str, seeds: &[&FailedSeed], replay: &str) -> String {
    let (first, detail) = (seeds[0].seed, Finding::of(&seeds[0].failure).detail);
    let detail = detail.split_whitespace().collect::<Vec<_>>().join(" ");
    let more = match seeds.len() as u64 {
        1 => String::new(),
        count => format!(" and {} more", count - 1),
    };
    format!("FAIL  seed {first}{more}: {name}: {detail} · replay: {replay}")
}

/// Returns the summary as a table of labels and values.
pub(crate) fn summary(report: &Report) -> String {
    let mut lines = Vec::new();
    for (label, value) in rows(report) {
        lines.extend(wrapped(label, &value));
    }
    lines.join("\n")
}

/// Returns the label and the value of each row of the table.
pub(crate) fn rows(report: &Report) -> Vec<(&'static str, String)> {
    let (summary, tally) = (&report.summary, &report.summary.tally);
    let SeedOptions { profile, strategy } = report.seed_options;
    let mut rows = vec![("profile", format!("{} · strategy {}", profile.name, strategy.name()))];
    match report.replayed_seed {
        Some(seed) => rows.push(("seed", seed.to_string())),
        None => {
            let time = duration(report.elapsed);
            let jobs = quantity(report.jobs.get() as u64, "thread");
            let count = grouped(summary.seeds);
            rows.push(("seeds", format!("{count} in {time} on {jobs} · {}", report.subject())));
            rows.push(("stop reason", report.end_text().to_owned()));
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
    rows.push(("simulated time", duration(tally.simulated)));
    rows.push(("messages", grouped(tally.messages)));
    let faults = tally.faults.iter().map(|(kind, landed)| format!("{kind} {}", grouped(*landed)));
    rows.push(("faults injected", list(faults)));
    rows.push(("elections won", grouped(tally.elections)));
    rows.push(("leader changes", grouped(tally.leader_changes)));
    let (entries, commands) = (tally.entries_committed, tally.commands_committed);
    let (entries, commands) = (grouped(entries), quantity(commands, "client command"));
    rows.push(("committed", format!("{entries} entries; {commands} answered")));
    rows.push(("history checked", quantity(tally.operations_checked, "client operation")));
    let partly = partly_checked(tally.partly_checked);
    rows.extend(partly.map(|parts| ("partly checked", parts)));
    rows.push(("replayed", quantity(summary.rechecked, "seed") + ", to detect nondeterminism"));
    if report.replayed_seed.is_none() {
        let medians = summary.medians();
        let (commands, faults) = (medians.commands_committed, medians.faults_landed);
        let (commands, faults) = (quantity(commands, "command"), quantity(faults, "fault"));
        let changes = quantity(medians.leader_changes, "leader change");
        rows.push(("median seed", format!("{commands} answered, {faults} injected, {changes}")));
        if let Some(slowest) = summary.slowest {
            let (seed, events) = (slowest.seed, grouped(slowest.events));
            rows.push((
                "slowest seed",
                format!("{seed} · {}, {events} events", duration(slowest.cpu)),
            ));
        }
    }
    rows.push(("coverage", format!("{} of {} marks reached", summary.reached(), MARKS.len())));
    coverage_rows(report, &mut rows);
    rows.push(("combinations", combinations(&tally.combinations)));
    if summary.states.count() > 0 {
        let states = grouped(summary.states.count());
        rows.push(("states", format!("about {states} abstract states reached")));
    }
    if report.replayed_seed.is_none() {
        rows.push(("coverage growth", growth(report)));
    }
    if let Some(canary) = &report.canary {
        rows.push(("canary", canary.summary()));
    }
    if summary.failed.is_empty() && report.replayed_seed.is_none() && summary.seeds > 0 {
        rows.push(("confidence", confidence(summary)));
    }
    rows.push(("result", report.verdict()));
    rows
}

/// Returns the numbers of runs that were checked only in part, each with its reason; `None` if
/// every check applied to every run.
pub(crate) fn partly_checked(partly: PartlyCheckedTally) -> Option<String> {
    let parts = partly.parts().into_iter().filter(|(runs, _)| *runs > 0);
    let parts: Vec<String> =
        parts.map(|(runs, how)| format!("{} {how}", quantity(runs, "run"))).collect();
    (!parts.is_empty()).then(|| list(parts))
}

/// Lists the marks that a replay reached, or those that a sweep missed.
fn coverage_rows(report: &Report, rows: &mut Vec<(&'static str, String)>) {
    let summary = &report.summary;
    if report.replayed_seed.is_some() {
        let marks = MARKS.iter().zip(&summary.marks);
        rows.push(("  reached", list(marks.filter(|(_, n)| **n > 0).map(|(mark, _)| mark.name))));
        return;
    }
    let (required, others) = (report.missed_required(), report.missed_others());
    if !required.is_empty() {
        rows.push(("  missed required", list(required)));
    }
    if !others.is_empty() {
        rows.push(match (report.must_reach_marks(), summary.seeds >= GATE_SEEDS) {
            (true, _) => ("  missed optional", list(others)),
            (false, true) => ("  not reached", list(others)),
            // So few seeds say nothing about a mark.
            (false, false) => ("  not reached", few_seeds(report, others.len())),
        });
    }
    let beyond = report.marks_beyond_profile();
    if beyond > 0 {
        let marks = quantity(beyond as u64, "mark");
        rows.push(("  not in profile", format!("{marks}, which its runs cannot reach")));
    }
}

/// Returns the number of marks that a small sweep did not reach, and from how many seeds on they
/// are required.
fn few_seeds(report: &Report, missed: usize) -> String {
    let marks = quantity(missed as u64, "mark");
    match report.requires_marks() {
        true => format!("{marks}; required marks are judged from {} seeds on", grouped(GATE_SEEDS)),
        false => marks,
    }
}

/// Returns how many combinations of faults occurred.
fn combinations(reached: &Combinations) -> String {
    let (in_phases, pairs) = (reached.in_phases(), reached.pairs());
    let (phases_max, pairs_max) = (Combinations::IN_PHASES_MAX, Combinations::PAIRS_MAX);
    format!(
        "{in_phases} of {phases_max} of fault, role and phase · \
         {pairs} of {pairs_max} pairs of faults"
    )
}

/// Returns the number of marks reached after 1, 10, 100 … seeds, and the estimated probability
/// that one more seed reaches a new one.
fn growth(report: &Report) -> String {
    let summary = &report.summary;
    let tens = iter::successors(Some(1_u64), |seeds| seeds.checked_mul(10));
    let steps = tens.take_while(|seeds| *seeds < summary.seeds);
    let step = |seeds| {
        let reached = summary.reached_by(report.seeds.at(seeds - 1)?);
        Some(format!("{reached} after {}", quantity(seeds, "seed")))
    };
    let mut items: Vec<String> = steps.filter_map(step).collect();
    if let Some(newest) = summary.first_seeds.iter().flatten().max() {
        items.push(format!("last new mark at seed {newest}"));
    }
    let percent = new_mark_probability(summary) * 100.0;
    items.push(format!("estimated probability that one more seed adds a mark: {percent:.2} %"));
    list(items)
}

/// Returns the upper bound of the failure rate that a sweep without failures shows.
fn confidence(summary: &Summary) -> String {
    let seeds = quantity(summary.seeds, "seed");
    let one_in = grouped((1.0 / failure_rate_max(summary)) as u64);
    format!("0 failures in {seeds}: with 95 % confidence, fewer than 1 seed in {one_in} fails")
}

fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    if items.is_empty() { "none".to_owned() } else { items.join(" · ") }
}

/// Returns the lines of a row, with its value wrapped between the items of a list.
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
        assert_eq!(wrapped("seeds", "5"), ["seeds             5"]);
        assert_eq!(list(Vec::<String>::new()), "none");
    }
}
