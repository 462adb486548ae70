//! The metrics of one node, recorded where the events happen.

use std::sync::Mutex;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};

use crate::raft::MessageRejectReason;
use crate::replica::{ComparisonResult, Node};
use crate::runtime::lock::lock;
use crate::runtime::metrics::labels::{
    CountersByLabel, Label, ProposalEnd, ReadEnd, RequestMetric, SnapshotStep,
};
use crate::runtime::metrics::network::NetworkCounts;
use crate::runtime::metrics::value::{Counter, ENABLED, Gauge, Histogram, Stopwatch};
use crate::runtime::write_obstacle::{CommitProgress, UnknownDisk, WriteObstacle};
use crate::storage::{ClusterId, DiskError, FileAction, Lane, Operation};
use crate::types::{
    Index, MachineUsage, Membership, NodeId, PeerStatus, QuotaUsage, ReadLevel, RejectReason,
    RoleCause, RoleName, Status,
};
use crate::wire::{ReplyBody, ServiceRejectReason};

/// The points of the log, in ascending order, except that `durable` may be anywhere up to `last`,
/// and `applied` before `snapshot` until the state machine is restored from that snapshot.
pub(in crate::runtime) const LOG_POINTS: [&str; 6] =
    ["base", "snapshot", "applied", "committed", "durable", "last"];

/// The lanes outside the driver, by their numbers.
pub(in crate::runtime) const LANES: [&str; 3] = ["log", "bulk", "machine"];

/// The shortest interval at which a leader's view of its peers is recorded, in milliseconds.
const PEERS_INTERVAL_MILLISECONDS: u64 = 50;

/// The metrics of one node. Requests, transferred packets and disk operations are counted without a
/// lock.
#[cfg_attr(not(feature = "metrics"), expect(dead_code, reason = "read only with the feature"))]
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
    /// The time of the last recording of the leader's view of its peers, in milliseconds since the
    /// start.
    peers_observed_at: AtomicU64,
    /// Whether the node led after the last turn of the driver.
    was_leader: AtomicBool,
    /// The time at which the driver last ran, in milliseconds since the start.
    observed_at: AtomicU64,
    commit_progress: CommitProgress,
    unknown_disk: UnknownDisk,
}

/// Gauges of the current state of the node.
#[derive(Debug, Default)]
pub(in crate::runtime) struct StateGauges {
    /// The number of the role, the term, and the leader that the node follows; 0 if it knows none.
    pub(in crate::runtime) role: Gauge,
    pub(in crate::runtime) term: Gauge,
    pub(in crate::runtime) leader: Gauge,
    pub(in crate::runtime) log: [Gauge; LOG_POINTS.len()],
    pub(in crate::runtime) tail_bytes: Gauge,
    pub(in crate::runtime) unapplied_bytes: Gauge,
    pub(in crate::runtime) outbox: Gauge,
    pub(in crate::runtime) reads_waiting: Gauge,
    pub(in crate::runtime) requests_pending: Gauge,
    pub(in crate::runtime) disk_full: Gauge,
    pub(in crate::runtime) damaged_entries: Gauge,
    pub(in crate::runtime) log_uncertain: Gauge,
    pub(in crate::runtime) verification: Gauge,
    /// The version of the rules by which the node applies, and the highest that its build has, each
    /// with the part of the user's state machine before that of the library.
    pub(in crate::runtime) version: [Gauge; 2],
    pub(in crate::runtime) version_max: [Gauge; 2],
    pub(in crate::runtime) voters: Gauge,
    pub(in crate::runtime) learners: Gauge,
    pub(in crate::runtime) stopped: Gauge,
    /// The obstacle to writes when it was last determined: a leader does so at most once in
    /// [`PEERS_INTERVAL_MILLISECONDS`], other nodes at each turn of the driver.
    pub(in crate::runtime) write_obstacle: Mutex<Option<WriteObstacle>>,
    pub(in crate::runtime) usage: UsageGauges,
}

/// Gauges of the memory that the client sessions and the user's state take. Without a quota those
/// of the quota are 0.
#[derive(Debug, Default)]
pub(in crate::runtime) struct UsageGauges {
    pub(in crate::runtime) sessions: Gauge,
    pub(in crate::runtime) requests: Gauge,
    pub(in crate::runtime) replies_bytes: Gauge,
    pub(in crate::runtime) state_bytes: Gauge,
    pub(in crate::runtime) quota_bytes: Gauge,
    pub(in crate::runtime) quota_alarm: Gauge,
}

