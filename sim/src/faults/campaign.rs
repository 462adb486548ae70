//! A node campaigns although its election timeout has not passed.

use crate::faults::argument::Node;
use crate::faults::operation::operation;
use crate::faults::selector::NodeSelector;
use crate::faults::strike::{Simulated, Strike};

operation! {
    /// The node campaigns, as if its election timeout had passed: with pre-votes, it asks for them
    /// first.
    struct Campaign "campaign" {
        /// The node that campaigns.
        node: NodeSelector as Node,
    }
    draw |_, node, _| Campaign { node };
    strike |it| Strike::Simulated(it.node, Simulated::Campaign);
}
