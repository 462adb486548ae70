//! The configuration of a server, checked before it starts.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::raft::Config;
use crate::replica::ReplicaConfig;
use crate::runtime::config_error::ServerConfigError;
#[cfg(feature = "tls")]
use crate::runtime::tls::TlsConfig;
use crate::storage::ClusterId;
use crate::types::{Address, Body, Entry, Member, Membership, NodeId};
use crate::wire::Kind;

/// The configuration of a production node. [`ServerConfig::new`] sets defaults; every field may be
/// changed before the start.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// The node's own directory, created if it is missing. No other process may use it.
    pub directory: PathBuf,
    /// The id of the cluster. A directory of another cluster is rejected.
    pub cluster: ClusterId,
    /// The address at which the node listens for peers and clients.
    pub listen: SocketAddr,
    /// The addresses of peers that the membership does not list yet. A node that joins a running
    /// cluster needs some, see [`ServerConfig::joining`].
    pub peers: BTreeMap<NodeId, Address>,
    /// The configuration of the replica.
    pub replica: ReplicaConfig,
    /// The timeouts and limits of connections.
    pub network: NetworkConfig,
    /// The limits of the service to clients.
    pub service: ServiceConfig,
    /// The number of file descriptors that are reserved for everything but the inbound connections
    /// that `network` permits: for the disk, three outbound connections to each peer, and all that
    /// the program that runs the node opens. No connection is accepted that would take one of them.
    pub files_reserved: usize,
    /// The maximum number of bytes of the recording of the node's inputs, in the folder `recording`
    /// of its directory (`docs/RECORDING.md`); zero, the default, records nothing, because a
    /// library should not write files that its user did not ask for. `quorate serve` records up to
    /// 64 MiB by default. Make it several times as large as a recorded state, which may take a
    /// quarter of `raft.tail_bytes_max`, and at least 1 MiB.
    pub recording_bytes: u64,
    /// The maximum number of proposals of the program that have no reply yet; separately, of its
    /// reads without a reply, and of its other requests that the driver has not executed. Its
    /// commands together may have `service.requests_kib_per_origin_max` KiB, and so may its
    /// queries. At a limit, further calls of the program wait, but no client does. The driver
    /// executes the requests of different origins (`NetworkConfig::connections_per_origin_max`) in
    /// turns, and the program takes turns like one origin. The field is also the capacity of the
    /// channel through which the driver receives all requests, including those of clients.
    pub requests_max: usize,
    /// Whether the driver's thread calls the state machine itself where that saves two thread
    /// switches, which take some 60 µs per command or query. Only for an in-memory state machine
    /// whose calls take microseconds, because the node does nothing else during a call: a long call
    /// delays heartbeats. Snapshots, restores and the digests of `ReplicaConfig::validate_states`
    /// may take long: they are never taken on the driver's thread.
    pub inline_machine: bool,
    /// The time for which the node's threads busy-poll before they sleep; zero, the default,
    /// disables it. Waking a thread takes tens of microseconds, several times in each request of a
    /// single client: with 200 µs, a write takes a quarter less time, and a read takes half the
    /// time. The cost is up to one processor per thread while requests are in flight. Do not use it
    /// on machines with other work. Prefer a tokio runtime of one thread: a busy-polling thread
    /// keeps waking the other threads of a multi-threaded one.
    pub busy_poll_max: Duration,
    /// Whether plaintext connections beyond loopback are allowed. Without it, and without TLS,
    /// `listen` must be a loopback address, and the node connects only to loopback addresses.
    pub plaintext: bool,
    /// The TLS files. If set, every connection uses TLS, and peers and clients without a valid
    /// certificate are rejected.
    #[cfg(feature = "tls")]
    pub tls: Option<TlsConfig>,
}

