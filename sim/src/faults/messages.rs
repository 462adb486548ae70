//! A node receives messages that no correct node would send to it, or old messages again.

use crate::faults::argument::{Count, Node};
use crate::faults::operation::operation;
use crate::faults::selector::NodeSelector;
use crate::faults::strike::{Simulated, Strike};

operation! {
    /// The node receives N messages that no correct node would send to it.
    struct Misroute "misroute" {
        /// The receiver of the messages.
        node: NodeSelector as Node,
        /// The number of messages.
        count: u32 as Count,
    }
    draw |draw, node, _| Misroute { node, count: draw.between(1, 8) as u32 };
    strike |it| Strike::Simulated(it.node, Simulated::Misroute(it.count));
}

operation! {
    /// The node receives N old messages again.
    struct Replay "replay" {
        /// The receiver of the messages.
        node: NodeSelector as Node,
        /// The number of messages.
        count: u32 as Count,
    }
    draw |draw, node, _| Replay { node, count: draw.between(1, 30) as u32 };
    strike |it| Strike::Simulated(it.node, Simulated::Replay(it.count));
}
