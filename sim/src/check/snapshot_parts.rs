//! The parts of snapshots on the network: each is within the bound on its size (a part of S29), is
//! sent only on request (S43), and does not come from a quarantined state (a part of S31).

use std::collections::BTreeMap;
use std::time::Duration;

use quorate::raft::Status;
use quorate::replica::ComparisonResult;
use quorate::types::{NodeId, Root, SnapshotPart, SnapshotTransfer, SnapshotTransferBody};

use crate::check::bounds::Bounds;
use crate::check::finding::{CheckResult, S29, S31, S43};
use crate::check::known::Known;
use crate::check::rule::Rule;
use crate::values::time::SimTime;

/// The parts that were requested and sent.
#[derive(Clone, Debug, Default)]
pub(super) struct SnapshotParts {
    parts: BTreeMap<(NodeId, NodeId, Root, SnapshotPart), Part>,
    /// The nodes that have quarantined their state, each with the time at which it did so.
    quarantined: BTreeMap<NodeId, SimTime>,
    is_stable: bool,
}

/// A part of a snapshot that one node requested from another.
#[derive(Clone, Copy, Debug, Default)]
struct Part {
    /// The time of the first request.
    first_requested: Option<SimTime>,
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

    fn started(&mut self, known: &Known, status: &Status) -> CheckResult {
        self.note_quarantine(known, status.id);
        Ok(())
    }

    fn state_compared(&mut self, known: &Known, node: NodeId, _: ComparisonResult) -> CheckResult {
        self.note_quarantine(known, node);
        Ok(())
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
                part.first_requested.get_or_insert(known.now);
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
        // If the part was first requested before the quarantine began, the node may have read it
        // from the disk or queued it by then, whatever requests follow.
        let first = seen.first_requested.unwrap_or(requested);
        if let Some(since) = self.quarantined.get(from).filter(|since| first > **since) {
            return S31.violated(format!(
                "{from} sends {to} {part} of a snapshot, although its state has been quarantined \
                 since {since} s, and {to} first requested it at {first} s"
            ));
        }
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
            "{from} sends {part} of a snapshot to {to} again: it had sent it at {before} s, and \
             {to} last requested it at {requested} s"
        ))
    }
}

impl SnapshotParts {
    /// Records whether the node has quarantined its state.
    fn note_quarantine(&mut self, known: &Known, node: NodeId) {
        match known.quarantined.contains(&node) {
            true => _ = self.quarantined.entry(node).or_insert(known.now),
            false => _ = self.quarantined.remove(&node),
        }
    }
}

/// The longest time from the sending of a request to its receipt.
fn request_time_max(bounds: &Bounds) -> Duration {
    bounds.costs.message * 2
}
