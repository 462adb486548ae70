//! What a server is told before it starts.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::raft::Config;
use crate::replica::ReplicaConfig;
#[cfg(feature = "tls")]
use crate::runtime::tls::TlsConfig;
use crate::storage::ClusterId;
use crate::types::{Address, Member, Membership, NodeId};

/// How a node is run for real. [`ServerConfig::new`] has defaults; every field may be changed
/// before the start.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The node's own directory, made if it is missing. No other process may use it.
    pub directory: PathBuf,
    /// The cluster. A directory that is another's is refused.
    pub cluster: ClusterId,
    /// Where peers connect.
    pub listen: SocketAddr,
    /// Where peers are reached until the membership says so: what a node needs that joins a
    /// running cluster.
    pub peers: BTreeMap<NodeId, Address>,
    /// The node itself.
    pub replica: ReplicaConfig,
    /// The bounds of connections.
    pub network: NetworkConfig,
    /// The bounds of what is done for clients.
    pub service: ServiceConfig,
    /// The most requests of users that wait to be looked at; whoever asks for more waits.
    pub requests_max: usize,
    /// Whether the state machine is asked on the node's own thread, where that saves time: two
    /// changes of threads, some 60 µs of a command or a query. Only for one that lives in memory
    /// and takes microseconds: the node does nothing else meanwhile, and heartbeats would be late.
    pub inline_machine: bool,
    /// How long the node's threads look out for what comes next before they sleep; zero, the
    /// default, lets them sleep at once. To wake them takes tens of microseconds, several times in
    /// each request of a lone client: 200 µs save a quarter of a write's time, and half of a
    /// read's. It costs up to a processor per thread while requests are under way: not for
    /// machines that have other things to do, and best on a tokio runtime of one thread, as others
    /// are woken meanwhile.
    pub poll_max: Duration,
    /// Whether words may leave this machine in the clear. Without it, and without TLS, `listen`
    /// must be a loopback address.
    pub plaintext: bool,
    /// Certificates: with them nothing is said in the clear, and nobody is heard who has none.
    #[cfg(feature = "tls")]
    pub tls: Option<TlsConfig>,
}

/// The bounds of connections between nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkConfig {
    /// How long a connection may take to come about, hellos included. The addresses of one name
    /// are tried in turn, and share it.
    pub handshake_max: Duration,
    /// How often a side that has nothing to say shows that it is there.
    pub pulse: Duration,
    /// After how long without a word a connection is given up. At least twice `pulse`.
    pub silence_max: Duration,
    /// After how long with nothing but pulses a connection is closed. It is made again when there
    /// is something to say.
    pub idle_max: Duration,
    /// How long a connection that failed is left alone, at first: each further failure doubles it.
    pub retry_min: Duration,
    /// The longest time it is left alone.
    pub retry_max: Duration,
    /// The most packets that wait for one lane of one peer. What does not fit is lost, as networks
    /// lose things.
    pub packets_max: usize,
    /// The most connections whose other end has not said yet who it is.
    pub strangers_max: usize,
    /// The most of these from one address, or from one /64 of version 6. One more is refused, so
    /// that one host does not keep out all others.
    pub strangers_per_address_max: usize,
    /// The most connections that other nodes have open to this one, and as many that users have.
    pub connections_max: usize,
}

/// The bounds of a node's service to clients. Whoever is beyond one is told so, or waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceConfig {
    /// The most requests of one connection that wait for their replies. No more is read from it
    /// until one of them has gone out.
    pub requests_per_connection_max: usize,
    /// The most requests of all connections that wait for their replies to go out. One more is
    /// refused as overload.
    pub requests_max: usize,
    /// The most bytes of commands and queries that all of these requests have together, and of
    /// replies and answers that wait to go out, in KiB. A request that goes beyond it is refused
    /// as overload, and so is a read whose answer does. The reply to a proposal that is done is
    /// given all the same.
    pub requests_kib_max: u32,
    /// After how long a connection is closed that takes nothing of what is written to it.
    pub stall_max: Duration,
    /// After how long without a request a connection is closed that waits for none.
    pub idle_max: Duration,
    /// How long replies may take to go out, and clients to take them, when the node is shut down or
    /// a connection is closed.
    pub drain_max: Duration,
    /// Whether a node that does not lead passes a client's proposal on to the leader, and the reply
    /// back: for clients that do not reach every node. Without it the client is told who leads.
    pub forwards: bool,
}

