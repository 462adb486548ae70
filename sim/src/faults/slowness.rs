//! A node's flushes take long, or its state machine takes long to apply.

use std::time::Duration;

use crate::faults::argument::{Argument, By, For, Node};
use crate::faults::fault_draw::FaultDraw;
use crate::faults::operation::{Extent, Planned, Syntax, operation};
use crate::faults::real_processes::{DISK, MACHINE, OnProcesses};
use crate::faults::selector::NodeSelector;

operation! {
    /// Each flush of the node takes longer by the first duration.
    struct SlowDisk "slow disk" {
        /// The node with the slow disk.
        node: NodeSelector as Node,
        /// The additional time of a flush.
        by: Duration as By,
        /// How long the disk is slow.
        duration: Duration as For,
    }
    on_processes |_| Err(DISK);
}

operation! {
    /// The node's state machine takes longer for each batch by the first duration.
    struct SlowApply "slow apply" {
        /// The node with the slow state machine.
        node: NodeSelector as Node,
        /// The additional time of a batch.
        by: Duration as By,
        /// How long the state machine is slow.
        duration: Duration as For,
    }
    on_processes |_| Err(MACHINE);
}

impl SlowDisk {
    pub(super) fn draw(
        draw: &mut FaultDraw<'_>,
        node: NodeSelector,
        duration: Duration,
    ) -> SlowDisk {
        SlowDisk { node, by: draw.extra_time(), duration: duration * 2 }
    }
}

impl SlowApply {
    pub(super) fn draw(
        draw: &mut FaultDraw<'_>,
        node: NodeSelector,
        duration: Duration,
    ) -> SlowApply {
        SlowApply { node, by: draw.extra_time(), duration: duration * 2 }
    }
}
