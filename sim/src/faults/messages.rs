//! A node receives messages that no correct node would send to it, or old ones again.

use std::time::Duration;

use crate::faults::argument::{Argument, Count, Node};
use crate::faults::fault_draw::FaultDraw;
use crate::faults::operation::{Extent, Planned, Syntax, operation};
use crate::faults::real_processes::{FORGED, OnProcesses};
use crate::faults::selector::NodeSelector;

operation! {
    /// The node receives N messages that no correct node would send to it.
    struct Misroute "misroute" {
        /// The receiver of the messages.
        node: NodeSelector as Node,
        /// The number of messages.
        count: u32 as Count,
    }
    on_processes |_| Err(FORGED);
}

operation! {
    /// The node receives N old messages again.
    struct Replay "replay" {
        /// The receiver of the messages.
        node: NodeSelector as Node,
        /// The number of messages.
        count: u32 as Count,
    }
    on_processes |_| Err(FORGED);
}

impl Misroute {
    pub(super) fn draw(draw: &mut FaultDraw<'_>, node: NodeSelector, _: Duration) -> Misroute {
        Misroute { node, count: draw.between(1, 8) as u32 }
    }
}

impl Replay {
    pub(super) fn draw(draw: &mut FaultDraw<'_>, node: NodeSelector, _: Duration) -> Replay {
        Replay { node, count: draw.between(1, 30) as u32 }
    }
}
