//! The combinations of faults in a run: with the phases of the cluster, and with one another.

use std::time::Duration;

use quorate::raft::RoleName;
use quorate::types::{Body, NodeId};

use crate::faults::{Fault, Faults};
use crate::observe::Observation;
use crate::observe::combinations::{Combinations, Phase};
use crate::values::time::SimTime;

/// The combinations of faults in a run so far.
#[derive(Debug)]
pub(super) struct FaultCombinations {
    combinations: Combinations,
    /// The nodes in each phase, in the order of [`Phase::ALL`]; each node is the bit of its number.
    /// A snapshot counts until it is taken or installed, or its node crashes, even if the node
    /// abandons it or does not receive the offer.
    nodes_in: [u32; Phase::ALL.len()],
    /// The end of the last transfer of leadership, if no node takes over before.
    transfer_until: SimTime,
    /// The nodes that lead; each node is the bit of its number.
    leaders: u32,
    /// The planned faults within the last `soon`, the latest one last.
    recent: Vec<(SimTime, Fault)>,
    /// The time within which a fault counts as soon after another one.
    soon: Duration,
}

impl FaultCombinations {
    /// Creates the record of a run; a planned fault within `soon` after another one forms a pair
    /// with it.
    pub(super) fn new(soon: Duration) -> FaultCombinations {
        FaultCombinations {
            combinations: Combinations::default(),
            nodes_in: [0; Phase::ALL.len()],
            transfer_until: SimTime::default(),
            leaders: 0,
            recent: Vec::new(),
            soon,
        }
    }

    /// Updates the phases of the nodes by an observation.
    pub(super) fn observe(&mut self, now: SimTime, observation: &Observation<'_>) {
        match *observation {
            Observation::Stepped { node, status, membership, .. } => {
                let campaigns = matches!(status.role, RoleName::PreCandidate | RoleName::Candidate);
                self.note(Phase::Election, node, campaigns);
                self.note(Phase::Change, node, !membership.is_settled());
                let lacks = status.damaged_entries > 0 || status.is_uncertain;
                self.note(Phase::Repair, node, lacks);
                self.note_leader(node, status.role == RoleName::Leader);
            }
            Observation::Sent { message } => match message.body {
                Body::TimeoutNow => self.transfer_until = now.after(self.soon / 2),
                Body::InstallSnapshot { .. } => self.note(Phase::Install, message.to, true),
                Body::InstallSnapshotReply { .. } => {
                    self.note(Phase::Install, message.from, false);
                }
                _ => {}
            },
            Observation::SnapshotFrozen { node, .. } => self.note(Phase::Snapshot, node, true),
            Observation::SnapshotTaken { node, .. } => self.note(Phase::Snapshot, node, false),
            Observation::Restored { node, .. } => self.note(Phase::Install, node, false),
            Observation::Crashed { node } | Observation::Stopped { node, .. } => {
                Phase::ALL.into_iter().for_each(|phase| self.note(phase, node, false));
                self.note_leader(node, false);
            }
            _ => {}
        }
    }

    /// Notes a fault that strikes nodes in these roles.
    pub(super) fn strike(
        &mut self,
        now: SimTime,
        fault: Fault,
        roles: impl Iterator<Item = RoleName>,
    ) {
        for role in roles {
            for phase in Phase::ALL {
                let goes_on = match phase {
                    Phase::Election if self.leaders == 0 => true,
                    Phase::Transfer => now <= self.transfer_until,
                    _ => self.nodes_in[phase as usize] != 0,
                };
                if goes_on {
                    self.combinations.insert(fault, role, phase);
                }
            }
        }
        if Faults::PLANNED.has(fault) {
            self.recent.retain(|(at, _)| now.since(*at) <= self.soon);
            self.recent.iter().for_each(|(_, first)| self.combinations.insert_pair(*first, fault));
            self.recent.push((now, fault));
        }
    }

    /// The combinations so far.
    pub(super) fn reached(&self) -> &Combinations {
        &self.combinations
    }

    /// Notes whether a node leads; a new leader ends a transfer.
    fn note_leader(&mut self, node: NodeId, leads: bool) {
        let before = self.leaders;
        set_bit(&mut self.leaders, node, leads);
        if self.leaders & !before != 0 {
            self.transfer_until = SimTime::default();
        }
    }

    fn note(&mut self, phase: Phase, node: NodeId, is_in: bool) {
        set_bit(&mut self.nodes_in[phase as usize], node, is_in);
    }
}

/// Sets or clears the bit of a node, whose number is at most
/// [`Settings::NODES_MAX`](crate::settings::Settings::NODES_MAX).
fn set_bit(bits: &mut u32, node: NodeId, on: bool) {
    let bit = 1 << node.0;
    *bits = if on { *bits | bit } else { *bits & !bit };
}
