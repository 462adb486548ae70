//! The plan of a run: every planned fault and scripted request, timed or triggered, one per line.
//!
//! A plan is drawn from the seed before the run starts, and prints as scenario lines. Removing one
//! operation changes no other.

mod combined;
mod damage;
mod draw;
mod elections;
mod leases;
mod members;
mod planner;
mod returns;
mod snapshots;
mod text;
mod upgrades;

use std::time::Duration;

use quorate::types::NodeId;

use crate::faults::{Rollback, Verb, named};
use crate::values::time::SimTime;

/// The planned operations of one run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The operations. Their order matters only between those that are due at the same time or
    /// fire at the same event: they are executed in this order.
    pub ops: Vec<Op>,
}

/// One planned operation: what it does, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Op {
    /// The time or the trigger of the operation.
    pub when: When,
    /// The effect of the operation.
    pub verb: Verb,
}

/// The time or the trigger of a planned operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At this time of the run.
    At(SimTime),
    /// When a node meets the trigger condition.
    On(TriggerCondition),
}

/// The condition that fires a triggered operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TriggerCondition {
    /// The event at the node that fires the operation.
    pub trigger: Trigger,
    /// The node to watch; any node if `None`.
    pub node: Option<NodeId>,
    /// The earliest time at which it fires.
    pub from: SimTime,
    /// The latest time at which it fires.
    pub to: SimTime,
    /// The first match that fires, counted from 1; later matches fire, too.
    pub nth: u32,
    /// The largest number of times that it fires.
    pub times: u32,
    /// The delay between the trigger and the operation. At zero the operation runs before the node
    /// takes any other step.
    pub delay: Duration,
}

impl TriggerCondition {
    /// Returns a condition that fires once, without delay, when any node next meets the trigger
    /// between the two times.
    #[must_use]
    pub fn next(trigger: Trigger, from: SimTime, to: SimTime) -> TriggerCondition {
        TriggerCondition { trigger, node: None, from, to, nth: 1, times: 1, delay: Duration::ZERO }
    }
}

impl Op {
    /// Returns true if the operation never takes effect in a fault phase that ends at `end`.
    pub(crate) fn is_never(&self, end: SimTime) -> bool {
        self.when.is_never(end) || self.restores_too_late(end).is_some()
    }

    /// Returns the earliest time at which a copied disk replaces the node's disk, if the fault
    /// phase, which ends at `end`, is over by then: the copy is of no use.
    pub(crate) fn restores_too_late(&self, end: SimTime) -> Option<SimTime> {
        let Verb::Rollback(Rollback { age, .. }) = self.verb else { return None };
        let copied = match self.when {
            When::At(at) => at,
            When::On(TriggerCondition { from, delay, .. }) => from.after(delay),
        };
        Some(copied.after(age)).filter(|restored| *restored >= end)
    }
}

impl When {
    /// Returns the time before which the operation does nothing.
    #[must_use]
    pub fn earliest(&self) -> SimTime {
        match *self {
            When::At(at) => at,
            When::On(TriggerCondition { from, .. }) => from,
        }
    }

    /// Returns the earliest time at which the operation takes effect, if that is too late: a
    /// triggered operation must be due before `end`, the end of the fault phase, and any other one
    /// at `end` at the latest.
    pub(crate) fn too_late(&self, end: SimTime) -> Option<SimTime> {
        match *self {
            When::At(at) => (at > end).then_some(at),
            When::On(TriggerCondition { from, delay, .. }) => {
                Some(from.after(delay)).filter(|due| *due >= end)
            }
        }
    }

    /// Returns true if the operation never takes effect in a fault phase that ends at `end`.
    fn is_never(&self, end: SimTime) -> bool {
        let is_empty = matches!(self, When::On(condition) if condition.to < condition.from);
        is_empty || self.too_late(end).is_some()
    }
}

