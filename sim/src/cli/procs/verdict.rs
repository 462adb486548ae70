//! The verdict on a scenario on real processes: its expectations and its history.

use quorate_checker::verdict::Verdict;

use crate::cli::console;
use crate::cli::exit::Exit;
use crate::cli::procs::run::RunResult;
use crate::faults::ScriptedOutcome;
use crate::observe::outcome::Tally;
use crate::scenario::{Expect, Scenario};

/// Prints the result of every expectation and of the history, and returns the exit code.
pub(super) fn report(scenario: &Scenario, skipped: &[usize], result: &RunResult) -> Exit {
    let mut exit = Exit::Success;
    // The expectations of an interrupted run are not decided.
    let expected =
        if result.interrupted { Vec::new() } else { expectation_results(scenario, result) };
    for (line, expected, observed) in
        expected.into_iter().filter(|(line, ..)| !skipped.contains(line))
    {
        match observed {
            None => console::print_line(&format!("ok    line {line}: {expected}")),
            Some(observed) => {
                console::print_line(&format!(
                    "FAIL  line {line}: expected `{expected}`, observed: {observed}"
                ));
                exit = Exit::ExpectationNotMet;
            }
        }
    }
    for error in &result.errors {
        console::print_line(&format!("FAIL  {error}"));
        exit = Exit::Panic;
    }
    if !result.recovered && !result.interrupted {
        console::print_line(
            "FAIL  after the fault phase, no leader was elected in time or a key could not be read",
        );
        exit = Exit::Liveness;
    }
    if result.has_random_faults {
        console::print_line(&message_totals(&result.tally));
    }
    let (verdict, operations) = result.clients.verdict();
    match verdict {
        Verdict::Linearizable => console::print_line(&format!(
            "ok    linearizable: {operations} operations, {} answered",
            result.clients.answered()
        )),
        Verdict::NotLinearizable(counterexample) => {
            console::print_line(&format!("FAIL  not linearizable: {}", counterexample.reason));
            exit = Exit::Safety;
        }
        Verdict::Unknown(why) => {
            console::print_line(&format!("FAIL  linearizability is undecided: {why:?}"));
            exit = if exit == Exit::Success { Exit::LimitReached } else { exit };
        }
    }
    if result.interrupted && exit == Exit::Success { Exit::Interrupted } else { exit }
}

/// Returns each expectation with its line, and the observation if the expectation is not met.
fn expectation_results(
    scenario: &Scenario,
    result: &RunResult,
) -> Vec<(usize, String, Option<String>)> {
    let expect = scenario.expect.iter().zip(&scenario.line_numbers.expect);
    let expect = expect.map(|(expect, line)| (*line, expect.to_string(), unmet(*expect, result)));
    let requests = scenario.expected_requests().map(|(at, request)| {
        let answer = result.results.outcome(at).unwrap_or(&ScriptedOutcome::NoReply);
        let unmet = scenario.unmet_request(at, request, answer);
        let observed = (!request.is_met_by(answer)).then_some(unmet.observed);
        (unmet.line.unwrap_or(0), unmet.expected, observed)
    });
    let mut results: Vec<_> = expect.chain(requests).collect();
    results.sort_unstable();
    results
}

/// Returns the observation if the expectation is not met.
fn unmet(expect: Expect, result: &RunResult) -> Option<String> {
    match expect {
        Expect::AtLeast(..) | Expect::AtMost(..) => expect.count_mismatch(&result.tally),
        Expect::Pass => match (&result.errors[..], result.recovered) {
            ([], true) => None,
            ([first, ..], _) => Some(first.clone()),
            ([], false) => {
                Some("no leader was elected in time or a key could not be read".to_owned())
            }
        },
        _ => expect.leader_mismatch(&result.results),
    }
}

/// Returns the number of messages between nodes and of their random faults.
fn message_totals(tally: &Tally) -> String {
    let faults = tally.faults.iter().map(|(fault, count)| format!(", {fault} {count}"));
    format!("{} messages between nodes{}", tally.messages, faults.collect::<String>())
}
