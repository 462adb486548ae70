//! All that one node counts of itself, where it happens.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};

use crate::raft::Refusal;
use crate::replica::{Node, Verdict};
use crate::runtime::metrics::labels::{BySort, Ending, ReadEnding, SnapshotStep, Sort};
use crate::runtime::metrics::network::NetworkCounts;
use crate::runtime::metrics::value::{COUNTS, Counter, Gauge, Histogram, Stopwatch};
use crate::storage::{ClusterId, DiskError, FileAction, Lane, Operation};
use crate::types::{Membership, NodeId, ReadLevel, RejectReason, RoleName, Term};

/// The points of the log's ladder, upwards.
pub(in crate::runtime) const LADDER: [&str; 6] =
    ["base", "snapshot", "applied", "committed", "durable", "last"];

/// Who does work beside the node.
pub(in crate::runtime) const LANES: [&str; 3] = ["log", "bulk", "machine"];

/// How often, at most, a leader's knowledge of its peers is looked at, in milliseconds.
const PEERS_EACH: u64 = 50;

/// What one node counts. Recording takes no lock, save for what is rare.
#[cfg_attr(not(feature = "metrics"), expect(dead_code, reason = "nobody may ask"))]
#[derive(Debug)]
pub(in crate::runtime) struct Counts {
    pub(in crate::runtime) node: NodeId,
    pub(in crate::runtime) cluster: ClusterId,
    start: Stopwatch,
    pub(in crate::runtime) state: StateGauges,
    pub(in crate::runtime) events: EventCounts,
    pub(in crate::runtime) requests: RequestCounts,
    pub(in crate::runtime) disk: DiskCounts,
    pub(in crate::runtime) network: NetworkCounts,
    /// When the peers were looked at last, and whether the node led then.
    peers_seen: AtomicU64,
    led: AtomicBool,
}

/// How the node is now.
#[derive(Debug, Default)]
pub(in crate::runtime) struct StateGauges {
    /// The role's number, the term, and the leader it follows: 0 if it knows none.
    pub(in crate::runtime) role: Gauge,
    pub(in crate::runtime) term: Gauge,
    pub(in crate::runtime) leader: Gauge,
    pub(in crate::runtime) log: [Gauge; LADDER.len()],
    pub(in crate::runtime) tail_bytes: Gauge,
    pub(in crate::runtime) unapplied_bytes: Gauge,
    pub(in crate::runtime) outbox: Gauge,
    pub(in crate::runtime) reads_waiting: Gauge,
    pub(in crate::runtime) requests_waiting: Gauge,
    pub(in crate::runtime) disk_full: Gauge,
    pub(in crate::runtime) standing: Gauge,
    pub(in crate::runtime) voters: Gauge,
    pub(in crate::runtime) learners: Gauge,
    pub(in crate::runtime) stopped: Gauge,
}

/// What happened to the node.
#[derive(Debug, Default)]
pub(in crate::runtime) struct EventCounts {
    pub(in crate::runtime) leader_changes: Counter,
    pub(in crate::runtime) roles: BySort<RoleName>,
    pub(in crate::runtime) refusals: BySort<Refusal>,
    pub(in crate::runtime) verdicts: BySort<Verdict>,
    pub(in crate::runtime) snapshots: BySort<SnapshotStep>,
}

/// What users asked for, and what came of it.
#[derive(Debug, Default)]
pub(in crate::runtime) struct RequestCounts {
    pub(in crate::runtime) proposals: BySort<Ending>,
    pub(in crate::runtime) proposal_times: Histogram,
    pub(in crate::runtime) reads: BySort<(ReadLevel, ReadEnding)>,
    pub(in crate::runtime) read_times: Histogram,
    pub(in crate::runtime) rejections: BySort<RejectReason>,
}

/// What the threads beside the node do.
#[derive(Debug, Default)]
pub(in crate::runtime) struct DiskCounts {
    /// What each lane has to do, what it does now included.
    pub(in crate::runtime) depths: [Gauge; LANES.len()],
    /// From when a sync of the log is asked for to its end.
    pub(in crate::runtime) flush_times: Histogram,
    /// What one operation takes by itself.
    pub(in crate::runtime) operation_times: Histogram,
    /// From when a batch is handed to the state machine to its end.
    pub(in crate::runtime) apply_times: Histogram,
    pub(in crate::runtime) operations: BySort<FileAction>,
    pub(in crate::runtime) errors: BySort<DiskError>,
    pub(in crate::runtime) written_bytes: Counter,
}

