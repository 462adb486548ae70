//! What is said to one peer on one lane.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncWrite, split};
use tokio::net::TcpStream;
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{debug, info};

use crate::runtime::config::NetworkConfig;
use crate::runtime::metrics::{Counts, Loss, Open, PeerCounts};
use crate::runtime::transport::greeting::{Greeting, invalid, late, say_within};
use crate::runtime::transport::lane::Lane;
use crate::types::{Address, NodeId, Packet};
use crate::wire::{Frame, encode, pulse};

/// How many packets are written at once, at most.
const BATCH: usize = 256;
/// From how many bytes on a batch is written before more is added to it.
const BATCH_BYTES: usize = 256 << 10;

/// One peer, as it is called.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) greeting: Greeting,
    pub(super) peer: NodeId,
    pub(super) address: Address,
    pub(super) lane: Lane,
    pub(super) config: NetworkConfig,
    pub(super) counts: Arc<Counts>,
    /// The peer's own figures.
    pub(super) own: Arc<PeerCounts>,
}

/// Why a connection is over.
enum Over {
    /// There was nothing to say for long.
    Idle,
    /// Nobody will say anything any more.
    Closed,
}

impl Call {
    /// Says what comes from the queue, until that is closed.
    pub(super) async fn run(self, mut queue: Receiver<Packet>) {
        let mut retry = self.config.retry_min;
        let mut reached = true;
        while let Some(first) = queue.recv().await {
            match self.talk(first, &mut queue).await {
                Ok(Over::Closed) => return,
                Ok(Over::Idle) => {
                    (retry, reached) = (self.config.retry_min, true);
                    continue;
                }
                Err(Failed { connected, error }) => {
                    let Call { peer, address, .. } = &self;
                    let lane = self.lane.name();
                    if connected || reached {
                        info!(%peer, %address, lane, %error, "connection lost");
                    } else {
                        debug!(%peer, %address, lane, %error, "not reached");
                    }
                    if connected {
                        retry = self.config.retry_min;
                    }
                    self.own.failures.add(1);
                    reached = false;
                }
            }
            sleep(retry).await;
            retry = (retry * 2).min(self.config.retry_max);
            // What waited meanwhile is old, and said again where it matters.
            while queue.try_recv().is_ok() {
                self.own.losses.add(&Loss::Unreachable, 1);
            }
        }
    }

    async fn talk(&self, first: Packet, queue: &mut Receiver<Packet>) -> Result<Over, Failed> {
        let not_reached = |error| Failed { connected: false, error };
        let handshake = async {
            let mut stream = TcpStream::connect(self.address.as_str()).await?;
            stream.set_nodelay(true)?;
            let reader = self.greeting.call(&mut stream, self.peer).await?;
            Ok((stream, reader))
        };
        let connected = timeout(self.config.handshake_max, handshake).await;
        let (stream, mut frames) =
            connected.unwrap_or_else(|_| Err(late("hello"))).map_err(not_reached)?;
        debug!(peer = %self.peer, lane = self.lane.name(), "connected");
        let _open = Open::count(&self.own.connected[self.lane as usize]);
        let (mut read, mut write) = split(stream);
        let lost = |error| Failed { connected: true, error };

        let mut batch = vec![first];
        let mut bytes = Vec::new();
        let mut heard = Instant::now();
        let (mut spoke, mut pulse_at) = (heard, heard + self.config.pulse);
        loop {
            if !batch.is_empty() {
                spoke = Instant::now();
                for packet in batch.drain(..) {
                    self.put(&packet, &mut bytes);
                    if bytes.len() >= BATCH_BYTES {
                        self.write(&mut write, &mut bytes).await.map_err(lost)?;
                    }
                }
            }
            if !bytes.is_empty() {
                self.write(&mut write, &mut bytes).await.map_err(lost)?;
                pulse_at = Instant::now() + self.config.pulse;
            }
            let now = Instant::now();
            if now >= spoke + self.config.idle_max {
                return Ok(Over::Idle);
            }
            if now >= heard + self.config.silence_max {
                return Err(lost(late("pulse")));
            }
            tokio::select! {
                biased;
                // Before the queue, which may never be empty: pulses are few.
                frame = frames.next(&mut read) => match frame.map_err(lost)? {
                    Frame::Pulse => heard = Instant::now(),
                    Frame::Hello(_) | Frame::Packet(_) => {
                        return Err(lost(invalid(&"it speaks where it should listen")));
                    }
                },
                count = queue.recv_many(&mut batch, BATCH) => {
                    if count == 0 {
                        return Ok(Over::Closed);
                    }
                }
                () = sleep_until(pulse_at) => pulse(&mut bytes),
            }
        }
    }

    fn put(&self, packet: &Packet, bytes: &mut Vec<u8>) {
        let before = bytes.len();
        match encode(packet, bytes) {
            Ok(()) => self.counts.network.sent(packet, bytes.len() - before),
            Err(error) => {
                self.own.losses.add(&Loss::TooLong, 1);
                debug!(peer = %self.peer, %error, "a packet is beyond the bounds");
            }
        }
    }

    /// Writes `bytes`, and keeps their memory unless it is much.
    async fn write<W>(&self, stream: &mut W, bytes: &mut Vec<u8>) -> io::Result<()>
    where
        W: AsyncWrite + Unpin,
    {
        say_within(self.config.silence_max, stream, bytes).await?;
        bytes.clear();
        bytes.shrink_to(2 * BATCH_BYTES);
        Ok(())
    }
}

/// A connection that did not come about, or broke.
struct Failed {
    connected: bool,
    error: io::Error,
}
