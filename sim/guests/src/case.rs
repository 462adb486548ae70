//! The cases that a guest can run: the simulator's own, without the settings and faults that only
//! quorate has.

use std::collections::BTreeSet;

use quorate_sim::faults::{Fault, Faults, NodeSelector, Stop, Verb};
use quorate_sim::plan::{Op, Plan, Trigger, When};
use quorate_sim::run::{Case, RunOptions};
use quorate_sim::scenario::{Scenario, SyntaxError};
use quorate_sim::settings::Settings;
use quorate_sim::values::choice::{Choices, Kind, Overrides};
use quorate_sim::values::duration_range::DurationRange;
use quorate_sim::values::time::SimTime;

use crate::guest::{Guest, NodeId};

/// The kinds of faults that a cluster of guests has.
const FAULTS: [Fault; 16] = [
    Fault::Loss,
    Fault::Duplicate,
    Fault::Delay,
    Fault::Reorder,
    Fault::Clog,
    Fault::OneWay,
    Fault::Partition,
    Fault::Bridge,
    Fault::Flap,
    Fault::Crash,
    Fault::Stop,
    Fault::Pause,
    Fault::ClockDrift,
    Fault::ClockStep,
    Fault::SlowDisk,
    Fault::LoadSpike,
];

/// The triggers that a cluster of guests knows.
const TRIGGERS: [Trigger; 11] = [
    Trigger::Restarts,
    Trigger::GoesDown,
    Trigger::AboutToWrite,
    Trigger::SubmitsVote,
    Trigger::SubmitsEntries,
    Trigger::TruncatesLog,
    Trigger::CompletesFlush,
    Trigger::BecomesLeader,
    Trigger::AdvancesCommit,
    Trigger::TakesSnapshot,
    Trigger::RestoresSnapshot,
];

/// The settings that a cluster of guests reads.
const SETTINGS: [&str; 22] = [
    "seed",
    "choose",
    "expect",
    "nodes",
    "heartbeat",
    "election timeout",
    "pre-vote",
    "check-quorum",
    "latency",
    "loss",
    "duplicates",
    "delays",
    "flush",
    "torn steps",
    "clients",
    "think time",
    "request timeout",
    "reads",
    "command bytes",
    "snapshot entries",
    "faults",
    "fault phase",
];

/// The factor by which clients pause longer than those of quorate, because drivers of guests do not
/// bound the number of requests that wait for a node.
const PAUSES: u32 = 4;

/// The maximum number of clean restarts of a node in which it may change its build.
const RESTARTS_MAX: u64 = 4;

/// The words that a line of the plan begins with.
const PLANNED: [&str; 5] = ["at", "from", "to", "when", "whenever"];

/// Returns the kinds of faults of a cluster of `G`.
#[must_use]
pub fn faults<G: Guest>() -> Faults {
    FAULTS.into_iter().filter(|fault| !G::EXCLUDED.contains(fault)).collect()
}

/// Draws the case of a seed: the settings and the plan that the simulator draws from the profile
/// and the strategy of `options`, without those that a guest does not have.
#[must_use]
pub fn draw<G: Guest>(seed: u64, options: &RunOptions) -> Case {
    let drawn = Case::draw(seed, options).settings;
    let known = faults::<G>();
    let rate = |fault, rate| if known.has(fault) { rate } else { 0 };
    let defaults = Scenario::read("", &options.workload).expect("an empty scenario").case.settings;
    let mut settings = Settings {
        voters: drawn.voters.max(G::NODES_MIN),
        faults: drawn.faults.iter().filter(|fault| known.has(*fault)).collect(),
        fault_phase: drawn.fault_phase,
        plan_slots: drawn.plan_slots,
        has_lasting_faults: drawn.has_lasting_faults,
        latency: drawn.latency,
        loss_permille: rate(Fault::Loss, drawn.loss_permille),
        duplicate_permille: rate(Fault::Duplicate, drawn.duplicate_permille),
        delay_permille: rate(Fault::Delay, drawn.delay_permille),
        flush: drawn.flush,
        torn_step_ppm: drawn.torn_step_ppm,
        clients: drawn.clients,
        think_time: DurationRange {
            min: drawn.think_time.min * PAUSES,
            max: drawn.think_time.max * PAUSES,
        },
        request_timeout: drawn.request_timeout,
        read_permille: drawn.read_permille,
        command_bytes: drawn.command_bytes,
        snapshot_entries: drawn.snapshot_entries,
        ..defaults
    };
    settings.config.heartbeat_interval = drawn.config.heartbeat_interval;
    settings.config.election_timeout_min = drawn.config.election_timeout_min;
    settings.config.election_timeout_max = drawn.config.election_timeout_max;
    settings.config.pre_vote = drawn.config.pre_vote;
    settings.config.check_quorum = drawn.config.check_quorum;
    let choices = Choices::new(seed, options.overrides.clone());
    let mut plan = Plan::draw(&settings, options.strategy, &choices);
    plan.ops.retain(|op| problem::<G>(op).is_none());
    if G::BUILDS.len() > 1 {
        plan.ops.extend(restarts(&settings, &choices));
    }
    let overrides: Overrides = options.overrides.clone();
    // The case of a scenario draws no further operations, and names every fault of its plan.
    Scenario::of(Case { seed, settings, plan, overrides }, Vec::new(), &options.workload).case
}