named! {
    /// An event at a node that can fire a planned operation.
    Trigger "TRIGGER" "trigger" {
        /// The node has restarted.
        Restarts "restarts",
        /// The node's process has ended, by a crash or by a clean shutdown.
        GoesDown "goes down",
        /// The node is about to submit a write of its log or its superblock to its disk.
        AboutToWrite "about to write",
        /// The node has submitted a vote to its disk, and the vote is not durable yet.
        SubmitsVote "submits vote",
        /// The node has submitted entries to its disk, and they are not durable yet.
        SubmitsEntries "submits entries",
        /// The node has submitted a flush to its disk that replaces entries of its log, and the
        /// flush is not durable yet.
        TruncatesLog "truncates log",
        /// A write of the node is durable, and the node has not been notified of it yet.
        CompletesFlush "completes flush",
        /// The node has sent a granted vote, or an acknowledgement of entries.
        Acknowledges "acknowledges",
        /// The node has sent a heartbeat.
        SendsHeartbeat "sends heartbeat",
        /// The node becomes leader.
        BecomesLeader "becomes leader",
        /// The node starts a pre-vote.
        BecomesPreCandidate "becomes pre-candidate",
        /// The node starts an election.
        BecomesCandidate "becomes candidate",
        /// The node's commit index rises.
        AdvancesCommit "advances commit",
        /// The node has written a copy of the superblock, which is not durable yet.
        UpdatesSuperblock "updates superblock",
        /// The node's disk has created a segment, and the node has not been notified of it yet.
        CreatesSegment "creates segment",
        /// The node has written the first flush of a segment, which is not durable yet.
        BeginsSegment "begins segment",
        /// The node has removed a file, and the removal is not durable yet.
        RemovesFile "removes file",
        /// The node has asked for a view of its state machine, to write a snapshot of it.
        TakesSnapshot "takes snapshot",
        /// The node has written a part of a snapshot, which is not durable yet.
        WritesSnapshot "writes snapshot",
        /// The node has renamed a complete snapshot to its final name, and the name is not durable
        /// yet.
        RenamesSnapshot "renames snapshot",
        /// The node has received a part of a snapshot.
        ReceivesPart "receives part",
        /// The node has sent a part of a snapshot.
        SendsPart "sends part",
        /// The node has written to the superblock that a snapshot replaces its log, not durably
        /// yet.
        InstallsSnapshot "installs snapshot",
        /// The node's state machine has restored a snapshot.
        RestoresSnapshot "restores snapshot",
        /// The last membership in the node's log has changed.
        ChangesMembership "changes membership",
    }
}

#[cfg(test)]
mod tests {
    use crate::settings::Settings;
    use crate::settings::profile::Profile;
    use crate::settings::strategy::Strategy;
    use crate::values::choice::{Choices, Key, Kind, Overrides};

    use super::*;

    fn drawn(seed: u64, overrides: &Overrides) -> Plan {
        let choices = Choices::new(seed, overrides.clone());
        let settings = Settings::draw(<&Profile>::default(), Strategy::default(), &choices, 1, 64);
        Plan::draw(&settings, Strategy::default(), &choices)
    }

    #[test]
    fn a_plan_is_a_function_of_the_seed() {
        for seed in 0..50 {
            assert_eq!(drawn(seed, &Overrides::new()), drawn(seed, &Overrides::new()));
        }
        assert_ne!(drawn(1, &Overrides::new()), drawn(2, &Overrides::new()));
    }

    #[test]
    fn emptying_one_slot_changes_no_other() {
        let seed = (0..).find(|seed| drawn(*seed, &Overrides::new()).ops.len() > 8);
        let seed = seed.expect("some seed has many operations");
        let whole = drawn(seed, &Overrides::new());
        for slot in 1..=4 {
            let key = Key { peer: slot, ..Kind::Plan.key() };
            let less = drawn(seed, &Overrides::from([(key, 0)]));
            let mut rest = whole.ops.iter();
            assert!(less.ops.iter().all(|op| rest.any(|other| other == op)), "slot {slot}");
        }
    }

    #[test]
    fn every_operation_prints_as_one_line() {
        let plan = drawn(3, &Overrides::new());
        assert_eq!(plan.to_string().lines().count(), plan.ops.len());
    }
}
