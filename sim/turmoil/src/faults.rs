//! The faults of a run: drawn from its seed, or read from a scenario of the simulator.

use std::fmt;
use std::time::Duration;

use quorate::types::NodeId;
use quorate_sim::faults::{
    ClockDrift, ClockStep, Clog, Crash, DamagedBody, Flap, FullDisk, KeptWrites, NodeSelector,
    OneWay, Partition, Pause, SlowDisk, Stop, Verb,
};
use quorate_sim::plan::{Op, Trigger, TriggerCondition, When};
use quorate_sim::run::RunOptions;
use quorate_sim::scenario::{ROWS, Scenario};
use quorate_sim::values::duration_range::DurationRange;
use quorate_sim::values::time::SimTime;

use crate::triggers::TRIGGERS;
use crate::world::Draws;

/// The settings of a scenario that exist here.
const ROWS_KNOWN: [&str; 5] = ["nodes", "spares", "latency", "loss", "fault phase"];
/// The fault phase of a drawn run.
const FAULT_PHASE: Duration = Duration::from_secs(20);
/// The largest drift of a drawn run without a limit, in parts per million.
const DRIFT_PPM_MAX: u32 = 20_000;

/// The faults of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Faults {
    /// The numbers of nodes and of services. The hosts of services are numbered after the nodes.
    pub(crate) hosts: (u8, u8),
    pub(crate) fault_phase: Duration,
    pub(crate) latency: DurationRange,
    pub(crate) loss_permille: u64,
    pub(crate) ops: Vec<Op>,
}

/// The reason why a scenario cannot run here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultsError {
    /// The line of the scenario, from 1; 1 if the scenario lacks a line.
    pub line: usize,
    /// The syntax error; or the word that does not exist here, and the reason; or the seed or the
    /// number of hosts that the run has.
    pub text: String,
}

impl fmt::Display for FaultsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} of the scenario: {}", self.line, self.text)
    }
}

impl std::error::Error for FaultsError {}

impl Faults {
    /// Draws the faults of the seed. With a limit on the drift, no clock step is drawn.
    pub(crate) fn draw(seed: u64, hosts: (u8, u8), drift_max_ppm: Option<u32>) -> Faults {
        let mut draws = Draws::new(seed, "faults");
        let latency_max = *draws.pick(&[2_000, 5_000, 20_000, 60_000]);
        let loss_permille = *draws.pick(&[0, 0, 2, 20]);
        let count = draws.between(3, 9);
        let mut ops: Vec<Op> =
            (0..count).map(|_| draw_op(&mut draws, hosts, drift_max_ppm)).collect();
        if draws.below(3) == 0 {
            ops.push(draw_disk_op(&mut draws, hosts.0));
        }
        ops.sort_by_key(|op| op.when.earliest());
        let latency = DurationRange::micros(1_000, latency_max);
        Faults { hosts, fault_phase: FAULT_PHASE, latency, loss_permille, ops }
    }

