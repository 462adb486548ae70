//! The registry of inbound connections: their limits, and the counters of rejected ones.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;

use crate::runtime::config::NetworkConfig;
use crate::runtime::lock::lock;
use crate::runtime::log_limit::LogLimit;
use crate::runtime::metrics::Counts;
use crate::runtime::origin::Origin;
use crate::runtime::rejected_connections::{ConnectionRejectReason, RejectedConnections, reject};
use crate::runtime::request_limits::share_of_reserve;
use crate::runtime::transport::handshake::Caller;
use crate::runtime::transport::link::Links;
use crate::runtime::transport::named_addresses::NamedAddresses;
use crate::types::NodeId;

/// The maximum number of connections that one node may have open to another: twice the three that
/// it needs, because it may reconnect before the called node knows that the old connections are
/// closed.
const PER_NODE_MAX: usize = 6;

/// The open inbound connections of this node, and the state that all its connections share.
#[derive(Debug)]
pub(in crate::runtime) struct ConnectionRegistry {
    pub(in crate::runtime) links: Links,
    pub(in crate::runtime) rejected: Arc<RejectedConnections>,
    pub(in crate::runtime) counts: Arc<Counts>,
    /// The limit of the log lines that other ends cause.
    pub(in crate::runtime) log_limit: LogLimit,
    pub(super) named_addresses: NamedAddresses,
    connections_max: usize,
    connections_reserved: usize,
    connections_per_origin_max: usize,
    open: Mutex<Open>,
}

/// The kinds of places for connections, each with its own limit, so that connections of one kind
/// cannot take the places of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::runtime) enum PlaceKind {
    /// For the packets of the given peer.
    Peer(NodeId),
    /// For the requests of clients.
    Client,
    /// For the requests of administrators and nodes. Nodes request reports and forward proposals.
    Reserved,
}

/// The open inbound connections, by number.
#[derive(Debug, Default)]
struct Open {
    last: u64,
    open: BTreeMap<u64, InboundConnection>,
    /// The processes of peers to which this node has connections: the node, the start id and the
    /// number of connections.
    answering: BTreeMap<(NodeId, u64), usize>,
}

/// One open inbound connection.
#[derive(Debug)]
struct InboundConnection {
    /// The peer that sends packets; `None` on a connection for requests.
    node: Option<NodeId>,
    /// The random number of the process of the peer; 0 if it is unknown.
    start_id: u64,
    /// Whether the place is one of [`PlaceKind::Reserved`].
    reserved: bool,
    origin: Origin,
    /// Closes the connection when it is dropped.
    _keep_open: oneshot::Sender<()>,
}

/// The right to one connection, which counts as open until this is dropped.
#[derive(Debug)]
pub(in crate::runtime) struct ConnectionPermit {
    registry: Arc<ConnectionRegistry>,
    number: u64,
    closed: oneshot::Receiver<()>,
}

impl ConnectionRegistry {
    pub(in crate::runtime) fn new(
        links: Links,
        config: &NetworkConfig,
        counts: Arc<Counts>,
    ) -> ConnectionRegistry {
        ConnectionRegistry {
            links,
            rejected: Arc::clone(&counts.network.rejected_connections),
            counts,
            log_limit: LogLimit::default(),
            named_addresses: NamedAddresses::default(),
            connections_max: config.connections_max,
            connections_reserved: config.connections_reserved,
            connections_per_origin_max: config.connections_per_origin_max,
            open: Mutex::default(),
        }
    }

    /// Returns the number of open inbound connections.
    pub(in crate::runtime) fn connections(&self) -> usize {
        lock(&self.open).open.len()
    }

    /// Admits a connection of a peer, unless another process of that node answers at its address:
    /// one of the two is a copy, and the one at the address is the one that the membership names.
    pub(super) fn admit_node(
        self: &Arc<ConnectionRegistry>,
        caller: Caller,
        origin: &Origin,
    ) -> io::Result<ConnectionPermit> {
        self.admit_process(PlaceKind::Peer(caller.node), caller.start_id, origin)
    }

