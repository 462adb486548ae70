//! A node receives many requests, at once or in quick succession.

use std::time::Duration;

use crate::faults::argument::{Argument, Count, Every, For, Node};
use crate::faults::fault_draw::FaultDraw;
use crate::faults::operation::{Extent, Planned, Syntax, operation};
use crate::faults::real_processes::{OnProcesses, ProcessAction};
use crate::faults::selector::NodeSelector;

operation! {
    /// Many requests to one node.
    enum LoadSpike {
        /// The node receives N commands at once.
        Commands "load spike" (node: NodeSelector as Node, count: u32 as Count)
        /// A client reads at the node, immediately and then once every first duration.
        PollReads "poll reads" (
            node: NodeSelector as Node, period: Duration as Every, duration: Duration as For
        )
    }
    on_processes |load| match load {
        LoadSpike::Commands(_, count) if *count > PROCESSES_MAX => {
            Err("each command is a process: use at most count=50")
        }
        LoadSpike::Commands(node, count) => Ok(ProcessAction::SendCommands(*node, *count)),
        LoadSpike::PollReads(node, period, duration) => {
            Ok(ProcessAction::PollReads(*node, *period, *duration))
        }
    };
}

/// The most commands of a load spike on real processes, because each is a process.
const PROCESSES_MAX: u32 = 50;

impl LoadSpike {
    pub(super) fn draw(draw: &mut FaultDraw<'_>, node: NodeSelector, _: Duration) -> LoadSpike {
        LoadSpike::Commands(node, LoadSpike::draw_count(draw))
    }

    /// Draws the number of commands.
    pub(crate) fn draw_count(draw: &mut FaultDraw<'_>) -> u32 {
        *draw.pick(&[10, 3, 30, 100])
    }
}
