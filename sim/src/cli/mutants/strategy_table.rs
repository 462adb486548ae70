//! A Markdown table of the cost of detecting each bug, by search strategy, and of the bugs that
//! tests detect.

use std::time::Duration;

use crate::cli::mutants::kills::Row;
use crate::cli::text::{duration, grouped};
use crate::run::summary::median;
use crate::settings::strategy::Strategy;

/// Returns the tables of the strategies with their rows, and of the bugs that tests detect.
pub(crate) fn markdown(
    strategies: &[(Strategy, Vec<Row>)],
    tested: &[Row],
    seeds_max: u64,
) -> String {
    let mut lines = vec![
        "| strategy | detected in every sweep | seeds, median | CPU s, median | missed |"
            .to_owned(),
        "|---|---|---|---|---|".to_owned(),
    ];
    lines.extend(strategies.iter().map(|(strategy, rows)| strategy_row(*strategy, rows)));
    let names: Vec<&str> = strategies.iter().map(|(strategy, _)| strategy.name()).collect();
    let columns = names.join(" | ");
    let runs = Strategy::Guided.runs();
    lines.extend([
        String::new(),
        format!(
            "Medians of seeds and of CPU seconds to the first failure, with at most {} seeds. A \
             seed of `guided` is up to {runs} runs, so its limit is {}.",
            grouped(seeds_max),
            grouped(seeds_max.div_ceil(runs)),
        ),
        String::new(),
        format!("| bug | profile | detected by | {columns} | shrunk lines |"),
        format!("|---|---|---|{}---|", "---|".repeat(strategies.len())),
    ]);
    let count = strategies.first().map_or(0, |(_, rows)| rows.len());
    lines.extend((0..count).map(|at| {
        let rows: Vec<&Row> = strategies.iter().map(|(_, rows)| &rows[at]).collect();
        bug_row(&rows)
    }));
    if !tested.is_empty() {
        lines.extend(test_lines(tested));
    }
    lines.join("\n")
}

/// Returns the table of the bugs that tests detect, with the run times of the tests.
fn test_lines(rows: &[Row]) -> Vec<String> {
    let took = |row: &Row| row.test_seconds.map(Duration::from_secs_f64);
    let all: Vec<Duration> = rows.iter().filter_map(took).collect();
    let killed = rows.iter().filter(|row| row.killed > 0).count();
    let all =
        if all.is_empty() { String::new() } else { format!(", median {}", duration(median(&all))) };
    let mut lines = vec![
        String::new(),
        format!("Tests detect {killed} of {}{all}.", rows.len()),
        String::new(),
        "| bug | wrong behaviour | failing tests | s |".to_owned(),
        "|---|---|---|---|".to_owned(),
    ];
    lines.extend(rows.iter().map(|row| {
        let first = row.tests.first().map(|test| format!("`{test}`")).unwrap_or_default();
        let more = match row.tests.len() {
            0 | 1 => String::new(),
            all => format!(" and {} more", all - 1),
        };
        let took = match row.test_seconds {
            Some(seconds) => format!("{seconds:.1}"),
            None => "not detected".to_owned(),
        };
        format!("| {} | {} | {first}{more} | {took} |", row.id, row.wrong)
    }));
    lines
}

fn strategy_row(strategy: Strategy, rows: &[Row]) -> String {
    let seeds: Vec<u64> = rows.iter().filter_map(|row| row.seeds_to_kill).collect();
    let took: Vec<Duration> = rows
        .iter()
        .filter_map(|row| row.cpu_seconds_to_kill.map(Duration::from_secs_f64))
        .collect();
    let (always, others): (Vec<&Row>, Vec<&Row>) =
        rows.iter().partition(|row| row.killed == row.sweeps);
    let others: Vec<String> = others.iter().map(|row| missed(row)).collect();
    let medians = match seeds.is_empty() {
        true => ["-".to_owned(), "-".to_owned()],
        false => [grouped(median(&seeds)), format!("{:.1}", median(&took).as_secs_f64())],
    };
    format!(
        "| {} | {} of {} | {} | {} | {} |",
        strategy.name(),
        always.len(),
        rows.len(),
        medians[0],
        medians[1],
        others.join(", "),
    )
}