    /// Records that this process of the peer answers at the peer's address, until the result is
    /// dropped. If no other process answers there, closes the connections of other processes of
    /// that node.
    pub(super) fn answered(
        self: &Arc<ConnectionRegistry>,
        peer: NodeId,
        start_id: u64,
    ) -> Answering {
        let mut open = lock(&self.open);
        *open.answering.entry((peer, start_id)).or_default() += 1;
        if open.answering.range((peer, 1)..=(peer, u64::MAX)).count() == 1 && start_id != 0 {
            open.open.retain(|_, connection| {
                connection.node != Some(peer) || [0, start_id].contains(&connection.start_id)
            });
        }
        Answering { registry: Arc::clone(self), process: (peer, start_id) }
    }

    /// Admits a connection within the limits of its kind and of its origin. A node that has too
    /// many connections loses its oldest one.
    pub(in crate::runtime) fn admit(
        self: &Arc<ConnectionRegistry>,
        kind: PlaceKind,
        origin: &Origin,
    ) -> io::Result<ConnectionPermit> {
        self.admit_process(kind, 0, origin)
    }

    fn admit_process(
        self: &Arc<ConnectionRegistry>,
        kind: PlaceKind,
        start_id: u64,
        origin: &Origin,
    ) -> io::Result<ConnectionPermit> {
        let (node, reserved) = match kind {
            PlaceKind::Peer(node) => (Some(node), false),
            PlaceKind::Client => (None, false),
            PlaceKind::Reserved => (None, true),
        };
        let (field, max) = match kind {
            PlaceKind::Peer(_) | PlaceKind::Client => ("connections_max", self.connections_max),
            PlaceKind::Reserved => ("connections_reserved", self.connections_reserved),
        };
        let mut open = lock(&self.open);
        if let Some(node) = node.filter(|node| open.answers_as_another(*node, start_id)) {
            let message = format_args!(
                "another process of {node} answers at its address, or did a moment ago: if this \
                 goes on, two processes of one node run, probably on a copy of its data \
                 directory; stop one of them"
            );
            return Err(reject(ConnectionRejectReason::TwoProcesses, message));
        }
        let full = |message: fmt::Arguments<'_>| {
            Err(reject(ConnectionRejectReason::TooManyConnections, message))
        };
        // The oldest connection of the node, if this one takes its place.
        let replaced = node.and_then(|_| {
            let mut own = open.open.iter().filter(|(_, connection)| connection.node == node);
            let oldest = own.next().map(|(number, _)| *number);
            oldest.filter(|_| own.count() + 1 >= PER_NODE_MAX)
        });
        let same_kind = || {
            open.open.iter().filter(|(number, connection)| {
                connection.node.is_some() == node.is_some()
                    && connection.reserved == reserved
                    && replaced != Some(**number)
            })
        };
        if same_kind().count() >= max {
            return full(format_args!("{field} ({max}) is reached"));
        }
        let of_origin = same_kind().filter(|(_, connection)| connection.origin == *origin).count();
        let (field, max) = self.limit_of_origin(kind);
        if of_origin >= max {
            return full(format_args!("{field} ({max}) is reached by {origin}"));
        }
        // Only a connection that is admitted takes the place of another.
        if let Some(replaced) = replaced {
            open.open.remove(&replaced);
        }
        let (keep_open, closed) = oneshot::channel();
        open.last += 1;
        let number = open.last;
        let origin = origin.clone();
        let connection =
            InboundConnection { node, start_id, reserved, origin, _keep_open: keep_open };
        open.open.insert(number, connection);
        let registry = Arc::clone(self);
        Ok(ConnectionPermit { registry, number, closed })
    }

    /// Returns the maximum number of connections of one origin among those of the kind, and the
    /// name of the limit.
    fn limit_of_origin(&self, kind: PlaceKind) -> (&'static str, usize) {
        let max = self.connections_per_origin_max;
        let share = share_of_reserve(self.connections_reserved);
        match kind {
            // The limit of one origin is at least that of one peer.
            PlaceKind::Peer(_) => ("connections_per_origin_max", max.max(PER_NODE_MAX)),
            PlaceKind::Reserved if share < max => ("half of connections_reserved", share),
            PlaceKind::Client | PlaceKind::Reserved => ("connections_per_origin_max", max),
        }
    }
}

impl Open {
    /// Returns true if the processes to which this node has connections at the address of `node`
    /// are known, and this is not one of them.
    fn answers_as_another(&self, node: NodeId, start_id: u64) -> bool {
        let mut known = self.answering.range((node, 1)..=(node, u64::MAX)).peekable();
        start_id != 0 && known.peek().is_some() && known.all(|((_, known), _)| *known != start_id)
    }
}