impl Counts {
    pub(in crate::runtime) fn new(node: NodeId, cluster: ClusterId) -> Counts {
        Counts {
            node,
            cluster,
            start: Stopwatch::start(),
            state: StateGauges::default(),
            events: EventCounts::default(),
            requests: RequestCounts::default(),
            disk: DiskCounts::default(),
            network: NetworkCounts::default(),
            peers_seen: AtomicU64::default(),
            led: AtomicBool::default(),
        }
    }

    /// Milliseconds since the start.
    pub(in crate::runtime) fn milliseconds(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The node is so now.
    pub(in crate::runtime) fn observe(&self, node: &Node) {
        if !COUNTS {
            return;
        }
        let (status, state) = (node.status(), &self.state);
        state.role.set(status.role.number() as u64);
        state.term.set(status.term.0);
        state.leader.set(status.leader.map_or(0, |leader| leader.0));
        let ladder = [
            status.base,
            status.snapshot,
            status.applied,
            status.committed,
            status.durable,
            status.last.index,
        ];
        for (gauge, index) in state.log.iter().zip(ladder) {
            gauge.set(index.0);
        }
        state.tail_bytes.set(status.tail_bytes as u64);
        state.unapplied_bytes.set(status.unapplied_bytes as u64);
        state.outbox.set(status.outbox_messages as u64);
        state.reads_waiting.set(status.reads_waiting as u64);
        state.requests_waiting.set(node.requests_waiting() as u64);
        state.disk_full.set(status.disk_full.into());
        state.standing.set(node.standing().number() as u64);
        let (taken, received) = node.snapshots_come();
        self.events.snapshots.raise(&SnapshotStep::Taken, taken);
        self.events.snapshots.raise(&SnapshotStep::Received, received);

        // Whoever ceases to lead must not go on telling how its peers are.
        let (now, leads) = (self.milliseconds(), status.role == RoleName::Leader);
        let due = leads && now >= self.peers_seen.load(Relaxed) + PEERS_EACH;
        if due || leads != self.led.swap(leads, Relaxed) {
            self.peers_seen.store(now, Relaxed);
            self.network.observe(&node.peers());
        }
    }

    /// These count.
    pub(in crate::runtime) fn membership(&self, membership: &Membership) {
        self.state.voters.set(membership.voters().count() as u64);
        self.state.learners.set(membership.learners().count() as u64);
    }

    /// The node has another role, term or leader; `before` is the leader and term until now.
    pub(in crate::runtime) fn role(
        &self,
        role: RoleName,
        (term, leader): (Term, Option<NodeId>),
        before: (Term, Option<NodeId>),
    ) {
        if leader.is_some() && (term, leader) != before {
            self.events.leader_changes.add(1);
        }
        self.events.roles.add(&role, 1);
    }

    /// Something that a user asked for has ended.
    pub(in crate::runtime) fn proposed(&self, ending: Ending, since: Stopwatch) {
        self.requests.proposals.add(&ending, 1);
        if matches!(ending, Ending::Done | Ending::MayBeLost) {
            self.requests.proposal_times.observe(since);
        }
    }

    /// A read has ended.
    pub(in crate::runtime) fn read(&self, level: ReadLevel, ending: ReadEnding, since: Stopwatch) {
        self.requests.reads.add(&(level, ending), 1);
        if matches!(ending, ReadEnding::Answered) {
            self.requests.read_times.observe(since);
        }
    }

    /// A disk operation is done, which was asked for at `asked` and begun at `begun`.
    pub(in crate::runtime) fn operated(
        &self,
        operation: &Operation,
        error: Option<&DiskError>,
        (asked, begun): (Stopwatch, Stopwatch),
    ) {
        let disk = &self.disk;
        disk.operations.add(&operation.action, 1);
        disk.operation_times.observe(begun);
        if let FileAction::Write { bytes, .. } = &operation.action {
            disk.written_bytes.add(bytes.len() as u64);
        }
        if operation.lane == Lane::Log && matches!(operation.action, FileAction::Sync { .. }) {
            disk.flush_times.observe(asked);
        }
        if let Some(error) = error {
            disk.errors.add(error, 1);
        }
    }
}
