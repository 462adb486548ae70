//! What came of a scenario on processes, expectation by expectation.

use quorate_checker::verdict::Verdict;

use crate::cli::console;
use crate::cli::exit::Exit;
use crate::cli::procs::run::Seen;
use crate::outcome::Tally;
use crate::plan::Answer;
use crate::scenario::{Expect, Scenario};

/// Tells what came of every expectation and of the history, and how the command ends.
pub(super) fn tell(scenario: &Scenario, left_out: &[usize], seen: &Seen) -> Exit {
    let mut exit = Exit::Fine;
    // What was to come of a run that was ended early nobody knows.
    let expected = if seen.interrupted { Vec::new() } else { verdicts(scenario, seen) };
    for (line, expected, saw) in expected.into_iter().filter(|(line, ..)| !left_out.contains(line))
    {
        match saw {
            None => console::say(&format!("ok    line {line}: {expected}")),
            Some(saw) => {
                console::say(&format!("FAIL  line {line}: expected `{expected}`, and {saw}"));
                exit = Exit::Vacuous;
            }
        }
    }
    for wrong in &seen.wrong {
        console::say(&format!("FAIL  {wrong}"));
        exit = Exit::Panic;
    }
    if !seen.recovered && !seen.interrupted {
        console::say("FAIL  after the storm nobody led in time, or a key could not be read");
        exit = Exit::Liveness;
    }
    if seen.by_chance {
        console::say(&met(&seen.tally));
    }
    let (verdict, operations) = seen.asking.verdict();
    match verdict {
        Verdict::Linearizable => console::say(&format!(
            "ok    linearizable: {operations} operations, {} answered",
            seen.asking.answered()
        )),
        Verdict::NotLinearizable(evidence) => {
            console::say(&format!("FAIL  not linearizable: {}", evidence.because));
            exit = Exit::Safety;
        }
        Verdict::Unknown(why) => {
            console::say(&format!("FAIL  nobody can tell whether it is linearizable: {why:?}"));
            exit = if exit == Exit::Fine { Exit::GaveUp } else { exit };
        }
    }
    if seen.interrupted && exit == Exit::Fine { Exit::Interrupted } else { exit }
}

/// Every line that expects something, what it expects, and what was seen if it is something else.
fn verdicts(scenario: &Scenario, seen: &Seen) -> Vec<(usize, String, Option<String>)> {
    let expect = scenario.expect.iter().zip(&scenario.places.expect);
    let expect = expect.map(|(expect, line)| (*line, expect.to_string(), unmet(*expect, seen)));
    let errands = scenario.errands().map(|(at, errand)| {
        let answer = seen.sightings.answer(at).unwrap_or(&Answer::Silence);
        let unmet = scenario.unmet_errand(at, errand, answer);
        let saw = (!errand.is_met_by(answer)).then_some(unmet.saw);
        (unmet.line.unwrap_or(0), unmet.expected, saw)
    });
    let mut verdicts: Vec<_> = expect.chain(errands).collect();
    verdicts.sort_unstable();
    verdicts
}

/// What was seen, if it is something else than expected.
fn unmet(expect: Expect, seen: &Seen) -> Option<String> {
    match expect {
        Expect::AtLeast(..) | Expect::AtMost(..) => expect.counted_in(&seen.tally),
        Expect::Pass => match (&seen.wrong[..], seen.recovered) {
            ([], true) => None,
            ([first, ..], _) => Some(first.clone()),
            ([], false) => Some("nobody led in the end".to_owned()),
        },
        _ => expect.seen_in(&seen.sightings),
    }
}

/// What chance did to what nodes said to one another.
fn met(tally: &Tally) -> String {
    let faults = tally.faults.iter().map(|(fault, count)| format!(", {fault} {count}"));
    format!("{} messages between nodes{}", tally.messages, faults.collect::<String>())
}
