//! What of a scenario cannot be made real on processes, line by line, and why.

use std::time::Duration;

use crate::cli::procs::chance;
use crate::fault::{Fault, Faults};
use crate::plan::{Keep, Op, Verb, When, Who};
use crate::scenario::{Counted, Expect, ROWS, Scenario};

/// A line that cannot be made real.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unreal {
    /// The line, from 1.
    pub(super) line: usize,
    /// What it says.
    pub(super) what: String,
    /// Why it cannot.
    pub(super) why: &'static str,
}

/// The settings that mean the same on processes.
const REAL: [&str; 11] = [
    "nodes",
    "spares",
    "heartbeat",
    "election timeout",
    "snapshot entries",
    "trailing entries",
    "clients",
    "think",
    "patience",
    "reads",
    "storm",
];
/// The kinds of faults that chance brings, and counts.
const CHANCE: [Fault; 4] = [Fault::Loss, Fault::Duplicate, Fault::Delay, Fault::Reorder];
/// Each client is a process whenever it asks.
const CLIENTS_MAX: u16 = 16;
/// And so is each command that reaches a node at once with others.
pub(super) const SURGE_MAX: u32 = 50;

const TRIGGER: &str = "nobody can see from outside when a node does that: write a time";
const CLOCK: &str = "all processes share the clock of this machine";
const DISK: &str = "a process cannot be given a disk that fails at a call or a byte";
const FORGED: &str = "no process sends what a correct node would not";
const INSIDE: &str = "nobody looks into a process";

/// Every line that cannot be made real, in their order.
pub(super) fn lines(scenario: &Scenario) -> Vec<Unreal> {
    let (case, places) = (&scenario.case, &scenario.places);
    let printed = scenario.lines();
    let mut unreal = Vec::new();
    let mut note = |line: usize, what: String, why: Option<&'static str>| {
        if let Some(why) = why {
            unreal.push(Unreal { line, what, why });
        }
    };
    for (row, line) in ROWS.iter().zip(&places.rows).filter(|(_, line)| **line > 0) {
        let said = |text: &&String| text.starts_with(&format!("{} ", row.name));
        let text = printed.iter().find(said).cloned();
        note(*line, text.unwrap_or_else(|| row.name.to_owned()), setting(row.name, scenario));
    }
    for (key, line) in case.overrides.keys().zip(&places.choices) {
        note(*line, format!("choose {key}"), Some("nothing is chosen where all is real"));
    }
    for (op, line) in case.plan.ops.iter().zip(&places.ops) {
        note(*line, op.to_string(), operation(op));
    }
    for (expect, line) in scenario.expect.iter().zip(&places.expect) {
        note(*line, format!("expect {expect}"), expectation(*expect, scenario));
    }
    unreal.sort_by_key(|unreal| unreal.line);
    unreal
}

fn setting(name: &str, scenario: &Scenario) -> Option<&'static str> {
    let settings = &scenario.case.settings;
    let config = &settings.config;
    match name {
        "election timeout" => {
            let twice = config.election_timeout_min * 2;
            (config.election_timeout_max != twice)
                .then_some("the longest is twice the shortest, as `quorate serve` has it")
        }
        "clients" => {
            (settings.clients > CLIENTS_MAX).then_some("each is a process: 16 are the most")
        }
        "storm" => (settings.storm > Duration::from_secs(600))
            .then_some("it is real time: 10 minutes are the most"),
        "faults" => {
            let others = scenario.further_faults().without(Faults::of(&CHANCE));
            (others != Faults::NONE).then_some(
                "nobody draws faults: those of messages between nodes, loss, duplicate, delay and \
                 reorder, are the only ones",
            )
        }
        _ if chance::SETTINGS.contains(&name) => None,
        _ if REAL.contains(&name) => None,
        _ => Some("`quorate serve` has no such setting"),
    }
}

fn operation(op: &Op) -> Option<&'static str> {
    let leads = |who: &Who| *who == Who::Leader;
    if !matches!(op.when, When::At(_)) {
        return Some(TRIGGER);
    }
    match &op.verb {
        Verb::Crash(_, Keep::Part, _) => {
            Some("a process that is killed leaves to the kernel all that it wrote")
        }
        Verb::Crash(..)
        | Verb::Stop(..)
        | Verb::Pause(..)
        | Verb::Wipe(..)
        | Verb::Rollback(..)
        | Verb::Isolate(..)
        | Verb::Deafen(..)
        | Verb::Mute(..)
        | Verb::Strand(..)
        | Verb::Cut(..)
        | Verb::Split(..)
        | Verb::Only(..)
        | Verb::Flap(..)
        | Verb::Clog(..)
        | Verb::Consult(..)
        | Verb::Ask(_) => None,
        Verb::Surge(_, count) => {
            (*count > SURGE_MAX).then_some("each command is a process: count=50 is the most")
        }
        Verb::Change(who, _) | Verb::GiveUp(who) | Verb::Transfer(who, _) if !leads(who) => {
            Some("the command asks whoever leads: write `leader`")
        }
        Verb::Change(_, change) => match edits(&change.to_string()) {
            Some(_) => None,
            None => Some("`quorate members` changes one node at a time: +n4, -n4, or both"),
        },
        Verb::GiveUp(_) | Verb::Transfer(..) => None,
        Verb::Drift(..) | Verb::Jump(..) => Some(CLOCK),
        Verb::SlowDisk(..)
        | Verb::Fail(..)
        | Verb::Fill(..)
        | Verb::Stall(..)
        | Verb::Rot(..)
        | Verb::Misdirect(..)
        | Verb::LoseWrite(..) => Some(DISK),
        Verb::Stray(..) | Verb::Replay(..) => Some(FORGED),
        Verb::SlowApply(..) | Verb::Slip(..) => Some("the state machine of `quorate` is correct"),
        Verb::Campaign(_) => Some("no command has a node campaign: write `transfer leader to`"),
    }
}

