//! The lines of a scenario that are not supported on real processes, with the reason.

use std::time::Duration;

use crate::cli::procs::random_faults;
use crate::faults::Faults;
use crate::plan::{Op, When};
use crate::scenario::{Count, Expect, ROWS, Row, Scenario};

/// A scenario line that is not supported on real processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UnsupportedLine {
    /// The line number, from 1.
    pub(super) line: usize,
    /// The text of the line.
    pub(super) text: String,
    /// The reason why it is not supported.
    pub(super) reason: &'static str,
}

/// The settings with the same meaning on real processes; of `think time`, only the minimum counts.
const SUPPORTED_SETTINGS: [&str; 11] = [
    "nodes",
    "spares",
    "heartbeat",
    "election timeout",
    "snapshot entries",
    "trailing entries",
    "clients",
    "think time",
    "request timeout",
    "reads",
    "fault phase",
];
/// The maximum number of clients, because every operation of a client is a process.
const CLIENTS_MAX: u16 = 16;

const INSIDE: &str = "the internal state of a process is not observable";

/// Returns the unsupported lines in their order.
pub(super) fn unsupported_lines(scenario: &Scenario) -> Vec<UnsupportedLine> {
    let (case, places) = (&scenario.case, &scenario.line_numbers);
    let mut unsupported = Vec::new();
    let mut note = |line: usize, what: String, why: Option<&'static str>| {
        if let Some(why) = why {
            unsupported.push(UnsupportedLine { line, text: what, reason: why });
        }
    };
    for (row, line) in ROWS.iter().zip(&places.rows).filter(|(_, line)| **line > 0) {
        note(*line, scenario.setting_line(row), setting(row.name, scenario));
    }
    for (key, line) in case.overrides.keys().zip(&places.choices) {
        note(*line, format!("choose {key}"), Some("real processes make no simulator choices"));
    }
    for (op, line) in case.plan.ops.iter().zip(&places.ops) {
        note(*line, op.to_string(), operation(op));
    }
    for (expect, line) in scenario.expect.iter().zip(&places.expect) {
        note(*line, format!("expect {expect}"), expectation(*expect, scenario));
    }
    unsupported.sort_by_key(|unsupported| unsupported.line);
    unsupported
}

/// Leaves out the settings of these lines: real processes run with their defaults.
pub(super) fn leave_out(scenario: &mut Scenario, lines: &[usize]) {
    let defaults = scenario.defaults().clone();
    let is_out = |(_, line): &(&Row, &usize)| **line > 0 && lines.contains(line);
    let rows = ROWS.iter().zip(&scenario.line_numbers.rows).filter(is_out);
    let settings = &mut scenario.case.settings;
    for (row, _) in rows {
        match row.name {
            "election timeout" => {
                settings.config.election_timeout_min = defaults.config.election_timeout_min;
                settings.config.election_timeout_max = defaults.config.election_timeout_max;
            }
            "clients" => {
                settings.clients = defaults.clients;
                settings.operations_max = defaults.operations_max;
            }
            "fault phase" => settings.fault_phase = defaults.fault_phase,
            // `quorate serve` has none of the others.
            _ => {}
        }
    }
}

fn setting(name: &str, scenario: &Scenario) -> Option<&'static str> {
    let settings = &scenario.case.settings;
    let config = &settings.config;
    match name {
        "election timeout" => {
            let twice = config.election_timeout_min * 2;
            (config.election_timeout_max != twice)
                .then_some("with `quorate serve` the maximum is always twice the minimum")
        }
        "clients" => (settings.clients > CLIENTS_MAX)
            .then_some("each client operation is a process: use at most 16 clients"),
        "fault phase" => (settings.fault_phase > Duration::from_secs(600))
            .then_some("the fault phase runs in real time: use at most 10 minutes"),
        "faults" => {
            let others = scenario.extra_faults().without(Faults::OF_MESSAGES);
            (others != Faults::NONE).then_some(
                "random faults are supported only for messages between nodes: loss, duplicate, \
                 delay and reorder",
            )
        }
        _ if random_faults::SETTINGS.contains(&name) => None,
        _ if SUPPORTED_SETTINGS.contains(&name) => None,
        _ => Some("`quorate serve` has no such setting"),
    }
}

fn operation(op: &Op) -> Option<&'static str> {
    match op.when {
        When::At(_) => op.verb.on_processes().err(),
        When::On(_) => Some("triggers on node events are not observable: use `at TIME`"),
    }
}

