//! A node's flushes take long.

use std::fmt;
use std::time::Duration;

use crate::faults::fault_draw::FaultDraw;
use crate::faults::planned::{Extent, For, Planned, Syntax, by, for_duration};
use crate::faults::processes::DISK;
use crate::faults::selector::NodeSelector;
use crate::words::Exact;

/// Each flush of the node takes longer for the duration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlowDisk {
    /// The node that becomes slow.
    pub node: NodeSelector,
    /// The additional time.
    pub by: Duration,
    /// How long the node is slow.
    pub duration: Duration,
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

impl Planned for SlowDisk {
    fn syntax<V: From<SlowDisk>>() -> Vec<Syntax<V>> {
        vec![Syntax {
            verb: "slow disk",
            arguments: "NODE by DURATION [for DURATION]",
            summary: "Each flush of the node takes longer by the first duration.",
            read: |w| {
                let (node, by) = (NodeSelector::read(w)?, by(w)?);
                Ok(SlowDisk { node, by, duration: for_duration(w)? }.into())
            },
        }]
    }

    fn extent(&self) -> Extent {
        Extent::of(self.node, Some(self.duration)).only_simulated(DISK)
    }
}

impl fmt::Display for SlowDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "slow disk {} by {}{}", self.node, Exact(self.by), For(self.duration))
    }
}