/// Counters of events of the node.
#[derive(Debug, Default)]
pub(in crate::runtime) struct EventCounts {
    pub(in crate::runtime) leader_changes: Counter,
    pub(in crate::runtime) roles: CountersByLabel<RoleName>,
    pub(in crate::runtime) role_causes: CountersByLabel<RoleCause>,
    pub(in crate::runtime) rejected_messages: CountersByLabel<MessageRejectReason>,
    pub(in crate::runtime) comparisons: CountersByLabel<ComparisonResult>,
    pub(in crate::runtime) snapshots: CountersByLabel<SnapshotStep>,
    pub(in crate::runtime) scrubbed_bytes: Counter,
    pub(in crate::runtime) scrub_passes: Counter,
    pub(in crate::runtime) superblock_repairs: Counter,
}

/// The requests of clients and of the program, by outcome.
#[derive(Debug, Default)]
pub(in crate::runtime) struct RequestCounts {
    pub(in crate::runtime) proposals: CountersByLabel<ProposalEnd>,
    pub(in crate::runtime) proposal_times: Histogram,
    pub(in crate::runtime) reads: CountersByLabel<(ReadLevel, ReadEnd)>,
    pub(in crate::runtime) read_times: Histogram,
    pub(in crate::runtime) rejected: CountersByLabel<RejectReason>,
    /// The requests that the service rejected.
    pub(in crate::runtime) rejected_by_service: CountersByLabel<ServiceRejectReason>,
}

/// The work of the lanes outside the driver.
#[derive(Debug, Default)]
pub(in crate::runtime) struct DiskCounts {
    /// The jobs in each lane, including the running one.
    pub(in crate::runtime) depths: [Gauge; LANES.len()],
    /// The time of each sync in the lane of the log and the superblock, from being queued until it
    /// is done.
    pub(in crate::runtime) flush_times: Histogram,
    /// The execution time of each disk operation.
    pub(in crate::runtime) operation_times: Histogram,
    /// The time of each batch of commands, from being queued until it is applied.
    pub(in crate::runtime) apply_times: Histogram,
    pub(in crate::runtime) operations: CountersByLabel<FileAction>,
    pub(in crate::runtime) errors: CountersByLabel<DiskError>,
    pub(in crate::runtime) written_bytes: Counter,
    /// 1 while the node records; the bytes written to the recording, and the blocks it dropped.
    pub(in crate::runtime) recording: Gauge,
    pub(in crate::runtime) recording_bytes: Counter,
    pub(in crate::runtime) recording_dropped: Counter,
}

impl StateGauges {
    fn set(&self, status: &Status) {
        self.role.set(status.role.number() as u64);
        self.term.set(status.term.0);
        self.leader.set(status.leader.map_or(0, |leader| leader.0));
        let points = [
            status.base,
            status.snapshot,
            status.applied,
            status.committed,
            status.durable,
            status.last.index,
        ];
        for (gauge, index) in self.log.iter().zip(points) {
            gauge.set(index.0);
        }
        self.tail_bytes.set(status.tail_bytes as u64);
        self.unapplied_bytes.set(status.unapplied_bytes as u64);
        self.outbox.set(status.outbox_messages as u64);
        self.reads_waiting.set(status.reads_waiting as u64);
        self.disk_full.set(status.disk_full.into());
        self.damaged_entries.set(status.damaged_entries as u64);
        self.log_uncertain.set(status.is_uncertain.into());
    }
}

