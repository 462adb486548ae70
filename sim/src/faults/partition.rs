//! The network partitions the nodes into groups that cannot exchange messages.

use std::fmt;
use std::time::Duration;

use quorate::types::NodeId;

use crate::faults::argument::{Argument, For, Node, several};
use crate::faults::fault_draw::FaultDraw;
use crate::faults::operation::operation;
use crate::faults::selector::NodeSelector;
use crate::faults::strike::{LinkFault, LinkSelector, Resolve, Strike};
use crate::values::words::{SyntaxError, Words};

operation! {
    /// A partition for the duration.
    enum Partition {
        /// Blocks all messages to and from the node.
        Isolate "isolate" (node: NodeSelector as Node, duration: Duration as For)
        /// Blocks all messages between these nodes and the others.
        Split "split" (side: Vec<NodeSelector> as Nodes, duration: Duration as For)
    }
    draw |draw, node, duration| {
        // With last-survivor takeover both sides get the time to declare the other one dead.
        let duration = draw.scale.takeover + duration;
        if draw.chance(500) {
            Partition::Split(draw_side(draw, node), duration)
        } else {
            Partition::Isolate(node, duration)
        }
    };
    strike |partition| Strike::links(LinkFault::Block, |resolve| partition.blocks(resolve));
}

/// The nodes of one side.
pub(super) struct Nodes;

impl Argument for Nodes {
    type Value = Vec<NodeSelector>;
    const USAGE: &'static str = "NODE..";

    fn read(words: &mut Words<'_>) -> Result<Vec<NodeSelector>, SyntaxError> {
        several(words, "a node", NodeSelector::of)
    }

    fn write(side: &Vec<NodeSelector>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        side.iter().try_for_each(|node| write!(f, " {node}"))
    }

    fn nodes(side: &Vec<NodeSelector>) -> Vec<NodeSelector> {
        side.clone()
    }
}

impl Partition {
    /// Returns the links that the partition blocks; `None` if the isolated node is unknown. Unknown
    /// nodes of a split are left out of its side.
    fn blocks(&self, resolve: Resolve<'_>) -> Option<LinkSelector> {
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
