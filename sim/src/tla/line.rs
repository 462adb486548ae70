//! One line of a trace, as a record of TLA+.

use std::fmt::{Display, Write};

use quorate::types::NodeId;

/// A line that is being written: the name of the action, its node, and its fields.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// The name of the action.
    pub(super) action: &'static str,
    text: String,
}

impl Line {
    pub(super) fn new(action: &'static str, node: NodeId) -> Line {
        Line { action, text: format!("[a |-> \"{action}\", n |-> {}", node.0) }
    }

    /// Adds a field whose value is the text of a TLA+ expression.
    pub(super) fn with(mut self, name: &str, value: impl Display) -> Line {
        self.add(name, value);
        self
    }

    /// Adds a field whose value is the text of a TLA+ expression.
    pub(super) fn add(&mut self, name: &str, value: impl Display) {
        let _ = write!(self.text, ", {name} |-> {value}");
    }

    /// Returns the text of the record with its closing bracket.
    pub(super) fn finish(self) -> String {
        self.text + "]"
    }
}

/// The text of a tuple.
pub(super) fn tuple(items: impl IntoIterator<Item = String>) -> String {
    format!("<<{}>>", items.into_iter().collect::<Vec<_>>().join(", "))
}

/// The text of a set.
pub(super) fn set(items: impl IntoIterator<Item = String>) -> String {
    format!("{{{}}}", items.into_iter().collect::<Vec<_>>().join(", "))
}

/// The text of a truth value.
pub(super) fn truth(is_true: bool) -> &'static str {
    if is_true { "TRUE" } else { "FALSE" }
}

/// The number of a node, and 0 for none.
pub(super) fn number(node: Option<NodeId>) -> u64 {
    node.map_or(0, |node| node.0)
}
