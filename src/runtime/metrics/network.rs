//! The metrics of the connections and packets between a node and its peers and clients.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc::Sender;

use crate::runtime::metrics::labels::{CountersByLabel, DropReason};
use crate::runtime::metrics::value::{Counter, ENABLED, Gauge};
use crate::runtime::rejected_connections::RejectedConnections;
use crate::types::{NodeId, Packet, PeerStatus};

/// The most peers with metrics of their own: the first ones since the start, removed members
/// included. Further ones are not recorded, because a remote must not be able to exhaust the
/// memory.
const PEERS_MAX: usize = 64;

/// The lanes between nodes, by their numbers.
pub(in crate::runtime) const PEER_LANES: [&str; 3] = ["control", "log", "snapshot"];

/// The kinds of callers, by their numbers.
pub(in crate::runtime) const CALLERS: [&str; 2] = ["node", "client"];

/// The metrics of the network of one node.
#[derive(Debug, Default)]
pub(in crate::runtime) struct NetworkCounts {
    pub(in crate::runtime) sent: CountersByLabel<Packet>,
    pub(in crate::runtime) sent_bytes: CountersByLabel<Packet>,
    pub(in crate::runtime) received: CountersByLabel<Packet>,
    pub(in crate::runtime) received_bytes: CountersByLabel<Packet>,
    /// Accepted connections, by [`CALLERS`].
    pub(in crate::runtime) accepted: [Counter; CALLERS.len()],
    pub(in crate::runtime) open: [Gauge; CALLERS.len()],
    pub(in crate::runtime) rejected_connections: Arc<RejectedConnections>,
    peers: Mutex<BTreeMap<NodeId, Arc<PeerCounts>>>,
    queues: Mutex<Vec<WatchedQueue>>,
}

/// The metrics of one peer.
#[derive(Debug, Default)]
pub(in crate::runtime) struct PeerCounts {
    /// Whether this node leads, and so the next three gauges are valid.
    pub(in crate::runtime) has_progress: Gauge,
    pub(in crate::runtime) matched: Gauge,
    pub(in crate::runtime) inflight_bytes: Gauge,
    pub(in crate::runtime) suspected: Gauge,
    /// The time of the last received frame, in milliseconds since this node's start; 0 for never.
    pub(in crate::runtime) last_heard: Gauge,
    pub(in crate::runtime) dropped: CountersByLabel<DropReason>,
    pub(in crate::runtime) connected: [Gauge; PEER_LANES.len()],
    pub(in crate::runtime) failures: Counter,
    queues: Mutex<Vec<WatchedQueue>>,
}

/// A queue whose length is read on demand while the queue exists.
#[cfg_attr(not(feature = "metrics"), expect(dead_code, reason = "read only with the feature"))]
struct WatchedQueue {
    name: &'static str,
    waiting: Box<dyn Fn() -> Option<usize> + Send + Sync>,
}

/// Counts one open connection until it is dropped.
pub(in crate::runtime) struct OpenConnection<'a>(&'a Gauge);

impl NetworkCounts {
    /// Returns the metrics of one peer.
    pub(in crate::runtime) fn peer(&self, id: NodeId) -> Arc<PeerCounts> {
        if !ENABLED {
            return Arc::default();
        }
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        match peers.get(&id) {
            Some(peer) => Arc::clone(peer),
            None if peers.len() >= PEERS_MAX => Arc::default(),
            None => Arc::clone(peers.entry(id).or_default()),
        }
    }

    /// Reports the length of the queue as the metric of this queue name, while the queue exists.
    pub(in crate::runtime) fn watch<T: Send + 'static>(
        &self,
        name: &'static str,
        queue: &Sender<T>,
    ) {
        watch(&self.queues, name, queue);
    }

    /// Records the leader's view of its peers; an empty slice removes it.
    pub(in crate::runtime) fn observe(&self, statuses: &[PeerStatus]) {
        let peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, peer) in &*peers {
            let status = statuses.iter().find(|status| status.id == *id);
            peer.has_progress.set(status.is_some().into());
            if let Some(status) = status {
                peer.matched.set(status.matched.0);
                peer.inflight_bytes.set(status.inflight_bytes as u64);
                peer.suspected.set(status.suspected.into());
            }
        }
    }

    /// Records a packet that is about to be written, with its size in bytes.
    pub(in crate::runtime) fn sent(&self, packet: &Packet, bytes: usize) {
        self.sent.add(packet, 1);
        self.sent_bytes.add(packet, bytes as u64);
    }

    /// Records a received packet with its size in bytes.
    pub(in crate::runtime) fn received(&self, packet: &Packet, bytes: u64) {
        self.received.add(packet, 1);
        self.received_bytes.add(packet, bytes);
    }
}

impl PeerCounts {
    /// Reports the length of the queue of this lane to the peer.
    pub(in crate::runtime) fn watch<T: Send + 'static>(
        &self,
        lane: &'static str,
        queue: &Sender<T>,
    ) {
        watch(&self.queues, lane, queue);
    }
}

impl<'a> OpenConnection<'a> {
    pub(in crate::runtime) fn count(gauge: &'a Gauge) -> OpenConnection<'a> {
        gauge.increment();
        OpenConnection(gauge)
    }
}

impl Drop for OpenConnection<'_> {
    fn drop(&mut self) {
        self.0.decrement();
    }
}

/// Adds a queue to the watched ones, without keeping it open.
fn watch<T: Send + 'static>(
    queues: &Mutex<Vec<WatchedQueue>>,
    name: &'static str,
    queue: &Sender<T>,
) {
    if !ENABLED {
        return;
    }
    let queue = queue.downgrade();
    let waiting = move || {
        let queue = queue.upgrade()?;
        Some(queue.max_capacity() - queue.capacity())
    };
    let mut queues = queues.lock().unwrap_or_else(PoisonError::into_inner);
    queues.retain(|queue| queue.name != name);
    queues.push(WatchedQueue { name, waiting: Box::new(waiting) });
}

#[cfg(feature = "metrics")]
impl NetworkCounts {
    /// Returns every peer that has metrics of its own.
    pub(in crate::runtime) fn peers(&self) -> Vec<(NodeId, Arc<PeerCounts>)> {
        let peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        peers.iter().map(|(id, peer)| (*id, Arc::clone(peer))).collect()
    }

    /// Returns the length of each watched queue.
    pub(in crate::runtime) fn waiting(&self) -> Vec<(&'static str, usize)> {
        waiting(&self.queues)
    }
}

#[cfg(feature = "metrics")]
impl PeerCounts {
    /// Returns the length of the queue of each lane.
    pub(in crate::runtime) fn waiting(&self) -> Vec<(&'static str, usize)> {
        waiting(&self.queues)
    }
}

#[cfg(feature = "metrics")]
fn waiting(queues: &Mutex<Vec<WatchedQueue>>) -> Vec<(&'static str, usize)> {
    let queues = queues.lock().unwrap_or_else(PoisonError::into_inner);
    queues.iter().map(|queue| (queue.name, (queue.waiting)().unwrap_or(0))).collect()
}

impl fmt::Debug for WatchedQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("name", &self.name).finish_non_exhaustive()
    }
}
