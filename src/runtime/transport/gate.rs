//! What all connections of a node share: who is let in, how many, and who was not.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::runtime::config::NetworkConfig;
use crate::runtime::metrics::Counts;
use crate::runtime::refusal::{Refusal, Refusals, refused};
use crate::runtime::transport::link::Security;
use crate::types::NodeId;

/// The most connections that one node may have open to another: twice what it needs, as new ones
/// come while old ones are not known to be over.
const EACH_MAX: usize = 6;

/// See above.
#[derive(Debug)]
pub(in crate::runtime) struct Gate {
    pub(in crate::runtime) security: Security,
    pub(in crate::runtime) refusals: Arc<Refusals>,
    pub(in crate::runtime) counts: Arc<Counts>,
    connections_max: usize,
    open: Mutex<Open>,
}

/// The connections that others have made, by their numbers.
#[derive(Debug, Default)]
struct Open {
    last: u64,
    open: BTreeMap<u64, Guest>,
}

#[derive(Debug)]
struct Guest {
    /// None if it is no node.
    node: Option<NodeId>,
    /// Dropped with the guest: its connection ends.
    _stay: oneshot::Sender<()>,
}

/// One connection, counted until this is dropped.
pub(in crate::runtime) struct Pass<'a> {
    gate: &'a Gate,
    number: u64,
    stay: oneshot::Receiver<()>,
}

impl Gate {
    pub(in crate::runtime) fn new(
        security: Security,
        config: &NetworkConfig,
        counts: Arc<Counts>,
    ) -> Gate {
        Gate {
            security,
            refusals: Arc::clone(&counts.network.refusals),
            counts,
            connections_max: config.connections_max,
            open: Mutex::default(),
        }
    }

    /// How many connections of others are open.
    pub(in crate::runtime) fn connections(&self) -> usize {
        self.open().open.len()
    }

    /// Lets a connection in. Users cannot crowd out nodes, nor the other way round. A node that
    /// has too many loses the oldest of its own.
    pub(in crate::runtime) fn enter(&self, node: Option<NodeId>) -> io::Result<Pass<'_>> {
        let mut open = self.open();
        let alike = open.open.values().filter(|guest| guest.node.is_some() == node.is_some());
        if alike.count() >= self.connections_max {
            let what = format_args!("{} connections are open already", self.connections_max);
            return Err(refused(Refusal::Crowd, what));
        }
        if node.is_some() {
            let mut own = open.open.iter().filter(|(_, guest)| guest.node == node);
            let oldest = own.next().map(|(number, _)| *number);
            if own.count() + 1 >= EACH_MAX
                && let Some(oldest) = oldest
            {
                open.open.remove(&oldest);
            }
        }
        let (guest, stay) = oneshot::channel();
        open.last += 1;
        let number = open.last;
        open.open.insert(number, Guest { node, _stay: guest });
        Ok(Pass { gate: self, number, stay })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass<'_> {
    /// Waits until a newer connection of the same node has taken this one's place.
    pub(in crate::runtime) async fn replaced(&mut self) -> io::Error {
        // Nothing is ever sent.
        let _ = (&mut self.stay).await;
        refused(Refusal::Replaced, "the node has newer connections")
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.gate.open().open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::ClusterId;

    fn gate(connections_max: usize) -> Gate {
        let config = NetworkConfig { connections_max, ..NetworkConfig::default() };
        let counts = Arc::new(Counts::new(NodeId(9), ClusterId(9)));
        Gate::new(Security::Plaintext { leaves: false }, &config, counts)
    }

    #[test]
    fn nodes_and_users_do_not_crowd_each_other_out() {
        let gate = gate(2);
        let users = [gate.enter(None), gate.enter(None)];
        let error = gate.enter(None).err().expect("there are two");
        assert_eq!(Refusal::of(&error), Some(Refusal::Crowd));
        let nodes = [1, 2].map(|id| gate.enter(Some(NodeId(id))));
        assert!(gate.enter(Some(NodeId(3))).is_err());
        assert_eq!(gate.connections(), 4);
        drop(users);
        assert!(gate.enter(None).is_ok());
        drop(nodes);
        assert_eq!(gate.connections(), 0);
    }

    #[tokio::test]
    async fn a_node_loses_its_oldest_connection_and_no_other() {
        let gate = gate(100);
        let other = gate.enter(Some(NodeId(2))).expect("there is room");
        let enter = || gate.enter(Some(NodeId(1))).expect("there is room");
        let mut passes: Vec<Pass<'_>> = (0..EACH_MAX).map(|_| enter()).collect();
        assert_eq!(gate.connections(), EACH_MAX + 1);
        passes.push(enter());
        assert_eq!(gate.connections(), EACH_MAX + 1);
        let error = passes[0].replaced().await;
        assert_eq!(Refusal::of(&error), Some(Refusal::Replaced));
        drop((passes, other));
        assert_eq!(gate.connections(), 0);
    }
}
