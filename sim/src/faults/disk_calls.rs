//! A node's disk fails a call, completes none, or has no space.

use std::time::Duration;

use crate::faults::argument::{After, Argument, For, Node, Room, Sectors, named};
use crate::faults::damage::DiskDraw;
use crate::faults::fault_draw::FaultDraw;
use crate::faults::operation::{Extent, Planned, Syntax, operation};
use crate::faults::real_processes::{DISK, OnProcesses};
use crate::faults::selector::NodeSelector;
use crate::values::words::{SyntaxError, Words};

operation! {
    /// A disk call of the node fails, after N other calls of this kind; `sectors` of it are done.
    struct FailedCall "fail" {
        /// The kind of the call.
        call: Call as Call,
        /// The node whose call fails.
        node: NodeSelector as Node,
        /// The number of calls of the kind before the one that fails.
        after: u32 as After,
        /// The number of sectors of the failed call that are done.
        sectors: u32 as Sectors,
    }
    on_processes |_| Err(DISK);
}

operation! {
    /// The node's disk accepts only this many more bytes, or none.
    struct FullDisk "fill disk" {
        /// The node whose disk is full.
        node: NodeSelector as Node,
        /// The number of bytes that the disk still accepts.
        room: u32 as Room,
        /// How long the disk stays full.
        duration: Duration as For,
    }
    on_processes |_| Err(DISK);
}

operation! {
    /// The node's disk completes no call.
    struct StalledDisk "stall disk" {
        /// The node whose disk stalls.
        node: NodeSelector as Node,
        /// How long the disk stalls.
        duration: Duration as For,
    }
    on_processes |_| Err(DISK);
}

named! {
    /// A call of a node to its disk that a scenario can make fail.
    Call "CALL" "disk call" {
        /// A write to a file.
        Write "write",
        /// The creation of a file.
        Create "create",
        /// The renaming of a file.
        Rename "rename",
        /// The removal of a file.
        Remove "remove",
        /// A flush of a file (fsync).
        Flush "flush",
        /// A flush of the directory (fsync).
        FlushDirectory "directory flush",
        /// A read from a file.
        Read "read",
    }
}

impl FailedCall {
    pub(super) fn draw_flush(
        draw: &mut FaultDraw<'_>,
        node: NodeSelector,
        _: Duration,
    ) -> FailedCall {
        let DiskDraw { after, sectors, .. } = DiskDraw::of(draw);
        let calls = [Call::Flush, Call::Flush, Call::FlushDirectory];
        FailedCall { node, call: *draw.pick(&calls), after, sectors }
    }

    pub(super) fn draw_write(
        draw: &mut FaultDraw<'_>,
        node: NodeSelector,
        _: Duration,
    ) -> FailedCall {
        let DiskDraw { after, sectors, .. } = DiskDraw::of(draw);
        let calls = [Call::Write, Call::Write, Call::Create, Call::Rename, Call::Remove];
        FailedCall { node, call: *draw.pick(&calls), after, sectors }
    }

    pub(super) fn draw_read(
        draw: &mut FaultDraw<'_>,
        node: NodeSelector,
        _: Duration,
    ) -> FailedCall {
        let after = DiskDraw::of(draw).after;
        FailedCall { node, call: Call::Read, after, sectors: 0 }
    }
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
