//! A link works in one direction only.

use std::fmt;
use std::time::Duration;

use crate::faults::fault_draw::FaultDraw;
use crate::faults::links::{LinkSelector, Resolve};
use crate::faults::planned::{Extent, For, Planned, Syntax, for_duration};
use crate::faults::selector::NodeSelector;

/// Links that work in one direction only for the duration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OneWay {
    /// Blocks all messages to the node.
    BlockInbound(NodeSelector, Duration),
    /// Blocks all messages from the node.
    BlockOutbound(NodeSelector, Duration),
    /// Blocks messages from the first node to the second one.
    Cut(NodeSelector, NodeSelector, Duration),
}

impl OneWay {
    pub(super) fn draw(draw: &mut FaultDraw<'_>, node: NodeSelector, duration: Duration) -> OneWay {
        match draw.below(3) {
            0 => OneWay::Cut(node, draw.any_node(), duration),
            1 => OneWay::BlockInbound(node, duration),
            _ => OneWay::BlockOutbound(node, duration),
        }
    }

    /// Returns the links that are blocked, if their nodes are known.
    pub(crate) fn blocks(&self, resolve: Resolve<'_>) -> Option<LinkSelector> {
        Some(match self {
            OneWay::BlockInbound(node, _) => {
                let node = resolve(*node)?;
                Box::new(move |_, to| to == node)
            }
            OneWay::BlockOutbound(node, _) => {
                let node = resolve(*node)?;
                Box::new(move |from, _| from == node)
            }
            OneWay::Cut(sender, receiver, _) => {
                let link = (resolve(*sender)?, resolve(*receiver)?);
                Box::new(move |from, to| (from, to) == link)
            }
        })
    }
}

impl Planned for OneWay {
    fn syntax<V: From<OneWay>>() -> Vec<Syntax<V>> {
        let inbound = Syntax {
            verb: "block inbound",
            arguments: "NODE [for DURATION]",
            summary: "Blocks all messages to the node; messages from it arrive.",
            read: |w| Ok(OneWay::BlockInbound(NodeSelector::read(w)?, for_duration(w)?).into()),
        };
        let outbound = Syntax {
            verb: "block outbound",
            arguments: "NODE [for DURATION]",
            summary: "Blocks all messages from the node; messages to it arrive.",
            read: |w| Ok(OneWay::BlockOutbound(NodeSelector::read(w)?, for_duration(w)?).into()),
        };
        let cut = Syntax {
            verb: "cut",
            arguments: "NODE -> NODE [for DURATION]",
            summary: "Blocks messages from the first node to the second one.",
            read: |w| {
                let from = NodeSelector::read(w)?;
                w.need("->")?;
                Ok(OneWay::Cut(from, NodeSelector::read(w)?, for_duration(w)?).into())
            },
        };
        vec![inbound, outbound, cut]
    }

    fn extent(&self) -> Extent {
        let (nodes, duration) = match self {
            OneWay::BlockInbound(node, duration) | OneWay::BlockOutbound(node, duration) => {
                (vec![*node], duration)
            }
            OneWay::Cut(from, to, duration) => (vec![*from, *to], duration),
        };
        Extent { nodes, duration: Some(*duration), on_processes: Ok(()) }
    }
}

impl fmt::Display for OneWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OneWay::BlockInbound(node, duration) => {
                write!(f, "block inbound {node}{}", For(*duration))
            }
            OneWay::BlockOutbound(node, duration) => {
                write!(f, "block outbound {node}{}", For(*duration))
            }
            OneWay::Cut(from, to, duration) => write!(f, "cut {from} -> {to}{}", For(*duration)),
        }
    }
}
