//! The summary for GitHub Actions: annotations, and Markdown for the step summary.

use crate::cli::report::content::{Report, by_fingerprint};
use crate::cli::report::table;
use crate::cli::text::{Finding, quantity};

/// Returns one `::error` workflow command for each kind of failure.
pub(crate) fn annotations(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, seeds) in by_fingerprint(&report.summary.failed) {
        let finding = Finding::of(&seeds[0].failure);
        let replay = report.seed_line(seeds[0].seed);
        let count = quantity(seeds.len() as u64, "seed");
        let text = format!("{}\nreplay: {replay} ({count})", finding.detail);
        let place = finding.location.as_deref().and_then(|place| place.rsplit_once(':'));
        let place = place.map(|(file, line)| format!("file={},line={line},", property(file)));
        let place = place.unwrap_or_default();
        lines.push(format!("::error {place}title={}::{}", property(&name), data(&text)));
    }
    if let Some(text) = report.inconclusive_because() {
        lines.push(format!("::error title=coverage::{}", data(&text)));
    }
    lines
}

/// Returns the failures and the summary table as Markdown.
pub(crate) fn step_summary(report: &Report) -> String {
    let mut text = format!("## {}: {}\n\n", report.program, cell(&report.verdict()));
    for (name, seeds) in by_fingerprint(&report.summary.failed) {
        let first = table::failure(seeds[0], &report.seed_line(seeds[0].seed));
        let count = quantity(seeds.len() as u64, "seed");
        text.push_str(&format!("### {}, {count}\n\n```text\n{first}\n```\n\n", cell(&name)));
    }
    text.push_str("| | |\n|---|---|\n");
    for (label, value) in table::rows(report) {
        text.push_str(&format!("| {} | {} |\n", label.trim(), cell(&value)));
    }
    text.push('\n');
    text
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

fn cell(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|").replace('<', "&lt;").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_characters_are_escaped() {
        assert_eq!(data("50%\nmore"), "50%25%0Amore");
        assert_eq!(property("a:b,c"), "a%3Ab%2Cc");
        assert_eq!(cell("a|b<c"), "a\\|b&lt;c");
    }
}