fn expectation(expect: Expect, scenario: &Scenario) -> Option<&'static str> {
    let is_counted = |counted| match counted {
        Count::Messages => true,
        Count::Faults(fault) => Faults::OF_MESSAGES.has(fault),
        _ => false,
    };
    match expect {
        Expect::Pass | Expect::Leader(..) | Expect::NoLeader(..) => None,
        Expect::AtLeast(counted, _) | Expect::AtMost(counted, _) => match counted {
            Count::Operations | Count::LeaderChanges => None,
            counted if is_counted(counted) => (!random_faults::is_configured(scenario))
                .then_some("messages are counted only with random faults: set `latency`"),
            _ => Some(INSIDE),
        },
        Expect::Violated(_) | Expect::Panic | Expect::Stall => Some(INSIDE),
    }
}

#[cfg(test)]
mod tests {
    use crate::run::RunOptions;

    use super::*;

    fn of(text: &str) -> Vec<UnsupportedLine> {
        let workload = RunOptions::default().workload;
        unsupported_lines(&Scenario::read(text, &workload).unwrap_or_else(|m| panic!("{m}")))
    }

    #[test]
    fn an_unsupported_line_is_listed_with_its_reason() {
        let text = "nodes 3\nspares 1\nflush 2ms\nchoose Latency/1.1/2/3 = 0\n\
                    when n3 submits vote, crash it\nat 1s clock drift n1 +300ppm\n\
                    at 1s corrupt bodies n1\n\
                    at 1s change n1 -n2\nat 1s change leader +n4 ~n2\nat 1s crash n1 keep=part\n\
                    election timeout 150ms..400ms\nexpect elections >= 1\nsegment bytes 65536\n";
        let unsupported = of(text);
        let line_numbers: Vec<usize> =
            unsupported.iter().map(|unsupported| unsupported.line).collect();
        assert_eq!(line_numbers, [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13], "{unsupported:#?}");
        let why = |line: usize| {
            unsupported.iter().find(|it| it.line == line).expect("the line is listed").reason
        };
        assert!(
            why(5).contains("`at TIME`")
                && why(6).contains("share the clock")
                && why(7).contains("into a process")
        );
        assert!(why(8).contains("use `leader`") && why(12) == INSIDE);
        assert_eq!(unsupported[2].text, "when n3 submits vote, crash it");
    }

    #[test]
    fn a_setting_is_listed_as_it_is_set_even_if_that_is_the_default() {
        let text = "nodes 3\nflush 1ms\nflush bytes 30000\nreads max 9\ncommand bytes 16\n\
                    command bytes max 255\nfaults crash\n";
        let lines: Vec<String> = of(text).into_iter().map(|line| line.text).collect();
        let expected: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_setting_that_is_left_out_has_its_default() {
        let text = "nodes 3\nclients 20 operations 9\nfault phase 20m\nthink time 20ms\n\
                    election timeout 150ms..400ms\n";
        let workload = RunOptions::default().workload;
        let mut scenario = Scenario::read(text, &workload).unwrap_or_else(|m| panic!("{m}"));
        let lines: Vec<usize> =
            unsupported_lines(&scenario).iter().map(|unsupported| unsupported.line).collect();
        assert_eq!(lines, [2, 3, 5]);
        leave_out(&mut scenario, &lines);
        let kept = Scenario::read("nodes 3\nthink time 20ms\n", &workload);
        assert_eq!(kept.map(|kept| kept.case.settings), Ok(scenario.case.settings));
    }

    #[test]
    fn a_supported_line_is_not_listed() {
        let text = "nodes 3\nspares 1\nclients 2\nseed 4\nelection timeout 200ms..400ms\n\
                    at 1s crash n1 for 1s\nat 1s pause n1\nat 1s cut n1 -> n2 for 1s\n\
                    at 1s change leader +n4 -n2\nat 1s transfer leader to n2\nat 2s put x=1\n\
                    at 1s clog n3 for 1s\nat 1s wipe n3\nexpect get x=1 at 3s\nexpect pass\n\
                    expect leader any at 4s\nexpect operations >= 2\n";
        assert_eq!(of(text), []);
    }

    #[test]
    fn random_message_faults_are_supported_and_counted_if_configured() {
        let chance = "nodes 3\nlatency 1ms..9ms\nloss 1 in 1000\nduplicates 1 in 1000\n\
                      delays 1 in 1000\nfaults reorder\nat 1s crash n1\n";
        let counts = "expect messages >= 1\nexpect loss >= 1\nexpect reorder >= 1\n";
        assert_eq!(of(&format!("{chance}{counts}")), []);
        let unsupported = of(&format!("nodes 3\n{counts}expect crash >= 1\nfaults loss crash\n"));
        let why = |line: usize| {
            unsupported.iter().find(|it| it.line == line).expect("the line is listed").reason
        };
        assert!([2, 3, 4].iter().all(|line| why(*line).contains("`latency`")), "{unsupported:#?}");
        assert!(why(5) == INSIDE && why(6).contains("only for messages"), "{unsupported:#?}");
    }
}