/// A connection to a process of a peer, which counts as answering until this is dropped.
#[derive(Debug)]
pub(super) struct Answering {
    registry: Arc<ConnectionRegistry>,
    process: (NodeId, u64),
}

impl Drop for Answering {
    fn drop(&mut self) {
        let mut open = lock(&self.registry.open);
        if let Some(count) = open.answering.get_mut(&self.process) {
            *count -= 1;
            if *count == 0 {
                open.answering.remove(&self.process);
            }
        }
    }
}

impl ConnectionPermit {
    /// Waits until this connection is replaced ([`ConnectionRejectReason::Replaced`]).
    pub(in crate::runtime) async fn replaced(&mut self) -> io::Error {
        // No value is ever sent: the sender is dropped.
        let _ = (&mut self.closed).await;
        let message = "replaced by a newer connection of the same node, or another process of that \
                       node answers at its address";
        reject(ConnectionRejectReason::Replaced, message)
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        lock(&self.registry.open).open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use tokio::sync::oneshot::error::TryRecvError;

    use super::*;
    use crate::runtime::principal::Principal;
    use crate::storage::ClusterId;

    fn registry(change: impl FnOnce(&mut NetworkConfig)) -> Arc<ConnectionRegistry> {
        let mut config = NetworkConfig::default();
        change(&mut config);
        let counts = Arc::new(Counts::new(NodeId(9), ClusterId(9)));
        Arc::new(ConnectionRegistry::new(Links::for_test(), &config, counts))
    }

    fn address(last: u8) -> Origin {
        Origin::new(None, IpAddr::from([192, 0, 2, last]))
    }

    fn caller(node: NodeId, start_id: u64) -> Caller {
        Caller { node, start_id, is_certified: false }
    }

    fn named(principal: Option<Principal>) -> Origin {
        Origin::Principal(principal.expect("the name is valid"))
    }

    #[test]
    fn clients_nodes_and_administrators_have_separate_limits() {
        let registry = registry(|config| {
            (config.connections_max, config.connections_reserved) = (2, 1);
        });
        let client = |last| registry.admit(PlaceKind::Client, &address(last));
        let users = [client(1), client(2)];
        let error = client(3).expect_err("the limit is reached");
        assert_eq!(
            ConnectionRejectReason::of(&error),
            Some(ConnectionRejectReason::TooManyConnections)
        );
        let nodes = [1, 2].map(|id| registry.admit(PlaceKind::Peer(NodeId(id)), &address(3)));
        assert!(registry.admit(PlaceKind::Peer(NodeId(3)), &address(4)).is_err());
        let admin = |name| registry.admit(PlaceKind::Reserved, &named(Principal::admin(name)));
        let first = admin("a");
        assert!(first.is_ok() && admin("b").is_err());
        assert_eq!(registry.connections(), 5);
        drop((users, first));
        assert!(client(3).is_ok() && admin("b").is_ok());
        drop(nodes);
        assert_eq!(registry.connections(), 0);
    }

    #[test]
    fn one_administrator_leaves_places_for_others() {
        let registry = registry(|config| config.connections_reserved = 4);
        let admin = |name| registry.admit(PlaceKind::Reserved, &named(Principal::admin(name)));
        let held = [admin("a"), admin("a")];
        let error = admin("a").expect_err("it has its share").to_string();
        assert!(
            error.ends_with("half of connections_reserved (2) is reached by admin a"),
            "{error}"
        );
        let others = [admin("b"), admin("b")];
        assert!(held.iter().chain(&others).all(Result::is_ok));
    }

    #[test]
    fn a_node_that_is_rejected_keeps_its_oldest_connection() {
        let registry = registry(|config| config.connections_per_origin_max = PER_NODE_MAX);
        let admit =
            |address_of: u8| registry.admit(PlaceKind::Peer(NodeId(1)), &address(address_of));
        let other = |id| registry.admit(PlaceKind::Peer(NodeId(id)), &address(2));
        let mut own: Vec<_> = (0..PER_NODE_MAX).map(|_| admit(1)).collect();
        let others: Vec<_> = (0..PER_NODE_MAX).map(|_| other(2)).collect();
        assert!(own.iter().chain(&others).all(Result::is_ok));
        assert!(admit(2).is_err(), "the other address has no room");
        let oldest = own[0].as_mut().expect("it was admitted");
        assert!(oldest.closed.try_recv().is_err_and(|state| state == TryRecvError::Empty));
    }

    #[test]
    fn the_limit_of_one_origin_leaves_places_for_others() {
        let registry = registry(|config| config.connections_per_origin_max = 2);
        let client = |origin: &Origin| registry.admit(PlaceKind::Client, origin);
        let (app, other) = (named(Principal::client("app")), named(Principal::client("other")));
        for (origin, another) in [(&app, &other), (&address(1), &address(2))] {
            let held = [client(origin), client(origin)];
            let error = client(origin).expect_err("the limit is reached").to_string();
            assert!(error.ends_with(&format!("is reached by {origin}")), "{error}");
            assert!(client(another).is_ok());
            drop(held);
            assert!(client(origin).is_ok());
        }
    }

    #[test]
    fn clients_do_not_take_the_places_of_nodes_at_the_same_address() {
        let registry = registry(|config| {
            (config.connections_max, config.connections_per_origin_max) = (8, PER_NODE_MAX);
        });
        let admit = |kind| registry.admit(kind, &address(1));
        let clients: Vec<_> = (0..PER_NODE_MAX).map(|_| admit(PlaceKind::Client)).collect();
        assert!(clients.iter().all(Result::is_ok) && admit(PlaceKind::Client).is_err());
        // The last ones replace the first ones of the same node.
        let nodes: Vec<_> =
            (0..PER_NODE_MAX * 2).map(|_| admit(PlaceKind::Peer(NodeId(1)))).collect();
        assert!(nodes.iter().all(Result::is_ok));
        let error = admit(PlaceKind::Peer(NodeId(2))).expect_err("the limit is reached");
        assert!(error.to_string().starts_with("connections_per_origin_max"), "{error}");
    }

    #[test]
    fn the_limit_of_one_origin_does_not_cut_off_a_peer() {
        let registry = registry(|config| config.connections_per_origin_max = 1);
        let lanes = [(); 3].map(|()| registry.admit(PlaceKind::Peer(NodeId(1)), &address(1)));
        assert!(lanes.iter().all(Result::is_ok));
        let client = || registry.admit(PlaceKind::Client, &address(1));
        let held = client();
        assert!(held.is_ok() && client().is_err());
    }

    #[tokio::test]
    async fn a_process_is_rejected_while_another_one_answers_at_the_address_of_its_node() {
        let registry = registry(|_| ());
        let node = NodeId(1);
        let admit = |start_id| registry.admit_node(caller(node, start_id), &address(1));
        // Until a process answers at its address, any is admitted.
        let (mut copy, own, old) = (admit(8).expect("a"), admit(7).expect("b"), admit(0));
        let answering = [registry.answered(node, 7), registry.answered(node, 7)];
        let error = copy.replaced().await;
        assert_eq!(ConnectionRejectReason::of(&error), Some(ConnectionRejectReason::Replaced));
        drop(copy);
        let error = admit(8).expect_err("another process answers");
        assert_eq!(ConnectionRejectReason::of(&error), Some(ConnectionRejectReason::TwoProcesses));
        assert!(admit(7).is_ok() && admit(0).is_ok() && own.registry.connections() == 2);
        let other = caller(NodeId(2), 8);
        assert!(registry.admit_node(other, &address(1)).is_ok());
        // While one lane is connected to the restarted node, and another one to its old process,
        // both processes are known.
        let restarted = registry.answered(node, 9);
        assert!(admit(7).is_ok() && admit(9).is_ok() && admit(8).is_err());
        drop(answering);
        assert!(admit(7).is_err() && admit(9).is_ok());
        drop((restarted, old));
        assert!(admit(8).is_ok());
    }

    #[tokio::test]
    async fn a_node_loses_its_oldest_connection_and_no_other() {
        let registry = registry(|_| ());
        let admit = |id| registry.admit(PlaceKind::Peer(NodeId(id)), &address(1));
        let other = admit(2).expect("there is room");
        let admit = || admit(1).expect("there is room");
        let mut permits: Vec<ConnectionPermit> = (0..PER_NODE_MAX).map(|_| admit()).collect();
        assert_eq!(registry.connections(), PER_NODE_MAX + 1);
        permits.push(admit());
        assert_eq!(registry.connections(), PER_NODE_MAX + 1);
        let error = permits[0].replaced().await;
        assert_eq!(ConnectionRejectReason::of(&error), Some(ConnectionRejectReason::Replaced));
        drop((permits, other));
        assert_eq!(registry.connections(), 0);
    }
}
