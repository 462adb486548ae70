//! The links of a node hold back all its messages for a while.

use std::fmt;
use std::time::Duration;

use crate::faults::fault_draw::FaultDraw;
use crate::faults::links::{LinkSelector, Resolve};
use crate::faults::planned::{Extent, For, Planned, Syntax, for_duration};
use crate::faults::selector::NodeSelector;

/// Holds back all messages from the node, and delivers them together at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clog {
    /// The sender of the messages.
    pub node: NodeSelector,
    /// How long the messages are held back.
    pub duration: Duration,
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

impl Planned for Clog {
    fn syntax<V: From<Clog>>() -> Vec<Syntax<V>> {
        vec![Syntax {
            verb: "clog",
            arguments: "NODE [for DURATION]",
            summary: "Holds back all messages from the node, and delivers them together at the \
                      end.",
            read: |w| Ok(Clog { node: NodeSelector::read(w)?, duration: for_duration(w)? }.into()),
        }]
    }

    fn extent(&self) -> Extent {
        Extent::of(self.node, Some(self.duration))
    }
}

impl fmt::Display for Clog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "clog {}{}", self.node, For(self.duration))
    }
}
