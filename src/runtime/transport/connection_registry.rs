//! The registry of inbound connections: their limits, and the counters of rejected ones.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::runtime::config::NetworkConfig;
use crate::runtime::metrics::Counts;
use crate::runtime::rejected_connections::{ConnectionRejectReason, RejectedConnections, reject};
use crate::runtime::transport::link::Security;
use crate::types::NodeId;

/// The most connections that one node may have open to another: twice the three that it needs,
/// because it may reconnect before the called node knows that the old connections are closed.
const PER_NODE_MAX: usize = 6;

/// The open inbound connections of this node, and the state that all its connections share.
#[derive(Debug)]
pub(in crate::runtime) struct ConnectionRegistry {
    pub(in crate::runtime) security: Security,
    pub(in crate::runtime) rejected: Arc<RejectedConnections>,
    pub(in crate::runtime) counts: Arc<Counts>,
    connections_max: usize,
    open: Mutex<Open>,
}

/// The open inbound connections, by number.
#[derive(Debug, Default)]
struct Open {
    last: u64,
    open: BTreeMap<u64, InboundConnection>,
}

/// One open inbound connection.
#[derive(Debug)]
struct InboundConnection {
    /// The node at the other end; none if it is a client.
    node: Option<NodeId>,
    /// Closes the connection when it is dropped.
    _keep_open: oneshot::Sender<()>,
}

/// The right to one connection, which counts as open until this is dropped.
pub(in crate::runtime) struct ConnectionPermit<'a> {
    registry: &'a ConnectionRegistry,
    number: u64,
    closed: oneshot::Receiver<()>,
}

impl ConnectionRegistry {
    pub(in crate::runtime) fn new(
        security: Security,
        config: &NetworkConfig,
        counts: Arc<Counts>,
    ) -> ConnectionRegistry {
        ConnectionRegistry {
            security,
            rejected: Arc::clone(&counts.network.rejected_connections),
            counts,
            connections_max: config.connections_max,
            open: Mutex::default(),
        }
    }

    /// Returns the number of open inbound connections.
    pub(in crate::runtime) fn connections(&self) -> usize {
        self.open().open.len()
    }

    /// Admits a connection within the limits. Clients and nodes have separate limits. A node that
    /// has too many connections loses its oldest one.
    pub(in crate::runtime) fn admit(
        &self,
        node: Option<NodeId>,
    ) -> io::Result<ConnectionPermit<'_>> {
        let mut open = self.open();
        let same_kind =
            open.open.values().filter(|connection| connection.node.is_some() == node.is_some());
        if same_kind.count() >= self.connections_max {
            let message = format_args!("connections_max ({}) is reached", self.connections_max);
            return Err(reject(ConnectionRejectReason::TooManyConnections, message));
        }
        if node.is_some() {
            let mut own = open.open.iter().filter(|(_, connection)| connection.node == node);
            let oldest = own.next().map(|(number, _)| *number);
            if own.count() + 1 >= PER_NODE_MAX
                && let Some(oldest) = oldest
            {
                open.open.remove(&oldest);
            }
        }
        let (keep_open, closed) = oneshot::channel();
        open.last += 1;
        let number = open.last;
        open.open.insert(number, InboundConnection { node, _keep_open: keep_open });
        Ok(ConnectionPermit { registry: self, number, closed })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConnectionPermit<'_> {
    /// Waits until a newer connection of the same node has replaced this one.
    pub(in crate::runtime) async fn replaced(&mut self) -> io::Error {
        // No value is ever sent: the sender is dropped.
        let _ = (&mut self.closed).await;
        reject(ConnectionRejectReason::Replaced, "replaced by a newer connection of the same node")
    }
}

impl Drop for ConnectionPermit<'_> {
    fn drop(&mut self) {
        self.registry.open().open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::ClusterId;

    fn registry(connections_max: usize) -> ConnectionRegistry {
        let config = NetworkConfig { connections_max, ..NetworkConfig::default() };
        let counts = Arc::new(Counts::new(NodeId(9), ClusterId(9)));
        ConnectionRegistry::new(Security::Plaintext { beyond_loopback: false }, &config, counts)
    }

    #[test]
    fn clients_and_nodes_have_separate_limits() {
        let registry = registry(2);
        let users = [registry.admit(None), registry.admit(None)];
        let error = registry.admit(None).err().expect("the limit is reached");
        assert_eq!(
            ConnectionRejectReason::of(&error),
            Some(ConnectionRejectReason::TooManyConnections)
        );
        let nodes = [1, 2].map(|id| registry.admit(Some(NodeId(id))));
        assert!(registry.admit(Some(NodeId(3))).is_err());
        assert_eq!(registry.connections(), 4);
        drop(users);
        assert!(registry.admit(None).is_ok());
        drop(nodes);
        assert_eq!(registry.connections(), 0);
    }

    #[tokio::test]
    async fn a_node_loses_its_oldest_connection_and_no_other() {
        let registry = registry(100);
        let other = registry.admit(Some(NodeId(2))).expect("there is room");
        let admit = || registry.admit(Some(NodeId(1))).expect("there is room");
        let mut permits: Vec<ConnectionPermit<'_>> = (0..PER_NODE_MAX).map(|_| admit()).collect();
        assert_eq!(registry.connections(), PER_NODE_MAX + 1);
        permits.push(admit());
        assert_eq!(registry.connections(), PER_NODE_MAX + 1);
        let error = permits[0].replaced().await;
        assert_eq!(ConnectionRejectReason::of(&error), Some(ConnectionRejectReason::Replaced));
        drop((permits, other));
        assert_eq!(registry.connections(), 0);
    }
}
