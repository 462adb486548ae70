//! One client's connection: requests come in, replies go out, and neither waits for the other.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::runtime::client::Relay;
use crate::runtime::config::{NetworkConfig, ServiceConfig};
use crate::runtime::handle::Handle;
use crate::runtime::principal::Role;
use crate::runtime::refusal::{Refusal, refused};
use crate::runtime::service::requests::{Bounds, Share, carry_out, may, too_large};
use crate::runtime::tasks::Tasks;
use crate::runtime::transport::greeting::{Reader, say_within};
use crate::runtime::transport::link::Stream;
use crate::wire::{ClientReply, ClientRequest, Denial, Frame, Told, pulse};

/// How many replies are written at once, at most.
const BATCH: usize = 256;
/// From how many bytes on a batch is written before more is added to it.
const BATCH_BYTES: usize = 256 << 10;

/// One client's connection.
pub(super) struct Connection {
    role: Role,
    /// Whether it passes on what others ask for.
    relays: bool,
    /// The node, and where it passes on what only the leader does, if it does that.
    node: Arc<(Handle, Option<Relay>)>,
    network: NetworkConfig,
    idle_max: Duration,
    stall_max: Duration,
    drain_max: Duration,
    bounds: Bounds,
    /// A permit for each request that may yet wait; each reply brings one back.
    window: Arc<Semaphore>,
    window_max: u32,
}

/// A reply, and what it frees once it is out.
struct Outgoing {
    reply: ClientReply,
    held: Held,
}

/// A place in the window, and a share of all that the node does for clients.
type Held = (OwnedSemaphorePermit, Option<Share>);

impl Connection {
    pub(super) fn new(
        (role, relays): (Role, bool),
        node: (Handle, Option<Relay>),
        (network, config): (&NetworkConfig, &ServiceConfig),
        bounds: Bounds,
    ) -> Connection {
        let window = config.requests_per_connection_max.min(Semaphore::MAX_PERMITS >> 4);
        Connection {
            role,
            relays,
            node: Arc::new(node),
            network: network.clone(),
            idle_max: config.idle_max,
            stall_max: config.stall_max,
            drain_max: config.drain_max,
            bounds,
            window: Arc::new(Semaphore::new(window)),
            window_max: u32::try_from(window).unwrap_or(u32::MAX),
        }
    }

    /// Serves until the client goes, says what it may not, or has nothing to say for long; or
    /// until `closing` turns true and what waits is done.
    pub(super) async fn run(
        self,
        stream: Stream,
        frames: Reader,
        mut closing: watch::Receiver<bool>,
    ) -> io::Result<()> {
        let (mut read, mut write) = split(stream);
        let (replies, queue) = mpsc::unbounded_channel();
        let reading = async {
            // With this set go the requests that wait: nobody is left who would want to know.
            let mut requests = Tasks::default();
            tokio::select! {
                biased;
                _ = closing.wait_for(|closing| *closing) => {}
                ended = self.read(&mut read, frames, &replies, &mut requests) => ended?,
            }
            let by = Instant::now() + self.drain_max;
            let all = self.window.acquire_many(self.window_max);
            let _ = timeout(self.drain_max, all).await;
            io::Result::Ok(by)
        };
        let by = tokio::select! {
            biased;
            ended = self.write(&mut write, queue) => return ended,
            ended = reading => ended?,
        };
        // Whoever takes longer than that has had its time.
        let left = by.saturating_duration_since(Instant::now());
        let _ = timeout(left, part(&mut read, &mut write)).await;
        Ok(())
    }

    /// Takes requests as long as there is room for them. The end of all is a connection that
    /// waits for nothing and brings nothing.
    async fn read(
        &self,
        mut read: impl AsyncRead + Unpin,
        mut frames: Reader,
        replies: &UnboundedSender<Outgoing>,
        requests: &mut Tasks,
    ) -> io::Result<()> {
        let mut asked = Instant::now();
        loop {
            let place = Arc::clone(&self.window).acquire_owned().await;
            let place = place.expect("nobody closes it");
            let heard = Instant::now();
            match frames.next_within(self.network.silence_max, &mut read).await? {
                Frame::Request(request) => {
                    asked = heard;
                    self.take(request, place, replies, requests);
                }
                Frame::Pulse => {
                    let waits = self.window.available_permits() + 1 < self.window_max as usize;
                    if !waits && asked + self.idle_max <= heard {
                        return Ok(());
                    }
                }
                _ => return Err(refused(Refusal::Frame, "no client says this")),
            }
        }
    }

    fn take(
        &self,
        request: ClientRequest,
        place: OwnedSemaphorePermit,
        replies: &UnboundedSender<Outgoing>,
        requests: &mut Tasks,
    ) {
        let ClientRequest { number, wanted } = request;
        let reply = move |told, share| Outgoing {
            reply: ClientReply { number, told },
            held: (place, share),
        };
        let share = match self.bounds.share(&wanted) {
            _ if !may((self.role, self.relays), &wanted) => Err(Denial::NotAllowed),
            None => Err(Denial::Overloaded),
            Some(share) => Ok(share),
        };
        match share {
            // Whoever would write it is gone only with the whole connection.
            Err(denial) => drop(replies.send(reply(Told::Refused(denial), None))),
            Ok(share) => {
                let (node, replies) = (Arc::clone(&self.node), replies.clone());
                requests.spawn(async move {
                    let (handle, relay) = &*node;
                    let told = carry_out(handle, relay.as_ref(), wanted).await;
                    let (told, share) = share.charge(told);
                    drop(replies.send(reply(told, Some(share))));
                });
            }
        }
    }

    /// Writes replies, as many together as there are, and pulses where there are none.
    async fn write(
        &self,
        mut write: impl AsyncWrite + Unpin,
        mut queue: UnboundedReceiver<Outgoing>,
    ) -> io::Result<()> {
        let (mut batch, mut bytes) = (Vec::new(), Vec::new());
        let mut pulse_at = Instant::now() + self.network.pulse;
        loop {
            tokio::select! {
                biased;
                _ = queue.recv_many(&mut batch, BATCH) => {}
                () = sleep_until(pulse_at) => pulse(&mut bytes),
            }
            // Given back once the replies are out: what waits here is bounded.
            let mut all_held = Vec::with_capacity(batch.len());
            for Outgoing { mut reply, held } in batch.drain(..) {
                if reply.encode(&mut bytes).is_err() {
                    reply.told = too_large();
                    reply.encode(&mut bytes).expect("a refusal is short");
                }
                all_held.push(held);
                if bytes.len() >= BATCH_BYTES {
                    self.send(&mut write, &mut bytes).await?;
                }
            }
            if !bytes.is_empty() {
                self.send(&mut write, &mut bytes).await?;
                pulse_at = Instant::now() + self.network.pulse;
            }
        }
    }

    /// Writes `bytes`, and keeps their memory unless it is much.
    async fn send(
        &self,
        write: &mut (impl AsyncWrite + Unpin),
        bytes: &mut Vec<u8>,
    ) -> io::Result<()> {
        say_within(self.stall_max, write, bytes).await?;
        bytes.clear();
        bytes.shrink_to(2 * BATCH_BYTES);
        Ok(())
    }
}

/// Says that this was all, and waits until the other side has heard it. A socket that is closed
/// while bytes of the other side's are unread takes back what it has not delivered yet.
async fn part(
    read: &mut (impl AsyncRead + Unpin),
    write: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    write.shutdown().await?;
    let mut unread = vec![0; 16 << 10];
    while read.read(&mut unread).await? > 0 {}
    Ok(())
}