/// Draws clean restarts, in which nodes may change their builds: every node in turn, up to
/// [`RESTARTS_MAX`] times.
fn restarts(settings: &Settings, choices: &Choices) -> Vec<Op> {
    let mut draw = choices.draw(Kind::Build.key());
    let phase = settings.fault_phase.as_nanos() as u64;
    let count = draw.between(1, RESTARTS_MAX) * u64::from(settings.voters);
    let mut stop = |number: u64| {
        let at = SimTime((phase / (count + 1)) * number + draw.below(phase / (count + 1)));
        let node = NodeSelector::Node(NodeId(number % u64::from(settings.voters) + 1));
        let down = settings.config.election_timeout_min * draw.between(1, 4) as u32 / 2;
        Op { when: When::At(at), verb: Verb::Stop(Stop { node, down }) }
    };
    (0..count).map(&mut stop).collect()
}

/// Reads a scenario for a guest.
///
/// # Errors
/// The syntax error of the text, or a line that a cluster of `G` cannot carry out.
pub fn read<G: Guest>(text: &str, options: &RunOptions) -> Result<Scenario, String> {
    let scenario = Scenario::read(text, &options.workload);
    let scenario = scenario.map_err(|error: SyntaxError| error.to_string())?;
    check::<G>(&scenario).map(|()| scenario)
}

/// Returns an error if the scenario has a line that a cluster of `G` cannot carry out.
pub(crate) fn check<G: Guest>(scenario: &Scenario) -> Result<(), String> {
    if let Some(problem) = scenario.case.plan.ops.iter().find_map(problem::<G>) {
        return Err(problem);
    }
    let begins =
        |line: &str, name: &str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' '));
    let known: BTreeSet<&str> = SETTINGS.into_iter().chain(PLANNED).collect();
    match scenario.lines().iter().find(|line| !known.iter().any(|name| begins(line, name))) {
        Some(line) => Err(format!("`{line}`: a cluster of guests has no such setting")),
        None => Ok(()),
    }
}

/// Returns why an operation cannot be carried out in a cluster of `G`; `None` if it can.
fn problem<G: Guest>(op: &Op) -> Option<String> {
    if let When::On(condition) = op.when
        && !TRIGGERS.contains(&condition.trigger)
    {
        return Some(format!(
            "`{op}`: a guest does not report when it {}",
            condition.trigger.name()
        ));
    }
    let fault = op.verb.fault();
    if fault.is_some_and(|fault| G::EXCLUDED.contains(&fault)) {
        return Some(format!("`{op}`: the core's documentation excludes this kind of fault"));
    }
    let is_known = matches!(
        op.verb,
        Verb::Crash(_)
            | Verb::Stop(_)
            | Verb::Pause(_)
            | Verb::LoadSpike(_)
            | Verb::ClockDrift(_)
            | Verb::ClockStep(_)
            | Verb::SlowDisk(_)
            | Verb::Partition(_)
            | Verb::OneWay(_)
            | Verb::Bridge(_)
            | Verb::Flap(_)
            | Verb::Clog(_)
    );
    (!is_known).then(|| format!("`{op}`: a cluster of guests has no such fault"))
}
