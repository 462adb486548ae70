//! The connection of one client: reads requests and writes replies concurrently.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, timeout};
use tracing::Instrument;

use crate::runtime::audit::{AdminRequest, is_admin_request, rejected_request, unread_request};
use crate::runtime::config::{NetworkConfig, ServiceConfig};
use crate::runtime::lock::lock;
use crate::runtime::metrics::{Counts, RequestMetric, Stopwatch};
use crate::runtime::moving_deadline::MovingDeadline;
use crate::runtime::rejected_connections::{ConnectionRejectReason, reject};
use crate::runtime::request::{Access, DriverRequest, Effect, NodeRequest, Operation, QueuedReply};
use crate::runtime::request_limits::{ClientLimits, KibPermits, LimitPermits, Share};
use crate::runtime::service::pending::{PendingRequest, PendingRequests};
use crate::runtime::service::requests::{
    Caller, Executor, leader_to_forward_to, recording_reply, too_large_reply,
};
use crate::runtime::transport::handshake::{
    BATCH, BATCH_BYTES, ConnectionReader, TransferLimits, clear_batch, write_all_within,
};
use crate::runtime::transport::link::Stream;
use crate::types::RejectReason;
use crate::wire::{
    ClientReply, ClientRequest, Frame, ReplyBody, RequestBody, ServiceRejectReason,
    encode_keepalive,
};

/// The longest request, in bytes, that counts against the limits only once it has arrived. Each
/// connection has a buffer of this size in any case.
const SHORT_REQUEST_BYTES: usize = 64 << 10;

/// The places of a connection beyond its window, in which requests are read while the window is
/// full of requests without an outcome: those of [`Share::Control`] are executed, and all others
/// rejected.
const RESERVED_PLACES: u32 = 16;

/// The time for which a window must be full of requests without an outcome before the places beyond
/// it are used. A client that sends more than a window at once waits, and is not rejected.
const WINDOW_PATIENCE: Duration = Duration::from_secs(1);

/// The time for which answers that were not written count after their connection has ended.
/// Without it, a client that connects, requests answers and disconnects, again and again, would
/// have as many answers computed as the node can compute.
pub(super) const UNWRITTEN_HOLD: Duration = Duration::from_secs(1);

/// The connection of one client.
pub(super) struct Connection {
    caller: Caller,
    executor: Executor,
    network: NetworkConfig,
    idle_max: Duration,
    stall_max: Duration,
    drain_max: Duration,
    limits: ClientLimits,
    /// The permits for further requests of the connection, [`RESERVED_PLACES`] included; a written
    /// reply releases its permit.
    places: Semaphore,
    places_max: u32,
    /// The requests whose replies are not written yet.
    pending: Mutex<PendingRequests>,
    /// The sender of the queue of replies.
    replies: UnboundedSender<QueuedReply>,
}

/// A reply that is not written yet, with the permits that are released once it is.
struct Outgoing {
    reply: ClientReply,
    permits: Option<LimitPermits>,
}

/// The replies that are not written yet.
struct Unwritten {
    sender: UnboundedSender<Outgoing>,
    queue: UnboundedReceiver<Outgoing>,
    /// The permits of the replies that are being written.
    held: Vec<Option<LimitPermits>>,
}

impl Default for Unwritten {
    fn default() -> Unwritten {
        let (sender, queue) = mpsc::unbounded_channel();
        Unwritten { sender, queue, held: Vec::new() }
    }
}

impl Unwritten {
    /// Releases the permits after the end of the connection: those for the KiB of answers after
    /// [`UNWRITTEN_HOLD`], and all others at once.
    fn release(mut self) {
        let mut permits: Vec<LimitPermits> = self.held.into_iter().flatten().collect();
        while let Ok(outgoing) = self.queue.try_recv() {
            permits.extend(outgoing.permits);
        }
        let answers = permits.iter_mut().filter(|permits| permits.share() == Share::Reads);
        let kib: Vec<KibPermits> = answers.map(LimitPermits::split_off_kib).collect();
        if !kib.is_empty() {
            tokio::spawn(async move {
                sleep(UNWRITTEN_HOLD).await;
                drop(kib);
            });
        }
    }
}

