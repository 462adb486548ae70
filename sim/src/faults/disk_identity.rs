//! A node starts on another disk: an empty one, or an older copy of its own.

use std::time::Duration;

use crate::faults::argument::{Argument, By, For, Node};
use crate::faults::fault_draw::FaultDraw;
use crate::faults::operation::{Extent, Planned, Syntax, operation};
use crate::faults::real_processes::{OnProcesses, ProcessAction};
use crate::faults::selector::NodeSelector;

operation! {
    /// The node loses its disk, and restarts on an empty one. The line does nothing if the cluster
    /// could not survive the loss.
    struct Wipe "wipe" {
        /// The node that loses its disk.
        node: NodeSelector as Node,
        /// How long the node stays down.
        down: Duration as For,
    }
    on_processes |wipe| Ok(ProcessAction::Wipe(wipe.node, wipe.down));
}

operation! {
    /// Copies the node's disk; after the first duration the node crashes, and after the second one
    /// it restarts on the copy.
    struct Rollback "roll back" {
        /// The node whose disk is rolled back.
        node: NodeSelector as Node,
        /// The age of the copy at the crash.
        age: Duration as By,
        /// How long the node stays down.
        down: Duration as For,
    }
    on_processes |it| Ok(ProcessAction::RollBack(it.node, it.age, it.down));
}

impl Wipe {
    pub(super) fn draw(draw: &mut FaultDraw<'_>, node: NodeSelector, _: Duration) -> Wipe {
        Wipe { node, down: draw.downtime() }
    }
}

impl Rollback {
    pub(super) fn draw(draw: &mut FaultDraw<'_>, node: NodeSelector, by: Duration) -> Rollback {
        Rollback { node, age: by * 2, down: draw.downtime() }
    }
}
