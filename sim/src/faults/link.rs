//! Faults of links: one works in one direction only, goes up and down, or holds back messages.

use std::fmt;
use std::time::Duration;

use crate::faults::argument::{Argument, Every, For, Node, Receiver};
use crate::faults::operation::operation;
use crate::faults::selector::NodeSelector;
use crate::faults::strike::{LinkFault, LinkSelector, Resolve, Strike};
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
    draw |draw, node, duration| match draw.below(3) {
        0 => OneWay::Cut(node, draw.other_node(node), duration),
        1 => OneWay::BlockInbound(node, duration),
        _ => OneWay::BlockOutbound(node, duration),
    };
    strike |one_way| Strike::links(LinkFault::Block, |resolve| one_way.blocks(resolve));
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
    draw |draw, node, duration| {
        let period = draw.scale.latency_max * draw.between(2, 60) as u32;
        Flap { ends: (node, draw.other_node(node)), period, duration: duration * 2 }
    };
    strike |flap| Strike::links(LinkFault::Flap(flap.period), |resolve| {
        let link = (resolve(flap.ends.0)?, resolve(flap.ends.1)?);
        Some(Box::new(move |from, to| (from, to) == link || (to, from) == link))
    });
}

operation! {
    /// Holds back all messages from the node, and delivers them together at the end.
    struct Clog "clog" {
        /// The sender of the messages.
        node: NodeSelector as Node,
        /// How long the messages are held back.
        duration: Duration as For,
    }
    draw |_, node, duration| Clog { node, duration };
    strike |clog| Strike::links(LinkFault::Clog, |resolve| {
        let node = resolve(clog.node)?;
        Some(Box::new(move |from, _| from == node))
    });
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
    /// Returns the links that are blocked, if their nodes are known.
    fn blocks(&self, resolve: Resolve<'_>) -> Option<LinkSelector> {
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