/// The timeouts and limits of connections. `idle_max`, `retry_min` and `packets_max` apply only to
/// connections between nodes, all others also to those of clients. `retry_max` is also the pause
/// after a failed accept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkConfig {
    /// The time limit for establishing a connection, TLS and hellos included. The addresses of one
    /// host name are tried in turn and share it.
    pub handshake_timeout: Duration,
    /// The interval at which an idle side of a connection sends a keepalive.
    pub keepalive_interval: Duration,
    /// The time without a received byte after which a connection is closed. At least twice
    /// `keepalive_interval`.
    pub keepalive_timeout: Duration,
    /// The time limit for receiving one whole frame, and for writing a client's replies. The size
    /// divided by `kib_per_second_min` is added to it. A client that sends or accepts one byte at a
    /// time therefore cannot keep a connection.
    pub frame_timeout: Duration,
    /// The slowest transfer, in KiB per second, at which a large frame of a client is still
    /// received within its time limit. The rate is 1 for frames from a node with a certificate,
    /// from a member, and, as long as this node knows no membership, from any node. A TLS record,
    /// which has up to 16 KiB, has the limit of a frame of its size.
    pub kib_per_second_min: u32,
    /// The time with nothing but keepalives after which a connection is closed. The next packet
    /// opens it again.
    pub idle_max: Duration,
    /// The first wait before a failed connection is retried; each further failure doubles the wait.
    pub retry_min: Duration,
    /// The longest wait before a failed connection is retried. At least `retry_min`. Keep it below
    /// twice `election_timeout_max`: in that time, a leader must reach a bootstrap peer that has
    /// lost its disk. Members without a leader may need an election timeout more
    /// (`docs/MEMBERSHIP.md`).
    pub retry_max: Duration,
    /// The maximum number of packets that wait for one lane of one peer; for the snapshot lane,
    /// whose packets are large, at most 32. The entries in the packets that wait for the log lane
    /// may have twice `raft.inflight_bytes_max` in all. Further packets are dropped, as a network
    /// may drop them.
    pub packets_max: usize,
    /// The maximum number of connections that have not completed their handshake. A further
    /// connection takes the place of the oldest one from the IPv4 address, or the IPv6 /64 prefix,
    /// that has the most, so that no host keeps out the others. It is rejected if it comes from
    /// that address itself, and the oldest one has had less than 250 ms. With TLS, the node
    /// does the cryptography of one handshake at a time, and addresses take turns.
    pub handshakes_max: usize,
    /// The maximum number of open inbound connections of other nodes, and separately of clients.
    /// Further connections are rejected.
    pub connections_max: usize,
    /// The maximum number of open connections of administrators, and of nodes that request reports
    /// or forward proposals. Clients cannot take these connections, and one administrator or node
    /// can take at most half of them, but always two. Only certificates prove a role.
    pub connections_reserved: usize,
    /// The maximum number of open inbound connections of one origin. An origin is the principal
    /// that a certificate names or, for connections without a certificate, an IPv4 address or an
    /// IPv6 /64 prefix. Those of other nodes, of clients, and of administrators are counted
    /// separately. Further connections are rejected. Other nodes at one address may always have 6,
    /// because one node may need as many.
    pub connections_per_origin_max: usize,
}

