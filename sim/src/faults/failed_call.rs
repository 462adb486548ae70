//! A call of a node to its disk fails: a flush, a write, a change of a file's name, or a read.

use std::fmt;
use std::time::Duration;

use crate::faults::fault_draw::FaultDraw;
use crate::faults::planned::{Extent, NamedNumber, Planned, Syntax, named};
use crate::faults::processes::DISK;
use crate::faults::region::DiskDraw;
use crate::faults::selector::NodeSelector;

/// A disk call of the node fails, after this many others of the kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedCall {
    /// The node whose call fails.
    pub node: NodeSelector,
    /// The kind of the call.
    pub call: Call,
    /// The number of calls of the kind before the one that fails.
    pub after: u32,
    /// The number of sectors of the failed call that are done.
    pub sectors: u32,
}

/// A call of a node to its disk that a scenario can make fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// A write to a file.
    Write,
    /// The creation of a file.
    Create,
    /// The renaming of a file.
    Rename,
    /// The removal of a file.
    Remove,
    /// A flush of a file (fsync).
    Flush,
    /// A flush of the directory (fsync).
    FlushDirectory,
    /// A read from a file.
    Read,
}

impl Call {
    /// Every disk call with its scenario words, in the order of declaration.
    pub const ALL: [(Call, &'static str); 7] = [
        (Call::Write, "write"),
        (Call::Create, "create"),
        (Call::Rename, "rename"),
        (Call::Remove, "remove"),
        (Call::Flush, "flush"),
        (Call::FlushDirectory, "directory flush"),
        (Call::Read, "read"),
    ];

    /// Returns the scenario words of the disk call.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
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

impl Planned for FailedCall {
    fn syntax<V: From<FailedCall>>() -> Vec<Syntax<V>> {
        vec![Syntax {
            verb: "fail",
            arguments: "CALL NODE [after=N] [sectors=N]",
            summary: "A disk call of the node fails, after N other calls of this kind; `sectors` \
                      of it are done.",
            read: |w| {
                let call = named(w, "disk call", &Call::ALL)?;
                let node = NodeSelector::read(w)?;
                let after = w.given("after")?.unwrap_or(0);
                let sectors = w.given("sectors")?.unwrap_or(0);
                Ok(FailedCall { node, call, after, sectors }.into())
            },
        }]
    }

    fn extent(&self) -> Extent {
        Extent::of(self.node, None).only_simulated(DISK)
    }
}

impl fmt::Display for FailedCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FailedCall { node, call, after, sectors } = self;
        let (after, sectors) =
            (NamedNumber("after", *after, 0), NamedNumber("sectors", *sectors, 0));
        write!(f, "fail {} {node}{after}{sectors}", call.name())
    }
}