    /// Reads the faults of a scenario for a run with this seed and these numbers of nodes and of
    /// services. The scenario may repeat the seed, as that of a failure does.
    pub(crate) fn read(text: &str, hosts: (u8, u8), seed: u64) -> Result<Faults, FaultsError> {
        let scenario = Scenario::read(text, &RunOptions::default().workload)
            .map_err(|error| FaultsError { line: error.line, text: error.text })?;
        let Scenario { case, line_numbers, .. } = scenario;
        let row = ROWS.iter().zip(&line_numbers.rows);
        let unknown = row.filter(|(row, line)| **line > 0 && !ROWS_KNOWN.contains(&row.name));
        if let Some((row, line)) = unknown.min_by_key(|(_, line)| **line) {
            let known = ROWS_KNOWN.join(", ");
            let text = format!("`{}` does not exist here, only {known}: remove the line", row.name);
            return Err(FaultsError { line: *line, text });
        }
        let unsupported = [line_numbers.choices.first(), line_numbers.expect.first()];
        if let Some(line) = unsupported.into_iter().flatten().min() {
            let text = "`choose` and `expect` do not exist here: remove the line".to_owned();
            return Err(FaultsError { line: *line, text });
        }
        if line_numbers.seed > 0 && case.seed != seed {
            let text = format!(
                "the run has the seed {seed}: write `ChaosRun::new({})`, or remove the line",
                case.seed
            );
            return Err(FaultsError { line: line_numbers.seed, text });
        }
        let numbers =
            [("nodes", case.settings.voters, hosts.0), ("spares", case.settings.spares, hosts.1)];
        for (name, written, number) in numbers {
            if written != number {
                let at = ROWS.iter().position(|row| row.name == name).expect("the row exists");
                let (nodes, services) = hosts;
                let text = format!(
                    "the run has {nodes} nodes and {services} services: write `{name} {number}`"
                );
                return Err(FaultsError { line: line_numbers.rows[at].max(1), text });
            }
        }
        for (op, line) in case.plan.ops.iter().zip(&line_numbers.ops) {
            if let Some(reason) = missing(op) {
                let text = format!("`{op}` does not exist here: {reason}");
                return Err(FaultsError { line: *line, text });
            }
        }
        let mut ops = case.plan.ops;
        ops.sort_by_key(|op| op.when.earliest());
        Ok(Faults {
            hosts,
            fault_phase: case.settings.fault_phase,
            latency: case.settings.latency,
            loss_permille: case.settings.loss_permille,
            ops,
        })
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "nodes {}", self.hosts.0)?;
        if self.hosts.1 > 0 {
            writeln!(f, "spares {}", self.hosts.1)?;
        }
        writeln!(f, "latency {}", self.latency)?;
        if self.loss_permille > 0 {
            writeln!(f, "loss {} in 1000", self.loss_permille)?;
        }
        let fault_phase = DurationRange { min: self.fault_phase, max: self.fault_phase };
        writeln!(f, "fault phase {fault_phase}")?;
        self.ops.iter().try_for_each(|op| writeln!(f, "{op}"))
    }
}

/// Returns why an operation does not exist here, if so.
fn missing(op: &Op) -> Option<String> {
    if let When::On(condition) = op.when
        && !TRIGGERS.contains(&condition.trigger)
    {
        let known = TRIGGERS.map(|trigger| format!("`{}`", trigger.name())).join(", ");
        return Some(format!("only the triggers {known} do; write one of them, or `at`"));
    }
    let reason = match &op.verb {
        Verb::Crash(_)
        | Verb::Stop(_)
        | Verb::Partition(_)
        | Verb::OneWay(_)
        | Verb::Bridge(_)
        | Verb::Flap(_)
        | Verb::Clog(_)
        | Verb::Pause(_)
        | Verb::SlowDisk(_)
        | Verb::FullDisk(_)
        | Verb::BitRot(_)
        | Verb::DamagedBody(_)
        | Verb::ClockDrift(_)
        | Verb::ClockStep(_) => return None,
        Verb::ScriptedRequest(_) => "the clients are the user's own",
        _ => {
            "only crash, stop, pause, isolate, split, block, cut, strand, only, flap, clog, slow \
             disk, fill disk, corrupt, damage entries, clock drift and clock step do"
        }
    };
    Some(reason.to_owned())
}

/// Draws one operation.
fn draw_op(draws: &mut Draws, hosts: (u8, u8), drift_max_ppm: Option<u32>) -> Op {
    let phase = FAULT_PHASE.as_millis() as u64;
    let at = SimTime::default().after(Duration::from_millis(draws.between(500, phase - 2_000)));
    let when = match draws.below(8) {
        0 => {
            let trigger = *draws.pick(&[
                Trigger::BecomesLeader,
                Trigger::BecomesLeader,
                Trigger::BecomesCandidate,
                Trigger::Restarts,
                Trigger::GoesDown,
            ]);
            let delay = Duration::from_millis(draws.below(100));
            let next = TriggerCondition::next(trigger, at, SimTime::default().after(FAULT_PHASE));
            When::On(TriggerCondition { delay, ..next })
        }
        _ => When::At(at),
    };
    let node = match (when, draws.below(3)) {
        (When::On(_), 0 | 1) => NodeSelector::It,
        (_, 0) => NodeSelector::Leader,
        _ => NodeSelector::Node(NodeId(draws.between(1, hosts.0.into()))),
    };
    Op { when, verb: draw_verb(draws, node, hosts, drift_max_ppm) }
}

