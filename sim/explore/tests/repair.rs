//! The repair model: every scope is exhausted within its short bounds without a violation, and
//! every omitted part of a rule leads to one.

use quorate_explore::explore::Verdict;
use quorate_explore::repair::{self, OMISSIONS, explore};

#[test]
fn omissions_are_found() {
    for (omission, scope) in OMISSIONS {
        let scope = repair::scopes::named(scope).expect("the scope exists");
        let scope = scope.shortened().without(omission);
        let (report, _) = explore(&scope, 400_000, |_| true);
        match report.verdict {
            Verdict::Violation { message, trace } => {
                let events = trace.lines().filter(|line| !line.starts_with(' ')).count();
                println!("{omission:?}: {events} events, {}: {message}\n{trace}", scope.name);
            }
            other => println!("{omission:?}: NOT FOUND {other:?} {:?}", report.progress),
        }
    }
}
