//! The connection of one client: reads requests and writes replies concurrently.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::runtime::audit::Order;
use crate::runtime::config::{NetworkConfig, ServiceConfig};
use crate::runtime::rejected_connections::{ConnectionRejectReason, reject};
use crate::runtime::service::requests::{
    Caller, ClientLimits, Executor, LimitPermits, too_large_reply,
};
use crate::runtime::tasks::Tasks;
use crate::runtime::transport::handshake::{
    BATCH, BATCH_BYTES, ConnectionReader, TransferLimits, clear_batch, write_all_within,
};
use crate::runtime::transport::link::Stream;
use crate::wire::{
    ClientReply, ClientRequest, Frame, ReplyBody, ServiceRejectReason, encode_keepalive,
};

/// The connection of one client.
pub(super) struct Connection {
    caller: Caller,
    executor: Arc<Executor>,
    network: NetworkConfig,
    idle_max: Duration,
    stall_max: Duration,
    drain_max: Duration,
    limits: ClientLimits,
    /// The permits for further requests of the connection; a written reply releases its permit.
    window: Arc<Semaphore>,
    window_max: u32,
}

/// A reply, with the permits that are released once it is written.
struct Outgoing {
    reply: ClientReply,
    permits: HeldPermits,
}

/// A permit of the connection's window, and the permits of the limits of all clients.
type HeldPermits = (OwnedSemaphorePermit, Option<LimitPermits>);

impl Connection {
    pub(super) fn new(
        caller: Caller,
        executor: Executor,
        network: &NetworkConfig,
        config: &ServiceConfig,
        limits: ClientLimits,
    ) -> Connection {
        let window = config.requests_per_connection_max.min(Semaphore::MAX_PERMITS >> 4);
        Connection {
            caller,
            executor: Arc::new(executor),
            network: network.clone(),
            idle_max: config.idle_max,
            stall_max: config.stall_max,
            drain_max: config.drain_max,
            limits,
            window: Arc::new(Semaphore::new(window)),
            window_max: u32::try_from(window).unwrap_or(u32::MAX),
        }
    }

    /// Serves the client until it disconnects, sends an invalid frame, or is idle for too long; or
    /// until `closing` turns true and the pending requests are done.
    pub(super) async fn run(
        self,
        stream: Stream,
        frames: ConnectionReader,
        mut closing: watch::Receiver<bool>,
    ) -> io::Result<()> {
        let (mut read, mut write) = split(stream);
        let (replies, queue) = mpsc::unbounded_channel();
        let reading = async {
            // Dropping the set cancels the pending requests, whose replies can no longer be sent.
            let mut requests = Tasks::default();
            tokio::select! {
                biased;
                _ = closing.wait_for(|closing| *closing) => {}
                ended = self.read(&mut read, frames, &replies, &mut requests) => ended?,
            }
            let deadline = Instant::now() + self.drain_max;
            let all = self.window.acquire_many(self.window_max);
            let _ = timeout(self.drain_max, all).await;
            io::Result::Ok(deadline)
        };
        let deadline = tokio::select! {
            biased;
            ended = self.write(&mut write, queue) => return ended,
            ended = reading => ended?,
        };
        // Replies that the client has not read by the deadline are lost.
        let remaining = deadline.saturating_duration_since(Instant::now());
        let _ = timeout(remaining, close_gracefully(&mut read, &mut write)).await;
        Ok(())
    }

    /// Reads requests while the window has room. Returns once the connection is idle for too long.
    async fn read(
        &self,
        mut read: impl AsyncRead + Unpin,
        mut frames: ConnectionReader,
        replies: &UnboundedSender<Outgoing>,
        requests: &mut Tasks,
    ) -> io::Result<()> {
        let mut last_request = Instant::now();
        let limits = TransferLimits::of_received(&self.network);
        loop {
            let slot = Arc::clone(&self.window).acquire_owned().await;
            let slot = slot.expect("the semaphore is never closed");
            let received_at = Instant::now();
            match frames.next_within(limits, &mut read).await? {
                Frame::Request(request) => {
                    last_request = received_at;
                    self.start_request(request, slot, replies, requests);
                }
                Frame::Keepalive => {
                    let has_pending =
                        self.window.available_permits() + 1 < self.window_max as usize;
                    if !has_pending && last_request + self.idle_max <= received_at {
                        return Ok(());
                    }
                }
                _ => {
                    let message = "a client sent a frame that is neither request nor keepalive";
                    return Err(reject(ConnectionRejectReason::InvalidFrame, message));
                }
            }
        }
    }

