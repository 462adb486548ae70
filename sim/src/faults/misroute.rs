//! A message arrives that no correct node would send to this receiver.

use std::fmt;
use std::time::Duration;

use crate::faults::fault_draw::FaultDraw;
use crate::faults::planned::{Extent, NamedNumber, Planned, Syntax, count};
use crate::faults::processes::FORGED;
use crate::faults::selector::NodeSelector;

/// The node receives this many messages that no correct node would send to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misroute {
    /// The receiver of the messages.
    pub node: NodeSelector,
    /// The number of messages.
    pub count: u32,
}

impl Misroute {
    pub(super) fn draw(draw: &mut FaultDraw<'_>, node: NodeSelector, _: Duration) -> Misroute {
        Misroute { node, count: draw.between(1, 8) as u32 }
    }
}

impl Planned for Misroute {
    fn syntax<V: From<Misroute>>() -> Vec<Syntax<V>> {
        vec![Syntax {
            verb: "misroute",
            arguments: "NODE [count=N]",
            summary: "The node receives N messages that no correct node would send to it.",
            read: |w| Ok(Misroute { node: NodeSelector::read(w)?, count: count(w)? }.into()),
        }]
    }

    fn extent(&self) -> Extent {
        Extent::of(self.node, None).only_simulated(FORGED)
    }
}

impl fmt::Display for Misroute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "misroute {}{}", self.node, NamedNumber("count", self.count, 1))
    }
}
