//! Durable data on a node's disk changes, or is not what the node wrote.

use std::fmt;
use std::time::Duration;

use crate::faults::argument::{After, Argument, Node, named};
use crate::faults::fault_draw::FaultDraw;
use crate::faults::operation::{Extent, Planned, Syntax, operation};
use crate::faults::real_processes::{DISK, OnProcesses};
use crate::faults::selector::NodeSelector;
use crate::values::words::{SyntaxError, Words};

operation! {
    /// Flips bits in this region of the node's disk.
    struct BitRot "corrupt" {
        /// The region that changes.
        region: Region as Region,
        /// The node whose disk changes.
        node: NodeSelector as Node,
    }
    on_processes |_| Err(DISK);
}

operation! {
    /// A write of the node, after N others, goes to this region of its disk instead.
    struct MisdirectedWrite "misdirect write" {
        /// The node that writes.
        node: NodeSelector as Node,
        /// The region that the write goes to.
        region: Region as Target,
        /// The number of writes before the affected one.
        after: u32 as After,
    }
    on_processes |_| Err(DISK);
}

operation! {
    /// A write of the node, after N others, is reported as done but not stored.
    struct LostWrite "lose write" {
        /// The node that writes.
        node: NodeSelector as Node,
        /// The number of writes before the affected one.
        after: u32 as After,
    }
    on_processes |_| Err(DISK);
}

named! {
    /// A region of the durable data on a disk.
    Region "REGION" "disk region" {
        /// A copy of the superblock.
        Superblock "superblock",
        /// The entry headers of a segment.
        Headers "headers",
        /// The entry bodies of a segment.
        Bodies "bodies",
        /// The bytes of a snapshot file.
        Snapshot "snapshot",
    }
}

/// The region that a misdirected write goes to: `to headers`.
pub(super) struct Target;

impl Argument for Target {
    type Value = Region;
    const USAGE: &'static str = "to REGION";

    fn read(words: &mut Words<'_>) -> Result<Region, SyntaxError> {
        words.need("to")?;
        Region::read(words)
    }

    fn write(region: &Region, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " to {}", region.name())
    }
}

/// The choices that every disk fault draws first, whether its kind uses them or not: a run then
/// makes the same choices afterwards for each kind.
pub(super) struct DiskDraw {
    /// The number of calls before the affected one.
    pub(super) after: u32,
    /// The number of sectors of a failed call that are done.
    pub(super) sectors: u32,
    /// The region of the disk that is damaged.
    pub(super) region: Region,
}

impl DiskDraw {
    pub(super) fn of(draw: &mut FaultDraw<'_>) -> DiskDraw {
        let after = *draw.pick(&[0, 0, 1, 3, 10]);
        let sectors = *draw.pick(&[0, 1, 2, 7, 20]);
        let regions = [Region::Bodies, Region::Headers, Region::Superblock, Region::Snapshot];
        DiskDraw { after, sectors, region: *draw.pick(&regions) }
    }
}

impl BitRot {
    pub(super) fn draw(draw: &mut FaultDraw<'_>, node: NodeSelector, _: Duration) -> BitRot {
        BitRot { node, region: DiskDraw::of(draw).region }
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

impl LostWrite {
    pub(super) fn draw(draw: &mut FaultDraw<'_>, node: NodeSelector, _: Duration) -> LostWrite {
        LostWrite { node, after: DiskDraw::of(draw).after }
    }
}
