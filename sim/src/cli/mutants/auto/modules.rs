//! The table of the modules of the library: how many mutants the seeds reach, and how many they
//! kill.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::cli::mutants::auto::catalog::{AutoMutant, Catalog, MODULES};
use crate::cli::mutants::auto::records::{AutoRecord, Header, Verdict};
use crate::cli::text::grouped;

/// The standard normal deviate of a 95 % interval.
const DEVIATE: f64 = 1.96;

/// The counts of one module, or of all.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Row {
    pub(crate) module: String,
    /// The number of mutants that the rules make.
    pub(crate) generated: usize,
    pub(crate) did_not_compile: usize,
    /// The number of mutants that were measured.
    pub(crate) measured: usize,
    /// The number of measured mutants whose place at least one seed reached.
    pub(crate) reached: usize,
    /// The number of measured mutants that had a different value from the original in some seed.
    pub(crate) different: usize,
    /// The number of mutants that the first profile killed.
    pub(crate) killed_by_first_profile: usize,
    /// The number of mutants that any profile killed.
    pub(crate) killed: usize,
    /// The number of mutants that had a different value and were not killed.
    pub(crate) alive: usize,
    /// The killed share of the mutants with a different value, and the bounds of its 95 % interval.
    pub(crate) killed_share: Option<[f64; 3]>,
}

/// Returns the counts of each module, and the sums as the last row.
pub(crate) fn rows(
    catalog: &Catalog,
    left_out: &BTreeSet<usize>,
    measured: &[AutoRecord],
    only: &[String],
) -> Vec<Row> {
    let wanted = |module: &&str| only.is_empty() || only.iter().any(|one| one == module);
    let modules: Vec<&str> = MODULES.into_iter().filter(wanted).collect();
    let mut rows: Vec<Row> = modules
        .iter()
        .map(|module| {
            let mutants = catalog.mutants.iter().filter(|mutant| mutant.module == *module);
            row(
                module,
                mutants,
                left_out,
                measured.iter().filter(|record| record.module == *module),
            )
        })
        .collect();
    let all = catalog.mutants.iter().filter(|mutant| modules.contains(&mutant.module));
    rows.push(row("all", all, left_out, measured.iter()));
    rows
}

fn row<'a>(
    module: &str,
    mutants: impl Iterator<Item = &'a AutoMutant> + Clone,
    left_out: &BTreeSet<usize>,
    measured: impl Iterator<Item = &'a AutoRecord>,
) -> Row {
    let mut row = Row {
        module: module.to_owned(),
        generated: mutants.clone().count(),
        did_not_compile: mutants.filter(|mutant| left_out.contains(&mutant.number)).count(),
        ..Row::default()
    };
    for record in measured {
        row.measured += 1;
        row.reached += usize::from(record.verdict > Verdict::NotReached);
        row.different += usize::from(record.verdict > Verdict::NotDifferent);
        row.killed += usize::from(record.verdict == Verdict::Killed);
        row.alive += usize::from(record.verdict == Verdict::Alive);
        row.killed_by_first_profile += usize::from(is_killed_first(record));
    }
    row.killed_share = wilson(row.killed, row.different);
    row
}

/// Returns true if the first of the profiles killed the mutant.
fn is_killed_first(record: &AutoRecord) -> bool {
    record.killer.as_ref().is_some_and(|killer| killer.is_first)
}

/// Returns the share, and the bounds of its 95 % interval (Wilson, "Probable inference, the law of
/// succession, and statistical inference", 1927).
fn wilson(part: usize, of: usize) -> Option<[f64; 3]> {
    if of == 0 {
        return None;
    }
    let (count, share) = (of as f64, part as f64 / of as f64);
    let square = DEVIATE * DEVIATE;
    let middle = (share + square / (2.0 * count)) / (1.0 + square / count);
    let spread = (share * (1.0 - share) / count + square / (4.0 * count * count)).sqrt();
    let half = DEVIATE * spread / (1.0 + square / count);
    Some([share, (middle - half).max(0.0), (middle + half).min(1.0)])
}

/// Returns the table as Markdown, and the list of the living mutants.
pub(crate) fn table(rows: &[Row], measured: &[AutoRecord], header: &Header) -> String {
    let first = header.profiles.first().map_or("", String::as_str);
    let mut lines = vec![
        format!(
            "{} seeds of each profile, strategy {}; profiles: {}",
            header.seeds,
            header.strategy,
            header.profiles.join(", ")
        ),
        String::new(),
        format!(
            "| module | generated | did not compile | measured | reached | different | killed by \
             {first} | killed | alive | killed of different |"
        ),
        "|---|---|---|---|---|---|---|---|---|---|".to_owned(),
    ];
    lines.extend(rows.iter().map(|row| {
        let share = row.killed_share.map_or_else(String::new, |[share, low, high]| {
            let [share, low, high] = [share, low, high].map(|part| 100.0 * part);
            format!("{share:.0} % ({low:.0} to {high:.0})")
        });
        let counts = [
            row.generated,
            row.did_not_compile,
            row.measured,
            row.reached,
            row.different,
            row.killed_by_first_profile,
            row.killed,
            row.alive,
        ];
        let counts = counts.map(|count| grouped(count as u64)).join(" | ");
        format!("| {} | {counts} | {share} |", row.module)
    }));
    lines.extend(killers(measured));
    let alive = living(measured);
    if !alive.is_empty() {
        lines.extend([String::new(), "Alive, although their values differ:".to_owned()]);
        lines.extend(alive.iter().map(|record| {
            let AutoRecord { number, file, line, function, change, .. } = record;
            format!("  {number} {file}:{line} in {function}: {change}")
        }));
    }
    lines.join("\n")
}

/// Returns the checks with the number of mutants that each killed, in one line.
fn killers(measured: &[AutoRecord]) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for killer in measured.iter().filter_map(|record| record.killer.as_ref()) {
        *counts.entry(&killer.failure.check).or_default() += 1;
    }
    let mut counts: Vec<(&str, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|(check, count)| (usize::MAX - count, *check));
    let counts: Vec<String> =
        counts.into_iter().map(|(check, count)| format!("{check} {count}")).collect();
    if counts.is_empty() {
        return Vec::new();
    }
    vec![String::new(), format!("Killed by: {}", counts.join(", "))]
}

/// Returns the living mutants in the order of the sources.
fn living(measured: &[AutoRecord]) -> Vec<&AutoRecord> {
    let mut alive: Vec<&AutoRecord> =
        measured.iter().filter(|record| record.verdict == Verdict::Alive).collect();
    alive.sort_by_key(|record| record.number);
    alive
}

/// Returns the rows and all records as JSON.
pub(crate) fn json(rows: &[Row], measured: &[AutoRecord]) -> String {
    let all = serde_json::json!({ "modules": rows, "mutants": measured });
    serde_json::to_string_pretty(&all).expect("a record is always valid JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_wilsons() {
        assert_eq!(wilson(0, 0), None);
        let near = |left: f64, right: f64| (left - right).abs() < 0.000_5;
        let [share, low, high] = wilson(8, 10).expect("there are some");
        assert!(near(share, 0.8) && near(low, 0.490_2) && near(high, 0.943_3), "{low} {high}");
        let [_, low, high] = wilson(10, 10).expect("there are some");
        assert!(near(low, 0.722_5) && near(high, 1.0), "{low} {high}");
    }
}
