//! Inbound connections: accepts them, and reads the packets of peers.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
#[cfg(feature = "tls")]
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy, sink, split};
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::SendError;
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, info, warn};

use crate::runtime::config::NetworkConfig;
use crate::runtime::environment::{self, Environment, RawStream, is_of_connection};
use crate::runtime::handle::Handle;
use crate::runtime::metrics::{OpenConnection, SnapshotStep};
use crate::runtime::open_files;
use crate::runtime::origin::Origin;
use crate::runtime::rejected_connections::{ConnectionRejectReason, reject};
use crate::runtime::service::{AcceptedClient, Service};
use crate::runtime::tasks::Tasks;
#[cfg(feature = "tls")]
use crate::runtime::tls::Tls;
use crate::runtime::transport::connection_registry::ConnectionPermit;
use crate::runtime::transport::handshake::{
    Caller as PeerCaller, ConnectionReader, Handshake, TransferLimits, write_all, write_all_within,
};
use crate::runtime::transport::lane::Lane;
#[cfg(feature = "tls")]
use crate::runtime::transport::link::Security;
use crate::runtime::transport::link::{Link, Stream, classified, closed_without_bytes};
use crate::runtime::transport::other_protocol::OtherProtocol;
use crate::runtime::transport::pending_handshakes::{PendingHandshake, PendingHandshakes};
use crate::types::{NodeId, Packet, SnapshotTransfer, SnapshotTransferBody};
use crate::wire::{Frame, encode_keepalive};

/// The maximum number of bytes that are read from a remote after the answer that it speaks another
/// protocol.
const UNREAD_BYTES_MAX: u64 = 64 << 10;

/// The interval at which old revocation lists are logged.
#[cfg(feature = "tls")]
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The queues of received packets. Urgent packets, such as heartbeats and votes, do not wait behind
/// bulk ones, such as entries and snapshot parts.
#[derive(Clone, Debug)]
pub(in crate::runtime) struct InboundQueues {
    pub(in crate::runtime) urgent: Sender<Packet>,
    pub(in crate::runtime) bulk: Sender<Packet>,
}

/// Handles accepted connections: the state that all of them share.
pub(in crate::runtime) struct ConnectionHandler {
    pub(in crate::runtime) handshake: Handshake,
    pub(in crate::runtime) config: NetworkConfig,
    pub(in crate::runtime) files_reserved: usize,
    pub(in crate::runtime) queues: InboundQueues,
    pub(in crate::runtime) handle: Handle,
    pub(in crate::runtime) service: Service,
}

impl InboundQueues {
    /// Queues a packet; waits while its queue is full. Fails if the driver has stopped.
    pub(super) async fn push(&self, packet: Packet) -> Result<(), SendError<Packet>> {
        let queue = match Lane::of(&packet) {
            Lane::Control => &self.urgent,
            Lane::Log | Lane::Snapshot => &self.bulk,
        };
        queue.send(packet).await
    }
}

/// The listener for peers and clients.
pub(in crate::runtime) struct Listener(environment::Listener);

impl Listener {
    pub(in crate::runtime) async fn bind(
        environment: &Environment,
        address: SocketAddr,
    ) -> io::Result<Listener> {
        Ok(Listener(environment.listen(address).await?))
    }

    pub(in crate::runtime) fn address(&self) -> io::Result<SocketAddr> {
        self.0.address()
    }

    /// Accepts and handles connections until the future is dropped, which closes them.
    pub(in crate::runtime) async fn run(self, handler: ConnectionHandler) -> Infallible {
        let pending_handshakes = PendingHandshakes::new(handler.config.handshakes_max);
        let handler = Arc::new(handler);
        let mut connections = Tasks::default();
        #[cfg(feature = "tls")]
        if let Security::Tls(tls) = handler.handle.registry.links.security.clone() {
            connections.spawn(async move { match log_old_revocation_lists(&tls).await {} });
        }
        loop {
            let pause = |error| {
                handler.handle.log_accept_failure(&error, "a connection");
                sleep(handler.config.retry_max)
            };
            let (stream, from) = accept_next(|| self.0.accept(), pause).await;
            if !leaves_room(&stream, handler.files_reserved) {
                let message = "the limit of open files leaves no room beyond files_reserved";
                handler.reject(from, &reject(ConnectionRejectReason::TooManyConnections, message));
                continue;
            }
            let Some(pending_handshake) = pending_handshakes.admit(from.ip()) else {
                let message = "handshakes_max is reached, by handshakes of this address";
                let error = reject(ConnectionRejectReason::TooManyConnections, message);
                handler.reject(from, &error);
                continue;
            };
            let handler = Arc::clone(&handler);
            connections.spawn(async move { handler.handle(stream, from, pending_handshake).await });
        }
    }
}

