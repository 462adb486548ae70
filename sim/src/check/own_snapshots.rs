//! A node's own snapshots: it takes them when they are due (L9), and drops the entries that they
//! replace (S44).

use quorate::raft::Status;
use quorate::replica::ComparisonResult;
use quorate::types::{
    Entry, EntryId, Index, NodeId, SnapshotMeta, SnapshotTransfer, SnapshotTransferBody,
};

use crate::check::costs::{PART_TIMEOUTS_MAX, Volume};
use crate::check::finding::{CheckResult, L9, S44};
use crate::check::known::Known;
use crate::check::rule::Rule;
use crate::values::time::SimTime;

/// The progress of each node's own snapshots.
#[derive(Clone, Debug)]
pub(super) struct OwnSnapshots {
    nodes: Vec<SnapshotProgress>,
    is_stable: bool,
    /// The size of the largest snapshot so far, in bytes.
    snapshot_bytes: u64,
    /// The highest index that each node has ever applied.
    applied: Vec<Index>,
}

/// The progress of one node's snapshots.
#[derive(Clone, Debug, Default)]
struct SnapshotProgress {
    /// The number and the size of the entries applied since a snapshot was last due.
    entries: u64,
    bytes: u64,
    /// The number of times that a snapshot was due since the node started, restored a state, took
    /// its last snapshot, was quarantined, or was last sent a part of another node's snapshot. A
    /// batch counts once, however many entries it has, because the node tries once for each batch.
    times_due: u64,
    /// The time from which a snapshot is overdue in the stabilization phase.
    overdue: Option<SimTime>,
    /// The index through which the state may be ahead of the log that the node replays after a
    /// start, because the state machine makes its own state durable. The node can take no snapshot
    /// before it has replayed the log through this index.
    ahead_through: Index,
    /// The last index of the last snapshot.
    last: Index,
    /// Whether a kept snapshot is damaged: then the log has to reach back to an earlier snapshot.
    is_damaged: bool,
    /// The index through which the log must be compacted, and the number of steps since the last
    /// snapshot was taken.
    base: Option<(Index, u8)>,
}

/// A snapshot is overdue once it has been due this many times. While a node sends a snapshot to a
/// peer, it takes a new one only after twice as many entries. If a node cannot begin a snapshot
/// because it is receiving one, its own is due again only after the usual number of entries.
const OVERDUE_TIMES: u64 = 4;

/// The number of flushes that a snapshot takes, of its file, of the directory and of each copy of
/// the superblock. Each of them may wait for another flush.
const FLUSHES: u32 = 16;

/// The longest delay after a failed snapshot, as a multiple of the first one.
const RETRY_FACTOR_MAX: u32 = 16;

impl Rule for OwnSnapshots {
    fn new(known: &Known) -> OwnSnapshots {
        let nodes = vec![SnapshotProgress::default(); known.model.nodes.len()];
        let applied = vec![Index::ZERO; nodes.len()];
        OwnSnapshots { nodes, is_stable: false, snapshot_bytes: 0, applied }
    }

    fn stabilized(&mut self, known: &Known) -> CheckResult {
        self.is_stable = true;
        for progress in &mut self.nodes {
            progress.overdue = progress.is_overdue().then_some(known.now);
        }
        Ok(())
    }

    fn started(&mut self, known: &Known, status: &Status) -> CheckResult {
        let (last, slot) = (status.snapshot, known.model.slot(status.id).0);
        let is_durable = known.bounds.machine_is_durable;
        let ahead_through = if is_durable { self.applied[slot] } else { Index::ZERO };
        self.nodes[slot] = SnapshotProgress { last, ahead_through, ..SnapshotProgress::default() };
        Ok(())
    }

    fn machine_started(&mut self, known: &Known, node: NodeId, _: Index) -> CheckResult {
        let snapshot = known.model.of(node).status.map_or(Index::ZERO, |status| status.snapshot);
        let progress = &mut self.nodes[known.model.slot(node).0];
        let (last, ahead_through) = (progress.last.max(snapshot), progress.ahead_through);
        *progress = SnapshotProgress { last, ahead_through, ..SnapshotProgress::default() };
        Ok(())
    }

    fn state_compared(&mut self, known: &Known, node: NodeId, _: ComparisonResult) -> CheckResult {
        if known.quarantined.contains(&node) {
            self.restart(known, node);
        }
        Ok(())
    }

