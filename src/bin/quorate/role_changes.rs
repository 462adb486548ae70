//! The last role changes of the nodes: why the leader changed.

use std::time::Duration;

use quorate::types::{NodeId, Report, RoleChange};
use serde_json::{Value, json};

use crate::table::Table;

/// Returns the changes of all reports as a table, the latest first. The clocks of the nodes are not
/// compared: each node reports the ages of its own changes.
pub(crate) fn text_of<'a>(reports: impl Iterator<Item = &'a Report>) -> String {
    let changes = |report: &'a Report| {
        report.role_changes.iter().map(move |change| (report.status.id, change))
    };
    let mut all: Vec<(NodeId, &RoleChange)> = reports.flat_map(changes).collect();
    all.sort_by_key(|(_, change)| change.age);
    let mut table = Table::default();
    table.row(["age", "node", "term", "role", "leader", "reason"].map(str::to_owned));
    for (id, RoleChange { age, role, term, leader, cause }) in all {
        let leader = leader.map_or("-".to_owned(), |leader| leader.to_string());
        let cells = [age_of(*age), id.to_string(), term.0.to_string(), role.to_string(), leader];
        table.row(cells.into_iter().chain([cause.to_string()]));
    }
    format!("\nrole changes, the latest first\n{table}")
}

/// Returns one change as JSON.
pub(crate) fn json_of(change: &RoleChange) -> Value {
    json!({
        "age_seconds": change.age.as_secs_f64(),
        "role": change.role.to_string(),
        "term": change.term.0,
        "leader": change.leader.map(|leader| leader.0),
        "reason": change.cause.to_string(),
    })
}

/// Formats an age: below a minute in tenths of a second, above that in two units.
fn age_of(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..60 => format!("{:.1}s", age.as_secs_f64()),
        60..3600 => format!("{}m {}s", seconds / 60, seconds % 60),
        _ => format!("{}h {}m", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_two_units_at_most() {
        let texts = [90, 3_600, 59_900, 60_000, 3_599_999, 3_600_000, 90_061_000]
            .map(|millis| age_of(Duration::from_millis(millis)));
        assert_eq!(texts, ["0.1s", "3.6s", "59.9s", "1m 0s", "59m 59s", "1h 0m", "25h 1m"]);
    }
}
