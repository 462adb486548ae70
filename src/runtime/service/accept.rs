//! The handshake with clients, and the connections that are accepted.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::AsyncWrite;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;

use crate::runtime::config::{NetworkConfig, ServiceConfig};
use crate::runtime::origin::Origin;
use crate::runtime::principal::Principal;
use crate::runtime::rejected_connections::{ConnectionRejectReason, reject};
use crate::runtime::request::Access;
use crate::runtime::request_limits::{REQUEST_OVERHEAD_BYTES, ServiceLimits};
use crate::runtime::service::connection::Connection;
use crate::runtime::service::requests::{Caller, Executor, Rights};
use crate::runtime::transport::connection_registry::{ConnectionPermit, PlaceKind};
use crate::runtime::transport::handshake::{ConnectionReader, TransferLimits, write_all_within};
use crate::runtime::transport::link::Stream;
use crate::runtime::unnamed_cluster::{ANY_UNNAMED_CLUSTER, is_unnamed_cluster};
use crate::storage::ClusterId;
use crate::types::NodeId;
use crate::wire::{ClientHello, Versions};

/// The maximum number of bytes of a query, or of another request that is not a proposal, unless
/// `command_bytes_max` is higher, which then applies to all requests.
const QUERY_BYTES_MAX: usize = 1 << 20;

/// The service of a node to clients. Clones share its limits.
#[derive(Clone)]
pub(in crate::runtime) struct Service {
    cluster: ClusterId,
    node: NodeId,
    network: NetworkConfig,
    config: ServiceConfig,
    executor: Executor,
    /// The permits of open connections, which the drain awaits. `ConnectionRegistry` limits them.
    open: Arc<Semaphore>,
    open_max: u32,
    limits: ServiceLimits,
    /// The maximum length of a request.
    request_bytes_max: usize,
    closing: Arc<watch::Sender<bool>>,
}

/// A client whose connection is accepted.
pub(in crate::runtime) struct AcceptedClient {
    caller: Caller,
    _open: Option<OwnedSemaphorePermit>,
    _permit: ConnectionPermit,
}

impl Service {
    pub(in crate::runtime) fn new(
        cluster: ClusterId,
        node: NodeId,
        network: NetworkConfig,
        config: ServiceConfig,
        command_bytes_max: usize,
        mut executor: Executor,
    ) -> Service {
        executor.forwarder = executor.forwarder.filter(|_| config.forwards);
        let connections = network.connections_max.saturating_add(network.connections_reserved);
        let open_max = u32::try_from(connections.min(Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX);
        let open = Arc::new(Semaphore::new(open_max as usize));
        let limits = ServiceLimits::new(&config);
        let closing = Arc::new(watch::Sender::new(false));
        let request_bytes_max =
            command_bytes_max.max(QUERY_BYTES_MAX).saturating_add(REQUEST_OVERHEAD_BYTES);
        Service {
            cluster,
            node,
            network,
            config,
            executor,
            open,
            open_max,
            limits,
            request_bytes_max,
            closing,
        }
    }

    /// Replies to the hello of a client, and accepts it unless it is invalid or the limit
    /// of its kind or origin is reached. Without a certificate the connection is plaintext, where
    /// every client is an administrator.
    pub(in crate::runtime) async fn handshake<S: AsyncWrite + Unpin>(
        &self,
        stream: &mut S,
        hello: &ClientHello,
        principal: Option<&Principal>,
        from: SocketAddr,
    ) -> io::Result<AcceptedClient> {
        let origin = Origin::new(principal, from.ip());
        let kind = match origin.has_reserved_places() {
            true => PlaceKind::Reserved,
            false => PlaceKind::Client,
        };
        let permit = self.executor.handle.registry.admit(kind, &origin);
        let (cluster, full) = (self.cluster.0, permit.is_err());
        let versions = Versions::SUPPORTED;
        let reply = ClientHello { versions, cluster, node: Some(self.node), full };
        let mut bytes = Vec::new();
        reply.encode(&mut bytes);
        // The reply is sent even if the hello is rejected, so that the client can see why.
        let limits = TransferLimits::of_silence(self.network.keepalive_timeout);
        write_all_within(limits, stream, &bytes).await?;
        let checked = match self.serves_unnamed(hello) {
            true => ClientHello { cluster, ..*hello }.check(&reply),
            false => hello.check(&reply),
        };
        match (checked, permit) {
            (Ok(()), Ok(permit)) => {
                // A hello that names this node may be that of a node that forwards proposals.
                let forwards = self.executor.forwarder.is_some() && hello.node.is_some();
                let rights = Rights { principal: principal.cloned(), forwards };
                let caller = Caller { origin, from, rights };
                let _open = Arc::clone(&self.open).try_acquire_owned().ok();
                Ok(AcceptedClient { caller, _open, _permit: permit })
            }
            (Err(error), Ok(_)) if hello.cluster != cluster => {
                Err(reject(ConnectionRejectReason::OtherCluster, error))
            }
            (Err(error), Ok(_)) => Err(reject(ConnectionRejectReason::InvalidHello, error)),
            (_, Err(error)) => Err(error),
        }
    }

    /// Returns true if the client names no cluster, and this one has no name.
    fn serves_unnamed(&self, hello: &ClientHello) -> bool {
        hello.cluster == ANY_UNNAMED_CLUSTER.0 && is_unnamed_cluster(self.cluster)
    }

    /// Executes the requests of the client until the connection ends or the node shuts down.
    pub(in crate::runtime) async fn serve(
        &self,
        client: AcceptedClient,
        stream: Stream,
        mut frames: ConnectionReader,
    ) -> io::Result<()> {
        frames.limit_requests(self.request_bytes_max);
        // A forwarded proposal is not forwarded again, because that would allow loops.
        let mut executor = self.executor.clone();
        executor.forwarder = executor.forwarder.filter(|_| !client.caller.rights.forwards);
        let forwards = client.caller.rights.allow(Access::Forwarded);
        let limits = self.limits.of(&client.caller.origin, forwards);
        let (network, config) = (&self.network, &self.config);
        let caller = client.caller.clone();
        let (connection, replies) = Connection::new(caller, executor, network, config, limits);
        connection.run(stream, frames, replies, self.closing.subscribe()).await
    }

    /// Accepts no more requests, and waits at most `drain_max` until the replies to the pending
    /// requests are written and all clients are disconnected.
    pub(in crate::runtime) async fn drain(&self) {
        self.closing.send_replace(true);
        // The remaining clients see their connections end.
        let _ = timeout(self.config.drain_max, self.all_ended()).await;
    }

    /// Waits until every connection has ended, and with it the line of the audit log about each of
    /// its requests.
    pub(in crate::runtime) async fn all_ended(&self) {
        // The semaphore is never closed.
        let _ = self.open.acquire_many(self.open_max).await;
    }
}
