//! The public interface to the metrics of a node.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use crate::runtime::lock::lock;
use crate::runtime::metrics::counts::Counts;
use crate::runtime::metrics::value::{BUCKET_BOUNDS_MICROSECONDS, Histogram};
use crate::runtime::write_obstacle::WriteObstacle;
use crate::types::{Index, NodeId, RoleName, Term};

/// The live metrics of a node. Reading them does not wait for the node's driver. Clones share them.
///
/// [`Metrics::text`] returns the text for a Prometheus server. A program that has its own registry
/// can register these metrics as a [`Collector`](prometheus_client::collector::Collector):
///
/// ```no_run
/// # fn add(handle: &quorate::runtime::Handle) {
/// use prometheus_client::registry::Registry;
///
/// let mut registry = Registry::default();
/// registry.register_collector(Box::new(handle.metrics()));
/// # }
/// ```
#[derive(Clone)]
pub struct Metrics(pub(super) Arc<Counts>);

/// The state of a node when its driver last ran: at most a second ago, unless the node has stopped
/// or is stuck (see `idle`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeSummary {
    /// The id of the node.
    pub id: NodeId,
    /// The role of the node.
    pub role: RoleName,
    /// The current term of the node.
    pub term: Term,
    /// The leader that the node follows, itself included; `None` if it knows no leader.
    pub leader: Option<NodeId>,
    /// The last index its state machine has applied.
    pub applied: Index,
    /// The last index known to be committed.
    pub committed: Index,
    /// Whether the node has stopped permanently.
    pub stopped: bool,
    /// The time since the node's driver last ran; it runs at least once a second. Several seconds
    /// mean that the driver is stuck, or has stopped.
    pub idle: Duration,
    /// The reason for which no write can succeed, as far as this node knows; `None` if writes can.
    pub write_obstacle: Option<WriteObstacle>,
}

/// The connections between this node and one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerLink {
    /// The id of the peer.
    pub peer: NodeId,
    /// The time since the last frame on a connection that the peer made to this node; `None` before
    /// the first one.
    pub silence: Option<Duration>,
    /// The number of lanes, out of three, on which this node is connected to the peer. Connections
    /// are opened on demand.
    pub connected_lanes: u32,
    /// The number of packets that wait to be sent to the peer.
    pub queued_packets: usize,
    /// The number of packets to the peer that were dropped before they were sent, since the start.
    pub dropped_packets: u64,
}

/// The totals since the start of the node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// The proposals whose entries were committed and applied, even if the command was not
    /// executed, for example because its session had expired; and the proposals that were appended
    /// with [`Acknowledge::LeaderOnly`](crate::types::Acknowledge::LeaderOnly).
    pub proposals_done: u64,
    /// The proposals that the node, its client service or the state machine rejected, or whose
    /// outcome is unknown.
    pub proposals_failed: u64,
    /// The reads that were answered.
    pub reads_answered: u64,
    /// The reads that were rejected, or otherwise not answered.
    pub reads_rejected: u64,
    /// The packets that were sent to peers.
    pub packets_sent: u64,
    /// The packets that were received from peers.
    pub packets_received: u64,
    /// The bytes of the sent packets.
    pub bytes_sent: u64,
    /// The bytes of the received packets.
    pub bytes_received: u64,
}

/// The durations that are recorded in histograms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LatencyMetric {
    /// From the request of a proposal until it is committed and applied, or appended with
    /// [`Acknowledge::LeaderOnly`](crate::types::Acknowledge::LeaderOnly).
    Proposal,
    /// From the request of a read until it is answered.
    Read,
    /// From the request of a sync in the lane of the log and the superblock until it is done.
    Flush,
    /// The execution of one disk operation.
    DiskOperation,
    /// From queueing a batch of commands until the state machine has applied it.
    Apply,
}

/// A histogram of durations since the start of the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LatencyHistogram {
    /// The buckets, in ascending order of their bounds.
    pub buckets: Vec<Bucket>,
    /// The sum of all durations.
    pub sum: Duration,
}

/// The number of durations above the bound of the previous bucket and up to this bucket's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// The inclusive upper bound; `None` for the last bucket, which is unbounded.
    pub upper_bound: Option<Duration>,
    /// The number of durations in the bucket.
    pub count: u64,
}

