//! The pace of snapshots: S83. A node takes a snapshot only after enough entries. A receiver
//! requests at most `parts_inflight_max` parts at once, and each of them again only after the part
//! timeout; a sender keeps its rate.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use quorate::raft::Status;
use quorate::replica::ComparisonResult;
use quorate::types::{
    Comparison, ComparisonBody, Index, Instant, NodeId, Root, SnapshotMeta, SnapshotPart,
    SnapshotTransfer, SnapshotTransferBody,
};

use crate::check::finding::{CheckResult, S83};
use crate::check::known::Known;
use crate::check::rule::Rule;

/// The maximum number of requests in a row that may come too early: a node may end a transfer and
/// begin the same one again.
const EARLY_MAX: u32 = 32;

/// The maximum number of snapshots in a row that may follow the one before after less than half of
/// the entries and bytes after which one is due: damage, and peers that need a newer state, are
/// further reasons.
const EARLY_SNAPSHOTS_MAX: u32 = 4;

/// For each node, the snapshots that it took, and the parts that it requested and sent.
#[derive(Clone, Debug)]
pub(super) struct SnapshotPace {
    nodes: Vec<Node>,
}

#[derive(Clone, Debug, Default)]
struct Node {
    /// The time of the last step, by the node's clock.
    stepped: Instant,
    /// The source and the snapshot of the last request.
    source: Option<(NodeId, Root)>,
    /// The requested parts of that snapshot, each with the time of the last request.
    requested: BTreeMap<SnapshotPart, Instant>,
    /// The parts that were ever sent to the node. A copy of one of them may arrive at any time.
    received: BTreeSet<(Root, SnapshotPart)>,
    /// The number of requests in a row that came too early.
    early: u32,
    /// The earliest time at which the node may send the next part.
    ready_at: Instant,
    /// The last index of the last snapshot, and the number of snapshots in a row, the last one
    /// included, that came too early.
    taken: Index,
    early_snapshots: u32,
    /// Whether an entry of the log was damaged after some step since the last snapshot.
    was_damaged: bool,
}

impl Rule for SnapshotPace {
    fn new(known: &Known) -> SnapshotPace {
        SnapshotPace { nodes: vec![Node::default(); known.model.nodes.len()] }
    }

    fn started(&mut self, known: &Known, status: &Status) -> CheckResult {
        let node = &mut self.nodes[known.model.slot(status.id).0];
        let received = std::mem::take(&mut node.received);
        *node = Node { received, taken: status.snapshot, ..Node::default() };
        Ok(())
    }

    /// A restored state counts as a snapshot, too.
    fn machine_started(&mut self, known: &Known, id: NodeId, index: Index) -> CheckResult {
        let node = &mut self.nodes[known.model.slot(id).0];
        (node.taken, node.early_snapshots) = (node.taken.max(index), 0);
        Ok(())
    }

    fn snapshot_damaged(&mut self, known: &Known, id: NodeId) -> CheckResult {
        self.nodes[known.model.slot(id).0].early_snapshots = 0;
        Ok(())
    }

    /// A node that rebuilds its state may need a newer snapshot of the receiver.
    fn comparison_sent(&mut self, known: &Known, comparison: &Comparison) -> CheckResult {
        if let ComparisonBody::WantSnapshot { .. } = comparison.body {
            self.nodes[known.model.slot(comparison.to).0].early_snapshots = 0;
        }
        Ok(())
    }

    /// Checks that the node does not take many snapshots in a row too early.
    fn snapshot_taken(&mut self, known: &Known, id: NodeId, meta: &SnapshotMeta) -> CheckResult {
        let (model, config) = (&known.model, &known.bounds.replica);
        let node = &mut self.nodes[model.slot(id).0];
        let last = meta.last.index;
        let before = node.taken;
        node.taken = last.max(before);
        let bytes_after = |index| model.committed.bytes_after(index, &model.entries);
        let bytes = bytes_after(before).saturating_sub(bytes_after(last));
        let entries = last.0.saturating_sub(before.0);
        let is_early = entries < config.snapshot_entries / 2 && bytes < config.snapshot_bytes / 2;
        // The snapshot may have replaced the damaged entries in this step.
        let was_damaged = std::mem::take(&mut node.was_damaged);
        let is_wanted = was_damaged || known.taint.fault_count() > 0 || before == Index::ZERO;
        node.early_snapshots = if is_early && !is_wanted { node.early_snapshots + 1 } else { 0 };
        if node.early_snapshots <= EARLY_SNAPSHOTS_MAX {
            return Ok(());
        }
        S83.violated(format!(
            "{id} takes a snapshot up to index {last} after only {entries} entries with {bytes} \
             bytes, as the {EARLY_SNAPSHOTS_MAX} before it, but one is due after {} entries or {} \
             bytes",
            config.snapshot_entries, config.snapshot_bytes
        ))
    }

