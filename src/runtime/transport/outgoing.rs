//! Outbound connections: sends the packets for one peer on one lane.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, split};
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{debug, info, warn};

use crate::runtime::config::NetworkConfig;
use crate::runtime::metrics::{DropReason, OpenConnection, PeerCounts};
use crate::runtime::rejected_connections::{ConnectionRejectReason, reject};
use crate::runtime::transport::connection_registry::ConnectionRegistry;
use crate::runtime::transport::handshake::{
    BATCH, BATCH_BYTES, ConnectionReader, Handshake, TransferLimits, flush_batch,
};
use crate::runtime::transport::lane::Lane;
use crate::runtime::transport::lane_queue::QueuedPacket;
use crate::runtime::transport::link::{Link, Stream, classified};
use crate::types::{Address, NodeId, Packet};
use crate::wire::{Frame, encode, encode_keepalive};

/// The outbound connection to one peer on one lane.
#[derive(Clone)]
pub(super) struct PeerConnection {
    pub(super) handshake: Handshake,
    pub(super) peer: NodeId,
    pub(super) address: Address,
    pub(super) lane: Lane,
    pub(super) config: NetworkConfig,
    pub(super) registry: Arc<ConnectionRegistry>,
    /// The metrics of the peer.
    pub(super) counts: Arc<PeerCounts>,
}

/// The longest time for which an idle connection waits until the peer has received everything,
/// while the peer sends keepalives: at 64 KiB per second, an operating system's buffers of 8 MiB
/// take 128 s. New packets of the lane wait for the next connection.
const DRAIN_MAX: Duration = Duration::from_secs(150);

/// The reasons for which an outbound connection is closed without an error.
enum CloseReason {
    /// No packet was sent for `idle_max`.
    Idle,
    /// The queue was closed: there will be no more packets.
    Closed,
}

impl PeerConnection {
    /// Sends the packets from the queue until it is closed. Connects when there is a packet, and
    /// drops the queued packets after a failure.
    pub(super) async fn run(self, mut queue: Receiver<QueuedPacket>) {
        let mut retry_wait = self.config.retry_min;
        let mut was_connected = true;
        let mut last_reason = None;
        while let Some(first) = queue.recv().await {
            match self.connect_and_send(first, &mut queue).await {
                Ok(CloseReason::Closed) => return,
                Ok(CloseReason::Idle) => {
                    (retry_wait, was_connected) = (self.config.retry_min, true);
                    continue;
                }
                Err(ConnectionFailed { lasted, error }) => {
                    // A peer that accepts a hello may close the connection right after it.
                    let was_kept = lasted.is_some_and(|lasted| lasted > self.config.retry_max);
                    let PeerConnection { peer, address, registry, .. } = &self;
                    registry.rejected.count(&error);
                    let lane = self.lane.name();
                    let reason = ConnectionRejectReason::of(&error);
                    let is_new = reason != std::mem::replace(&mut last_reason, reason);
                    if is_new && reason.is_some_and(ConnectionRejectReason::needs_operator) {
                        warn!(%peer, %address, lane, %error, "cannot connect to the peer");
                    } else if was_kept || was_connected {
                        info!(%peer, %address, lane, %error, "no connection to the peer");
                    } else {
                        debug!(%peer, %address, lane, %error, "cannot connect");
                    }
                    if was_kept {
                        retry_wait = self.config.retry_min;
                    }
                    if lasted.is_none() {
                        self.counts.dropped.add(&DropReason::Unreachable, 1);
                    }
                    self.counts.failures.add(1);
                    was_connected = false;
                }
            }
            sleep(retry_wait).await;
            retry_wait = (retry_wait * 2).min(self.config.retry_max);
            // Packets that were queued during the wait are outdated; the core resends what is still
            // needed.
            while queue.try_recv().is_ok() {
                self.counts.dropped.add(&DropReason::Unreachable, 1);
            }
        }
    }

    async fn connect_and_send(
        &self,
        first: QueuedPacket,
        queue: &mut Receiver<QueuedPacket>,
    ) -> Result<CloseReason, ConnectionFailed> {
        let links = &self.registry.links;
        let handshake = |address| async move {
            let mut link = links.connect(address, Some(self.peer)).await?;
            let own = self.registry.named_addresses.own();
            let initiated = self.handshake.initiate(&mut link.stream, self.peer, own).await;
            let (mut frames, start_id) = initiated.map_err(classified)?;
            frames.watch_received(link.received.clone());
            Ok((link, frames, start_id))
        };
        let (known, max) = (&self.address, self.config.handshake_timeout);
        let mut connected = links.connect_any(known.as_str(), max, handshake).await;
        if connected.is_err()
            && let Some(named) = self.registry.named_addresses.other_than(known, self.peer)
        {
            connected = links.connect_any(named.as_str(), max, handshake).await.or(connected);
            if connected.is_ok() && self.registry.log_limit.admit("moved_peer") {
                info!(peer = %self.peer, %known, %named, "the peer is at the address in its hello");
            }
        }
        let (link, frames, start_id) =
            connected.map_err(|error| ConnectionFailed { lasted: None, error })?;
        let _answering = self.registry.answered(self.peer, start_id);
        debug!(peer = %self.peer, lane = self.lane.name(), "connected");
        let connected_at = Instant::now();
        let _open = OpenConnection::count(&self.counts.connected[self.lane as usize]);
        let Link { stream, mut trust, .. } = link;
        let ended = tokio::select! {
            biased;
            error = trust.revoked() => Err(error),
            ended = self.send_all(first, queue, stream, frames) => ended,
        };
        ended.map_err(|error| ConnectionFailed {
            lasted: Some(connected_at.elapsed()),
            error: classified(error),
        })
    }

