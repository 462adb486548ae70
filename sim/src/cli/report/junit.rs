//! The summary as a JUnit report: one test case for each kind of failure, one for the sweep unless
//! it is complete and has failures, and one for the coverage of a sweep.

use std::time::Duration;

use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};

use crate::cli::exit::{CommandError, CommandResult};
use crate::cli::report::content::{Report, by_fingerprint};
use crate::cli::report::table;
use crate::run::sweep::SweepEnd;

/// Returns the report as JUnit XML.
pub(crate) fn document(report: &Report) -> CommandResult<String> {
    let mut suite = TestSuite::new(report.program.as_str());
    suite.set_time(report.elapsed);
    for (name, seeds) in by_fingerprint(&report.summary.failed) {
        let first = table::failure(seeds[0], &report.seed_line(seeds[0].seed));
        let numbers: Vec<String> = seeds.iter().map(|failed| failed.seed.to_string()).collect();
        let text = format!("{first}\nall failing seeds: {}", numbers.join(", "));
        let failed = status(TestCaseStatus::non_success(NonSuccessKind::Failure), &text);
        suite.add_test_case(case(&name, failed, Duration::ZERO));
    }
    if let Some(status) = sweep_status(report) {
        suite.add_test_case(case(&report.subject(), status, report.elapsed));
    }
    if report.replayed_seed.is_none() {
        let inconclusive = report
            .inconclusive_because()
            .map(|text| status(TestCaseStatus::non_success(NonSuccessKind::Failure), &text));
        let coverage = inconclusive.unwrap_or_else(TestCaseStatus::success);
        suite.add_test_case(case("coverage", coverage, Duration::ZERO));
    }
    let mut document = quick_junit::Report::new("quorate");
    document.set_time(report.elapsed);
    document.add_test_suite(suite);
    document.to_string().map_err(|error| CommandError(format!("--junit: {error}")))
}

/// Returns the status of the sweep itself. An incomplete sweep did not pass: it is an error if the
/// user interrupted it, and skipped if its time limit ended it, in line with the exit code. `None`
/// for a complete sweep with failed seeds, which have test cases of their own.
fn sweep_status(report: &Report) -> Option<TestCaseStatus> {
    match (report.incomplete_because(), report.end) {
        (Some(text), SweepEnd::Interrupted) => {
            Some(status(TestCaseStatus::non_success(NonSuccessKind::Error), &text))
        }
        (Some(text), _) => Some(status(TestCaseStatus::skipped(), &text)),
        (None, _) => report.summary.failed.is_empty().then(TestCaseStatus::success),
    }
}

/// Adds a text to a status; its first line is the message.
fn status(mut status: TestCaseStatus, text: &str) -> TestCaseStatus {
    status.set_message(text.lines().next().unwrap_or_default());
    status.set_description(text);
    status
}

fn case(name: &str, status: TestCaseStatus, time: Duration) -> TestCase {
    let mut case = TestCase::new(name, status);
    case.set_classname("quorate-sim");
    case.set_time(time);
    case
}
