//! The network partitions the nodes into groups that cannot exchange messages.

use std::fmt;
use std::time::Duration;

use quorate::types::NodeId;

use crate::faults::fault_draw::FaultDraw;
use crate::faults::links::{LinkSelector, Resolve};
use crate::faults::planned::{Extent, For, Planned, Syntax, for_duration, several};
use crate::faults::selector::NodeSelector;

/// A partition for the duration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Partition {
    /// Blocks all messages to and from the node.
    Isolate(NodeSelector, Duration),
    /// Blocks all messages between these nodes and the others.
    Split(Vec<NodeSelector>, Duration),
}

impl Partition {
    pub(super) fn draw(
        draw: &mut FaultDraw<'_>,
        node: NodeSelector,
        duration: Duration,
    ) -> Partition {
        // With last-survivor takeover both sides get the time to declare the other one dead.
        let duration = draw.scale.takeover + duration;
        if draw.chance(500) {
            Partition::Split(draw_side(draw, node), duration)
        } else {
            Partition::Isolate(node, duration)
        }
    }

    /// Returns the links that the partition blocks, if its nodes are known.
    pub(crate) fn blocks(&self, resolve: Resolve<'_>) -> Option<LinkSelector> {
        let side: Vec<NodeId> = match self {
            Partition::Isolate(node, _) => vec![resolve(*node)?],
            Partition::Split(side, _) => side.iter().filter_map(|node| resolve(*node)).collect(),
        };
        Some(Box::new(move |from, to| side.contains(&from) != side.contains(&to)))
    }
}

/// Draws one side of a partition: `first` and some other nodes, rarely a majority.
fn draw_side(draw: &mut FaultDraw<'_>, first: NodeSelector) -> Vec<NodeSelector> {
    let nodes = u64::from(draw.scale.nodes);
    let most = if draw.chance(250) { nodes.max(2) - 1 } else { nodes.div_ceil(2).max(2) - 1 };
    let others = draw.between(1, most) - 1;
    let mut side = vec![first];
    for _ in 0..others {
        let node = NodeSelector::Node(draw.node());
        if !side.contains(&node) {
            side.push(node);
        }
    }
    side
}

impl Planned for Partition {
    fn syntax<V: From<Partition>>() -> Vec<Syntax<V>> {
        let isolate = Syntax {
            verb: "isolate",
            arguments: "NODE [for DURATION]",
            summary: "Blocks all messages to and from the node.",
            read: |w| Ok(Partition::Isolate(NodeSelector::read(w)?, for_duration(w)?).into()),
        };
        let split = Syntax {
            verb: "split",
            arguments: "NODE.. [for DURATION]",
            summary: "Blocks all messages between these nodes and the others.",
            read: |w| {
                let side = several(w, "a node", NodeSelector::of)?;
                Ok(Partition::Split(side, for_duration(w)?).into())
            },
        };
        vec![isolate, split]
    }

    fn extent(&self) -> Extent {
        let (nodes, duration) = match self {
            Partition::Isolate(node, duration) => (vec![*node], duration),
            Partition::Split(side, duration) => (side.clone(), duration),
        };
        Extent { nodes, duration: Some(*duration), on_processes: Ok(()) }
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Partition::Isolate(node, duration) => write!(f, "isolate {node}{}", For(*duration)),
            Partition::Split(side, duration) => {
                f.write_str("split")?;
                side.iter().try_for_each(|node| write!(f, " {node}"))?;
                write!(f, "{}", For(*duration))
            }
        }
    }
}
