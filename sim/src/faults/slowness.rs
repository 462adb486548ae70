//! A node's flushes take long, or its state machine takes long to apply.

use std::time::Duration;

use crate::faults::argument::{By, For, Node};
use crate::faults::operation::operation;
use crate::faults::selector::NodeSelector;
use crate::faults::strike::{Lasting, Simulated, Strike};

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
    draw |draw, node, duration| {
        SlowDisk { node, by: draw.extra_time(), duration: duration * 2 }
    };
    strike |it| Strike::Simulated(it.node, Simulated::Lasting(Lasting::SlowFlushes(it.by)));
}

operation! {
    /// The node's state machine takes longer by the first duration for each batch that it applies,
    /// and for each step of a snapshot that it writes or restores.
    struct SlowApply "slow apply" {
        /// The node with the slow state machine.
        node: NodeSelector as Node,
        /// The additional time of a batch.
        by: Duration as By,
        /// How long the state machine is slow.
        duration: Duration as For,
    }
    draw |draw, node, duration| {
        SlowApply { node, by: draw.extra_time(), duration: duration * 2 }
    };
    strike |it| Strike::Simulated(it.node, Simulated::Lasting(Lasting::SlowBatches(it.by)));
}
