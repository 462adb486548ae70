//! The lines of a scenario that are not supported on real processes, with the reason.

use std::time::Duration;

use crate::cli::procs::random_faults;
use crate::fault::{Fault, Faults};
use crate::plan::{KeptWrites, NodeSelector, Op, Verb, When};
use crate::scenario::{Count, Expect, ROWS, Scenario};

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

/// The settings with the same meaning on real processes.
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
/// The random faults of messages, which are supported and counted.
const MESSAGE_FAULTS: [Fault; 4] = [Fault::Loss, Fault::Duplicate, Fault::Delay, Fault::Reorder];
/// The most clients, because every operation of a client is a process.
const CLIENTS_MAX: u16 = 16;
/// The most commands of a load spike, because each is a process.
pub(super) const LOAD_SPIKE_MAX: u32 = 50;

const TRIGGER: &str = "triggers on node events are not observable: use `at TIME`";
const CLOCK: &str = "all processes share the clock of this machine";
const DISK: &str = "disk faults at a call or a byte cannot be injected into a process";
const FORGED: &str = "real processes cannot send forged or misrouted messages";
const INSIDE: &str = "the internal state of a process is not observable";

/// Returns the unsupported lines in their order.
pub(super) fn unsupported_lines(scenario: &Scenario) -> Vec<UnsupportedLine> {
    let (case, places) = (&scenario.case, &scenario.line_numbers);
    let printed = scenario.lines();
    let mut unsupported = Vec::new();
    let mut note = |line: usize, what: String, why: Option<&'static str>| {
        if let Some(why) = why {
            unsupported.push(UnsupportedLine { line, text: what, reason: why });
        }
    };
    for (row, line) in ROWS.iter().zip(&places.rows).filter(|(_, line)| **line > 0) {
        let has_name = |text: &&String| text.starts_with(&format!("{} ", row.name));
        let text = printed.iter().find(has_name).cloned();
        note(*line, text.unwrap_or_else(|| row.name.to_owned()), setting(row.name, scenario));
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
            let others = scenario.extra_faults().without(Faults::of(&MESSAGE_FAULTS));
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
    let is_leader = |node: &NodeSelector| *node == NodeSelector::Leader;
    if !matches!(op.when, When::At(_)) {
        return Some(TRIGGER);
    }
    match &op.verb {
        Verb::Crash(_, KeptWrites::Part, _) => {
            Some("the kernel keeps all writes of a killed process")
        }
        Verb::Crash(..)
        | Verb::Stop(..)
        | Verb::Pause(..)
        | Verb::Wipe(..)
        | Verb::RollBack(..)
        | Verb::Isolate(..)
        | Verb::BlockInbound(..)
        | Verb::BlockOutbound(..)
        | Verb::Strand(..)
        | Verb::Cut(..)
        | Verb::Split(..)
        | Verb::Only(..)
        | Verb::Flap(..)
        | Verb::Clog(..)
        | Verb::PollReads(..)
        | Verb::Request(_) => None,
        Verb::LoadSpike(_, count) => {
            (*count > LOAD_SPIKE_MAX).then_some("each command is a process: use at most count=50")
        }
        Verb::Change(node, _) | Verb::CancelChange(node) | Verb::Transfer(node, _)
            if !is_leader(node) =>
        {
            Some("operator commands go to the leader: use `leader`")
        }
        Verb::Change(_, change) => match edits(&change.to_string()) {
            Some(_) => None,
            None => Some("`quorate members` changes one node at a time: +n4, -n4, or both"),
        },
        Verb::CancelChange(_) | Verb::Transfer(..) => None,
        Verb::ClockDrift(..) | Verb::ClockStep(..) => Some(CLOCK),
        Verb::SlowDisk(..)
        | Verb::FailCall(..)
        | Verb::FillDisk(..)
        | Verb::StallDisk(..)
        | Verb::Corrupt(..)
        | Verb::MisdirectWrite(..)
        | Verb::LoseWrite(..) => Some(DISK),
        Verb::Misroute(..) | Verb::Replay(..) => Some(FORGED),
        Verb::SlowApply(..) | Verb::MachineFault(..) => {
            Some("the state machine of `quorate` is correct")
        }
        Verb::Campaign(_) => Some("no command starts an election: use `transfer leader to`"),
    }
}

/// Returns the added and the removed node of a change, or `None` if it is more than that.
pub(super) fn edits(change: &str) -> Option<(Option<u64>, Option<u64>)> {
    let mut edits = (None, None);
    for word in change.split_whitespace() {
        let (place, node) = match word.split_at_checked(1)? {
            ("+", node) => (&mut edits.0, node),
            ("-", node) => (&mut edits.1, node),
            _ => return None,
        };
        if place.replace(crate::words::node(node)?.0).is_some() {
            return None;
        }
    }
    (edits != (None, None)).then_some(edits)
}

fn expectation(expect: Expect, scenario: &Scenario) -> Option<&'static str> {
    let is_counted = |counted| match counted {
        Count::Messages => true,
        Count::Faults(fault) => MESSAGE_FAULTS.contains(&fault),
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
        assert!(why(5).contains("`at TIME`") && why(6) == CLOCK && why(7) == DISK);
        assert!(why(8).contains("use `leader`") && why(12) == INSIDE);
        assert_eq!(unsupported[2].text, "when n3 submits vote, crash it");
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

    #[test]
    fn a_change_adds_at_most_one_node_and_removes_at_most_one() {
        assert_eq!(edits("+n4"), Some((Some(4), None)));
        assert_eq!(edits("-n2 +n4"), Some((Some(4), Some(2))));
        for more in ["+n4 +n5", "?n4", "n4!3", "casting=n1", "nothing"] {
            assert_eq!(edits(more), None, "{more}");
        }
    }
}