impl Connection {
    pub(super) fn new(
        caller: Caller,
        executor: Executor,
        network: &NetworkConfig,
        config: &ServiceConfig,
        limits: ClientLimits,
    ) -> (Connection, UnboundedReceiver<QueuedReply>) {
        // A node forwards the requests of many clients on one connection, whose window must not be
        // full before the limit of the node as an origin is reached.
        let forwards = caller.rights.allow(Access::Forwarded);
        let more = if forwards { config.requests_per_origin_max } else { 0 };
        let window = config.requests_per_connection_max.saturating_add(more);
        let places_max = u32::try_from(window.min(Semaphore::MAX_PERMITS >> 4));
        let places_max = places_max.unwrap_or(u32::MAX).saturating_add(RESERVED_PLACES);
        let (replies, queue) = mpsc::unbounded_channel();
        let connection = Connection {
            caller,
            executor,
            network: network.clone(),
            idle_max: config.idle_max,
            stall_max: config.stall_max,
            drain_max: config.drain_max,
            limits,
            places: Semaphore::new(places_max as usize),
            places_max,
            pending: Mutex::default(),
            replies,
        };
        (connection, queue)
    }

    /// Serves the client until it disconnects or sends an invalid frame, which ends the connection
    /// at once. If the client is idle for too long, or `closing` turns true, the connection first
    /// waits for the pending requests, and for the client to read the replies, at most for
    /// `drain_max` in all.
    pub(super) async fn run(
        self,
        stream: Stream,
        frames: ConnectionReader,
        replies: UnboundedReceiver<QueuedReply>,
        closing: watch::Receiver<bool>,
    ) -> io::Result<()> {
        let mut unwritten = Unwritten::default();
        let ended = self.serve(stream, frames, replies, closing, &mut unwritten).await;
        unwritten.release();
        ended
    }

    /// Serves the client until the connection ends, and leaves what was not written in `unwritten`.
    async fn serve(
        &self,
        stream: Stream,
        frames: ConnectionReader,
        replies: UnboundedReceiver<QueuedReply>,
        mut closing: watch::Receiver<bool>,
        unwritten: &mut Unwritten,
    ) -> io::Result<()> {
        let (mut read, mut write) = split(stream);
        let reading = async {
            tokio::select! {
                biased;
                _ = closing.wait_for(|closing| *closing) => {}
                ended = self.read(&mut read, frames) => ended?,
            }
            let deadline = Instant::now() + self.drain_max;
            let all = self.places.acquire_many(self.places_max);
            let _ = timeout(self.drain_max, all).await;
            io::Result::Ok(deadline)
        };
        let deadline = tokio::select! {
            biased;
            ended = self.reply(&mut write, replies, unwritten) => return ended,
            ended = reading => ended?,
        };
        // Replies that the client has not read by the deadline are lost.
        let remaining = deadline.saturating_duration_since(Instant::now());
        let _ = timeout(remaining, close_gracefully(&mut read, &mut write)).await;
        Ok(())
    }

