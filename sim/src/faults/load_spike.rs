//! A node receives many requests, at once or in quick succession.

use std::time::Duration;

use crate::faults::argument::{Count, Every, For, Node};
use crate::faults::fault_draw::FaultDraw;
use crate::faults::operation::operation;
use crate::faults::selector::NodeSelector;
use crate::faults::strike::{NodeStrike, Strike};

operation! {
    /// Many requests to one node.
    enum LoadSpike {
        /// The node receives N commands at once.
        Commands "load spike" (node: NodeSelector as Node, count: u32 as Count)
        /// A client reads at the node, immediately and then at the interval `every`.
        PollReads "poll reads" (
            node: NodeSelector as Node, period: Duration as Every, duration: Duration as For
        )
    }
    draw |draw, node, _| LoadSpike::Commands(node, LoadSpike::draw_count(draw));
    strike |load| match *load {
        LoadSpike::Commands(node, count) => Strike::Node(node, NodeStrike::Commands(count)),
        LoadSpike::PollReads(node, period, _) => Strike::Node(node, NodeStrike::PollReads(period)),
    };
    on_processes |load| match load {
        LoadSpike::Commands(_, count) if *count > PROCESSES_MAX => {
            Err("each command is a process: use at most count=50")
        }
        LoadSpike::Commands(..) | LoadSpike::PollReads(..) => Ok(()),
    };
}

/// The maximum number of commands of a load spike on real processes, because each is a process.
const PROCESSES_MAX: u32 = 50;

impl LoadSpike {
    /// Draws the number of commands.
    pub(crate) fn draw_count(draw: &mut FaultDraw<'_>) -> u32 {
        *draw.pick(&[10, 3, 30, 100])
    }
}
