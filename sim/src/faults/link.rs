//! Faults of links: one works in one direction only, goes up and down, or holds back messages.

use std::fmt;
use std::time::Duration;

use crate::faults::argument::{Argument, Every, For, Node};
use crate::faults::fault_draw::FaultDraw;
use crate::faults::links::{LinkSelector, Resolve};
use crate::faults::operation::{Extent, Planned, Syntax, operation};
use crate::faults::real_processes::{OnProcesses, ProcessAction};
use crate::faults::selector::NodeSelector;
use crate::values::words::{SyntaxError, Words};

operation! {
    /// Links that work in one direction only for the duration.
    enum OneWay {
        /// Blocks all messages to the node; messages from it arrive.
        BlockInbound "block inbound" (node: NodeSelector as Node, duration: Duration as For)
        /// Blocks all messages from the node; messages to it arrive.
        BlockOutbound "block outbound" (node: NodeSelector as Node, duration: Duration as For)
        /// Blocks messages from the first node to the second one.
        Cut "cut" (
            from: NodeSelector as Node, to: NodeSelector as Receiver, duration: Duration as For
        )
    }
    on_processes |one_way| {
        let (OneWay::BlockInbound(_, duration)
        | OneWay::BlockOutbound(_, duration)
        | OneWay::Cut(_, _, duration)) = one_way;
        Ok(ProcessAction::Cut(Box::new(|resolve| one_way.blocks(resolve)), *duration))
    };
}

operation! {
    /// The link between the two nodes goes down and up again, each time for the first duration.
    struct Flap "flap" {
        /// Both ends of the link.
        ends: (NodeSelector, NodeSelector) as Ends,
        /// How long the link stays down, and up.
        period: Duration as Every,
        /// How long the link flaps.
        duration: Duration as For,
    }
    on_processes |flap| {
        let links = Box::new(|resolve: Resolve<'_>| flap.blocks(resolve));
        Ok(ProcessAction::Flap(links, flap.period, flap.duration))
    };
}

operation! {
    /// Holds back all messages from the node, and delivers them together at the end.
    struct Clog "clog" {
        /// The sender of the messages.
        node: NodeSelector as Node,
        /// How long the messages are held back.
        duration: Duration as For,
    }
    on_processes |clog| {
        Ok(ProcessAction::Cut(Box::new(|resolve| clog.delays(resolve)), clog.duration))
    };
}

/// The node at the end of a link: `-> n2`.
pub(super) struct Receiver;

impl Argument for Receiver {
    type Value = NodeSelector;
    const USAGE: &'static str = "-> NODE";

    fn read(words: &mut Words<'_>) -> Result<NodeSelector, SyntaxError> {
        words.need("->")?;
        NodeSelector::read(words)
    }

    fn write(node: &NodeSelector, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " -> {node}")
    }

    fn nodes(node: &NodeSelector) -> Vec<NodeSelector> {
        vec![*node]
    }
}

/// Both ends of a link: `n1-n2`.
pub(super) struct Ends;

impl Argument for Ends {
    type Value = (NodeSelector, NodeSelector);
    const USAGE: &'static str = "NODE-NODE";

    fn read(words: &mut Words<'_>) -> Result<(NodeSelector, NodeSelector), SyntaxError> {
        let ends = |word: &str| {
            let (one, other) = word.split_once('-')?;
            Some((NodeSelector::of(one)?, NodeSelector::of(other)?))
        };
        words.read("two nodes, like n1-n2 or n1-leader", ends)
    }

    fn write(ends: &(NodeSelector, NodeSelector), f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (one, other) = ends;
        write!(f, " {one}-{other}")
    }

    fn nodes(ends: &(NodeSelector, NodeSelector)) -> Vec<NodeSelector> {
        vec![ends.0, ends.1]
    }
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

impl Flap {
    pub(super) fn draw(draw: &mut FaultDraw<'_>, node: NodeSelector, duration: Duration) -> Flap {
        let period = draw.scale.latency_max * draw.between(2, 60) as u32;
        Flap { ends: (node, draw.any_node()), period, duration: duration * 2 }
    }

    /// Returns the links between both ends, if they are known.
    pub(crate) fn blocks(&self, resolve: Resolve<'_>) -> Option<LinkSelector> {
        let (one, other) = (resolve(self.ends.0)?, resolve(self.ends.1)?);
        Some(Box::new(move |from, to| (from, to) == (one, other) || (to, from) == (one, other)))
    }
}

impl Clog {
    pub(super) fn draw(_: &mut FaultDraw<'_>, node: NodeSelector, duration: Duration) -> Clog {
        Clog { node, duration }
    }

    /// Returns the links that hold back messages, if the node is known.
    pub(crate) fn delays(&self, resolve: Resolve<'_>) -> Option<LinkSelector> {
        let node = resolve(self.node)?;
        Some(Box::new(move |from, _| from == node))
    }
}
