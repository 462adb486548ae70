//! A node's disk completes no call for many election timeouts.

use std::fmt;
use std::time::Duration;

use crate::faults::fault_draw::FaultDraw;
use crate::faults::planned::{Extent, For, Planned, Syntax, for_duration};
use crate::faults::processes::DISK;
use crate::faults::region::DiskDraw;
use crate::faults::selector::NodeSelector;

/// The node's disk completes no call for the duration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StalledDisk {
    /// The node whose disk stalls.
    pub node: NodeSelector,
    /// How long the disk stalls.
    pub duration: Duration,
}

impl StalledDisk {
    pub(super) fn draw(
        draw: &mut FaultDraw<'_>,
        node: NodeSelector,
        duration: Duration,
    ) -> StalledDisk {
        DiskDraw::of(draw);
        StalledDisk { node, duration: duration * 3 }
    }
}

impl Planned for StalledDisk {
    fn syntax<V: From<StalledDisk>>() -> Vec<Syntax<V>> {
        vec![Syntax {
            verb: "stall disk",
            arguments: "NODE [for DURATION]",
            summary: "The node's disk completes no call.",
            read: |w| {
                let node = NodeSelector::read(w)?;
                Ok(StalledDisk { node, duration: for_duration(w)? }.into())
            },
        }]
    }

    fn extent(&self) -> Extent {
        Extent::of(self.node, Some(self.duration)).only_simulated(DISK)
    }
}

impl fmt::Display for StalledDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stall disk {}{}", self.node, For(self.duration))
    }
}