    /// Sends packets until the connection is idle or the queue is closed.
    async fn send_all(
        &self,
        first: QueuedPacket,
        queue: &mut Receiver<QueuedPacket>,
        stream: Stream,
        mut frames: ConnectionReader,
    ) -> io::Result<CloseReason> {
        let (mut read, mut write) = split(stream);
        // A slow write does not end the connection while the peer sends keepalives.
        let ended = tokio::select! {
            biased;
            error = self.read_keepalives(&mut read, &mut frames) => Err(error),
            ended = self.write_packets(first, queue, &mut write) => ended,
        };
        if let Ok(CloseReason::Idle) = ended {
            // On a slow link the last packets may still be on their way, and a connection that is
            // closed while keepalives arrive loses them. So the peer closes it, once it has
            // received everything.
            let drained = async {
                if write.shutdown().await.is_ok() {
                    self.read_keepalives(&mut read, &mut frames).await;
                }
            };
            let _ = timeout(DRAIN_MAX, drained).await;
        }
        ended
    }

    async fn write_packets<W>(
        &self,
        first: QueuedPacket,
        queue: &mut Receiver<QueuedPacket>,
        write: &mut W,
    ) -> io::Result<CloseReason>
    where
        W: AsyncWrite + Unpin,
    {
        let mut batch = vec![first];
        let mut bytes = Vec::new();
        let mut last_packet = Instant::now();
        let mut keepalive_at = last_packet + self.config.keepalive_interval;
        loop {
            let has_packets = !batch.is_empty();
            if has_packets {
                for queued in batch.drain(..) {
                    self.encode_packet(&queued.packet, &mut bytes);
                    if bytes.len() >= BATCH_BYTES {
                        flush_batch(write, &mut bytes).await?;
                    }
                }
            }
            if !bytes.is_empty() {
                flush_batch(write, &mut bytes).await?;
                keepalive_at = Instant::now() + self.config.keepalive_interval;
            }
            if has_packets {
                // A slow write is not idle time.
                last_packet = Instant::now();
            }
            if Instant::now() >= last_packet + self.config.idle_max {
                return Ok(CloseReason::Idle);
            }
            tokio::select! {
                biased;
                count = queue.recv_many(&mut batch, BATCH) => {
                    if count == 0 {
                        return Ok(CloseReason::Closed);
                    }
                }
                () = sleep_until(keepalive_at) => encode_keepalive(&mut bytes),
            }
        }
    }

    fn encode_packet(&self, packet: &Packet, bytes: &mut Vec<u8>) {
        let before = bytes.len();
        match encode(packet, bytes) {
            Ok(()) => self.registry.counts.network.sent(packet, bytes.len() - before),
            Err(error) => {
                self.counts.dropped.add(&DropReason::TooLarge, 1);
                debug!(peer = %self.peer, %error, "dropped a packet that is too large");
            }
        }
    }

    /// Reads keepalives until they stop or another frame arrives, and returns the error.
    async fn read_keepalives<R>(&self, read: &mut R, frames: &mut ConnectionReader) -> io::Error
    where
        R: AsyncRead + Unpin,
    {
        let limits = TransferLimits::of_received(&self.config);
        loop {
            match frames.next_within(limits, read).await {
                Ok(Frame::Keepalive) => {}
                Ok(_) => {
                    let message = "the called node sent a frame that is not a keepalive";
                    return reject(ConnectionRejectReason::InvalidFrame, message);
                }
                Err(error) => return error,
            }
        }
    }
}

/// The failure of a connection that was not established, or was lost.
struct ConnectionFailed {
    /// How long the connection lasted; `None` if it was not established.
    lasted: Option<Duration>,
    error: io::Error,
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;
    use tokio::net::TcpListener;

    use super::*;
    use crate::runtime::metrics::Counts;
    use crate::runtime::transport::lane_queue::lane_queue;
    use crate::runtime::transport::link::Links;
    use crate::storage::ClusterId;
    use crate::types::{Body, EntryId, Incarnation, Message, Term};

