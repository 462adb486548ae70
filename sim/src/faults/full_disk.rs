//! A node's disk has no space for new files.

use std::fmt;
use std::time::Duration;

use crate::faults::fault_draw::FaultDraw;
use crate::faults::planned::{Extent, For, NamedNumber, Planned, Syntax, for_duration};
use crate::faults::processes::DISK;
use crate::faults::region::DiskDraw;
use crate::faults::selector::NodeSelector;

/// The node's disk accepts only a number of further bytes, for the duration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FullDisk {
    /// The node whose disk is full.
    pub node: NodeSelector,
    /// The number of bytes that the disk still accepts.
    pub room: u32,
    /// How long the disk stays full.
    pub duration: Duration,
}

impl FullDisk {
    pub(super) fn draw(
        draw: &mut FaultDraw<'_>,
        node: NodeSelector,
        duration: Duration,
    ) -> FullDisk {
        DiskDraw::of(draw);
        let segment = draw.scale.segment_bytes;
        let room = *draw.pick(&[0, 0, 512, 4096, segment / 2, segment - 1]);
        FullDisk { node, room, duration: duration * 4 }
    }
}

impl Planned for FullDisk {
    fn syntax<V: From<FullDisk>>() -> Vec<Syntax<V>> {
        vec![Syntax {
            verb: "fill disk",
            arguments: "NODE [room=BYTES] [for DURATION]",
            summary: "The node's disk accepts only this many more bytes, or none.",
            read: |w| {
                let node = NodeSelector::read(w)?;
                let room = w.given("room")?.unwrap_or(0);
                Ok(FullDisk { node, room, duration: for_duration(w)? }.into())
            },
        }]
    }

    fn extent(&self) -> Extent {
        Extent::of(self.node, Some(self.duration)).only_simulated(DISK)
    }
}

impl fmt::Display for FullDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let room = NamedNumber("room", self.room, 0);
        write!(f, "fill disk {}{room}{}", self.node, For(self.duration))
    }
}
