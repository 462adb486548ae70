//! A node starts an election although its leader is healthy.

use crate::faults::argument::Node;
use crate::faults::operation::operation;
use crate::faults::selector::NodeSelector;
use crate::faults::strike::{Simulated, Strike};

operation! {
    /// The node starts an election, even if its leader is healthy.
    struct Campaign "campaign" {
        /// The node that campaigns.
        node: NodeSelector as Node,
    }
    draw |_, node, _| Campaign { node };
    strike |it| Strike::Simulated(it.node, Simulated::Campaign);
}