/// Returns the next connection that can be accepted. Pauses after each failure, unless only that
/// connection failed.
async fn accept_next<T, A, P>(
    mut accept: impl FnMut() -> A,
    mut pause: impl FnMut(io::Error) -> P,
) -> T
where
    A: Future<Output = io::Result<T>>,
    P: Future<Output = ()>,
{
    loop {
        match accept().await {
            Ok(call) => return call,
            Err(error) if is_of_connection(&error) => {}
            // The usual cause is the limit of open files.
            Err(error) => pause(error).await,
        }
    }
}

/// Logs the revocation lists that have expired or expire soon, now and each day, until the future
/// is dropped.
#[cfg(feature = "tls")]
async fn log_old_revocation_lists(tls: &Tls) -> Infallible {
    loop {
        tls.warn_of_old_lists();
        sleep(DAY).await;
    }
}

/// Returns true if `reserved` more files can be opened in addition to this connection.
fn leaves_room(stream: &RawStream, reserved: usize) -> bool {
    match stream {
        RawStream::System(tcp) => open_files::leaves_room(tcp, reserved),
        RawStream::Simulated(_) => true,
    }
}

/// A handshake that failed.
struct FailedHandshake {
    error: io::Error,
    /// The connection, if the remote was sent an answer that explains the failure.
    answered: Option<Stream>,
}

impl From<io::Error> for FailedHandshake {
    fn from(error: io::Error) -> FailedHandshake {
        FailedHandshake { error, answered: None }
    }
}

/// The kind of caller, which the first frame of a connection determines.
enum Caller {
    Peer(PeerCaller, ConnectionPermit),
    Client(AcceptedClient),
}

