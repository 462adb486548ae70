//! Draws network topologies: partitions, and networks with missing links.

use quorate::types::NodeId;

use crate::plan::NodeSelector;
use crate::plan::draw::Planner;

impl Planner<'_> {
    /// Draws one side of a partition: `first` and some other nodes, rarely a majority.
    pub(super) fn side(&mut self, first: NodeSelector) -> Vec<NodeSelector> {
        let nodes = u64::from(self.settings.nodes());
        let most =
            if self.draw.chance(250) { nodes.max(2) - 1 } else { nodes.div_ceil(2).max(2) - 1 };
        let others = self.draw.between(1, most) - 1;
        let mut side = vec![first];
        for _ in 0..others {
            let node = NodeSelector::Node(self.node());
            if !side.contains(&node) {
                side.push(node);
            }
        }
        side
    }

    /// Draws a topology in which some nodes are connected only through others: two meshes with a
    /// bridge node, a star, a chain, or a mesh of a bare majority with the other nodes attached by
    /// one link each.
    pub(super) fn links(&mut self) -> Vec<(NodeId, NodeId)> {
        let nodes = u64::from(self.settings.nodes());
        let start = self.draw.below(nodes);
        let place = |at: u64| NodeId((start + at) % nodes + 1);
        let all = 0..nodes;
        match self.draw.below(4) {
            0 => {
                let half = nodes / 2;
                let mesh = |one: u64, other: u64| (one <= half) == (other <= half);
                let bridged = |one: u64, other: u64| one == half || mesh(one, other);
                pairs(nodes)
                    .filter(|(a, b)| bridged(*a, *b))
                    .map(|(a, b)| (place(a), place(b)))
                    .collect()
            }
            1 => all.skip(1).map(|leaf| (place(0), place(leaf))).collect(),
            2 => all.skip(1).map(|next| (place(next - 1), place(next))).collect(),
            _ => {
                let core = nodes / 2 + 1;
                let mesh = pairs(core).map(|(a, b)| (place(a), place(b)));
                let hanging = (core..nodes).map(|leaf| (place(leaf), place(leaf - core + 1)));
                mesh.chain(hanging).collect()
            }
        }
    }
}

/// Returns every pair of different numbers below `count`, the smaller one first.
fn pairs(count: u64) -> impl Iterator<Item = (u64, u64)> {
    (0..count).flat_map(move |one| (one + 1..count).map(move |other| (one, other)))
}
