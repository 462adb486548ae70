//! What a node has counted, as the program around it sees it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use crate::runtime::metrics::counts::Counts;
use crate::runtime::metrics::value::{BOUNDS, Histogram};
use crate::types::{Index, NodeId, RoleName, Term};

/// What a node counts, live: reading it costs the node nothing. Clones share it.
///
/// [`Metrics::text`] is what a Prometheus server wants to be told. A program with a registry of its
/// own adds this to it, for it is a [`Collector`](prometheus_client::collector::Collector):
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

/// How a node was when it last did something, which is an election timeout ago at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glance {
    /// The node.
    pub id: NodeId,
    /// What it does.
    pub role: RoleName,
    /// Its term.
    pub term: Term,
    /// The leader it follows, itself included.
    pub leader: Option<NodeId>,
    /// The last index its state machine has applied.
    pub applied: Index,
    /// The last index known to be committed.
    pub committed: Index,
    /// Whether it has stopped for good.
    pub stopped: bool,
}

/// What this node knows of its way to a peer and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The peer.
    pub peer: NodeId,
    /// How long ago it said something; none if it never did.
    pub heard: Option<Duration>,
    /// On how many lanes this node has a connection to it now, out of three. A connection is made
    /// when there is something to say.
    pub connected: u32,
    /// How many packets wait for it.
    pub waiting: usize,
    /// How many packets for it were lost before they left, since the start.
    pub lost: u64,
}

/// Sums since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Proposals that were done, those included that may be lost.
    pub proposals_done: u64,
    /// Proposals that were rejected or are unknown.
    pub proposals_failed: u64,
    /// Reads that were answered.
    pub reads_answered: u64,
    /// Reads that were rejected.
    pub reads_rejected: u64,
    /// Packets written to peers.
    pub packets_sent: u64,
    /// Packets that came from peers.
    pub packets_received: u64,
    /// Bytes of the former.
    pub bytes_sent: u64,
    /// Bytes of the latter.
    pub bytes_received: u64,
}

/// What takes its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timed {
    /// Proposals that were done, from being asked for.
    Proposal,
    /// Reads that were answered, from being asked for.
    Read,
    /// Syncs of the log, from being asked for.
    Flush,
    /// Each disk operation by itself.
    Disk,
    /// Batches that the state machine applied, from being handed over.
    Apply,
}

/// How long something took, since the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latencies {
    /// How often it took how long; shortest first.
    pub buckets: Vec<Bucket>,
    /// How long it took altogether.
    pub sum: Duration,
}

/// How often something took more than the bucket before says, and at most so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// So long; none is longer than all others.
    pub up_to: Option<Duration>,
    /// How often.
    pub count: u64,
}

impl Metrics {
    /// The media type of [`Metrics::text`].
    pub const CONTENT_TYPE: &'static str =
        "application/openmetrics-text; version=1.0.0; charset=utf-8";

    pub(in crate::runtime) fn new(counts: Arc<Counts>) -> Metrics {
        Metrics(counts)
    }

    /// All of it in the OpenMetrics text format.
    #[must_use]
    pub fn text(&self) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self.clone()));
        let mut text = String::new();
        encode(&mut text, &registry).expect("a string takes every text");
        text
    }

    /// How the node is. Costs a few loads.
    #[must_use]
    pub fn glance(&self) -> Glance {
        let state = &self.0.state;
        let role = usize::try_from(state.role.get()).unwrap_or(0);
        let leader = state.leader.get();
        let [_, _, applied, committed, _, _] = &state.log;
        Glance {
            id: self.0.node,
            role: RoleName::ALL[role],
            term: Term(state.term.get()),
            leader: (leader != 0).then_some(NodeId(leader)),
            applied: Index(applied.get()),
            committed: Index(committed.get()),
            stopped: state.stopped.get() != 0,
        }
    }

    /// The way to each peer; at most 64 have figures of their own.
    #[must_use]
    pub fn links(&self) -> Vec<Link> {
        let now = self.0.milliseconds();
        let peers = self.0.network.peers().into_iter();
        let links = peers.map(|(peer, counts)| {
            let heard = counts.heard.get();
            let connected = counts.connected.iter().filter(|gauge| gauge.get() > 0).count();
            Link {
                peer,
                heard: (heard > 0).then(|| Duration::from_millis(now.saturating_sub(heard))),
                connected: u32::try_from(connected).unwrap_or(u32::MAX),
                waiting: counts.waiting().iter().map(|(_, waiting)| waiting).sum(),
                lost: counts.losses.counts().map(|(_, count)| count).sum(),
            }
        });
        links.collect()
    }

    /// Sums since the start.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let (requests, network) = (&self.0.requests, &self.0.network);
        let mut totals = Totals::default();
        for (ending, count) in requests.proposals.counts() {
            match ending {
                "done" | "may_be_lost" => totals.proposals_done += count,
                _ => totals.proposals_failed += count,
            }
        }
        for (ending, count) in requests.reads.counts() {
            match ending.ends_with("answered") {
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

    /// How long something took.
    #[must_use]
    pub fn latencies(&self, timed: Timed) -> Latencies {
        let histogram = self.histogram(timed);
        let bounds = BOUNDS.iter().map(|bound| Some(Duration::from_micros(*bound)));
        let bounds = bounds.chain(std::iter::once(None));
        let buckets = bounds.zip(histogram.buckets());
        Latencies {
            buckets: buckets.map(|(up_to, count)| Bucket { up_to, count }).collect(),
            sum: histogram.sum(),
        }
    }

    fn histogram(&self, timed: Timed) -> &Histogram {
        match timed {
            Timed::Proposal => &self.0.requests.proposal_times,
            Timed::Read => &self.0.requests.read_times,
            Timed::Flush => &self.0.disk.flush_times,
            Timed::Disk => &self.0.disk.operation_times,
            Timed::Apply => &self.0.disk.apply_times,
        }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Metrics").field(&self.0.node).finish()
    }
}