/// The limits of a node's service to clients. A request beyond a limit is rejected or waits.
/// Proposals, reads, and all other requests are three kinds, which count separately against limits
/// of the same size, so that no kind uses up the places of another. Each limit of pending requests
/// therefore applies three times, and each limit of KiB twice; only the limit of one connection
/// applies to all kinds together. A membership change, its cancellation and a transfer do not count
/// while they wait for their outcome, because one of them may end another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceConfig {
    /// The maximum number of requests of one connection whose replies are not written yet. At the
    /// limit, the node reads no further request from the connection until a reply is written. If no
    /// pending request of an administrator's connection has an outcome for a second, the node reads
    /// up to 16 more: it executes membership changes, transfers, reports and the like, so that the
    /// administrator can end a pending request, and rejects proposals and reads as overload. A
    /// connection on which a node forwards proposals may have `requests_per_origin_max` more.
    pub requests_per_connection_max: usize,
    /// The maximum number of requests of all connections whose replies are not written yet. Further
    /// requests are rejected as overload. `raft.reads_max` and `raft.all_live_max` must be at least
    /// this, `requests_reserved` and `ServerConfig::requests_max` together.
    pub requests_max: usize,
    /// The maximum number of requests of one origin (`NetworkConfig::connections_per_origin_max`)
    /// whose replies are not written yet, over all its connections. Further requests are rejected
    /// as overload. At the leader, a node that forwards proposals counts as one origin. So the node
    /// forwards at most a quarter of this for each of its own clients.
    pub requests_per_origin_max: usize,
    /// The maximum number of requests of all administrators, and of nodes that request reports,
    /// whose replies are not written yet; at most half of them, but always two, of one
    /// administrator or node. Requests of clients do not count, nor do those that a node forwards.
    pub requests_reserved: usize,
    /// The maximum size, in KiB, of pending commands and queries and of unwritten replies, over all
    /// connections. A request that would exceed it is rejected as overload, and so is a read whose
    /// answer would. A reply to a proposal that would exceed it is dropped if it is longer than 1
    /// KiB: the outcome is then unknown to the client, which asks again if it has a session.
    /// Shorter replies and reports do not count. A request of more than 64 KiB counts while it
    /// arrives, and a command with
    /// [`Acknowledge::LeaderOnly`](crate::types::Acknowledge::LeaderOnly) until the leader has
    /// applied it and has it on its disk.
    pub requests_kib_max: u32,
    /// The same maximum for the connections of one origin. It is also the maximum for all
    /// administrators and nodes together, and for the program that runs the node, whose requests do
    /// not count against `requests_kib_max`.
    pub requests_kib_per_origin_max: u32,
    /// The time without a written byte after which a connection with unwritten replies is closed.
    pub stall_max: Duration,
    /// The time without a request after which a connection without pending requests is closed.
    pub idle_max: Duration,
    /// The time limit for writing the remaining replies when the node shuts down or a connection is
    /// closed, and for the client to read them.
    pub drain_max: Duration,
    /// Whether a node that does not lead forwards a client's proposal to the leader and returns the
    /// reply, for clients that cannot reach every node. Otherwise, or if the setting of the leader
    /// is false, the node redirects the client.
    pub forwards: bool,
}

/// The number of equal parts into which a node that forwards divides what the leader accepts from
/// it. One client of the node may use one of these parts.
pub(super) const FORWARDED_PARTS: usize = 4;

/// The default of [`ServerConfig::requests_max`].
const REQUESTS_MAX: usize = 4096;

impl Default for NetworkConfig {
    fn default() -> NetworkConfig {
        NetworkConfig {
            handshake_timeout: Duration::from_secs(5),
            keepalive_interval: Duration::from_millis(500),
            keepalive_timeout: Duration::from_secs(2),
            frame_timeout: Duration::from_secs(10),
            kib_per_second_min: 64,
            idle_max: Duration::from_secs(10),
            retry_min: Duration::from_millis(20),
            retry_max: Duration::from_secs(1),
            packets_max: 4096,
            handshakes_max: 512,
            connections_max: 1024,
            connections_reserved: 64,
            connections_per_origin_max: 256,
        }
    }
}

impl Default for ServiceConfig {
    fn default() -> ServiceConfig {
        ServiceConfig {
            requests_per_connection_max: 512,
            requests_max: 16_384,
            requests_per_origin_max: 4096,
            requests_reserved: 1024,
            requests_kib_max: 128 << 10,
            requests_kib_per_origin_max: 32 << 10,
            stall_max: Duration::from_secs(10),
            idle_max: Duration::from_secs(120),
            drain_max: Duration::from_secs(1),
            forwards: false,
        }
    }
}

