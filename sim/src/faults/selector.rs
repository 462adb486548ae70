//! The node that an operation concerns: named by its id, as the leader, or by its part in the event
//! that fired the trigger.

use std::fmt;

use quorate::types::NodeId;

use crate::values::words::{self, SyntaxError, Words};

/// The node that an operation concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeSelector {
    /// The node with this id.
    Node(NodeId),
    /// The node that met the trigger.
    It,
    /// The peer in the event that fired the trigger: the candidate that the node votes for, the
    /// leader whose entries it takes, or the receiver of its message. If there is no peer, the node
    /// that met the trigger.
    Other,
    /// The leader with the highest term, if any node leads.
    Leader,
}

impl NodeSelector {
    /// Returns the selector that the word names, if it names one.
    pub(crate) fn of(word: &str) -> Option<NodeSelector> {
        match word {
            "it" => Some(NodeSelector::It),
            "other" => Some(NodeSelector::Other),
            "leader" => Some(NodeSelector::Leader),
            _ => words::node(word).map(NodeSelector::Node),
        }
    }

    /// Parses the next word as a node selector.
    pub(super) fn read(words: &mut Words<'_>) -> Result<NodeSelector, SyntaxError> {
        words.read("a node, like n1, leader, it or other", NodeSelector::of)
    }
}

impl fmt::Display for NodeSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NodeSelector::Node(node) => write!(f, "{node}"),
            NodeSelector::It => f.write_str("it"),
            NodeSelector::Other => f.write_str("other"),
            NodeSelector::Leader => f.write_str("leader"),
        }
    }
}