    fn start_request(
        &self,
        request: ClientRequest,
        slot: OwnedSemaphorePermit,
        replies: &UnboundedSender<Outgoing>,
        requests: &mut Tasks,
    ) {
        let ClientRequest { number, body } = request;
        let reply = move |reply_body, permits| Outgoing {
            reply: ClientReply { number, body: reply_body },
            permits: (slot, permits),
        };
        let Caller { origin, from, rights } = &self.caller;
        let is_allowed = rights.allow(&body);
        let permits = match is_allowed {
            true => self.limits.acquire(&body).ok_or(ServiceRejectReason::Overloaded),
            false => Err(ServiceRejectReason::NotAllowed),
        };
        let body = if is_allowed { rights.stamp(body) } else { body };
        let order = Order::of(&body, origin, *from);
        match permits {
            // The send fails only if the whole connection has ended.
            Err(reason) => {
                let rejected = ReplyBody::ServiceRejected(reason);
                self.log_refused(order, &rejected);
                drop(replies.send(reply(rejected, None)));
            }
            Ok(permits) => {
                let (executor, replies) = (Arc::clone(&self.executor), replies.clone());
                requests.spawn(async move {
                    let reply_body = executor.execute(body).await;
                    if let Some(order) = order {
                        order.end(&reply_body);
                    }
                    let (reply_body, permits) = permits.exchange_for_reply(reply_body);
                    drop(replies.send(reply(reply_body, Some(permits))));
                });
            }
        }
    }

    /// Logs an order that was refused, unless too many such lines were logged: clients without the
    /// rights of an administrator cause them.
    fn log_refused(&self, order: Option<Order>, reply: &ReplyBody) {
        let Some(order) = order else { return };
        match self.executor.handle.registry.log_limit.admit("refused_order") {
            true => order.end(reply),
            false => order.leave_out(),
        }
    }

    /// Writes replies in batches, and keepalives while there are none.
    async fn write(
        &self,
        mut write: impl AsyncWrite + Unpin,
        mut queue: UnboundedReceiver<Outgoing>,
    ) -> io::Result<()> {
        let (mut batch, mut bytes) = (Vec::new(), Vec::new());
        let mut keepalive_at = Instant::now() + self.network.keepalive_interval;
        loop {
            tokio::select! {
                biased;
                _ = queue.recv_many(&mut batch, BATCH) => {}
                () = sleep_until(keepalive_at) => encode_keepalive(&mut bytes),
            }
            // The permits are released once the replies are written, which bounds unwritten ones.
            let mut held_permits = Vec::with_capacity(batch.len());
            for Outgoing { mut reply, permits } in batch.drain(..) {
                if reply.encode(&mut bytes).is_err() {
                    reply.body = too_large_reply();
                    reply.encode(&mut bytes).expect("a rejection is short");
                }
                held_permits.push(permits);
                if bytes.len() >= BATCH_BYTES {
                    self.send(&mut write, &mut bytes).await?;
                }
            }
            if !bytes.is_empty() {
                self.send(&mut write, &mut bytes).await?;
                keepalive_at = Instant::now() + self.network.keepalive_interval;
            }
        }
    }

    /// Writes and clears `bytes`, whose allocation is reused unless it is large.
    async fn send(
        &self,
        write: &mut (impl AsyncWrite + Unpin),
        bytes: &mut Vec<u8>,
    ) -> io::Result<()> {
        let limits = TransferLimits {
            silence_max: self.stall_max,
            ..TransferLimits::of_received(&self.network)
        };
        write_all_within(limits, write, bytes).await?;
        clear_batch(bytes);
        Ok(())
    }
}

/// Closes the sending direction, and reads until the other side closes its own. A socket that is
/// closed with unread received bytes resets the connection, which discards replies in flight.
async fn close_gracefully(
    read: &mut (impl AsyncRead + Unpin),
    write: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    write.shutdown().await?;
    let mut unread = vec![0; 16 << 10];
    while read.read(&mut unread).await? > 0 {}
    Ok(())
}
