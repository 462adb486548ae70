//! What is said to one peer on one lane.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite, split};
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{debug, info};

use crate::runtime::config::NetworkConfig;
use crate::runtime::metrics::{Loss, Open, PeerCounts};
use crate::runtime::refusal::{Refusal, refused};
use crate::runtime::transport::gate::Gate;
use crate::runtime::transport::greeting::{Greeting, Reader, say};
use crate::runtime::transport::lane::Lane;
use crate::runtime::transport::link::{Link, Stream};
use crate::types::{Address, NodeId, Packet};
use crate::wire::{Frame, encode, pulse};

/// How many packets are written at once, at most.
const BATCH: usize = 256;
/// From how many bytes on a batch is written before more is added to it.
const BATCH_BYTES: usize = 256 << 10;

/// One peer, as it is called.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) greeting: Greeting,
    pub(super) peer: NodeId,
    pub(super) address: Address,
    pub(super) lane: Lane,
    pub(super) config: NetworkConfig,
    pub(super) gate: Arc<Gate>,
    /// The peer's own figures.
    pub(super) counts: Arc<PeerCounts>,
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
                    let Call { peer, address, gate, .. } = &self;
                    gate.refusals.count(&error);
                    let lane = self.lane.name();
                    if connected || reached {
                        info!(%peer, %address, lane, %error, "connection lost");
                    } else {
                        debug!(%peer, %address, lane, %error, "not reached");
                    }
                    if connected {
                        retry = self.config.retry_min;
                    }
                    self.counts.failures.add(1);
                    reached = false;
                }
            }
            sleep(retry).await;
            retry = (retry * 2).min(self.config.retry_max);
            // What waited meanwhile is old, and said again where it matters.
            while queue.try_recv().is_ok() {
                self.counts.losses.add(&Loss::Unreachable, 1);
            }
        }
    }

    async fn talk(&self, first: Packet, queue: &mut Receiver<Packet>) -> Result<Over, Failed> {
        let security = &self.gate.security;
        let handshake = |address| async move {
            let mut link = security.call(address, Some(self.peer)).await?;
            let reader = self.greeting.call(&mut link.stream, self.peer).await?;
            Ok((link, reader))
        };
        let (name, max) = (self.address.as_str(), self.config.handshake_max);
        let connected = security.reach(name, max, handshake).await;
        let (link, frames) = connected.map_err(|error| Failed { connected: false, error })?;
        debug!(peer = %self.peer, lane = self.lane.name(), "connected");
        let _open = Open::count(&self.counts.connected[self.lane as usize]);
        let Link { stream, mut trust, .. } = link;
        let over = tokio::select! {
            biased;
            error = trust.lost() => Err(error),
            over = self.say_all(first, queue, stream, frames) => over,
        };
        over.map_err(|error| Failed { connected: true, error })
    }

    /// Says what comes from the queue, until there is nothing to say for long.
    async fn say_all(
        &self,
        first: Packet,
        queue: &mut Receiver<Packet>,
        stream: Stream,
        mut frames: Reader,
    ) -> io::Result<Over> {
        let (mut read, mut write) = split(stream);
        // A write may take long, as long as the other side shows that it is there.
        tokio::select! {
            biased;
            error = self.hear(&mut read, &mut frames) => Err(error),
            over = self.speak(first, queue, &mut write) => over,
        }
    }

    async fn speak<W>(
        &self,
        first: Packet,
        queue: &mut Receiver<Packet>,
        write: &mut W,
    ) -> io::Result<Over>
    where
        W: AsyncWrite + Unpin,
    {
        let mut batch = vec![first];
        let mut bytes = Vec::new();
        let mut spoke = Instant::now();
        let mut pulse_at = spoke + self.config.pulse;
        loop {
            if !batch.is_empty() {
                spoke = Instant::now();
                for packet in batch.drain(..) {
                    self.put(&packet, &mut bytes);
                    if bytes.len() >= BATCH_BYTES {
                        write_all(write, &mut bytes).await?;
                    }
                }
            }
            if !bytes.is_empty() {
                write_all(write, &mut bytes).await?;
                pulse_at = Instant::now() + self.config.pulse;
            }
            if Instant::now() >= spoke + self.config.idle_max {
                return Ok(Over::Idle);
            }
            tokio::select! {
                biased;
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
            Ok(()) => self.gate.counts.network.sent(packet, bytes.len() - before),
            Err(error) => {
                self.counts.losses.add(&Loss::TooLong, 1);
                debug!(peer = %self.peer, %error, "a packet is beyond the bounds");
            }
        }
    }

    /// Hears that the other side is there, until it is not.
    async fn hear<R>(&self, read: &mut R, frames: &mut Reader) -> io::Error
    where
        R: AsyncRead + Unpin,
    {
        loop {
            match frames.next_within(self.config.silence_max, read).await {
                Ok(Frame::Pulse) => {}
                Ok(_) => {
                    return refused(Refusal::Frame, "it speaks where it should listen");
                }
                Err(error) => return error,
            }
        }
    }
}

/// Writes `bytes`, and keeps their memory unless it is much.
async fn write_all<W>(stream: &mut W, bytes: &mut Vec<u8>) -> io::Result<()>
where
    W: AsyncWrite + Unpin,
{
    say(stream, bytes).await?;
    bytes.clear();
    bytes.shrink_to(2 * BATCH_BYTES);
    Ok(())
}

/// A connection that did not come about, or broke.
struct Failed {
    connected: bool,
    error: io::Error,
}
