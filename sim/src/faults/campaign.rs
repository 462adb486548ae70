//! A node starts an election although its leader is healthy.

use std::time::Duration;

use crate::faults::argument::{Argument, Node};
use crate::faults::fault_draw::FaultDraw;
use crate::faults::operation::{Extent, Planned, Syntax, operation};
use crate::faults::real_processes::OnProcesses;
use crate::faults::selector::NodeSelector;

operation! {
    /// The node starts an election, even if its leader is healthy.
    struct Campaign "campaign" {
        /// The node that campaigns.
        node: NodeSelector as Node,
    }
    on_processes |_| Err("no command starts an election: use `transfer leader to`");
}

impl Campaign {
    pub(super) fn draw(_: &mut FaultDraw<'_>, node: NodeSelector, _: Duration) -> Campaign {
        Campaign { node }
    }
}
