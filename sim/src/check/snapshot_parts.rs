//! The parts of snapshots on the network: their sizes (the part of S29 about them), and that each
//! is sent only on request (S43).

use std::collections::BTreeMap;
use std::time::Duration;

use quorate::types::{NodeId, Root, SnapshotPart, SnapshotTransfer, SnapshotTransferBody};

use crate::check::bounds::Bounds;
use crate::check::finding::{CheckResult, S29, S43};
use crate::check::known::Known;
use crate::check::rule::Rule;
use crate::values::time::SimTime;

/// The parts that were requested and sent.
#[derive(Clone, Debug, Default)]
pub(super) struct SnapshotParts {
    parts: BTreeMap<(NodeId, NodeId, Root, SnapshotPart), Part>,
    is_stable: bool,
}

/// A part of a snapshot that one node requested from another.
#[derive(Clone, Copy, Debug, Default)]
struct Part {
    /// The time of the last request, and the time at which the part was last sent.
    requested: Option<SimTime>,
    sent: Option<SimTime>,
    /// Whether the part was requested before the stabilization phase. The network may then deliver
    /// several requests later, each of which is answered.
    is_old: bool,
}

impl Rule for SnapshotParts {
    fn new(_: &Known) -> SnapshotParts {
        SnapshotParts::default()
    }

    /// From now on the network neither loses nor repeats messages within the core.
    fn stabilized(&mut self, _: &Known) -> CheckResult {
        self.is_stable = true;
        for part in self.parts.values_mut() {
            part.is_old = true;
        }
        Ok(())
    }

    fn transfer_sent(&mut self, known: &Known, transfer: &SnapshotTransfer) -> CheckResult {
        let SnapshotTransfer { from, to, root, body } = transfer;
        let (part, bytes) = match body {
            SnapshotTransferBody::Request(part) => {
                let part = self.parts.entry((*to, *from, *root, *part)).or_default();
                part.requested = Some(known.now);
                return Ok(());
            }
            SnapshotTransferBody::Bytes(part, bytes) => (*part, bytes.len() as u64),
            SnapshotTransferBody::Gone => return Ok(()),
        };
        let max = known.bounds.costs.part_bytes;
        if bytes > max {
            return S29.violated(format!(
                "{from} sends {part} of a snapshot with {bytes} bytes, but the bound is {max}"
            ));
        }
        let seen = self.parts.entry((*from, *to, *root, part)).or_default();
        let Some(requested) = seen.requested else {
            return S43.violated(format!(
                "{from} sends {part} of a snapshot to {to}, which has not requested it"
            ));
        };
        let slots = [known.model.slot(*from), known.model.slot(*to)];
        let is_stable = self.is_stable && slots.into_iter().all(|slot| known.is_in_core(slot));
        let is_checked = is_stable && !seen.is_old;
        let before = seen.sent.replace(known.now).filter(|_| is_checked);
        // A request that was on its way when the part was sent may be answered again.
        let Some(before) =
            before.filter(|before| requested.after(request_time_max(&known.bounds)) < *before)
        else {
            return Ok(());
        };
        S43.violated(format!(
            "{from} sends {to} again {part} of a snapshot, which it had sent at {before} s, but \
             {to} last requested it at {requested} s"
        ))
    }
}

/// The longest time from a request until the node has received it.
fn request_time_max(bounds: &Bounds) -> Duration {
    bounds.costs.message * 2
}