impl Metrics {
    /// The media type of [`Metrics::text`].
    pub const CONTENT_TYPE: &'static str =
        "application/openmetrics-text; version=1.0.0; charset=utf-8";

    pub(in crate::runtime) fn new(counts: Arc<Counts>) -> Metrics {
        Metrics(counts)
    }

    /// Returns all metrics in the OpenMetrics text format.
    #[must_use]
    pub fn text(&self) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self.clone()));
        let mut text = String::new();
        encode(&mut text, &registry).expect("writing to a string does not fail");
        text
    }

    /// Returns the state of the node when its driver last ran, without waiting for the driver.
    #[must_use]
    pub fn summary(&self) -> NodeSummary {
        let state = &self.0.state;
        let role = usize::try_from(state.role.get()).unwrap_or(0);
        let leader = state.leader.get();
        let [_, _, applied, committed, _, _] = &state.log;
        NodeSummary {
            id: self.0.node,
            role: RoleName::ALL[role],
            term: Term(state.term.get()),
            leader: (leader != 0).then_some(NodeId(leader)),
            applied: Index(applied.get()),
            committed: Index(committed.get()),
            stopped: state.stopped.get() != 0,
            idle: Duration::from_millis(self.0.idle_milliseconds()),
            write_obstacle: *lock(&state.write_obstacle),
        }
    }

    /// Returns the connections to each peer, for at most 64 peers.
    #[must_use]
    pub fn peer_links(&self) -> Vec<PeerLink> {
        let now = self.0.milliseconds();
        let peers = self.0.network.peers().into_iter();
        let links = peers.map(|(peer, counts)| {
            let last_heard = counts.last_heard.get();
            let connected_lanes = counts.connected.iter().filter(|gauge| gauge.get() > 0).count();
            PeerLink {
                peer,
                silence: (last_heard > 0)
                    .then(|| Duration::from_millis(now.saturating_sub(last_heard))),
                connected_lanes: u32::try_from(connected_lanes).unwrap_or(u32::MAX),
                queued_packets: counts.waiting().iter().map(|(_, waiting)| waiting).sum(),
                dropped_packets: counts.dropped.counts().map(|(_, count)| count).sum(),
            }
        });
        links.collect()
    }

    /// Returns the totals since the start of the node.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let (requests, network) = (&self.0.requests, &self.0.network);
        let mut totals = Totals::default();
        for (outcome, count) in requests.proposals.counts() {
            match outcome {
                "done" | "may_be_lost" => totals.proposals_done += count,
                _ => totals.proposals_failed += count,
            }
        }
        for (outcome, count) in requests.reads.counts() {
            match outcome.ends_with("answered") {
                true => totals.reads_answered += count,
                false => totals.reads_rejected += count,
            }
        }
        totals.packets_sent = network.sent.counts().map(|(_, count)| count).sum();
        totals.packets_received = network.received.counts().map(|(_, count)| count).sum();
        totals.bytes_sent = network.sent_bytes.counts().map(|(_, count)| count).sum();
        totals.bytes_received = network.received_bytes.counts().map(|(_, count)| count).sum();
        totals
    }

    /// Returns the histogram of one kind of duration.
    #[must_use]
    pub fn latency(&self, timed: LatencyMetric) -> LatencyHistogram {
        let histogram = self.histogram(timed);
        let bounds =
            BUCKET_BOUNDS_MICROSECONDS.iter().map(|bound| Some(Duration::from_micros(*bound)));
        let bounds = bounds.chain(std::iter::once(None));
        let buckets = bounds.zip(histogram.buckets());
        LatencyHistogram {
            buckets: buckets.map(|(up_to, count)| Bucket { upper_bound: up_to, count }).collect(),
            sum: histogram.sum(),
        }
    }

    fn histogram(&self, timed: LatencyMetric) -> &Histogram {
        match timed {
            LatencyMetric::Proposal => &self.0.requests.proposal_times,
            LatencyMetric::Read => &self.0.requests.read_times,
            LatencyMetric::Flush => &self.0.disk.flush_times,
            LatencyMetric::DiskOperation => &self.0.disk.operation_times,
            LatencyMetric::Apply => &self.0.disk.apply_times,
        }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Metrics").field(&self.0.node).finish()
    }
}
