//! A node starts on another disk: an empty one, or an older copy of its own.

use std::time::Duration;

use crate::faults::argument::{By, For, Node};
use crate::faults::operation::operation;
use crate::faults::selector::NodeSelector;
use crate::faults::strike::{NodeStrike, Strike};

operation! {
    /// The node loses its disk, and restarts on an empty one. If the cluster could not survive the
    /// loss, the line does nothing; in a run with `roll back`, it wipes the disk all the same, and
    /// the run checks no safety from then on.
    struct Wipe "wipe" {
        /// The node that loses its disk.
        node: NodeSelector as Node,
        /// How long the node stays down.
        down: Duration as For,
    }
    draw |draw, node, _| Wipe { node, down: draw.downtime() };
    strike |it| Strike::Node(it.node, NodeStrike::Wipe(it.down));
}

operation! {
    /// Copies the node's disk; after the first duration the node crashes, and after the second one
    /// it restarts on the copy. In three of four runs the copies are marked as restored, or only
    /// the log is rolled back: then the node is uncertain until a leader has confirmed its log. In
    /// the others the run checks no safety from then on.
    struct Rollback "roll back" {
        /// The node whose disk is rolled back.
        node: NodeSelector as Node,
        /// The age of the copy at the crash.
        age: Duration as By,
        /// How long the node stays down.
        down: Duration as For,
    }
    draw |draw, node, by| Rollback { node, age: by * 2, down: draw.downtime() };
    strike |it| Strike::Node(it.node, NodeStrike::RollBack(it.age, it.down));
}
