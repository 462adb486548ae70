//! Who is let in as a client, and what it may ask for.

use std::io;
use std::sync::Arc;

use tokio::io::AsyncWrite;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;

use crate::runtime::client::Relay;
use crate::runtime::config::{NetworkConfig, ServiceConfig};
use crate::runtime::handle::Handle;
use crate::runtime::principal::{Principal, Role};
use crate::runtime::refusal::{Refusal, refused};
use crate::runtime::service::connection::Connection;
use crate::runtime::service::requests::Bounds;
use crate::runtime::transport::greeting::{Reader, say_within};
use crate::runtime::transport::link::Stream;
use crate::storage::ClusterId;
use crate::types::NodeId;
use crate::wire::{ClientHello, Versions};

/// What a node does for clients. Clones share its bounds.
#[derive(Clone)]
pub(in crate::runtime) struct Service {
    cluster: ClusterId,
    node: NodeId,
    network: NetworkConfig,
    config: ServiceConfig,
    handle: Handle,
    relay: Option<Relay>,
    connections: Arc<Semaphore>,
    bounds: Bounds,
    closing: Arc<watch::Sender<bool>>,
}

/// A client that was let in.
pub(in crate::runtime) struct Guest {
    role: Role,
    /// Whether it is a node that passes on what others ask it for: who names the node it means
    /// wants that node's own word.
    relays: bool,
    _connection: OwnedSemaphorePermit,
}

impl Service {
    pub(in crate::runtime) fn new(
        (cluster, node): (ClusterId, NodeId),
        network: NetworkConfig,
        config: ServiceConfig,
        (handle, relay): (Handle, Relay),
    ) -> Service {
        let relay = config.forwards.then_some(relay);
        let connections = Arc::new(Semaphore::new(network.connections_max));
        let bounds = Bounds::new(&config);
        let closing = Arc::new(watch::Sender::new(false));
        Service { cluster, node, network, config, handle, relay, connections, bounds, closing }
    }

    /// Answers the hello of a client, and lets it in if nothing is against it. Nobody who has no
    /// certificate came through TLS, and then there are no roles.
    pub(in crate::runtime) async fn answer<S: AsyncWrite + Unpin>(
        &self,
        stream: &mut S,
        hello: &ClientHello,
        principal: Option<&Principal>,
    ) -> io::Result<Guest> {
        let role = principal.map_or(Role::Admin, Principal::role);
        let permit = Arc::clone(&self.connections).try_acquire_owned().ok();
        let (cluster, full) = (self.cluster.0, permit.is_none());
        let versions = Versions::SUPPORTED;
        let answer = ClientHello { versions, cluster, node: Some(self.node), full };
        let mut bytes = Vec::new();
        answer.encode(&mut bytes);
        // The answer tells the client what is wrong, if anything is.
        say_within(self.network.silence_max, stream, &bytes).await?;
        match (hello.check(&answer), permit) {
            (Ok(()), Some(connection)) => {
                let relays = self.relay.is_some() && hello.node.is_some();
                Ok(Guest { role, relays, _connection: connection })
            }
            (Err(error), Some(_)) if hello.cluster != cluster => {
                Err(refused(Refusal::Cluster, error))
            }
            (Err(error), Some(_)) => Err(refused(Refusal::Hello, error)),
            (_, None) => Err(refused(Refusal::Crowd, "there are too many clients")),
        }
    }

    /// Does what the client asks for, until it goes or the node does.
    pub(in crate::runtime) async fn serve(
        &self,
        guest: Guest,
        stream: Stream,
        frames: Reader,
    ) -> io::Result<()> {
        // What was passed on once goes no further: nothing travels in a circle.
        let relay = self.relay.clone().filter(|_| !guest.relays);
        let connection = Connection::new(
            (guest.role, guest.relays),
            (self.handle.clone(), relay),
            (&self.network, &self.config),
            self.bounds.clone(),
        );
        connection.run(stream, frames, self.closing.subscribe()).await
    }

    /// Takes no more requests, and waits until the replies to those that wait are out, for a
    /// while.
    pub(in crate::runtime) async fn drain(&self) {
        self.closing.send_replace(true);
        let all = u32::try_from(self.network.connections_max).unwrap_or(u32::MAX);
        // Who is not done by then learns it from the end of its connection.
        let _ = timeout(self.config.drain_max, self.connections.acquire_many(all)).await;
    }
}