    fn state_compared(&mut self, known: &Known, id: NodeId, _: ComparisonResult) -> CheckResult {
        self.nodes[known.model.slot(id).0].source = None;
        Ok(())
    }

    fn stepped(&mut self, known: &Known, status: &Status) -> CheckResult {
        let node = &mut self.nodes[known.model.slot(status.id).0];
        node.stepped = known.own_time;
        node.was_damaged |= status.damaged_entries > 0;
        let before = known.status_before(status);
        if before.is_none_or(|before| before.snapshot != status.snapshot) {
            node.source = None;
        }
        Ok(())
    }

    fn transfer_sent(&mut self, known: &Known, transfer: &SnapshotTransfer) -> CheckResult {
        let SnapshotTransfer { from, to, root, body } = transfer;
        match body {
            SnapshotTransferBody::Request(part) => {
                let node = &mut self.nodes[known.model.slot(*from).0];
                node.check_request(known, *from, (*to, *root), *part)
            }
            SnapshotTransferBody::Bytes(part, bytes) => {
                let receiver = &mut self.nodes[known.model.slot(*to).0];
                receiver.received.insert((*root, *part));
                let node = &mut self.nodes[known.model.slot(*from).0];
                node.check_rate(known, *from, bytes.len())
            }
            SnapshotTransferBody::Gone => {
                self.nodes[known.model.slot(*to).0].source = None;
                Ok(())
            }
        }
    }
}

impl Node {
    /// Checks the number of parts that the node has requested, and the time since it requested the
    /// same part before.
    fn check_request(
        &mut self,
        known: &Known,
        id: NodeId,
        source: (NodeId, Root),
        part: SnapshotPart,
    ) -> CheckResult {
        if known.is_late || self.source.replace(source) != Some(source) {
            self.requested.clear();
            self.early = 0;
        }
        if known.is_late {
            self.source = None;
            return Ok(());
        }
        let config = &known.bounds.replica;
        let (timeout, max) = (config.part_timeout, config.parts_inflight_max);
        let now = self.stepped;
        let is_recent = |at: &Instant| now < at.after(timeout);
        let before = self.requested.insert(part, now);
        let from = source.0;
        self.early = if before.as_ref().is_some_and(is_recent) { self.early + 1 } else { 0 };
        if self.early > EARLY_MAX {
            return S83.violated(format!(
                "{id} requests {part} of a snapshot from {from} again within {timeout:?}; the \
                 {EARLY_MAX} requests before it also came too early"
            ));
        }
        let is_waiting = |(part, at): &(&SnapshotPart, &Instant)| {
            is_recent(at) && !self.received.contains(&(source.1, **part))
        };
        let waiting = self.requested.iter().filter(is_waiting).count();
        if waiting <= max {
            return Ok(());
        }
        S83.violated(format!(
            "{id} waits for {waiting} parts of a snapshot from {from}, but the bound is {max}"
        ))
    }

    /// Checks that the node sends a part of this many bytes no faster than its rate allows.
    fn check_rate(&mut self, known: &Known, id: NodeId, bytes: usize) -> CheckResult {
        if known.is_late {
            self.ready_at = Instant::ZERO;
            return Ok(());
        }
        let rate = known.bounds.replica.snapshot_bytes_per_second;
        let nanos = bytes as u128 * 1_000_000_000 / u128::from(rate.max(1));
        let lasts = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let (now, ready_at) = (self.stepped, self.ready_at);
        self.ready_at = now.max(ready_at).after(lasts);
        if now >= ready_at {
            return Ok(());
        }
        S83.violated(format!(
            "{id} sends a part of a snapshot {:?} too early for {rate} bytes per second",
            ready_at.since(now)
        ))
    }
}