/// A change as the node that comes and the node that goes, if it is no more than that.
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
        Counted::Messages => true,
        Counted::Faults(fault) => CHANCE.contains(&fault),
        _ => false,
    };
    match expect {
        Expect::Pass | Expect::Leader(..) | Expect::NoLeader(..) => None,
        Expect::AtLeast(counted, _) | Expect::AtMost(counted, _) => match counted {
            Counted::Operations | Counted::LeaderChanges => None,
            counted if is_counted(counted) => (!chance::is_said(scenario)).then_some(
                "nothing between the nodes counts it: say how long a message takes, `latency`",
            ),
            _ => Some(INSIDE),
        },
        Expect::Broken(_) | Expect::Panic | Expect::Stall => Some(INSIDE),
    }
}

#[cfg(test)]
mod tests {
    use crate::run::RunOptions;

    use super::*;

    fn of(text: &str) -> Vec<Unreal> {
        let workload = RunOptions::default().workload;
        lines(&Scenario::read(text, &workload).unwrap_or_else(|m| panic!("{m}")))
    }

    #[test]
    fn what_cannot_be_made_real_is_told_with_its_line_and_why() {
        let text = "nodes 3\nspares 1\nflush 2ms\nchoose Latency/1.1/2/3 = 0\n\
                    when n3 submits vote, crash it\nat 1s drift n1 +300ppm\nat 1s rot bodies n1\n\
                    at 1s change n1 -n2\nat 1s change leader +n4 ~n2\nat 1s crash n1 keep=part\n\
                    election timeout 150ms..400ms\nexpect elections >= 1\nsegment bytes 65536\n";
        let unreal = of(text);
        let told: Vec<usize> = unreal.iter().map(|unreal| unreal.line).collect();
        assert_eq!(told, [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13], "{unreal:#?}");
        let why = |line: usize| unreal.iter().find(|it| it.line == line).expect("it is told").why;
        assert!(why(5).contains("write a time") && why(6) == CLOCK && why(7) == DISK);
        assert!(why(8).contains("write `leader`") && why(12) == INSIDE);
        assert_eq!(unreal[2].what, "when n3 submits vote, crash it");
    }

    #[test]
    fn what_can_be_made_real_is_not_told() {
        let text = "nodes 3\nspares 1\nclients 2\nseed 4\nelection timeout 200ms..400ms\n\
                    at 1s crash n1 for 1s\nat 1s pause n1\nat 1s cut n1 -> n2 for 1s\n\
                    at 1s change leader +n4 -n2\nat 1s transfer leader to n2\nat 2s put x=1\n\
                    at 1s clog n3 for 1s\nat 1s wipe n3\nexpect get x=1 at 3s\nexpect pass\n\
                    expect leader any at 4s\nexpect operations >= 2\n";
        assert_eq!(of(text), []);
    }

    #[test]
    fn chance_is_real_between_nodes_and_counted_where_it_has_a_say() {
        let chance = "nodes 3\nlatency 1ms..9ms\nloss 1 in 1000\nduplicates 1 in 1000\n\
                      delays 1 in 1000\nfaults reorder\nat 1s crash n1\n";
        let counts = "expect messages >= 1\nexpect loss >= 1\nexpect reorder >= 1\n";
        assert_eq!(of(&format!("{chance}{counts}")), []);
        let unreal = of(&format!("nodes 3\n{counts}expect crash >= 1\nfaults loss crash\n"));
        let why = |line: usize| unreal.iter().find(|it| it.line == line).expect("it is told").why;
        assert!([2, 3, 4].iter().all(|line| why(*line).contains("`latency`")), "{unreal:#?}");
        assert!(why(5) == INSIDE && why(6).contains("nobody draws faults"), "{unreal:#?}");
    }

    #[test]
    fn a_change_is_one_node_that_comes_and_one_that_goes() {
        assert_eq!(edits("+n4"), Some((Some(4), None)));
        assert_eq!(edits("-n2 +n4"), Some((Some(4), Some(2))));
        for more in ["+n4 +n5", "?n4", "n4!3", "casting=n1", "nothing"] {
            assert_eq!(edits(more), None, "{more}");
        }
    }
}
