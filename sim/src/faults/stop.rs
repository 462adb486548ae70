//! A node shuts down cleanly.

use std::fmt;
use std::time::Duration;

use crate::faults::fault_draw::FaultDraw;
use crate::faults::planned::{Extent, For, Planned, Syntax, for_duration};
use crate::faults::selector::NodeSelector;

/// The node shuts down cleanly, and restarts after its downtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// The node that shuts down.
    pub node: NodeSelector,
    /// How long the node stays down.
    pub down: Duration,
}

impl Stop {
    pub(super) fn draw(draw: &mut FaultDraw<'_>, node: NodeSelector, _: Duration) -> Stop {
        Stop { node, down: draw.downtime() }
    }
}

impl Planned for Stop {
    fn syntax<V: From<Stop>>() -> Vec<Syntax<V>> {
        vec![Syntax {
            verb: "stop",
            arguments: "NODE [for DURATION]",
            summary: "The node shuts down cleanly, and restarts after the duration.",
            read: |w| Ok(Stop { node: NodeSelector::read(w)?, down: for_duration(w)? }.into()),
        }]
    }

    fn extent(&self) -> Extent {
        Extent::of(self.node, Some(self.down))
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stop {}{}", self.node, For(self.down))
    }
}