impl Default for NetworkConfig {
    fn default() -> NetworkConfig {
        NetworkConfig {
            handshake_max: Duration::from_secs(5),
            pulse: Duration::from_millis(500),
            silence_max: Duration::from_secs(2),
            idle_max: Duration::from_secs(10),
            retry_min: Duration::from_millis(20),
            retry_max: Duration::from_secs(1),
            packets_max: 4096,
            strangers_max: 512,
            strangers_per_address_max: 256,
            connections_max: 1024,
        }
    }
}

impl Default for ServiceConfig {
    fn default() -> ServiceConfig {
        ServiceConfig {
            requests_per_connection_max: 512,
            requests_max: 16_384,
            requests_kib_max: 128 << 10,
            stall_max: Duration::from_secs(10),
            idle_max: Duration::from_secs(120),
            drain_max: Duration::from_secs(1),
            forwards: false,
        }
    }
}

impl ServiceConfig {
    /// The field that is zero, if one is: nothing could pass it.
    fn zero(&self) -> Option<&'static str> {
        let counts = [
            ("service.requests_per_connection_max", self.requests_per_connection_max),
            ("service.requests_max", self.requests_max),
            ("service.requests_kib_max", self.requests_kib_max as usize),
        ];
        let count = counts.into_iter().find(|(_, count)| *count == 0);
        let spans = [("service.idle_max", self.idle_max), ("service.stall_max", self.stall_max)];
        let span = spans.into_iter().find(|(_, span)| span.is_zero());
        count.map(|(field, _)| field).or(span.map(|(field, _)| field))
    }
}

impl ServerConfig {
    /// Node `id` of a cluster that `members` found together, once all of them have met; each with
    /// the address that the others reach it at. It listens on its own.
    ///
    /// # Errors
    /// A [`ServerConfigError`] if the node is none of them, an address is no socket address, or
    /// one is listed twice.
    pub fn new(
        directory: impl Into<PathBuf>,
        cluster: ClusterId,
        id: NodeId,
        members: impl IntoIterator<Item = (NodeId, SocketAddr)>,
    ) -> Result<ServerConfig, ServerConfigError> {
        let members: Vec<(NodeId, SocketAddr)> = members.into_iter().collect();
        let own = members.iter().find(|(member, _)| *member == id);
        let listen = own.ok_or(ServerConfigError::NotAMember(id))?.1;
        let mut founders = Membership::new(members.iter().map(|(member, _)| *member));
        for (position, (member, address)) in members.iter().enumerate() {
            if members[..position].iter().any(|(other, _)| other == member) {
                return Err(ServerConfigError::Twice(*member));
            }
            let address = named(*address);
            founders = founders.with_member(Member { address, ..Member::new(*member) });
        }
        let mut raft = Config::new(id);
        raft.founders = Some(founders);
        Ok(ServerConfig::of(directory.into(), cluster, listen, raft))
    }

    /// Node `id`, which listens at `listen` and joins a running cluster: a leader that adds it
    /// brings it everything. `peers` are where that may be.
    #[must_use]
    pub fn joining(
        directory: impl Into<PathBuf>,
        cluster: ClusterId,
        (id, listen): (NodeId, SocketAddr),
        peers: impl IntoIterator<Item = (NodeId, SocketAddr)>,
    ) -> ServerConfig {
        let mut config = ServerConfig::of(directory.into(), cluster, listen, Config::new(id));
        config.peers = peers.into_iter().map(|(peer, at)| (peer, named(at))).collect();
        config
    }