    /// While parts of a snapshot arrive at a node, the node takes no snapshot of its own.
    fn transfer_sent(&mut self, known: &Known, transfer: &SnapshotTransfer) -> CheckResult {
        if matches!(transfer.body, SnapshotTransferBody::Bytes(..)) {
            self.restart(known, transfer.to);
        }
        Ok(())
    }

    fn snapshot_frozen(&mut self, _: &Known, _: NodeId, _: EntryId, bytes: &[u8]) -> CheckResult {
        self.snapshot_bytes = self.snapshot_bytes.max(bytes.len() as u64);
        Ok(())
    }

    fn snapshot_damaged(&mut self, known: &Known, node: NodeId) -> CheckResult {
        self.nodes[known.model.slot(node).0].is_damaged = true;
        Ok(())
    }

    fn snapshot_taken(&mut self, known: &Known, node: NodeId, meta: &SnapshotMeta) -> CheckResult {
        let trailing = known.bounds.replica.trailing_entries;
        let last = meta.last.index;
        let progress = &mut self.nodes[known.model.slot(node).0];
        let older = progress.last;
        let base = older.min(Index(last.0.saturating_sub(trailing)));
        *progress = SnapshotProgress {
            last: last.max(older),
            base: (last > older && !progress.is_damaged).then_some((base, 0)),
            ahead_through: progress.ahead_through,
            ..SnapshotProgress::default()
        };
        Ok(())
    }

    fn applied(&mut self, known: &Known, node: NodeId, entries: &[Entry]) -> CheckResult {
        let slot = known.model.slot(node).0;
        let (progress, applied) = (&mut self.nodes[slot], &mut self.applied[slot]);
        let last = entries.last().map_or(Index::ZERO, |entry| entry.id.index);
        *applied = last.max(*applied);
        if last <= progress.ahead_through {
            return Ok(());
        }
        progress.entries += entries.len() as u64;
        progress.bytes += entries.iter().map(|entry| entry.bytes() as u64).sum::<u64>();
        let config = &known.bounds.replica;
        if progress.entries >= config.snapshot_entries || progress.bytes >= config.snapshot_bytes {
            (progress.entries, progress.bytes) = (0, 0);
            progress.times_due += 1;
        }
        if self.is_stable && progress.overdue.is_none() && progress.is_overdue() {
            progress.overdue = Some(known.now);
        }
        Ok(())
    }

    fn stepped(&mut self, known: &Known, status: &Status) -> CheckResult {
        let slot = known.model.slot(status.id);
        let progress = &mut self.nodes[slot.0];
        if let Some((base, steps)) = &mut progress.base {
            *steps += 1;
            if status.base >= *base {
                progress.base = None;
            } else if *steps > 2 {
                return S44.violated(format!(
                    "{} keeps the log after index {}, but should have dropped the entries up to \
                     index {base}, which its snapshots replace",
                    status.id, status.base
                ));
            }
        }
        let Some(since) = progress.overdue else { return Ok(()) };
        // A node may wait for a source up to three times as long as a source needs to serve every
        // node.
        let snapshots = 2 + 3 * known.model.nodes.len() as u64;
        let volume =
            Volume { snapshot_bytes: snapshots * self.snapshot_bytes, ..Volume::default() };
        let costs = &known.bounds.costs;
        let config = &known.bounds.replica;
        let bound = known.bounds.config.election_timeout_max
            + config.space_retry * RETRY_FACTOR_MAX
            + config.part_timeout * PART_TIMEOUTS_MAX
            + costs.flush * FLUSHES
            + costs.transfer_time(volume, &known.bounds.config);
        if !known.is_in_core(slot) || known.now.since(since) <= bound {
            return Ok(());
        }
        let (id, SnapshotProgress { times_due, last, .. }) = (status.id, progress);
        L9.violated(format!(
            "{id} has taken no snapshot within {bound:?} after {since} s: one was due {times_due} \
             times since its last one, which ends at index {last}"
        ))
    }
}

impl OwnSnapshots {
    /// Restarts the counts since the last snapshot, because the node may take no snapshot now.
    fn restart(&mut self, known: &Known, node: NodeId) {
        let progress = &mut self.nodes[known.model.slot(node).0];
        let SnapshotProgress { last, base, ahead_through, is_damaged, .. } = *progress;
        *progress = SnapshotProgress {
            last,
            base,
            ahead_through,
            is_damaged,
            ..SnapshotProgress::default()
        };
    }
}

impl SnapshotProgress {
    fn is_overdue(&self) -> bool {
        self.times_due >= OVERDUE_TIMES
    }
}