impl UsageGauges {
    fn set(&self, usage: &MachineUsage) {
        self.sessions.set(usage.sessions);
        self.requests.set(usage.requests);
        self.replies_bytes.set(usage.replies_bytes);
        if let Some(QuotaUsage { used_bytes, bytes_max, alarm }) = usage.quota {
            self.state_bytes.set(used_bytes);
            self.quota_bytes.set(bytes_max);
            self.quota_alarm.set(alarm.into());
        }
    }
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
            peers_observed_at: AtomicU64::default(),
            was_leader: AtomicBool::default(),
            observed_at: AtomicU64::default(),
            commit_progress: CommitProgress::default(),
            unknown_disk: UnknownDisk::default(),
        }
    }

    /// Returns the milliseconds since the start.
    pub(in crate::runtime) fn milliseconds(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Returns the milliseconds since the driver last ran.
    #[cfg(feature = "metrics")]
    pub(in crate::runtime) fn idle_milliseconds(&self) -> u64 {
        self.milliseconds().saturating_sub(self.observed_at.load(Relaxed))
    }

    /// Records the current state of the node; called after each turn of the driver, at least once a
    /// second.
    pub(in crate::runtime) fn observe(&self, node: &Node, status: &Status) {
        if !ENABLED {
            return;
        }
        let state = &self.state;
        state.set(status);
        state.requests_pending.set(node.requests_pending() as u64);
        state.verification.set(node.verification().number() as u64);
        let versions = [
            (&state.version, node.usage().version),
            (&state.version_max, node.raft().version_max()),
        ];
        for ([user, library], version) in versions {
            user.set(version.user.into());
            library.set(version.library.into());
        }
        state.usage.set(&node.usage());
        let counts = node.snapshot_counts();
        for (step, count) in [
            (SnapshotStep::Taken, counts.taken),
            (SnapshotStep::Received, counts.received),
            (SnapshotStep::TakeFailed, counts.take_failed),
            (SnapshotStep::ReceiveFailed, counts.receive_failed),
            (SnapshotStep::PartCorrupt, counts.parts_corrupt),
        ] {
            self.events.snapshots.raise(&step, count);
        }
        let (bytes, passes) = node.scrub_counts();
        self.events.scrubbed_bytes.raise(bytes);
        self.events.scrub_passes.raise(passes);

        // A node that has lost the leadership must remove its view of the peers.
        let (now, is_leader) = (self.milliseconds(), status.role == RoleName::Leader);
        self.observed_at.store(now, Relaxed);
        let is_stalled = self.commit_progress.is_stalled(status, now);
        if self.peers_are_due(is_leader, now) {
            let peers = node.peers();
            self.network.observe(&peers);
            self.observe_obstacle(node, status, &peers, is_stalled);
        } else if !is_leader {
            self.observe_obstacle(node, status, &[], is_stalled);
        }
    }

    /// Returns true if the leader's view of its peers must be recorded, or that of a former leader
    /// removed.
    fn peers_are_due(&self, is_leader: bool, now: u64) -> bool {
        let has_changed = is_leader != self.was_leader.swap(is_leader, Relaxed);
        let next = self.peers_observed_at.load(Relaxed) + PEERS_INTERVAL_MILLISECONDS;
        let is_due = has_changed || (is_leader && now >= next);
        if is_due {
            self.peers_observed_at.store(now, Relaxed);
        }
        is_due
    }

    fn observe_obstacle(
        &self,
        node: &Node,
        status: &Status,
        peers: &[PeerStatus],
        is_stalled: bool,
    ) {
        let membership = node.raft().log().membership();
        let disk_is_unknown = self.unknown_disk.is_reported(status.committed);
        let obstacle = disk_is_unknown.then_some(WriteObstacle::UnknownDisk);
        let obstacle =
            obstacle.or_else(|| WriteObstacle::of(status, node.verification(), membership, peers));
        let obstacle = obstacle.or(is_stalled.then_some(WriteObstacle::NothingCommitted));
        *lock(&self.state.write_obstacle) = obstacle;
    }

    /// Records that the cluster knows another disk for this node.
    pub(in crate::runtime) fn disk_is_unknown(&self, committed: Index) {
        self.unknown_disk.record(committed);
    }

    /// Records the active membership.
    pub(in crate::runtime) fn set_membership(&self, membership: &Membership) {
        self.state.voters.set(membership.voters().count() as u64);
        self.state.learners.set(membership.learners().count() as u64);
        self.network.set_membership(membership);
    }

    /// Records a change of role, term or leader, and whether a leader of a term became known.
    pub(in crate::runtime) fn role_changed(
        &self,
        role: RoleName,
        cause: RoleCause,
        is_new_leader: bool,
    ) {
        if is_new_leader {
            self.events.leader_changes.add(1);
        }
        self.events.roles.add(&role, 1);
        self.events.role_causes.add(&cause, 1);
    }

    /// Records the reply to a request.
    pub(in crate::runtime) fn request_ended(
        &self,
        metric: RequestMetric,
        since: Stopwatch,
        reply: &ReplyBody,
    ) {
        let requests = &self.requests;
        match metric {
            RequestMetric::Proposal => {
                let end = ProposalEnd::of(reply);
                requests.proposals.add(&end, 1);
                if matches!(end, ProposalEnd::Done | ProposalEnd::MayBeLost) {
                    requests.proposal_times.observe(since);
                }
            }
            RequestMetric::Read(level) => {
                let end = ReadEnd::of(reply);
                requests.reads.add(&(level, end), 1);
                if matches!(end, ReadEnd::Answered) {
                    requests.read_times.observe(since);
                }
            }
            RequestMetric::None => {}
        }
        match reply {
            ReplyBody::Rejected { reason, .. } => requests.rejected.add(reason, 1),
            ReplyBody::ServiceRejected(reason) => requests.rejected_by_service.add(reason, 1),
            _ => {}
        }
    }

    /// Records a disk operation. `queued_at` was started when the operation was queued, `started`
    /// when it began.
    pub(in crate::runtime) fn operation_done(
        &self,
        operation: &Operation,
        error: Option<&DiskError>,
        queued_at: Stopwatch,
        started: Stopwatch,
    ) {
        let disk = &self.disk;
        disk.operations.add(&operation.action, 1);
        disk.operation_times.observe(started);
        if let FileAction::Write { bytes, .. } = &operation.action {
            disk.written_bytes.add(bytes.len() as u64);
        }
        if operation.lane == Lane::Log && matches!(operation.action, FileAction::Sync { .. }) {
            disk.flush_times.observe(queued_at);
        }
        if let Some(error) = error {
            disk.errors.add(error, 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "metrics")]
    #[test]
    fn each_gauge_has_the_value_of_its_name() {
        use crate::raft::{Config, Raft};
        use crate::types::{EntryId, Instant, Restored, Term};

        let restored = Restored::fresh(Membership::new([NodeId(1)]));
        let raft = Raft::new(Config::new(NodeId(1)), restored, 7, Instant::ZERO);
        let status = Status {
            role: RoleName::Leader,
            term: Term(1),
            leader: Some(NodeId(2)),
            base: Index(3),
            snapshot: Index(4),
            applied: Index(5),
            committed: Index(6),
            durable: Index(7),
            last: EntryId::new(Term(1), Index(8)),
            tail_bytes: 9,
            unapplied_bytes: 10,
            outbox_messages: 11,
            reads_waiting: 12,
            damaged_entries: 13,
            ..raft.expect("a valid start").status()
        };
        let state = StateGauges::default();
        state.set(&status);
        let points =
            std::iter::zip(LOG_POINTS, &state.log).map(|(name, gauge)| (name, gauge.get()));
        let expected = [
            ("base", 3),
            ("snapshot", 4),
            ("applied", 5),
            ("committed", 6),
            ("durable", 7),
            ("last", 8),
        ];
        assert!(points.eq(expected));
        let gauges = [
            &state.role,
            &state.term,
            &state.leader,
            &state.tail_bytes,
            &state.unapplied_bytes,
            &state.outbox,
            &state.reads_waiting,
            &state.damaged_entries,
        ];
        assert_eq!(gauges.map(Gauge::get), [3, 1, 2, 9, 10, 11, 12, 13]);
        let flags = [(true, false), (false, true)].map(|(disk_full, is_uncertain)| {
            state.set(&Status { disk_full, is_uncertain, ..status });
            (state.disk_full.get(), state.log_uncertain.get())
        });
        assert_eq!(flags, [(1, 0), (0, 1)]);
    }

    #[test]
    fn the_view_of_a_leader_is_removed_with_its_leadership() {
        let counts = Counts::new(NodeId(1), ClusterId(7));
        assert!(!counts.peers_are_due(false, 100), "a follower has no view");
        assert!(counts.peers_are_due(true, 200), "the node has become leader");
        assert!(!counts.peers_are_due(true, 210));
        assert!(counts.peers_are_due(false, 220), "the node leads no longer");
        assert!(!counts.peers_are_due(false, 300));
        // That the node leads is recorded even if the interval has passed as well.
        assert!(counts.peers_are_due(true, 1000));
        assert!(counts.peers_are_due(false, 1001), "the node leads no longer");
    }
}
