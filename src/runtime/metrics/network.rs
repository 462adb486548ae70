//! What one node counts of its peers and of the words between them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc::Sender;

use crate::runtime::metrics::labels::{BySort, Loss};
use crate::runtime::metrics::value::{COUNTS, Counter, Gauge};
use crate::runtime::refusal::Refusals;
use crate::types::{NodeId, Packet, PeerStatus};

/// More peers than that have no figures of their own: whoever connects must not be able to fill
/// the memory.
const PEERS_MAX: usize = 64;

/// The lanes of a connection.
pub(in crate::runtime) const PEER_LANES: [&str; 3] = ["control", "log", "snapshot"];

/// Who calls.
pub(in crate::runtime) const CALLERS: [&str; 2] = ["node", "client"];

/// What passes between this node and all others.
#[derive(Debug, Default)]
pub(in crate::runtime) struct NetworkCounts {
    pub(in crate::runtime) sent: BySort<Packet>,
    pub(in crate::runtime) sent_bytes: BySort<Packet>,
    pub(in crate::runtime) received: BySort<Packet>,
    pub(in crate::runtime) received_bytes: BySort<Packet>,
    /// Of each of [`CALLERS`].
    pub(in crate::runtime) calls_taken: [Counter; CALLERS.len()],
    pub(in crate::runtime) calls_open: [Gauge; CALLERS.len()],
    pub(in crate::runtime) refusals: Arc<Refusals>,
    peers: Mutex<BTreeMap<NodeId, Arc<PeerCounts>>>,
    queues: Mutex<Vec<Queue>>,
}

/// What is counted of one peer.
#[derive(Debug, Default)]
pub(in crate::runtime) struct PeerCounts {
    /// Whether the three that follow are known: only a leader knows them.
    pub(in crate::runtime) followed: Gauge,
    pub(in crate::runtime) matched: Gauge,
    pub(in crate::runtime) inflight_bytes: Gauge,
    pub(in crate::runtime) suspected: Gauge,
    /// When it was heard last, in milliseconds since this node's start; 0 for never.
    pub(in crate::runtime) heard: Gauge,
    pub(in crate::runtime) losses: BySort<Loss>,
    pub(in crate::runtime) connected: [Gauge; PEER_LANES.len()],
    pub(in crate::runtime) failures: Counter,
    queues: Mutex<Vec<Queue>>,
}

/// Tells how much waits in a queue, as long as there is one.
#[cfg_attr(not(feature = "metrics"), expect(dead_code, reason = "nobody may ask"))]
struct Queue {
    name: &'static str,
    waiting: Box<dyn Fn() -> Option<usize> + Send + Sync>,
}

/// One open connection, for as long as this is kept.
pub(in crate::runtime) struct Open<'a>(&'a Gauge);

impl NetworkCounts {
    /// The figures of one peer.
    pub(in crate::runtime) fn peer(&self, id: NodeId) -> Arc<PeerCounts> {
        if !COUNTS {
            return Arc::default();
        }
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        match peers.get(&id) {
            Some(peer) => Arc::clone(peer),
            None if peers.len() >= PEERS_MAX => Arc::default(),
            None => Arc::clone(peers.entry(id).or_default()),
        }
    }

    /// What waits in the queue is to be told under this name.
    pub(in crate::runtime) fn watch<T: Send + 'static>(
        &self,
        name: &'static str,
        queue: &Sender<T>,
    ) {
        watch(&self.queues, name, queue);
    }

    /// All that this node's leadership tells of its peers; nothing if it does not lead.
    pub(in crate::runtime) fn observe(&self, statuses: &[PeerStatus]) {
        let peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, peer) in &*peers {
            let status = statuses.iter().find(|status| status.id == *id);
            peer.followed.set(status.is_some().into());
            if let Some(status) = status {
                peer.matched.set(status.matched.0);
                peer.inflight_bytes.set(status.inflight_bytes as u64);
                peer.suspected.set(status.suspected.into());
            }
        }
    }

    /// A packet was written, in so many bytes.
    pub(in crate::runtime) fn sent(&self, packet: &Packet, bytes: usize) {
        self.sent.add(packet, 1);
        self.sent_bytes.add(packet, bytes as u64);
    }

    /// A packet arrived, in so many bytes.
    pub(in crate::runtime) fn received(&self, packet: &Packet, bytes: u64) {
        self.received.add(packet, 1);
        self.received_bytes.add(packet, bytes);
    }
}

impl PeerCounts {
    /// What waits for the peer on this lane is to be told.
    pub(in crate::runtime) fn watch<T: Send + 'static>(
        &self,
        lane: &'static str,
        queue: &Sender<T>,
    ) {
        watch(&self.queues, lane, queue);
    }
}

impl<'a> Open<'a> {
    pub(in crate::runtime) fn count(gauge: &'a Gauge) -> Open<'a> {
        gauge.increment();
        Open(gauge)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.decrement();
    }
}

/// Does not keep the queue from ending.
fn watch<T: Send + 'static>(queues: &Mutex<Vec<Queue>>, name: &'static str, queue: &Sender<T>) {
    if !COUNTS {
        return;
    }
    let queue = queue.downgrade();
    let waiting = move || {
        let queue = queue.upgrade()?;
        Some(queue.max_capacity() - queue.capacity())
    };
    let mut queues = queues.lock().unwrap_or_else(PoisonError::into_inner);
    queues.retain(|queue| queue.name != name);
    queues.push(Queue { name, waiting: Box::new(waiting) });
}

#[cfg(feature = "metrics")]
impl NetworkCounts {
    /// Every peer that has figures of its own.
    pub(in crate::runtime) fn peers(&self) -> Vec<(NodeId, Arc<PeerCounts>)> {
        let peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        peers.iter().map(|(id, peer)| (*id, Arc::clone(peer))).collect()
    }

    /// How much waits in each queue that is watched.
    pub(in crate::runtime) fn waiting(&self) -> Vec<(&'static str, usize)> {
        waiting(&self.queues)
    }
}

#[cfg(feature = "metrics")]
impl PeerCounts {
    /// How much waits on each lane.
    pub(in crate::runtime) fn waiting(&self) -> Vec<(&'static str, usize)> {
        waiting(&self.queues)
    }
}

#[cfg(feature = "metrics")]
fn waiting(queues: &Mutex<Vec<Queue>>) -> Vec<(&'static str, usize)> {
    let queues = queues.lock().unwrap_or_else(PoisonError::into_inner);
    queues.iter().map(|queue| (queue.name, (queue.waiting)().unwrap_or(0))).collect()
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("name", &self.name).finish_non_exhaustive()
    }
}
