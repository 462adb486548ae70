//! What came of a scenario on processes, expectation by expectation.

use quorate_checker::verdict::Verdict;

use crate::cli::console;
use crate::cli::exit::Exit;
use crate::cli::procs::run::Seen;
use crate::plan::Answer;
use crate::scenario::{Counted, Expect, Scenario};

/// Tells what came of every expectation and of the history, and how the command ends.
pub(super) fn tell(scenario: &Scenario, left_out: &[usize], seen: &Seen) -> Exit {
    let mut verdicts: Vec<(usize, String, Option<String>)> = Vec::new();
    for (expect, line) in scenario.expect.iter().zip(&scenario.places.expect) {
        verdicts.push((*line, expect.to_string(), unmet(*expect, seen)));
    }
    for (at, errand) in scenario.errands() {
        let answer = seen.sightings.answer(at).unwrap_or(&Answer::Silence);
        let unmet = scenario.unmet_errand(at, errand, answer);
        let saw = (!errand.is_met_by(answer)).then_some(unmet.saw);
        verdicts.push((unmet.line.unwrap_or(0), unmet.expected, saw));
    }
    verdicts.retain(|(line, ..)| !left_out.contains(line));
    verdicts.sort_unstable();
    let mut exit = Exit::Fine;
    for (line, expected, saw) in verdicts {
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
    let (verdict, operations) = seen.asking.verdict();
    match verdict {
        Verdict::Linearizable => console::say(&format!(
            "ok    linearizable: {operations} operations, {} answered",
            seen.answered
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
    if seen.interrupted { Exit::Interrupted } else { exit }
}

/// What was seen, if it is something else than expected.
fn unmet(expect: Expect, seen: &Seen) -> Option<String> {
    let counted = |counted: Counted| match counted {
        Counted::Operations => seen.answered,
        _ => {
            let leaders = seen.sightings.reigns.iter().filter_map(|reign| reign.leader);
            let mut leaders: Vec<_> = leaders.collect();
            leaders.dedup();
            (leaders.len() as u64).saturating_sub(1)
        }
    };
    match expect {
        Expect::AtLeast(what, least) if counted(what) < least => {
            Some(format!("counted {}", counted(what)))
        }
        Expect::AtMost(what, most) if counted(what) > most => {
            Some(format!("counted {}", counted(what)))
        }
        Expect::Pass => match (&seen.wrong[..], seen.recovered) {
            ([], true) => None,
            ([first, ..], _) => Some(first.clone()),
            ([], false) => Some("nobody led in the end".to_owned()),
        },
        _ => expect.seen_in(&seen.sightings),
    }
}
