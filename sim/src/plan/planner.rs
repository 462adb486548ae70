//! The planner of one slot of a plan, with which every pattern draws its operations.

use std::time::Duration;

use quorate::types::NodeId;

use crate::faults::{Fault, FaultDraw, Faults, NodeSelector, Scale, Verb};
use crate::plan::{Op, Trigger, TriggerCondition, When};
use crate::settings::Settings;
use crate::values::choice::{Choices, Key, Kind};
use crate::values::time::SimTime;

/// Returns the run's fault kinds that are planned for a node or link, rather than drawn by chance
/// for each message or step.
pub(super) fn planned_faults(settings: &Settings) -> Vec<Fault> {
    settings.faults.iter().filter(|fault| Faults::PLANNED.has(*fault)).collect()
}

/// The planner of one slot: it draws the operations, and adds them to the plan.
pub(super) struct Planner<'a> {
    pub(super) draw: FaultDraw<'a>,
    pub(super) settings: &'a Settings,
    ops: &'a mut Vec<Op>,
}

impl<'a> Planner<'a> {
    /// Creates the planner of one slot of a plan.
    pub(super) fn new(
        settings: &'a Settings,
        choices: &'a Choices,
        slot: u16,
        ops: &'a mut Vec<Op>,
    ) -> Planner<'a> {
        let scale = Scale {
            nodes: settings.nodes(),
            voters: settings.voters,
            election_timeout_max: settings.config.election_timeout_max,
            latency_max: settings.latency.max,
            takeover: settings.config.survivor.map_or(Duration::ZERO, |it| it.after * 2),
            segment_bytes: settings.storage.segment_bytes as u32,
            drift_ppm_max: settings.clocks.drift_ppm_max,
        };
        let draw = choices.draw(Key { peer: slot, ..Kind::Plan.key() });
        Planner { draw: FaultDraw::new(draw, scale), settings, ops }
    }

    /// Adds an operation at this time, if the run has its fault kind.
    pub(super) fn push(&mut self, at: SimTime, verb: impl Into<Verb>) {
        self.add(When::At(at), verb.into());
    }

    /// Adds an operation with this trigger condition, if the run has its fault kind.
    pub(super) fn push_on(&mut self, condition: TriggerCondition, verb: impl Into<Verb>) {
        self.add(When::On(condition), verb.into());
    }

    fn add(&mut self, when: When, verb: Verb) {
        if verb.fault().is_none_or(|fault| self.settings.faults.has(fault)) {
            self.ops.push(Op { when, verb });
        }
    }

    /// Draws an operation of this fault kind, which must be a planned one.
    pub(super) fn verb(&mut self, fault: Fault, target: NodeSelector) -> Verb {
        Verb::draw(&mut self.draw, fault, target).expect("patterns have planned kinds only")
    }

    /// Draws one of the run's fault kinds that affect a node or its links.
    pub(super) fn node_fault(&mut self) -> Fault {
        let kinds = [
            Fault::Crash,
            Fault::Partition,
            Fault::OneWay,
            Fault::Pause,
            Fault::Bridge,
            Fault::SlowDisk,
            Fault::Clog,
            Fault::Misroute,
            Fault::ClockStep,
            Fault::StalledDisk,
            Fault::FailedFlush,
        ];
        let faults = self.settings.faults;
        let allowed: Vec<Fault> = kinds.into_iter().filter(|fault| faults.has(*fault)).collect();
        *self.draw.pick(&allowed)
    }

    /// Draws one of the run's disk fault kinds, if it has any.
    pub(super) fn disk_fault(&mut self) -> Option<Fault> {
        let faults = self.settings.faults;
        let kinds: Vec<Fault> = faults.iter().filter(|it| Faults::OF_DISKS.has(*it)).collect();
        let place = self.draw.below(kinds.len().max(1) as u64);
        kinds.get(place as usize).copied()
    }

    /// Returns a condition for the trigger's next match within ten election timeouts after a random
    /// time.
    pub(super) fn soon_after(&mut self, trigger: Trigger) -> TriggerCondition {
        let from = self.any_moment();
        let to = from.after(self.settings.config.election_timeout_max * 10);
        TriggerCondition::next(trigger, from, to)
    }

    /// Returns a condition for the trigger's next match between a random time and the end of the
    /// fault phase, because the trigger may be rare.
    pub(super) fn any_time(&mut self, trigger: Trigger) -> TriggerCondition {
        let from = self.any_moment();
        TriggerCondition::next(trigger, from, SimTime::default().after(self.settings.fault_phase))
    }

    /// Draws a time within the fault phase, in whole milliseconds for readability.
    pub(super) fn any_moment(&mut self) -> SimTime {
        let phase_millis = self.settings.fault_phase.as_millis() as u64;
        SimTime::default()
            .after(Duration::from_millis(self.draw.between(phase_millis / 50, phase_millis)))
    }

    /// Draws the delay between a trigger and its operation; often zero.
    pub(super) fn delay(&mut self) -> Duration {
        let trips = *self.draw.pick(&[0, 0, 1, 3, 10]);
        self.settings.latency.max * trips
    }

    pub(super) fn any_or_one_node(&mut self) -> Option<NodeId> {
        let node = self.draw.node();
        self.draw.chance(400).then_some(node)
    }

    /// Draws a voter other than `first`, if there are two.
    pub(super) fn voter_after(&mut self, first: NodeId) -> NodeId {
        let voters = u64::from(self.settings.voters);
        let steps = self.draw.between(1, voters.max(2) - 1);
        NodeId((first.0 - 1 + steps) % voters + 1)
    }
}