    /// Waits for a place, and returns its permit. `is_stalled` is true if the previous place was
    /// one of the reserved places, and becomes true if this one is.
    async fn next_place(&self, is_stalled: &mut bool) -> SemaphorePermit<'_> {
        let with_reserve = || self.places.acquire_many(RESERVED_PLACES + 1);
        let window = (self.places_max - RESERVED_PLACES) as usize;
        // Only an administrator has a use for the reserve. Replies that the client does not read
        // are no reason to read more from it.
        let is_admin = self.caller.rights.allow(Access::Admins);
        let hangs = || is_admin && lock(&self.pending).len() >= window;
        let has_room = self.places.available_permits() > RESERVED_PLACES as usize;
        *is_stalled &= !has_room && hangs();
        while !has_room && !*is_stalled {
            match timeout(WINDOW_PATIENCE, with_reserve()).await {
                Ok(_) => break,
                Err(_) => *is_stalled = hangs(),
            }
        }
        self.places.acquire().await.expect("the semaphore is never closed")
    }

    /// Reads requests, also in the reserved places while the window is full. Returns once the
    /// connection is idle for too long.
    async fn read(
        &self,
        mut read: impl AsyncRead + Unpin,
        mut frames: ConnectionReader,
    ) -> io::Result<()> {
        let (mut requested, mut last_request) = (false, Instant::now());
        let mut is_stalled = false;
        let limits = TransferLimits::of_received(&self.network);
        loop {
            let place = self.next_place(&mut is_stalled).await;
            // The permits of a long request while it arrives; `Some(None)` if a limit is reached.
            let mut incomplete = None::<Option<LimitPermits>>;
            let frame = frames.next_admitted(limits, &mut read, |bytes| {
                bytes <= SHORT_REQUEST_BYTES
                    || incomplete
                        .get_or_insert_with(|| self.limits.acquire_incomplete(bytes))
                        .is_some()
            });
            let frame = frame.await?;
            // A request may have had its outcome while this frame arrived.
            is_stalled &= self.places.available_permits() < RESERVED_PLACES as usize;
            let is_overloaded = matches!(incomplete, Some(None));
            drop(incomplete);
            match frame {
                Frame::Request(request) => {
                    requested = true;
                    self.start_request(request, is_stalled, place).await;
                }
                Frame::LongRequest { number } => {
                    requested = true;
                    place.forget();
                    let pending = PendingRequest {
                        number,
                        effect: Effect::Read,
                        audited: None,
                        forwarded: None,
                    };
                    let reason = RejectReason::TooLarge;
                    let rejected = match is_overloaded {
                        true => ReplyBody::ServiceRejected(ServiceRejectReason::Overloaded),
                        false => ReplyBody::Rejected { reason, leader: None },
                    };
                    self.log_unread(&rejected);
                    self.reject(pending, RequestMetric::None, rejected);
                }
                Frame::Keepalive => {
                    let received_at = Instant::now();
                    if std::mem::take(&mut requested) {
                        last_request = received_at;
                    }
                    let has_pending =
                        self.places.available_permits() + 1 < self.places_max as usize;
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

    /// Passes the request on to the node, unless the client has no right to it or a limit is
    /// reached. While the window `is_stalled`, it is a limit that only requests of
    /// [`Share::Control`] pass. Waits while the queue of the node is full.
    async fn start_request(
        &self,
        request: ClientRequest,
        is_stalled: bool,
        place: SemaphorePermit<'_>,
    ) {
        let ClientRequest { number, body } = request;
        let Operation { access, effect, share, bytes, metric } = Operation::of(&body);
        let Caller { origin, from, rights } = &self.caller;
        let is_allowed = rights.allow(access);
        let permits = match is_allowed {
            true if is_stalled && share != Share::Control => Err(ServiceRejectReason::Overloaded),
            true => self.limits.acquire(share, bytes).ok_or(ServiceRejectReason::Overloaded),
            false => Err(ServiceRejectReason::NotAllowed),
        };
        let body = if is_allowed { rights.stamp(body) } else { body };
        let continues = permits.is_ok() && self.continues_recording(&body);
        let is_admin_request = is_admin_request(&body, access) && !continues;
        place.forget();
        let mut pending = PendingRequest { number, effect, audited: None, forwarded: None };
        let permits = match permits {
            Ok(permits) => permits,
            Err(reason) => {
                let rejected = ReplyBody::ServiceRejected(reason);
                if is_admin_request && self.may_log_rejected(reason) {
                    AdminRequest::new(&body, origin, *from).end(&rejected);
                }
                self.reject(pending, metric, rejected);
                // A rejected request does not wait for the node. Thousands of them, on many
                // connections of one client, would otherwise delay the requests of others on this
                // thread.
                return yield_now().await;
            }
        };
        pending.audited =
            is_admin_request.then(|| Box::new(AdminRequest::new(&body, origin, *from)));
        pending.forwarded = self.executor.forwarder_of(&body).map(|_| body.clone());
        let slot = lock(&self.pending).insert(pending);
        if let RequestBody::ReadRecording { file, offset } = body {
            return self.read_recording(file, offset, slot, permits);
        }
        let request = NodeRequest::queued(body, slot, permits, self.replies.clone());
        // If the node has stopped, the request is dropped here, and its `ReplySender` queues a
        // reply without a body.
        self.executor.handle.requests.send(DriverRequest::Execute(request)).await;
    }

    /// Returns true if the client continues to read a file of the recording, for which the audit
    /// log has a line already.
    fn continues_recording(&self, body: &RequestBody) -> bool {
        match (body, &self.executor.recording) {
            (RequestBody::ReadRecording { file, offset }, Some(recording)) => {
                recording.continues(&self.caller.origin, *file, *offset)
            }
            _ => false,
        }
    }

    /// Replies with a part of the recording, once the node may send the next one.
    fn read_recording(&self, file: u64, offset: u64, slot: usize, mut permits: LimitPermits) {
        let recording = self.executor.recording.clone();
        let registry = Arc::clone(&self.executor.handle.registry);
        let replies = self.replies.clone();
        let reading = async move {
            let since = Stopwatch::start();
            let reply = recording_reply(recording.as_deref(), file, offset).await;
            let reply = permits.exchange_for_reply(reply);
            registry.counts.request_ended(RequestMetric::None, since, &reply);
            // A connection that has ended needs no reply.
            drop(replies.send(QueuedReply { slot, reply: Some(reply), permits: Some(permits) }));
        };
        tokio::spawn(reading.in_current_span());
    }

    /// Replies to a request that does not reach the node, and counts it.
    fn reject(&self, pending: PendingRequest, metric: RequestMetric, rejected: ReplyBody) {
        self.counts().request_ended(metric, Stopwatch::start(), &rejected);
        let slot = lock(&self.pending).insert(pending);
        let reply = QueuedReply { slot, reply: Some(rejected), permits: None };
        // The receiver is the other half of this connection.
        drop(self.replies.send(reply));
    }

    fn counts(&self) -> &Counts {
        &self.executor.handle.registry.counts
    }

    /// Returns true if one more line about an admin request that this connection rejects may be
    /// logged. Their number is limited, because clients without the rights of an administrator can
    /// cause them.
    fn may_log_rejected(&self, reason: ServiceRejectReason) -> bool {
        let kind = rejected_request(&self.caller.origin, reason);
        self.executor.handle.registry.log_limit.admit(kind)
    }

    /// Logs a request whose content was not read, if it may have been an admin request. Their
    /// number is limited, because the requests of a program with the rights of an administrator may
    /// all be too long.
    fn log_unread(&self, rejected: &ReplyBody) {
        let Caller { origin, from, rights } = &self.caller;
        let registry = &self.executor.handle.registry;
        if rights.allow(Access::Admins) && registry.log_limit.admit(unread_request(origin)) {
            AdminRequest::unread(origin, *from).end(rejected);
        }
    }

    /// Replies to requests until a write fails. Replies are taken from the queue as soon as they
    /// arrive, even while a write waits for a client that reads nothing, because only then are
    /// proposals forwarded, and admin requests logged with their outcome.
    async fn reply(
        &self,
        write: impl AsyncWrite + Unpin,
        queue: UnboundedReceiver<QueuedReply>,
        unwritten: &mut Unwritten,
    ) -> io::Result<()> {
        let replies = unwritten.sender.clone();
        tokio::select! {
            biased;
            () = self.end_requests(queue, &replies) => Ok(()),
            ended = self.write(write, unwritten) => ended,
        }
    }

    /// Ends the requests whose replies arrive, and passes the replies on.
    async fn end_requests(
        &self,
        mut queue: UnboundedReceiver<QueuedReply>,
        replies: &UnboundedSender<Outgoing>,
    ) {
        let mut batch = Vec::new();
        while queue.recv_many(&mut batch, BATCH).await > 0 {
            for reply in batch.drain(..) {
                if let Some(outgoing) = self.end_request(reply) {
                    // The receiver is the other half of this connection.
                    drop(replies.send(outgoing));
                }
            }
        }
    }

    /// Writes replies in batches, and keepalives while there are none.
    async fn write(
        &self,
        mut write: impl AsyncWrite + Unpin,
        Unwritten { queue, held, .. }: &mut Unwritten,
    ) -> io::Result<()> {
        let mut bytes = Vec::new();
        let mut deadline = MovingDeadline::default();
        let mut keepalive_at = Instant::now() + self.network.keepalive_interval;
        loop {
            let mut next = tokio::select! {
                biased;
                next = queue.recv() => next,
                () = deadline.wait_until(keepalive_at) => {
                    encode_keepalive(&mut bytes);
                    None
                }
            };
            while let Some(Outgoing { mut reply, permits }) = next {
                if reply.encode(&mut bytes).is_err() {
                    reply.body = too_large_reply();
                    let metric = RequestMetric::None;
                    self.counts().request_ended(metric, Stopwatch::start(), &reply.body);
                    reply.encode(&mut bytes).expect("a rejection is short");
                }
                held.push(permits);
                if bytes.len() >= BATCH_BYTES {
                    self.send(&mut write, &mut bytes).await?;
                    // A client may accept all of its replies at once, however long they are.
                    yield_now().await;
                }
                next = if held.len() < BATCH { queue.try_recv().ok() } else { None };
            }
            if !bytes.is_empty() {
                self.send(&mut write, &mut bytes).await?;
                keepalive_at = Instant::now() + self.network.keepalive_interval;
            }
            // The permits are released once the replies are written, which bounds unwritten ones.
            self.places.add_permits(held.len());
            held.clear();
            let free = self.places.available_permits();
            assert!(free <= self.places_max as usize, "a place is given back once");
        }
    }

    /// Ends a request, and returns what is sent to the client, with the permits that the reply
    /// holds. Returns `None` if the request is forwarded to the leader, whose reply follows.
    fn end_request(&self, QueuedReply { slot, reply, permits }: QueuedReply) -> Option<Outgoing> {
        let mut pending = lock(&self.pending);
        let request = pending.get_mut(slot);
        let mut body = reply.unwrap_or_else(|| self.executor.stopped_reply(request.effect));
        if let Some(leader) = leader_to_forward_to(&body).cloned()
            && let Some(forwarded) = request.forwarded.take()
            && let Some(forwarder) = self.executor.forwarder_of(&forwarded).cloned()
        {
            let bytes = Operation::of(&forwarded).bytes;
            if let Some(share) = self.limits.acquire(Share::Forwarded, bytes) {
                let (replies, mut permits) = (self.replies.clone(), permits);
                let reply = forwarder.forward(&leader, forwarded);
                // The task outlives the connection, because the leader still has the request.
                forwarder.spawn(async move {
                    let mut reply = reply.await.unwrap_or(body);
                    drop(share);
                    if let Some(permits) = &mut permits {
                        reply = permits.exchange_for_reply(reply);
                    }
                    drop(replies.send(QueuedReply { slot, reply: Some(reply), permits }));
                });
                return None;
            }
            body = ReplyBody::ServiceRejected(ServiceRejectReason::Overloaded);
            self.counts().request_ended(RequestMetric::None, Stopwatch::start(), &body);
        }
        let PendingRequest { number, audited, .. } = pending.remove(slot);
        drop(pending);
        if let Some(request) = audited {
            request.end(&body);
        }
        Some(Outgoing { reply: ClientReply { number, body }, permits })
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
