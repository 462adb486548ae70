//! How a node passes on to the leader what a client asked it for, and brings the reply back.

use std::fmt;
use std::sync::{Arc, Mutex};

use crate::runtime::client::config::ClientConfig;
use crate::runtime::client::connection::{Connection, Dialer, Failed, Sent, lock};
use crate::runtime::client::nodes::Nodes;
use crate::runtime::transport::link::Security;
use crate::storage::ClusterId;
use crate::wire::{LeaderHint, Told, Wanted};

/// A node's way to whoever leads. Clones share its connection.
#[derive(Clone)]
pub(in crate::runtime) struct Relay {
    config: Arc<ClientConfig>,
    security: Security,
    open: Arc<Mutex<Option<(LeaderHint, Connection)>>>,
}

impl Relay {
    /// Not connected yet. It speaks as the node does.
    pub(in crate::runtime) fn new(cluster: ClusterId, security: Security) -> Relay {
        let nobody: [&str; 0] = [];
        let config = Arc::new(ClientConfig::new(cluster, nobody));
        Relay { config, security, open: Arc::default() }
    }

    /// Asks the leader, once, and says what it told; none if it was certainly not asked.
    pub(in crate::runtime) async fn ask(
        &self,
        leader: &LeaderHint,
        wanted: Wanted,
    ) -> Option<Told> {
        let connection = self.connection(leader);
        match connection.ask(wanted, &Sent::default()).await {
            Ok(told) => Some(told),
            Err(Failed::Lost(_)) => Some(Told::Unknown),
            Err(Failed::Unreachable(_) | Failed::TooLarge) => None,
        }
    }

    fn connection(&self, leader: &LeaderHint) -> Connection {
        let mut open = lock(&self.open);
        match &*open {
            Some((known, connection)) if known == leader && !connection.is_over() => {
                connection.clone()
            }
            _ => {
                let dialer = Dialer {
                    config: Arc::clone(&self.config),
                    security: self.security.clone(),
                    nodes: Arc::new(Mutex::new(Nodes::new(Vec::new(), 0))),
                    node: Some(leader.id),
                };
                let connection = Connection::open(leader.address.as_str().to_owned(), dialer);
                *open = Some((leader.clone(), connection.clone()));
                connection
            }
        }
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a relay")
    }
}
