//! Some pairs of nodes can exchange messages only through other nodes.

use std::fmt;
use std::time::Duration;

use quorate::types::NodeId;

use crate::faults::fault_draw::FaultDraw;
use crate::faults::links::{LinkSelector, Resolve};
use crate::faults::planned::{Extent, For, Planned, Syntax, for_duration, several};
use crate::faults::selector::NodeSelector;
use crate::words;

/// A network with missing links for the duration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bridge {
    /// The first node keeps only its links with the second one.
    Strand(NodeSelector, NodeSelector, Duration),
    /// Blocks all messages except between these pairs of nodes.
    Only(Vec<(NodeId, NodeId)>, Duration),
}

impl Bridge {
    pub(super) fn draw(draw: &mut FaultDraw<'_>, node: NodeSelector, duration: Duration) -> Bridge {
        if draw.chance(300) {
            Bridge::Strand(node, NodeSelector::Node(draw.voter()), duration)
        } else {
            Bridge::Only(draw_links(draw), duration)
        }
    }

    /// Returns the links that are blocked, if their nodes are known.
    pub(crate) fn blocks(&self, resolve: Resolve<'_>) -> Option<LinkSelector> {
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

impl Planned for Bridge {
    fn syntax<V: From<Bridge>>() -> Vec<Syntax<V>> {
        let strand = Syntax {
            verb: "strand",
            arguments: "NODE with NODE [for DURATION]",
            summary: "The first node keeps only its links with the second one.",
            read: |w| {
                let node = NodeSelector::read(w)?;
                w.need("with")?;
                Ok(Bridge::Strand(node, NodeSelector::read(w)?, for_duration(w)?).into())
            },
        };
        let only = Syntax {
            verb: "only",
            arguments: "ID-ID.. [for DURATION]",
            summary: "Blocks all messages except between these pairs of nodes.",
            read: |w| {
                let links = several(w, "a pair of nodes, like n1-n2", pair)?;
                Ok(Bridge::Only(links, for_duration(w)?).into())
            },
        };
        vec![strand, only]
    }

    fn extent(&self) -> Extent {
        let (nodes, duration) = match self {
            Bridge::Strand(node, with, duration) => (vec![*node, *with], duration),
            Bridge::Only(_, duration) => (Vec::new(), duration),
        };
        Extent { nodes, duration: Some(*duration), on_processes: Ok(()) }
    }
}

impl fmt::Display for Bridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bridge::Strand(node, with, duration) => {
                write!(f, "strand {node} with {with}{}", For(*duration))
            }
            Bridge::Only(links, duration) => {
                f.write_str("only")?;
                links.iter().try_for_each(|(one, other)| write!(f, " {one}-{other}"))?;
                write!(f, "{}", For(*duration))
            }
        }
    }
}

fn pair(word: &str) -> Option<(NodeId, NodeId)> {
    let (one, other) = word.split_once('-')?;
    Some((words::node(one)?, words::node(other)?))
}
