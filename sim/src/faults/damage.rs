//! Durable data on a node's disk changes, or is not what the node wrote.

use std::fmt;
use std::time::Duration;

use crate::faults::fault_draw::FaultDraw;
use crate::faults::planned::{Extent, NamedNumber, Planned, Syntax, named};
use crate::faults::processes::DISK;
use crate::faults::region::{DiskDraw, Region};
use crate::faults::selector::NodeSelector;

/// Bits flip in a region of the node's disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BitRot {
    /// The node whose disk changes.
    pub node: NodeSelector,
    /// The region that changes.
    pub region: Region,
}

/// A write of the node goes to another region of its disk instead, and is reported as done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MisdirectedWrite {
    /// The node that writes.
    pub node: NodeSelector,
    /// The region that the write goes to.
    pub region: Region,
    /// The number of writes before the affected one.
    pub after: u32,
}

/// A write of the node is reported as done and flushed, but not stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostWrite {
    /// The node that writes.
    pub node: NodeSelector,
    /// The number of writes before the affected one.
    pub after: u32,
}

impl BitRot {
    pub(super) fn draw(draw: &mut FaultDraw<'_>, node: NodeSelector, _: Duration) -> BitRot {
        BitRot { node, region: DiskDraw::of(draw).region }
    }
}

impl Planned for BitRot {
    fn syntax<V: From<BitRot>>() -> Vec<Syntax<V>> {
        vec![Syntax {
            verb: "corrupt",
            arguments: "REGION NODE",
            summary: "Flips bits in this region of the node's disk.",
            read: |w| {
                let region = named(w, "disk region", &Region::ALL)?;
                Ok(BitRot { node: NodeSelector::read(w)?, region }.into())
            },
        }]
    }

    fn extent(&self) -> Extent {
        Extent::of(self.node, None).only_simulated(DISK)
    }
}

impl fmt::Display for BitRot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "corrupt {} {}", self.region.name(), self.node)
    }
}

impl MisdirectedWrite {
    pub(super) fn draw(
        draw: &mut FaultDraw<'_>,
        node: NodeSelector,
        _: Duration,
    ) -> MisdirectedWrite {
        let DiskDraw { region, after, .. } = DiskDraw::of(draw);
        MisdirectedWrite { node, region, after }
    }
}

impl Planned for MisdirectedWrite {
    fn syntax<V: From<MisdirectedWrite>>() -> Vec<Syntax<V>> {
        vec![Syntax {
            verb: "misdirect write",
            arguments: "NODE to REGION [after=N]",
            summary: "A write of the node, after N others, goes to this region of its disk \
                      instead.",
            read: |w| {
                let node = NodeSelector::read(w)?;
                w.need("to")?;
                let region = named(w, "disk region", &Region::ALL)?;
                let after = w.given("after")?.unwrap_or(0);
                Ok(MisdirectedWrite { node, region, after }.into())
            },
        }]
    }

    fn extent(&self) -> Extent {
        Extent::of(self.node, None).only_simulated(DISK)
    }
}

impl fmt::Display for MisdirectedWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let after = NamedNumber("after", self.after, 0);
        write!(f, "misdirect write {} to {}{after}", self.node, self.region.name())
    }
}

impl LostWrite {
    pub(super) fn draw(draw: &mut FaultDraw<'_>, node: NodeSelector, _: Duration) -> LostWrite {
        LostWrite { node, after: DiskDraw::of(draw).after }
    }
}

impl Planned for LostWrite {
    fn syntax<V: From<LostWrite>>() -> Vec<Syntax<V>> {
        vec![Syntax {
            verb: "lose write",
            arguments: "NODE [after=N]",
            summary: "A write of the node, after N others, is reported as done but not stored.",
            read: |w| {
                let node = NodeSelector::read(w)?;
                Ok(LostWrite { node, after: w.given("after")?.unwrap_or(0) }.into())
            },
        }]
    }

    fn extent(&self) -> Extent {
        Extent::of(self.node, None).only_simulated(DISK)
    }
}

impl fmt::Display for LostWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lose write {}{}", self.node, NamedNumber("after", self.after, 0))
    }
}