impl NetworkConfig {
    fn durations(&self) -> [(&'static str, Duration); 7] {
        [
            ("network.handshake_timeout", self.handshake_timeout),
            ("network.keepalive_interval", self.keepalive_interval),
            ("network.keepalive_timeout", self.keepalive_timeout),
            ("network.frame_timeout", self.frame_timeout),
            ("network.idle_max", self.idle_max),
            ("network.retry_min", self.retry_min),
            ("network.retry_max", self.retry_max),
        ]
    }
}

impl ServiceConfig {
    fn durations(&self) -> [(&'static str, Duration); 3] {
        [
            ("service.stall_max", self.stall_max),
            ("service.idle_max", self.idle_max),
            ("service.drain_max", self.drain_max),
        ]
    }

    /// Returns the name of a limit that is zero, if there is one.
    fn zero(&self) -> Option<&'static str> {
        let counts = [
            ("service.requests_per_connection_max", self.requests_per_connection_max),
            ("service.requests_max", self.requests_max),
            ("service.requests_per_origin_max", self.requests_per_origin_max),
            ("service.requests_reserved", self.requests_reserved),
            ("service.requests_kib_max", self.requests_kib_max as usize),
            ("service.requests_kib_per_origin_max", self.requests_kib_per_origin_max as usize),
        ];
        let count = counts.into_iter().find(|(_, count)| *count == 0);
        let durations =
            [("service.idle_max", self.idle_max), ("service.stall_max", self.stall_max)];
        let duration = durations.into_iter().find(|(_, duration)| duration.is_zero());
        count.map(|(field, _)| field).or(duration.map(|(field, _)| field))
    }
}

impl ServerConfig {
    /// Returns the configuration of node `id` of a new cluster. `members` are the nodes that
    /// bootstrap it once all of them have connected, each with the address at which the others
    /// reach it. The node listens at its own address.
    ///
    /// # Errors
    /// A [`ServerConfigError`] if `id` is not among `members`, or a member is listed twice.
    pub fn new(
        directory: impl Into<PathBuf>,
        cluster: ClusterId,
        id: NodeId,
        members: impl IntoIterator<Item = (NodeId, SocketAddr)>,
    ) -> Result<ServerConfig, ServerConfigError> {
        let members: Vec<(NodeId, SocketAddr)> = members.into_iter().collect();
        let own = members.iter().find(|(member, _)| *member == id);
        let listen = own.ok_or(ServerConfigError::NotMember(id))?.1;
        let mut bootstrap_peers = Membership::new(members.iter().map(|(member, _)| *member));
        for (position, (member, address)) in members.iter().enumerate() {
            if members[..position].iter().any(|(other, _)| other == member) {
                return Err(ServerConfigError::DuplicateMember(*member));
            }
            let address = to_address(*address);
            bootstrap_peers =
                bootstrap_peers.with_member(Member { address, ..Member::new(*member) });
        }
        let mut raft = Config::new(id);
        raft.bootstrap_peers = Some(bootstrap_peers);
        Ok(ServerConfig::of(directory.into(), cluster, listen, raft))
    }

    /// Returns the configuration of node `id`, which listens at `listen` and joins a running
    /// cluster. The leader that adds it sends it the membership and the log. `peers` are the
    /// addresses of some members: at its start, the node asks all of them at once for the addresses
    /// of the others, for at most three seconds, and then listens. If none of them answers, the
    /// leader has to be one of them.
    #[must_use]
    pub fn joining(
        directory: impl Into<PathBuf>,
        cluster: ClusterId,
        id: NodeId,
        listen: SocketAddr,
        peers: impl IntoIterator<Item = (NodeId, SocketAddr)>,
    ) -> ServerConfig {
        let mut config = ServerConfig::of(directory.into(), cluster, listen, Config::new(id));
        config.peers = peers.into_iter().map(|(peer, at)| (peer, to_address(at))).collect();
        config
    }

