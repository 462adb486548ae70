//! A node receives many requests, at once or in quick succession.

use std::fmt;
use std::time::Duration;

use crate::faults::fault_draw::FaultDraw;
use crate::faults::planned::{
    Extent, For, NamedNumber, Planned, Syntax, count, every, for_duration,
};
use crate::faults::selector::NodeSelector;
use crate::words::Exact;

/// Many requests to one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadSpike {
    /// The node receives this many commands at once.
    Commands(NodeSelector, u32),
    /// A client reads at the node, once per first duration, until the second one is over.
    PollReads(NodeSelector, Duration, Duration),
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

impl Planned for LoadSpike {
    fn syntax<V: From<LoadSpike>>() -> Vec<Syntax<V>> {
        let commands = Syntax {
            verb: "load spike",
            arguments: "NODE [count=N]",
            summary: "The node receives N commands at once.",
            read: |w| Ok(LoadSpike::Commands(NodeSelector::read(w)?, count(w)?).into()),
        };
        let reads = Syntax {
            verb: "poll reads",
            arguments: "NODE every DURATION [for DURATION]",
            summary: "A client reads at the node, at once and after every first duration.",
            read: |w| {
                let (node, period) = (NodeSelector::read(w)?, every(w)?);
                Ok(LoadSpike::PollReads(node, period, for_duration(w)?).into())
            },
        };
        vec![commands, reads]
    }

    fn extent(&self) -> Extent {
        match self {
            LoadSpike::Commands(node, count) if *count > PROCESSES_MAX => Extent::of(*node, None)
                .only_simulated("each command is a process: use at most count=50"),
            LoadSpike::Commands(node, _) => Extent::of(*node, None),
            LoadSpike::PollReads(node, _, duration) => Extent::of(*node, Some(*duration)),
        }
    }
}

impl fmt::Display for LoadSpike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadSpike::Commands(node, count) => {
                write!(f, "load spike {node}{}", NamedNumber("count", *count, 1))
            }
            LoadSpike::PollReads(node, period, duration) => {
                write!(f, "poll reads {node} every {}{}", Exact(*period), For(*duration))
            }
        }
    }
}
