//! The metrics of the connections and packets between a node and its peers and clients.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex};

use tokio::sync::mpsc::Sender;

use crate::runtime::lock::lock;
use crate::runtime::metrics::labels::{CountersByLabel, DropReason};
use crate::runtime::metrics::value::{Counter, ENABLED, Gauge};
use crate::runtime::rejected_connections::RejectedConnections;
use crate::types::{Membership, NodeId, Packet, PeerStatus};

/// The maximum number of peers with metrics of their own. Further ones take the places of removed
/// members, or are not recorded, because a remote must not be able to exhaust the memory.
const PEERS_MAX: usize = 64;

/// The lanes between nodes, by their numbers.
pub(in crate::runtime) const PEER_LANES: [&str; 3] = ["control", "log", "snapshot"];

/// The kinds of callers, by their numbers.
pub(in crate::runtime) const CALLERS: [&str; 2] = ["node", "client"];

/// The name of the queue of requests.
pub(in crate::runtime) const REQUESTS: &str = "requests";

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
    /// The requests that the driver has received, and that wait for the turns of their origins.
    pub(in crate::runtime) requests_in_turn: Gauge,
    peers: Mutex<RecordedPeers>,
    queues: Mutex<Vec<WatchedQueue>>,
}

/// The peers with metrics of their own.
#[derive(Debug, Default)]
struct RecordedPeers {
    by_id: BTreeMap<NodeId, Arc<PeerCounts>>,
    /// The members of the active membership; empty before one is known.
    members: BTreeSet<NodeId>,
}

/// The metrics of one peer.
#[derive(Debug, Default)]
pub(in crate::runtime) struct PeerCounts {
    /// 1 if this node leads, so that the next three gauges are its view of the peer; else 0.
    pub(in crate::runtime) has_progress: Gauge,
    pub(in crate::runtime) matched: Gauge,
    pub(in crate::runtime) inflight_bytes: Gauge,
    pub(in crate::runtime) suspected: Gauge,
    /// The time of the last frame on a connection that the peer made, in milliseconds since this
    /// node's start; 0 for never.
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
    /// Returns the metrics of one peer. If there is no place for them, they are never read.
    pub(in crate::runtime) fn peer(&self, id: NodeId) -> Arc<PeerCounts> {
        if !ENABLED {
            return Arc::default();
        }
        let mut peers = lock(&self.peers);
        let RecordedPeers { by_id, members } = &mut *peers;
        if by_id.len() >= PEERS_MAX && !by_id.contains_key(&id) {
            let removed = by_id.keys().find(|id| is_removed(members, **id)).copied();
            let Some(removed) = removed.filter(|_| !is_removed(members, id)) else {
                return Arc::default();
            };
            by_id.remove(&removed);
        }
        Arc::clone(by_id.entry(id).or_default())
    }

    /// Records the active membership. The metrics of a removed member are hidden, but kept, because
    /// it may still have connections, and may be added again.
    pub(in crate::runtime) fn set_membership(&self, membership: &Membership) {
        let mut peers = lock(&self.peers);
        peers.members = membership.members().iter().map(|member| member.id).collect();
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
        let peers = lock(&self.peers);
        for (id, peer) in &peers.by_id {
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

/// Returns true if the node is not a member of a known membership.
fn is_removed(members: &BTreeSet<NodeId>, id: NodeId) -> bool {
    !members.is_empty() && !members.contains(&id)
}

impl PeerCounts {
    /// Reports the length of the queue of packets to the peer as the metric of this lane.
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
    let mut queues = lock(queues);
    queues.retain(|queue| queue.name != name);
    queues.push(WatchedQueue { name, waiting: Box::new(waiting) });
}

#[cfg(feature = "metrics")]
impl NetworkCounts {
    /// Returns every peer that has metrics of its own and is not a removed member.
    pub(in crate::runtime) fn peers(&self) -> Vec<(NodeId, Arc<PeerCounts>)> {
        let peers = lock(&self.peers);
        let shown = peers.by_id.iter().filter(|(id, _)| !is_removed(&peers.members, **id));
        shown.map(|(id, peer)| (*id, Arc::clone(peer))).collect()
    }

    /// Returns the length of each watched queue.
    pub(in crate::runtime) fn waiting(&self) -> Vec<(&'static str, usize)> {
        let mut waiting = waiting(&self.queues);
        let requests = waiting.iter_mut().find(|(name, _)| *name == REQUESTS);
        if let Some((_, requests)) = requests {
            *requests += self.requests_in_turn.get() as usize;
        }
        waiting
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
    let queues = lock(queues);
    queues.iter().map(|queue| (queue.name, (queue.waiting)().unwrap_or(0))).collect()
}

impl fmt::Debug for WatchedQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #[cfg(feature = "metrics")]
    #[test]
    fn only_members_have_metrics_and_their_places_are_used_again() {
        use crate::runtime::metrics::network::{NetworkCounts, PEERS_MAX};
        use crate::types::{Membership, NodeId};

        let counts = NetworkCounts::default();
        let shown = || counts.peers().into_iter().map(|(id, _)| id.0).collect::<Vec<_>>();
        counts.peer(NodeId(2)).failures.add(1);
        assert_eq!(shown(), [2], "no membership is known yet");
        let set =
            |ids: &[u64]| counts.set_membership(&Membership::new(ids.iter().copied().map(NodeId)));
        set(&[1, 2, 3]);
        counts.peer(NodeId(3)).failures.add(1);
        set(&[1, 3]);
        assert_eq!(shown(), [3], "node 2 is removed");
        set(&[1, 2, 3]);
        assert_eq!(shown(), [2, 3]);
        assert_eq!(counts.peer(NodeId(2)).failures.get(), 1, "it is the same peer");
        for id in 4..100 {
            set(&[1, id]);
            counts.peer(NodeId(id)).failures.add(1);
            assert_eq!(shown(), [id], "a new member has metrics");
            counts.peer(NodeId(1000 + id)).failures.add(1);
            assert_eq!(counts.peer(NodeId(id)).failures.get(), 1, "no other takes its place");
        }
        assert!(counts.peers.lock().expect("no panic").by_id.len() <= PEERS_MAX);
    }
}