    fn of(
        directory: PathBuf,
        cluster: ClusterId,
        listen: SocketAddr,
        mut raft: Config,
    ) -> ServerConfig {
        // Under load the leader sends the next AppendEntries within this time, which carries the
        // commit index and so saves a message.
        raft.commit_delay = Duration::from_millis(1);
        let service = ServiceConfig::default();
        let requests = service.requests_max + service.requests_reserved + REQUESTS_MAX;
        (raft.reads_max, raft.all_live_max) = (requests, requests);
        ServerConfig {
            directory,
            cluster,
            listen,
            peers: BTreeMap::new(),
            replica: ReplicaConfig::new(raft),
            network: NetworkConfig::default(),
            service,
            files_reserved: 128,
            recording_bytes: 0,
            requests_max: REQUESTS_MAX,
            inline_machine: false,
            busy_poll_max: Duration::ZERO,
            plaintext: false,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Gives the listed bootstrap peers the highest priorities, from 255 downwards in their order,
    /// so that they become leader before all other nodes. In a running cluster use
    /// `Change::priority`.
    ///
    /// # Panics
    /// If more than 255 bootstrap peers are listed.
    pub fn prefer_leaders(&mut self, first: impl IntoIterator<Item = NodeId>) {
        let Some(bootstrap_peers) = &mut self.replica.raft.bootstrap_peers else { return };
        let mut priority = u8::MAX;
        for id in first {
            assert!(priority > 0, "at most 255 nodes can have a priority of their own");
            if let Some(member) = bootstrap_peers.member(id).cloned() {
                let member = Member { priority, ..member };
                *bootstrap_peers = std::mem::take(bootstrap_peers).with_member(member);
                priority -= 1;
            }
        }
    }

    #[cfg(feature = "tls")]
    fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    #[cfg(not(feature = "tls"))]
    fn has_tls(&self) -> bool {
        false
    }

    /// Returns the number of open files that the configuration permits.
    pub(super) fn open_files(&self) -> u64 {
        let network = &self.network;
        let sockets = [
            network.handshakes_max,
            network.connections_max,
            network.connections_max,
            network.connections_reserved,
        ];
        let all = sockets.iter().fold(self.files_reserved, |all, more| all.saturating_add(*more));
        all as u64
    }

    /// Checks the configuration. Of `replica`, checks only the rules that a server adds to those of
    /// [`ReplicaConfig::check`].
    ///
    /// # Errors
    /// A [`ServerConfigError`] that names the invalid field.
    pub fn check(&self) -> Result<(), ServerConfigError> {
        if !self.plaintext && !self.has_tls() && !self.listen.ip().is_loopback() {
            return Err(ServerConfigError::PlaintextNotAllowed(self.listen));
        }
        if (1..RECORDING_BYTES_MIN).contains(&self.recording_bytes) {
            let (bytes, min) = (self.recording_bytes, RECORDING_BYTES_MIN);
            return Err(ServerConfigError::RecordingTooSmall { bytes, min });
        }
        let raft = &self.replica.raft;
        if raft.election_timeout_min == raft.election_timeout_max {
            return Err(ServerConfigError::FixedElectionTimeout(raft.election_timeout_max));
        }
        let network = &self.network;
        let durations = network.durations();
        let all = durations.into_iter().chain(self.service.durations());
        if let Some((field, duration)) = too_long(all) {
            return Err(ServerConfigError::TooLong(field, duration));
        }
        if let Some((field, _)) = durations.iter().find(|(_, duration)| duration.is_zero()) {
            return Err(ServerConfigError::Zero(field));
        }
        let counts = [
            ("network.kib_per_second_min", network.kib_per_second_min as usize),
            ("network.packets_max", network.packets_max),
            ("network.handshakes_max", network.handshakes_max),
            ("network.connections_max", network.connections_max),
            ("network.connections_reserved", network.connections_reserved),
            ("network.connections_per_origin_max", network.connections_per_origin_max),
            ("requests_max", self.requests_max),
        ];
        if let Some((field, _)) = counts.iter().find(|(_, count)| *count == 0) {
            return Err(ServerConfigError::Zero(field));
        }
        if let Some(field) = self.service.zero() {
            return Err(ServerConfigError::Zero(field));
        }
        self.check_requests()?;
        self.check_longest_command()?;
        self.check_longest_message()?;
        let NetworkConfig { keepalive_timeout, keepalive_interval, retry_max, retry_min, .. } =
            *network;
        if keepalive_timeout < 2 * keepalive_interval {
            return Err(ServerConfigError::KeepaliveTimeoutTooShort {
                keepalive_timeout,
                keepalive_interval,
            });
        }
        if retry_max < retry_min {
            return Err(ServerConfigError::RetryMaxBelowMin { retry_max, retry_min });
        }
        Ok(())
    }
}

impl ServerConfig {
    /// Checks that the core has room for all requests that the service and the handle admit.
    fn check_requests(&self) -> Result<(), ServerConfigError> {
        let raft = &self.replica.raft;
        let ServiceConfig { requests_max, requests_reserved, .. } = self.service;
        let of_clients = requests_max.saturating_add(requests_reserved);
        let requests = of_clients.saturating_add(self.requests_max);
        let bounds = [("raft.reads_max", raft.reads_max), ("raft.all_live_max", raft.all_live_max)];
        match bounds.into_iter().find(|(_, bound)| *bound < requests) {
            Some((field, bound)) => {
                Err(ServerConfigError::BelowRequests { field, bound, requests })
            }
            None => Ok(()),
        }
    }

    /// Checks that the service has room for the longest command, alone.
    fn check_longest_command(&self) -> Result<(), ServerConfigError> {
        let ServiceConfig { requests_kib_max, requests_kib_per_origin_max, .. } = self.service;
        let bounds = [
            ("service.requests_kib_max", requests_kib_max),
            ("service.requests_kib_per_origin_max", requests_kib_per_origin_max),
        ];
        let parts = if self.service.forwards { FORWARDED_PARTS } else { 1 };
        let command_kib = self.replica.raft.command_bytes_max.div_ceil(1 << 10);
        let kib = command_kib.saturating_mul(parts);
        match bounds.into_iter().find(|(_, bound)| (*bound as usize) < kib) {
            Some((field, bound)) => Err(ServerConfigError::BelowCommand { field, bound, kib }),
            None => Ok(()),
        }
    }

    /// Checks that the wire format has room for the longest message of entries. A longer one would
    /// be dropped again and again, and nothing after it would be replicated.
    fn check_longest_message(&self) -> Result<(), ServerConfigError> {
        let raft = &self.replica.raft;
        let bytes_max = Kind::Chained.bytes_max() - MESSAGE_FIELDS_BYTES;
        let bounds = [
            ("raft.message_entries_max", raft.message_entries_max, Body::ENTRIES_MAX),
            ("raft.message_bytes_max", raft.message_bytes_max, bytes_max),
            ("raft.command_bytes_max", raft.command_bytes_max, bytes_max - Entry::OVERHEAD_BYTES),
        ];
        match bounds.into_iter().find(|(_, bound, max)| bound > max) {
            Some((field, bound, max)) => Err(ServerConfigError::AboveWire { field, bound, max }),
            None => Ok(()),
        }
    }
}

/// The least value of `ServerConfig::recording_bytes` other than 0.
const RECORDING_BYTES_MIN: u64 = 1 << 20;

/// The room for the fields of a message other than its entries, in bytes.
const MESSAGE_FIELDS_BYTES: usize = 1 << 10;

/// Returns a duration of more than a year and its name, if there is one. The end of such a time
/// might be beyond the range of the clock.
pub(super) fn too_long(
    durations: impl IntoIterator<Item = (&'static str, Duration)>,
) -> Option<(&'static str, Duration)> {
    const YEAR: Duration = Duration::from_secs(366 * 24 * 3600);
    durations.into_iter().find(|(_, duration)| *duration > YEAR)
}

fn to_address(address: SocketAddr) -> Address {
    Address::new(&address.to_string()).expect("a socket address is short")
}

#[cfg(test)]
mod tests;
