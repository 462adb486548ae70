//! A node's disk fails a call, completes none, or has no space.

use std::time::Duration;

use crate::disk;
use crate::faults::argument::{After, For, Free, Node, Sectors, named};
use crate::faults::damage::DiskDraw;
use crate::faults::fault_draw::{Drawn, FaultDraw};
use crate::faults::operation::operation;
use crate::faults::selector::NodeSelector;
use crate::faults::strike::{Lasting, Simulated, Strike};

operation! {
    /// A disk call of the node fails, once `after` other calls of this kind were made. A failed
    /// write or flush still writes or flushes its first `sectors` sectors.
    struct FailedCall "fail" {
        /// The kind of the call.
        call: Call as Call,
        /// The node whose call fails.
        node: NodeSelector as Node,
        /// The number of calls of the kind before the one that fails.
        after: u32 as After,
        /// The number of sectors that the failed call writes or flushes before it fails.
        sectors: u32 as Sectors,
    }
    strike |it| Strike::Simulated(it.node, Simulated::FailedCall(it.disk_fault(), it.after));
}

operation! {
    /// The node's disk accepts only this many more bytes, or none.
    struct FullDisk "fill disk" {
        /// The node whose disk is full.
        node: NodeSelector as Node,
        /// The number of bytes that the disk still accepts.
        free: u32 as Free,
        /// How long the disk stays full.
        duration: Duration as For,
    }
    draw |draw, node, duration| {
        DiskDraw::of(draw);
        let segment = draw.scale.segment_bytes;
        let free = *draw.pick(&[0, 0, 512, 4096, segment / 2, segment - 1]);
        FullDisk { node, free, duration: duration * 4 }
    };
    strike |it| Strike::Simulated(it.node, Simulated::Lasting(Lasting::FullDisk(it.free)));
}

operation! {
    /// The node's disk completes no call, except writes of the log and of the superblock, which use
    /// the cache.
    struct StalledDisk "stall disk" {
        /// The node whose disk stalls.
        node: NodeSelector as Node,
        /// How long the disk stalls.
        duration: Duration as For,
    }
    draw |draw, node, duration| {
        DiskDraw::of(draw);
        StalledDisk { node, duration: duration * 3 }
    };
    strike |it| Strike::Simulated(it.node, Simulated::StalledDisk(it.duration));
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
    pub(super) const DRAW_FLUSH: Drawn<FailedCall> = |draw, node, _| {
        FailedCall::draw(draw, node, &[Call::Flush, Call::Flush, Call::FlushDirectory])
    };

    pub(super) const DRAW_WRITE: Drawn<FailedCall> = |draw, node, _| {
        let calls = [Call::Write, Call::Write, Call::Create, Call::Rename, Call::Remove];
        FailedCall::draw(draw, node, &calls)
    };

    pub(super) const DRAW_READ: Drawn<FailedCall> = |draw, node, _| {
        let after = DiskDraw::of(draw).after;
        FailedCall { node, call: Call::Read, after, sectors: 0 }
    };

    fn draw(draw: &mut FaultDraw<'_>, node: NodeSelector, calls: &[Call]) -> FailedCall {
        let DiskDraw { after, sectors, .. } = DiskDraw::of(draw);
        FailedCall { node, call: *draw.pick(calls), after, sectors }
    }

    fn disk_fault(&self) -> disk::Fault {
        match self.call {
            Call::Write => disk::Fault::WriteFails { sectors: self.sectors.into() },
            Call::Create => disk::Fault::CreateFails,
            Call::Rename => disk::Fault::RenameFails,
            Call::Remove => disk::Fault::RemoveFails,
            Call::Flush => disk::Fault::SyncFails { sectors: self.sectors as usize },
            Call::FlushDirectory => disk::Fault::SyncDirectoryFails,
            Call::Read => disk::Fault::ReadFails,
        }
    }
}
