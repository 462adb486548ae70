//! An old message arrives again, possibly one from an earlier start of its sender.

use std::fmt;
use std::time::Duration;

use crate::faults::fault_draw::FaultDraw;
use crate::faults::planned::{Extent, NamedNumber, Planned, Syntax, count};
use crate::faults::processes::FORGED;
use crate::faults::selector::NodeSelector;

/// The node receives this many old messages again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// The receiver of the messages.
    pub node: NodeSelector,
    /// The number of messages.
    pub count: u32,
}

impl Replay {
    pub(super) fn draw(draw: &mut FaultDraw<'_>, node: NodeSelector, _: Duration) -> Replay {
        Replay { node, count: draw.between(1, 30) as u32 }
    }
}

impl Planned for Replay {
    fn syntax<V: From<Replay>>() -> Vec<Syntax<V>> {
        vec![Syntax {
            verb: "replay",
            arguments: "NODE [count=N]",
            summary: "The node receives N old messages again.",
            read: |w| Ok(Replay { node: NodeSelector::read(w)?, count: count(w)? }.into()),
        }]
    }

    fn extent(&self) -> Extent {
        Extent::of(self.node, None).only_simulated(FORGED)
    }
}

impl fmt::Display for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "replay {}{}", self.node, NamedNumber("count", self.count, 1))
    }
}