impl ConnectionHandler {
    /// Handles one connection, from its handshake to its end.
    async fn handle(
        &self,
        stream: RawStream,
        from: SocketAddr,
        pending_handshake: PendingHandshake,
    ) {
        let timed_out = |_| {
            let message = "the handshake did not complete within handshake_timeout";
            Err(reject(ConnectionRejectReason::HandshakeTimeout, message).into())
        };
        let completed = tokio::select! {
            biased;
            () = pending_handshake.displaced() => {
                let message = "handshakes_max is reached: a newer connection took the place";
                Err(reject(ConnectionRejectReason::TooManyConnections, message).into())
            }
            completed = timeout(
                self.config.handshake_timeout,
                self.handshake(stream, from, &pending_handshake),
            ) => completed.unwrap_or_else(timed_out),
        };
        let (link, frames, caller) = match completed {
            Ok(completed) => completed,
            Err(FailedHandshake { error, answered }) => {
                self.reject(from, &closed_in_handshake(classified(error)));
                if let Some(stream) = answered {
                    self.close_answered(stream, &pending_handshake).await;
                }
                return;
            }
        };
        drop(pending_handshake);
        let network = &self.handle.registry.counts.network;
        let kind = usize::from(matches!(caller, Caller::Client(_)));
        network.accepted[kind].add(1);
        let _open = OpenConnection::count(&network.open[kind]);
        let Link { stream, mut trust, .. } = link;
        let ended = tokio::select! {
            biased;
            error = trust.revoked() => Err(error),
            ended = self.serve(caller, stream, frames) => ended,
        };
        match ended.map_err(classified) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                debug!(%from, "the remote closed its connection");
            }
            Err(error) => {
                self.handle.registry.rejected.count(&error);
                if self.may_log(&error) {
                    info!(%from, %error, "closed a connection");
                }
            }
        }
    }

    fn reject(&self, from: SocketAddr, error: &io::Error) {
        self.handle.registry.rejected.count(error);
        match ConnectionRejectReason::of(error) {
            Some(ConnectionRejectReason::ClosedWithoutBytes) => {
                debug!(%from, %error, "rejected a connection");
            }
            _ if !self.may_log(error) => {}
            Some(ConnectionRejectReason::TwoProcesses) => {
                warn!(%from, %error, "rejected a connection");
            }
            _ => info!(%from, %error, "rejected a connection"),
        }
    }

    /// Closes the connection to a remote that was sent an answer, once the remote has closed its
    /// end: the system resets a connection that is closed with unread bytes, and the remote could
    /// lose the answer.
    async fn close_answered(&self, mut stream: Stream, pending_handshake: &PendingHandshake) {
        let closed = async {
            stream.shutdown().await?;
            copy(&mut stream.take(UNREAD_BYTES_MAX), &mut sink()).await
        };
        tokio::select! {
            biased;
            () = pending_handshake.displaced() => {}
            _ = timeout(self.config.handshake_timeout, closed) => {}
        }
    }

    /// Returns true if one more line about an error of this kind may be logged.
    fn may_log(&self, error: &io::Error) -> bool {
        let kind = ConnectionRejectReason::of(error).map_or("other", ConnectionRejectReason::name);
        self.handle.registry.log_limit.admit(kind)
    }

    /// Performs the TLS handshake, if the node uses TLS.
    #[cfg_attr(not(feature = "tls"), expect(unused_variables, reason = "only TLS takes turns"))]
    async fn accept(
        &self,
        stream: RawStream,
        pending_handshake: &PendingHandshake,
    ) -> io::Result<Link> {
        let links = &self.handle.registry.links;
        #[cfg(feature = "tls")]
        if let Security::Tls(_) = links.security {
            return pending_handshake.in_turns(links.accept(stream)).await;
        }
        links.accept(stream).await
    }

    /// Performs the TLS handshake and the exchange of hellos.
    async fn handshake(
        &self,
        stream: RawStream,
        from: SocketAddr,
        pending_handshake: &PendingHandshake,
    ) -> Result<(Link, ConnectionReader, Caller), FailedHandshake> {
        let mut link = self.accept(stream, pending_handshake).await?;
        let mut frames = ConnectionReader::new();
        frames.watch_received(link.received.clone());
        let first = match frames.next(&mut link.stream).await {
            Ok(first) => first,
            Err(error) if frames.is_silent() => return Err(closed_without_bytes(error).into()),
            Err(error) => {
                let answer = frames.other_protocol().map_or(&[][..], OtherProtocol::answer);
                // If the remote has gone already, it does not need the reason.
                let is_sent = write_all(&mut link.stream, answer).await.is_ok();
                let answered = (is_sent && !answer.is_empty()).then_some(link.stream);
                return Err(FailedHandshake { error, answered });
            }
        };
        let caller = match first {
            Frame::Hello(hello) => {
                let principal = link.principal.as_ref();
                let origin = Origin::new(principal, from.ip());
                let registry = &self.handle.registry;
                let own = registry.named_addresses.own();
                let respond = self.handshake.respond(&mut link.stream, &hello, principal, own);
                let caller = respond.await?;
                let permit = registry.admit_node(caller, &origin)?;
                registry.named_addresses.record(caller.node, hello.address);
                Caller::Peer(caller, permit)
            }
            Frame::ClientHello(hello) => {
                let principal = link.principal.as_ref();
                let service = &self.service;
                let accepted = service.handshake(&mut link.stream, &hello, principal, from);
                Caller::Client(accepted.await?)
            }
            // The frame reader accepts only a hello as the first frame.
            _ => {
                let message = "the first frame is not a hello";
                return Err(reject(ConnectionRejectReason::InvalidFrame, message).into());
            }
        };
        Ok((link, frames, caller))
    }

    async fn serve(
        &self,
        caller: Caller,
        stream: Stream,
        frames: ConnectionReader,
    ) -> io::Result<()> {
        match caller {
            Caller::Peer(peer, mut permit) => tokio::select! {
                biased;
                error = permit.replaced() => Err(error),
                ended = self.serve_peer(peer, stream, frames) => ended,
            },
            Caller::Client(client) => self.service.serve(client, stream, frames).await,
        }
    }

    pub(super) async fn serve_peer(
        &self,
        peer: PeerCaller,
        stream: Stream,
        mut frames: ConnectionReader,
    ) -> io::Result<()> {
        let (mut read, mut write) = split(stream);
        // Keepalives are sent even while the queue for received packets is full.
        tokio::select! {
            biased;
            ended = self.send_keepalives(&mut write) => ended,
            ended = self.read_packets(peer, &mut read, &mut frames) => ended,
        }
    }

    async fn read_packets<R>(
        &self,
        caller: PeerCaller,
        read: &mut R,
        frames: &mut ConnectionReader,
    ) -> io::Result<()>
    where
        R: AsyncRead + Unpin,
    {
        // A correct caller closes an idle connection first, after `idle_max`.
        let idle_max = 2 * self.config.idle_max;
        let mut last_packet = Instant::now();
        let peer = caller.node;
        let counts = &self.handle.registry.counts;
        let peer_counts = counts.network.peer(peer);
        loop {
            let limits = self.limits_of(caller);
            let before = frames.read_bytes();
            let frame = frames.next_within(limits, read).await?;
            peer_counts.last_heard.set(counts.milliseconds().max(1));
            match frame {
                Frame::Packet(packet) => {
                    self.count(&packet, frames.read_bytes() - before);
                    self.deliver(peer, packet).await?;
                    last_packet = Instant::now();
                }
                Frame::Keepalive if last_packet.elapsed() < idle_max => {}
                Frame::Keepalive => {
                    let message = "only keepalives were received for twice idle_max";
                    return Err(reject(ConnectionRejectReason::Idle, message));
                }
                _ => {
                    let message = "a node sent a frame that is neither a packet nor a keepalive";
                    return Err(reject(ConnectionRejectReason::InvalidFrame, message));
                }
            }
        }
    }

    /// Returns the limits of the frames of a peer. A peer with a certificate belongs to the
    /// cluster, even if this node lags and does not know it as a member yet, for example a leader
    /// that was added since. A peer without one that is not a member, as far as this node knows,
    /// may not be slower than a client: it may claim any id, and each incomplete frame takes
    /// memory.
    fn limits_of(&self, peer: PeerCaller) -> TransferLimits {
        let membership = self.handle.membership.borrow();
        match peer.is_certified || membership.is_empty() || membership.is_member(peer.node) {
            true => TransferLimits::of_node(&self.config),
            false => TransferLimits::of_received(&self.config),
        }
    }

    fn count(&self, packet: &Packet, bytes: u64) {
        let counts = &self.handle.registry.counts;
        counts.network.received(packet, bytes);
        if let Packet::SnapshotTransfer(SnapshotTransfer {
            body: SnapshotTransferBody::Bytes(..),
            ..
        }) = packet
        {
            counts.events.snapshots.add(&SnapshotStep::PartReceived, 1);
        }
    }

    /// Sends keepalives until a write fails.
    async fn send_keepalives<W: AsyncWrite + Unpin>(&self, write: &mut W) -> io::Result<()> {
        let mut bytes = Vec::new();
        encode_keepalive(&mut bytes);
        let limits = TransferLimits::of_silence(self.config.keepalive_timeout);
        loop {
            sleep(self.config.keepalive_interval).await;
            write_all_within(limits, write, &bytes).await?;
        }
    }

    /// Queues a packet, if the peer sent it in its own name and to this node.
    async fn deliver(&self, peer: NodeId, packet: Packet) -> io::Result<()> {
        let (from, to) = (packet.from(), packet.to());
        let message = || format!("{peer} sent a packet of {from} to {to}");
        if from != peer {
            return Err(reject(ConnectionRejectReason::WrongSender, message()));
        }
        if to != self.handshake.node {
            return Err(reject(ConnectionRejectReason::WrongRecipient, message()));
        }
        self.queues.push(packet).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// Gives an error its reject reason if the remote closed the connection during the handshake.
fn closed_in_handshake(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
            let message = "the remote closed the connection during the handshake";
            reject(ConnectionRejectReason::ClosedInHandshake, message)
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn a_failed_accept_is_followed_by_a_pause() {
        let results = |error: fn() -> io::Error| {
            let mut accepted = 0;
            move || {
                accepted += 1;
                std::future::ready(if accepted > 3 { Ok(accepted) } else { Err(error()) })
            }
        };
        let pauses = Cell::new(0);
        let pauses = &pauses;
        // The pause is counted only if `accept_next` awaits it.
        let pause = |_| async { pauses.set(pauses.get() + 1) };
        assert_eq!(accept_next(results(|| io::Error::other("full")), pause).await, 4);
        assert_eq!(pauses.get(), 3);
        let aborted = || io::ErrorKind::ConnectionAborted.into();
        assert_eq!(accept_next(results(aborted), pause).await, 4);
        assert_eq!(pauses.get(), 3, "other connections do not wait for one that was aborted");
    }
}
