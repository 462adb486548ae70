//! The summary as a JUnit report: one test case for each kind of failure, or one for the sweep if
//! it did not fail; and one for the coverage of a sweep.

use std::time::Duration;

use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};

use crate::cli::exit::CommandError;
use crate::cli::report::content::{Report, by_fingerprint};
use crate::cli::report::table;

/// Returns the report as JUnit XML.
pub(crate) fn document(report: &Report) -> Result<String, CommandError> {
    let mut suite = TestSuite::new(report.program.as_str());
    suite.set_time(report.elapsed);
    for (name, seeds) in by_fingerprint(&report.summary.failed) {
        let first = table::failure(seeds[0], &report.seed_line(seeds[0].seed));
        let numbers: Vec<String> = seeds.iter().map(|failed| failed.seed.to_string()).collect();
        let text = format!("{first}\nall failing seeds: {}", numbers.join(", "));
        suite.add_test_case(case(&name, Some(&text), Duration::ZERO));
    }
    if report.summary.failed.is_empty() {
        suite.add_test_case(case(&report.subject(), None, report.elapsed));
    }
    if report.replayed_seed.is_none() {
        let vacuous = report.vacuous_because();
        suite.add_test_case(case("coverage", vacuous.as_deref(), Duration::ZERO));
    }
    let mut document = quick_junit::Report::new("quorate");
    document.set_time(report.elapsed);
    document.add_test_suite(suite);
    document.to_string().map_err(|error| CommandError(format!("--junit: {error}")))
}

fn case(name: &str, failed: Option<&str>, time: Duration) -> TestCase {
    let status = match failed {
        Some(text) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(text.lines().next().unwrap_or_default());
            status.set_description(text);
            status
        }
        None => TestCaseStatus::success(),
    };
    let mut case = TestCase::new(name, status);
    case.set_classname("quorate-sim");
    case.set_time(time);
    case
}
