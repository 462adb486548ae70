//! Forwards the proposals of clients from a node to the leader, and returns the replies.

use std::fmt;
use std::sync::{Arc, Mutex};

use crate::runtime::client::config::ClientConfig;
use crate::runtime::client::connection::{Connection, Dialer};
use crate::runtime::client::nodes::Nodes;
use crate::runtime::client::pending_replies::{ConnectionError, SentFlag};
use crate::runtime::config::{NetworkConfig, ServiceConfig};
use crate::runtime::lock::lock;
use crate::runtime::tasks::Tasks;
use crate::runtime::transport::link::Links;
use crate::storage::ClusterId;
use crate::wire::{LeaderHint, ReplyBody, RequestBody, ServiceRejectReason};

/// Forwards proposals from a node to the leader, over one connection that clones share.
#[derive(Clone)]
pub(in crate::runtime) struct Forwarder {
    config: Arc<ClientConfig>,
    links: Links,
    open: Arc<Mutex<Option<(LeaderHint, Connection)>>>,
    tasks: Arc<Mutex<Tasks>>,
}

impl Forwarder {
    /// Returns a forwarder that is not connected yet and uses the TLS files and the intervals of
    /// the node.
    pub(in crate::runtime) fn new(
        cluster: ClusterId,
        links: Links,
        network: &NetworkConfig,
        service: &ServiceConfig,
    ) -> Forwarder {
        let no_addresses: [&str; 0] = [];
        let config = ClientConfig::new(cluster, no_addresses).with_intervals_of(network, service);
        Forwarder { config: Arc::new(config), links, open: Arc::default(), tasks: Arc::default() }
    }

    /// Sends the request to the leader once, and returns the reply: [`ReplyBody::Unknown`] if the
    /// connection was lost after the request may have been sent; `None` if the leader did not
    /// receive the request, or accepts no proposals from other nodes.
    pub(in crate::runtime) fn forward(
        &self,
        leader: &LeaderHint,
        body: RequestBody,
    ) -> impl Future<Output = Option<ReplyBody>> + Send + use<> {
        let connection = self.connection(leader);
        async move {
            match connection.send(body, &SentFlag::default()).await {
                // The rights of the client were checked: this leader has another configuration.
                Ok(ReplyBody::ServiceRejected(ServiceRejectReason::NotAllowed)) => None,
                Ok(reply) => Some(reply),
                Err(ConnectionError::Lost(_)) => Some(ReplyBody::Unknown),
                Err(
                    ConnectionError::Unreachable(_)
                    | ConnectionError::Mismatch(..)
                    | ConnectionError::TooLarge,
                ) => None,
            }
        }
    }

    /// Spawns a task that is aborted with the last clone of this forwarder. The task must not hold
    /// a clone, or it would keep itself alive.
    pub(in crate::runtime) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        lock(&self.tasks).spawn(task);
    }

    fn connection(&self, leader: &LeaderHint) -> Connection {
        let mut open = lock(&self.open);
        match &*open {
            Some((current, connection)) if current == leader && !connection.is_closed() => {
                connection.clone()
            }
            _ => {
                let dialer = Dialer {
                    config: Arc::clone(&self.config),
                    links: self.links.clone(),
                    nodes: Arc::new(Mutex::new(Nodes::new(Vec::new(), 0))),
                    node: Some(leader.id),
                    met: Arc::default(),
                };
                let connection = Connection::open(leader.address.as_str().to_owned(), dialer);
                *open = Some((leader.clone(), connection.clone()));
                connection
            }
        }
    }
}

impl fmt::Debug for Forwarder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Forwarder")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_forwarder_has_the_intervals_of_its_node() {
        let network = NetworkConfig {
            keepalive_interval: Duration::from_secs(3),
            keepalive_timeout: Duration::from_secs(7),
            ..NetworkConfig::default()
        };
        let service = ServiceConfig::default();
        let forwarder = Forwarder::new(ClusterId(7), Links::for_test(), &network, &service);
        assert_eq!(forwarder.config.keepalive_interval, network.keepalive_interval);
        assert_eq!(forwarder.config.keepalive_timeout, network.keepalive_timeout);
        assert!(forwarder.config.idle_max < service.idle_max);
    }
}
