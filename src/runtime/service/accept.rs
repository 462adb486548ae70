//! The handshake with clients, and the connections that are accepted.

use std::io;
use std::sync::Arc;

use tokio::io::AsyncWrite;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;

use crate::runtime::config::{NetworkConfig, ServiceConfig};
use crate::runtime::principal::Principal;
use crate::runtime::rejected_connections::{ConnectionRejectReason, reject};
use crate::runtime::service::connection::Connection;
use crate::runtime::service::requests::{Executor, Rights, ServiceLimits};
use crate::runtime::transport::handshake::{ConnectionReader, write_all_within};
use crate::runtime::transport::link::Stream;
use crate::storage::ClusterId;
use crate::types::NodeId;
use crate::wire::{ClientHello, Versions};

/// The service of a node to clients. Clones share its limits.
#[derive(Clone)]
pub(in crate::runtime) struct Service {
    cluster: ClusterId,
    node: NodeId,
    network: NetworkConfig,
    config: ServiceConfig,
    executor: Executor,
    connections: Arc<Semaphore>,
    limits: ServiceLimits,
    closing: Arc<watch::Sender<bool>>,
}

/// A client whose connection is accepted.
pub(in crate::runtime) struct AcceptedClient {
    rights: Rights,
    _connection: OwnedSemaphorePermit,
}

impl Service {
    pub(in crate::runtime) fn new(
        cluster: ClusterId,
        node: NodeId,
        network: NetworkConfig,
        config: ServiceConfig,
        mut executor: Executor,
    ) -> Service {
        executor.forwarder = executor.forwarder.filter(|_| config.forwards);
        let connections = Arc::new(Semaphore::new(network.connections_max));
        let limits = ServiceLimits::new(&config);
        let closing = Arc::new(watch::Sender::new(false));
        Service { cluster, node, network, config, executor, connections, limits, closing }
    }

    /// Replies to the hello of a client, and accepts it unless it is invalid or the limit is
    /// reached. Without a certificate the connection is plaintext, where every client is an
    /// administrator.
    pub(in crate::runtime) async fn handshake<S: AsyncWrite + Unpin>(
        &self,
        stream: &mut S,
        hello: &ClientHello,
        principal: Option<&Principal>,
    ) -> io::Result<AcceptedClient> {
        let permit = Arc::clone(&self.connections).try_acquire_owned().ok();
        let (cluster, full) = (self.cluster.0, permit.is_none());
        let versions = Versions::SUPPORTED;
        let reply = ClientHello { versions, cluster, node: Some(self.node), full };
        let mut bytes = Vec::new();
        reply.encode(&mut bytes);
        // The reply is sent even if the hello is rejected, so that the client can see why.
        write_all_within(self.network.keepalive_timeout, stream, &bytes).await?;
        match (hello.check(&reply), permit) {
            (Ok(()), Some(permit)) => {
                // A hello that names this node may be that of a node that forwards proposals.
                let forwards = self.executor.forwarder.is_some() && hello.node.is_some();
                let rights = Rights { principal: principal.cloned(), forwards };
                Ok(AcceptedClient { rights, _connection: permit })
            }
            (Err(error), Some(_)) if hello.cluster != cluster => {
                Err(reject(ConnectionRejectReason::OtherCluster, error))
            }
            (Err(error), Some(_)) => Err(reject(ConnectionRejectReason::InvalidHello, error)),
            (_, None) => {
                let message = "the limit of client connections (connections_max) is reached";
                Err(reject(ConnectionRejectReason::TooManyConnections, message))
            }
        }
    }

    /// Executes the requests of the client until it disconnects or the node shuts down.
    pub(in crate::runtime) async fn serve(
        &self,
        client: AcceptedClient,
        stream: Stream,
        frames: ConnectionReader,
    ) -> io::Result<()> {
        // A forwarded proposal is not forwarded again, which would allow loops.
        let mut executor = self.executor.clone();
        executor.forwarder = executor.forwarder.filter(|_| !client.rights.forwards);
        let (network, config, limits) = (&self.network, &self.config, self.limits.clone());
        let connection = Connection::new(client.rights, executor, network, config, limits);
        connection.run(stream, frames, self.closing.subscribe()).await
    }

    /// Accepts no more requests, and waits at most `drain_max` until the replies to the pending
    /// requests are written and all clients are disconnected.
    pub(in crate::runtime) async fn drain(&self) {
        self.closing.send_replace(true);
        let all = u32::try_from(self.network.connections_max).unwrap_or(u32::MAX);
        // The remaining clients see their connections end.
        let _ = timeout(self.config.drain_max, self.connections.acquire_many(all)).await;
    }
}