fn missed(row: &Row) -> String {
    match row.killed {
        0 => row.id.clone(),
        killed => format!("{} ({killed} of {})", row.id, row.sweeps),
    }
}

/// Returns the table row of one bug; `rows` has one row per strategy.
fn bug_row(rows: &[&Row]) -> String {
    let cells: Vec<String> = rows.iter().map(|row| cell(row)).collect();
    let checks = rows.iter().flat_map(|row| &row.checks).collect::<std::collections::BTreeSet<_>>();
    let checks: Vec<&str> = checks.into_iter().map(String::as_str).collect();
    let first = rows[0];
    let lines = rows.iter().rev().find_map(|row| row.lines);
    format!(
        "| {} | {} | {} | {} | {} |",
        first.id,
        first.profile.as_deref().unwrap_or("default"),
        checks.join(", "),
        cells.join(" | "),
        lines.map_or_else(|| "-".to_owned(), |lines| lines.to_string()),
    )
}

/// Returns the table cell of one bug and one strategy.
fn cell(row: &Row) -> String {
    match (row.seeds_to_kill, row.cpu_seconds_to_kill) {
        (Some(seeds), Some(seconds)) if row.killed == row.sweeps => {
            format!("{}; {seconds:.1} s", grouped(seeds))
        }
        (Some(seeds), Some(seconds)) => {
            let (killed, of) = (row.killed, row.sweeps);
            format!("{}; {seconds:.1} s, {killed} of {of}", grouped(seeds))
        }
        _ => "not detected".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::mutants::kills;
    use crate::cli::mutants::mutant_sweep::{MutantSweep, Verdict};
    use crate::cli::mutants::table::Mutant;

    fn sweep(mutant: &str, number: u64, killed: Option<(u64, f64)>) -> MutantSweep {
        let failure = killed.map(|(seeds, seconds)| {
            serde_json::json!({
                "seed": seeds - 1, "kind": "safety", "check": "S9 log-matching", "detail": "two",
                "after_seeds": seeds, "after_cpu_seconds": seconds, "fingerprint": "",
                "replay": "", "faults": [],
            })
        });
        let verdict = if killed.is_some() { Verdict::Killed } else { Verdict::Survived };
        serde_json::from_value(serde_json::json!({
            "sources": "", "mutant": mutant, "edits": "", "number": number, "seeds_max": 9,
            "strategy": "", "verdict": verdict, "note": "", "failure": failure,
        }))
        .expect("the record of a sweep is valid")
    }

    #[test]
    fn each_strategy_has_its_medians_and_its_missed_bugs() {
        let mutant = |id: &str| -> Mutant {
            let text = "wrong = 'x'\nedit = []";
            toml::from_str(&format!("id = '{id}'\n{text}")).expect("it is well formed")
        };
        let mutants = [mutant("A1"), mutant("B2")];
        let low = [sweep("A1", 0, Some((3, 1.0))), sweep("A1", 1, None), sweep("B2", 0, None)];
        let high = [sweep("A1", 0, Some((2, 0.5))), sweep("B2", 0, Some((6, 1.5)))];
        let rows = |sweeps: &[MutantSweep]| kills::rows(&mutants, sweeps);
        let mut tested = sweep("A1", 0, None);
        (tested.verdict, tested.note) = (Verdict::Killed, "a::b, c::d".to_owned());
        tested.test_seconds = Some(1.2);
        let strategies = [(Strategy::Random, rows(&low)), (Strategy::Swarm, rows(&high))];
        let text = markdown(&strategies, &rows(&[tested]), 9);
        for line in [
            "| random | 0 of 2 | 3 | 1.0 | A1 (1 of 2), B2 |",
            "| swarm | 2 of 2 | 2 | 0.5 |  |",
            "| A1 | default | S9 log-matching | 3; 1.0 s, 1 of 2 | 2; 0.5 s | - |",
            "| B2 | default | S9 log-matching | not detected | 6; 1.5 s | - |",
            "Tests detect 1 of 2, median 1.200 s.",
            "| A1 | x | `a::b` and 1 more | 1.2 |",
            "| B2 | x |  | not detected |",
        ] {
            assert!(text.lines().any(|one| one == line), "{line}\n{text}");
        }
    }
}
