//! Draws the nodes and the durations of planned faults of every kind.

use std::time::Duration;

use quorate::types::NodeId;

use crate::faults::selector::NodeSelector;
use crate::values::choice::Draw;

/// Draws an operation on the node, for about this duration.
pub(super) type Drawn<T> = fn(&mut FaultDraw<'_>, NodeSelector, Duration) -> T;

/// The draw of a fault: the random choices, and the scale of the run.
pub(crate) struct FaultDraw<'a> {
    draw: Draw<'a>,
    /// The scale of the run.
    pub(super) scale: Scale,
}

/// The sizes and durations of a run to which its faults are in proportion.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// The number of nodes, including spares.
    pub(crate) nodes: u8,
    /// The number of initial voters.
    pub(crate) voters: u8,
    /// The longest election timeout.
    pub(crate) election_timeout_max: Duration,
    /// The longest network latency of a usual message.
    pub(crate) latency_max: Duration,
    /// How long each side of a partition needs to declare the other one dead and go on; zero if it
    /// never does.
    pub(crate) takeover: Duration,
    /// The size of a log segment in bytes.
    pub(crate) segment_bytes: u32,
    /// The largest rate error of a clock under a clock-drift fault, in parts per million.
    pub(crate) drift_ppm_max: u32,
}

impl<'a> FaultDraw<'a> {
    pub(crate) fn new(draw: Draw<'a>, scale: Scale) -> FaultDraw<'a> {
        FaultDraw { draw, scale }
    }

    /// Draws a number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.draw.below(bound)
    }

    /// Draws a number from `least` to `most`.
    pub(crate) fn between(&mut self, least: u64, most: u64) -> u64 {
        self.draw.between(least, most)
    }

    /// Draws true in `permille` of 1,000 cases.
    pub(crate) fn chance(&mut self, permille: u64) -> bool {
        self.draw.chance(permille)
    }

    /// Draws one of the options; the first is the benign one.
    pub(crate) fn pick<'o, T>(&mut self, options: &'o [T]) -> &'o T {
        self.draw.pick(options)
    }

    pub(crate) fn node(&mut self) -> NodeId {
        NodeId(self.between(1, u64::from(self.scale.nodes)))
    }

    pub(crate) fn voter(&mut self) -> NodeId {
        NodeId(self.between(1, u64::from(self.scale.voters)))
    }

    pub(crate) fn any_node(&mut self) -> NodeSelector {
        if self.chance(400) { NodeSelector::Leader } else { NodeSelector::Node(self.node()) }
    }

    /// Draws a node, but not the one that `node` names. A cluster of one node has no other.
    pub(crate) fn other_node(&mut self, node: NodeSelector) -> NodeSelector {
        let other = self.any_node();
        match node {
            _ if other != node => other,
            NodeSelector::Node(id) => self.after(id, self.scale.nodes),
            _ => NodeSelector::Node(self.node()),
        }
    }

    /// Draws an initial voter, but not the one that `node` names.
    pub(crate) fn other_voter(&mut self, node: NodeSelector) -> NodeSelector {
        let voter = self.voter();
        let is_same = NodeSelector::Node(voter) == node;
        if is_same { self.after(voter, self.scale.voters) } else { NodeSelector::Node(voter) }
    }

    /// Returns the node after this one, of the first `count` nodes.
    fn after(&self, id: NodeId, count: u8) -> NodeSelector {
        NodeSelector::Node(NodeId(id.0 % u64::from(count) + 1))
    }

    /// Draws the duration of a fault: from well below the election timeout to well above it.
    pub(crate) fn fault_duration(&mut self) -> Duration {
        let timeout = self.scale.election_timeout_max.as_millis() as u64;
        let percent = *self.pick(&[25, 60, 100, 100, 150, 150, 250, 400, 800]);
        let span = timeout * percent / 100;
        Duration::from_millis(span * self.between(75, 125) / 100 + 1)
    }

    /// Draws how long a node stays down: from an immediate restart to many election timeouts.
    pub(crate) fn downtime(&mut self) -> Duration {
        if self.chance(250) { self.scale.latency_max } else { self.fault_duration() * 2 }
    }

    /// Draws the additional time of slow work.
    pub(crate) fn extra_time(&mut self) -> Duration {
        let trips = *self.pick(&[2, 10, 50, 200]);
        self.scale.latency_max * trips
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::choice::{Choices, Kind, Overrides};

    #[test]
    fn another_node_is_never_the_same() {
        let scale = Scale {
            nodes: 3,
            voters: 2,
            election_timeout_max: Duration::from_secs(1),
            latency_max: Duration::from_millis(1),
            takeover: Duration::ZERO,
            segment_bytes: 4096,
            drift_ppm_max: 0,
        };
        for seed in 0..200 {
            let choices = Choices::new(seed, Overrides::new());
            let mut draw = FaultDraw::new(choices.draw(Kind::Core.key()), scale);
            for node in [NodeSelector::Leader, NodeSelector::Node(NodeId(2))] {
                assert!(draw.other_node(node) != node && draw.other_voter(node) != node);
            }
        }
    }
}