    fn of(
        directory: PathBuf,
        cluster: ClusterId,
        listen: SocketAddr,
        mut raft: Config,
    ) -> ServerConfig {
        // Under load the next entries say it long before, and so a message is spared.
        raft.commit_delay = Duration::from_millis(1);
        ServerConfig {
            directory,
            cluster,
            listen,
            peers: BTreeMap::new(),
            replica: ReplicaConfig::new(raft),
            network: NetworkConfig::default(),
            service: ServiceConfig::default(),
            requests_max: 4096,
            inline_machine: false,
            poll_max: Duration::ZERO,
            plaintext: false,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Has the founders that are listed lead before all others, each before those after it: by
    /// their priorities, from the highest there is on down. Once there is a cluster,
    /// `Change::priority` says so.
    ///
    /// # Panics
    /// If more than 255 are listed.
    pub fn prefer(&mut self, first: impl IntoIterator<Item = NodeId>) {
        let Some(founders) = &mut self.replica.raft.founders else { return };
        let mut priority = u8::MAX;
        for id in first {
            assert!(priority > 0, "there are no more than 255 priorities above the usual one");
            if let Some(member) = founders.member(id).cloned() {
                let member = Member { priority, ..member };
                *founders = std::mem::take(founders).with_member(member);
                priority -= 1;
            }
        }
    }

    #[cfg(feature = "tls")]
    fn is_safe(&self) -> bool {
        self.tls.is_some()
    }

    #[cfg(not(feature = "tls"))]
    fn is_safe(&self) -> bool {
        false
    }

    /// Says what is wrong with the configuration, if anything is.
    ///
    /// # Errors
    /// A [`ServerConfigError`] that names the field.
    pub fn check(&self) -> Result<(), ServerConfigError> {
        if !self.plaintext && !self.is_safe() && !self.listen.ip().is_loopback() {
            return Err(ServerConfigError::Plaintext(self.listen));
        }
        let network = &self.network;
        let spans = [
            ("handshake_max", network.handshake_max),
            ("pulse", network.pulse),
            ("idle_max", network.idle_max),
            ("retry_min", network.retry_min),
        ];
        if let Some((field, _)) = spans.iter().find(|(_, span)| span.is_zero()) {
            return Err(ServerConfigError::Zero(field));
        }
        let counts = [
            ("packets_max", network.packets_max),
            ("strangers_max", network.strangers_max),
            ("strangers_per_address_max", network.strangers_per_address_max),
            ("connections_max", network.connections_max),
            ("requests_max", self.requests_max),
        ];
        if let Some((field, _)) = counts.iter().find(|(_, count)| *count == 0) {
            return Err(ServerConfigError::Zero(field));
        }
        if let Some(field) = self.service.zero() {
            return Err(ServerConfigError::Zero(field));
        }
        if network.silence_max < 2 * network.pulse {
            return Err(ServerConfigError::SilenceTooShort);
        }
        if network.retry_max < network.retry_min {
            return Err(ServerConfigError::RetriesTooShort);
        }
        Ok(())
    }
}

fn named(address: SocketAddr) -> Address {
    Address::new(&address.to_string()).expect("a socket address is short")
}

/// Why a [`ServerConfig`] is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerConfigError {
    /// The node is none of those that found the cluster.
    NotAMember(NodeId),
    /// A member is listed twice.
    Twice(NodeId),
    /// Words would leave this machine in the clear, and nobody said that they may.
    Plaintext(SocketAddr),
    /// The field is zero: nothing could ever pass it.
    Zero(&'static str),
    /// `silence_max` is less than two pulses: one that is late would end a connection.
    SilenceTooShort,
    /// `retry_max` is less than `retry_min`.
    RetriesTooShort,
}

impl std::fmt::Display for ServerConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ServerConfigError::NotAMember(id) => {
                write!(f, "{id} is none of the members listed: add it with its own address")
            }
            ServerConfigError::Twice(id) => write!(f, "{id} is listed twice among the members"),
            ServerConfigError::Plaintext(address) => write!(
                f,
                "peers at {address} would be spoken to in the clear: give certificates by \
                 `tls`, listen on a loopback address, or allow it by `plaintext`"
            ),
            ServerConfigError::Zero(field) => write!(f, "{field} is zero: nothing could pass it"),
            ServerConfigError::SilenceTooShort => {
                f.write_str("silence_max is less than twice pulse: a late pulse would end it all")
            }
            ServerConfigError::RetriesTooShort => f.write_str("retry_max is less than retry_min"),
        }
    }
}

impl std::error::Error for ServerConfigError {}