/// Draws a fault of the disk of one of the nodes, from which the cluster recovers without an
/// operator.
fn draw_disk_op(draws: &mut Draws, nodes: u8) -> Op {
    let phase = FAULT_PHASE.as_millis() as u64;
    let at = SimTime::default().after(Duration::from_millis(draws.between(500, phase - 2_000)));
    let node = match draws.below(3) {
        0 => NodeSelector::Leader,
        _ => NodeSelector::Node(NodeId(draws.between(1, nodes.into()))),
    };
    let verb = match draws.below(2) {
        0 => {
            let free = *draws.pick(&[0, 512, 4_096]);
            let duration = Duration::from_millis(draws.between(500, 8_000));
            Verb::FullDisk(FullDisk { node, free, duration })
        }
        _ => Verb::DamagedBody(DamagedBody { node }),
    };
    Op { when: When::At(at), verb }
}

/// Draws what an operation does to `node`.
fn draw_verb(
    draws: &mut Draws,
    node: NodeSelector,
    (nodes, services): (u8, u8),
    drift_max_ppm: Option<u32>,
) -> Verb {
    let duration = Duration::from_millis(draws.between(100, 4_000));
    let other = NodeSelector::Node(NodeId(draws.between(1, nodes.into())));
    match draws.below(25) {
        0..=5 => {
            let keep = *draws.pick(&[KeptWrites::None, KeptWrites::Part, KeptWrites::All]);
            // The hosts of services crash, too.
            let host = draws.between(1, u64::from(nodes) + u64::from(services));
            let is_node = host <= nodes.into();
            let node = if is_node { node } else { NodeSelector::Node(NodeId(host)) };
            Verb::Crash(Crash { node, keep, down: duration })
        }
        6 | 7 => Verb::Stop(Stop { node, down: duration }),
        8..=10 => Verb::Partition(Partition::Isolate(node, duration)),
        11 | 12 => Verb::Partition(Partition::Split(vec![node, other], duration)),
        13 => Verb::OneWay(OneWay::BlockInbound(node, duration)),
        14 => Verb::OneWay(OneWay::BlockOutbound(node, duration)),
        15 => Verb::OneWay(OneWay::Cut(node, other, duration)),
        16 => {
            let period = Duration::from_millis(draws.between(50, 800));
            Verb::Flap(Flap { ends: (node, other), period, duration: duration * 2 })
        }
        17 | 18 => {
            let by = Duration::from_millis(draws.between(5, 200));
            Verb::SlowDisk(SlowDisk { node, by, duration: duration * 2 })
        }
        19 | 20 => Verb::Pause(Pause { node, duration }),
        21 | 22 => Verb::Clog(Clog { node, duration }),
        23 if drift_max_ppm.is_none() => Verb::ClockStep(ClockStep { node, by: duration / 4 }),
        _ => {
            let most = u64::from(drift_max_ppm.unwrap_or(DRIFT_PPM_MAX));
            let ppm = draws.below(most + 1) as i32;
            let ppm = if draws.below(2) == 0 { ppm } else { -ppm };
            Verb::ClockDrift(ClockDrift { node, ppm, duration: duration * 4 })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_faults_read_as_they_print() {
        for seed in 0..200 {
            let drawn = Faults::draw(seed, (3, 2), (seed % 2 == 0).then_some(7_000));
            let fault_phase = drawn.fault_phase + Duration::from_micros(seed);
            let faults = Faults { fault_phase, ..drawn };
            let read = Faults::read(&format!("seed {seed}\n{faults}"), (3, 2), seed);
            assert_eq!(read.as_ref(), Ok(&faults), "seed {seed}");
        }
    }

    #[test]
    fn a_word_that_does_not_exist_here_is_named_with_its_line() {
        let cases = [
            ("nodes 3\nat 1s campaign n1", 2, "only crash, stop, pause"),
            ("nodes 3\n\npre-vote off", 3, "`pre-vote` does not exist here"),
            ("nodes 3\nwhen any sends heartbeat, clog it for 1s", 2, "`becomes leader`"),
            ("nodes 3\nat 1s rot n1", 2, "rot"),
            ("nodes 3\nexpect pass", 2, "`expect`"),
            ("# Too many.\nnodes 5", 2, "write `nodes 3`"),
            ("nodes 3\n\nspares 2", 3, "write `spares 0`"),
            ("spares 0\nnodes 3\nseed 2", 3, "`ChaosRun::new(2)`"),
        ];
        for (text, line, part) in cases {
            let error = Faults::read(text, (3, 0), 1).expect_err(text);
            assert_eq!(error.line, line, "{text}: {error}");
            assert!(error.text.contains(part), "{text}: {error}");
        }
    }
}