    fn handshake(node: u64) -> Handshake {
        Handshake {
            cluster: ClusterId(7),
            origin: None,
            node: NodeId(node),
            incarnation: Incarnation(1),
            start_id: node,
        }
    }

    /// Returns the connection of node 1 to node 2.
    fn caller(address: &str, config: NetworkConfig) -> PeerConnection {
        let counts = Arc::new(Counts::new(NodeId(1), ClusterId(7)));
        let peer_counts = counts.network.peer(NodeId(2));
        PeerConnection {
            handshake: handshake(1),
            peer: NodeId(2),
            address: Address::new(address).expect("it is short"),
            lane: Lane::Control,
            registry: Arc::new(ConnectionRegistry::new(Links::for_test(), &config, counts)),
            counts: peer_counts,
            config,
        }
    }

    fn packet() -> Packet {
        let body = Body::RequestVote { last: EntryId::ZERO, transfer: false };
        let (from, to, incarnation) = (NodeId(1), NodeId(2), Incarnation(1));
        Packet::Message(Message { from, incarnation, to, term: Term(1), body })
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_is_open_until_the_peer_has_received_everything() {
        let config = NetworkConfig::default();
        let (keepalive_interval, idle_max) = (config.keepalive_interval, config.idle_max);
        let (stream, mut remote) = duplex(64 << 10);
        let (packets, mut queue) = lane_queue(1, 1 << 20);
        assert!(packets.try_send(packet()));
        let first = queue.recv().await.expect("a packet is there");
        let caller = caller("127.0.0.1:1", config);
        let sending = tokio::spawn(async move {
            let (stream, frames) = (Box::new(stream), ConnectionReader::after_hello().await);
            caller.send_all(first, &mut queue, stream, frames).await
        });
        // The link is slow: the peer, which sends keepalives, receives the packet long after the
        // sender has become idle.
        let mut keepalive = Vec::new();
        encode_keepalive(&mut keepalive);
        let started_at = Instant::now();
        while started_at.elapsed() < 3 * idle_max {
            sleep(keepalive_interval).await;
            remote.write_all(&keepalive).await.expect("the connection is not closed");
        }
        let mut frames = ConnectionReader::after_hello().await;
        let first = frames.next(&mut remote).await.expect("a frame arrives");
        assert_eq!(first, Frame::Packet(packet()));
        while let Ok(frame) = frames.next(&mut remote).await {
            assert_eq!(frame, Frame::Keepalive);
        }
        drop(remote);
        let ended = sending.await.expect("the sender does not panic");
        assert!(matches!(ended, Ok(CloseReason::Idle)));
    }

    #[cfg(feature = "metrics")]
    #[tokio::test(start_paused = true)]
    async fn packets_that_wait_until_the_next_attempt_are_dropped() {
        let config = NetworkConfig::default();
        let retry_max = config.retry_max;
        let caller = caller("127.0.0.1:1", config);
        let counts = Arc::clone(&caller.counts);
        let (packets, queue) = lane_queue(8, 1 << 20);
        tokio::spawn(caller.run(queue));
        assert!(packets.try_send(packet()));
        // The paused clock stands still while this task is ready.
        while counts.failures.get() == 0 {
            tokio::task::yield_now().await;
        }
        assert!(packets.try_send(packet()) && packets.try_send(packet()));
        for _ in 0..10 {
            sleep(retry_max).await;
        }
        assert_eq!(counts.failures.get(), 1, "no packet that waited is sent");
        assert_eq!(counts.dropped.counts().map(|(_, count)| count).sum::<u64>(), 3);
    }

    #[tokio::test]
    async fn a_peer_that_closes_each_connection_after_its_hello_is_called_less_and_less_often() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound").to_string();
        let config =
            NetworkConfig { retry_max: Duration::from_secs(60), ..NetworkConfig::default() };
        let caller = caller(&address, config);
        let (packets, queue) = lane_queue(1, 1 << 20);
        tokio::spawn(caller.run(queue));
        tokio::spawn(async move {
            while packets.packets().reserve().await.map(drop).is_ok() {
                packets.try_send(packet());
            }
        });
        let mut called_at = Vec::new();
        for _ in 0..5 {
            let (mut stream, _) = listener.accept().await.expect("the caller connects");
            called_at.push(Instant::now());
            let hello = ConnectionReader::new().next(&mut stream).await;
            let Ok(Frame::Hello(hello)) = hello else { panic!("{hello:?}") };
            handshake(2)
                .respond(&mut stream, &hello, None, Address::default())
                .await
                .expect("the hello is valid");
        }
        // A wait never ends early: 20, 40, 80 and 160 ms.
        let all = called_at[4] - called_at[0];
        assert!(all >= Duration::from_millis(280), "the waits double: {all:?}");
    }
}
