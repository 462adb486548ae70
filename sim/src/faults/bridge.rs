//! Some pairs of nodes cannot exchange messages, although both can with a third node.

use std::fmt;
use std::time::Duration;

use quorate::types::NodeId;

use crate::faults::argument::{Ally, Argument, For, Node, several};
use crate::faults::fault_draw::FaultDraw;
use crate::faults::operation::operation;
use crate::faults::selector::NodeSelector;
use crate::faults::strike::{LinkFault, LinkSelector, Resolve, Strike};
use crate::values::words;
use crate::values::words::{SyntaxError, Words};

operation! {
    /// A network with missing links for the duration.
    enum Bridge {
        /// The first node keeps only its links with the second one.
        Strand "strand" (
            node: NodeSelector as Node, with: NodeSelector as Ally, duration: Duration as For
        )
        /// Blocks all messages except between these pairs of nodes.
        Only "only" (links: Vec<(NodeId, NodeId)> as Links, duration: Duration as For)
    }
    draw |draw, node, duration| {
        // A single node has no pair.
        if draw.chance(300) || draw.scale.nodes == 1 {
            Bridge::Strand(node, draw.other_voter(node), duration)
        } else {
            Bridge::Only(draw_links(draw), duration)
        }
    };
    strike |bridge| Strike::links(LinkFault::Block, |resolve| bridge.blocks(resolve));
}

/// Pairs of connected nodes: `n1-n2 n2-n3`.
pub(super) struct Links;

impl Argument for Links {
    type Value = Vec<(NodeId, NodeId)>;
    const USAGE: &'static str = "ID-ID..";

    fn read(words: &mut Words<'_>) -> Result<Vec<(NodeId, NodeId)>, SyntaxError> {
        let pair = |word: &str| {
            let (one, other) = word.split_once('-')?;
            Some((words::node(one)?, words::node(other)?))
        };
        several(words, "a pair of nodes, like n1-n2", pair)
    }

    fn write(links: &Vec<(NodeId, NodeId)>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        links.iter().try_for_each(|(one, other)| write!(f, " {one}-{other}"))
    }
}

impl Bridge {
    /// Returns the links that are blocked, if their nodes are known.
    fn blocks(&self, resolve: Resolve<'_>) -> Option<LinkSelector> {
        Some(match self {
            Bridge::Strand(node, with, _) => {
                let (node, ally) = (resolve(*node)?, resolve(*with)?);
                Box::new(move |from, to| from == node && to != ally || to == node && from != ally)
            }
            Bridge::Only(pairs, _) => {
                let pairs = pairs.clone();
                Box::new(move |from, to| {
                    !pairs.contains(&(from, to)) && !pairs.contains(&(to, from))
                })
            }
        })
    }
}

/// Draws a topology in which some nodes are connected only through others: two meshes with a
/// bridge node, a star, a chain, or a mesh of a bare majority with the other nodes attached by
/// one link each.
fn draw_links(draw: &mut FaultDraw<'_>) -> Vec<(NodeId, NodeId)> {
    let nodes = u64::from(draw.scale.nodes);
    let start = draw.below(nodes);
    let place = |at: u64| NodeId((start + at) % nodes + 1);
    let all = 0..nodes;
    match draw.below(4) {
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

/// Returns every pair of different numbers below `count`, the smaller one first.
fn pairs(count: u64) -> impl Iterator<Item = (u64, u64)> {
    (0..count).flat_map(move |one| (one + 1..count).map(move |other| (one, other)))
}
