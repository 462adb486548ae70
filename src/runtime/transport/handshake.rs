//! The handshake of a connection between nodes, and the reader of the frames of every connection.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

use crate::runtime::config::NetworkConfig;
use crate::runtime::moving_deadline::{MovingDeadline, timeout_unless_ready};
use crate::runtime::principal::Principal;
use crate::runtime::rejected_connections::{ConnectionRejectReason, reject};
use crate::runtime::transport::other_protocol::{FirstBytes, OtherProtocol};
use crate::storage::ClusterId;
use crate::types::{Address, Incarnation, NodeId};
use crate::wire::{
    ExpectedPeer, Frame, FrameError, FrameReader, Hello, HelloError, Versions, WireError,
};

/// The size of the read buffer, in bytes. The frame reader assembles longer frames.
const READ_BYTES: usize = 64 << 10;

/// The maximum length of a TLS record, in bytes. No byte of a record can be read until the whole
/// record has arrived.
const RECORD_BYTES: usize = 16 << 10;

/// The maximum number of frames that are written at once.
pub(in crate::runtime) const BATCH: usize = 256;
/// The size, in bytes, from which a batch is written before more is added to it.
pub(in crate::runtime) const BATCH_BYTES: usize = 256 << 10;

/// The identity that this node sends in its hello, and by which it checks the hello of the other
/// node.
#[derive(Clone, Copy, Debug)]
pub(in crate::runtime) struct Handshake {
    pub(in crate::runtime) cluster: ClusterId,
    /// The cluster that this one was recovered or restored from. It is not sent; a hello of that
    /// cluster is rejected with an explanation.
    pub(in crate::runtime) origin: Option<ClusterId>,
    pub(in crate::runtime) node: NodeId,
    pub(in crate::runtime) incarnation: Incarnation,
    /// A random number of this process.
    pub(in crate::runtime) start_id: u64,
}

/// A node that sent a valid hello.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    pub(super) node: NodeId,
    /// The random number of its process; 0 if it is unknown.
    pub(super) start_id: u64,
    /// Whether a certificate names the node.
    pub(super) is_certified: bool,
}

impl Handshake {
    fn hello(&self, to: NodeId, address: Address) -> Vec<u8> {
        let hello = Hello {
            versions: Versions::SUPPORTED,
            cluster: self.cluster.0,
            from: self.node,
            to,
            incarnation: self.incarnation.0,
            start_id: self.start_id,
            address,
        };
        let mut bytes = Vec::new();
        hello.encode(&mut bytes);
        bytes
    }

    /// Checks a hello, and returns the node that sent it. `peer` is the node that this node called;
    /// `None` if the sender of the hello called this node.
    fn check(&self, hello: &Hello, peer: Option<NodeId>) -> io::Result<NodeId> {
        let expected = ExpectedPeer {
            cluster: self.cluster.0,
            origin: self.origin.map(|origin| origin.0),
            local: self.node,
            peer,
            incarnation: None,
        };
        match hello.check(&expected) {
            Ok(_) => Ok(hello.from),
            Err(error) => Err(reject(reject_reason(&error), error)),
        }
    }

    /// Sends the hello to `peer`, with this address of the node itself, and checks that the reply
    /// is from that peer. Returns the reader of its frames, and the random number of its process.
    pub(super) async fn initiate<S>(
        &self,
        stream: &mut S,
        peer: NodeId,
        own: Address,
    ) -> io::Result<(ConnectionReader, u64)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        write_all(stream, &self.hello(peer, own)).await?;
        let mut reader = ConnectionReader::new();
        let hello = reader.hello(stream).await?;
        self.check(&hello, Some(peer))?;
        Ok((reader, hello.start_id))
    }

    /// Replies to the hello of a caller, with this address of the node itself, and returns the
    /// caller. If the connection has a certificate, it must name that node.
    pub(super) async fn respond<S>(
        &self,
        stream: &mut S,
        hello: &Hello,
        principal: Option<&Principal>,
        own: Address,
    ) -> io::Result<Caller>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        match principal {
            None => {}
            Some(Principal::Node(id)) if *id == hello.from => {}
            Some(Principal::Node(id)) => {
                let message = format_args!("the certificate of {id} was used by {}", hello.from);
                return Err(reject(ConnectionRejectReason::IdentityMismatch, message));
            }
            Some(principal) => {
                let message = format_args!("{principal} connected as node {}", hello.from);
                return Err(reject(ConnectionRejectReason::RoleNotAllowed, message));
            }
        }
        // The reply is sent even if the hello is invalid, so that the caller can see why.
        write_all(stream, &self.hello(hello.from, own)).await?;
        let node = self.check(hello, None)?;
        Ok(Caller { node, start_id: hello.start_id, is_certified: principal.is_some() })
    }
}

/// Returns the reason that is counted for an invalid hello.
fn reject_reason(error: &HelloError) -> ConnectionRejectReason {
    match error {
        HelloError::Cluster { .. } | HelloError::Predecessor { .. } => {
            ConnectionRejectReason::OtherCluster
        }
        HelloError::Node { .. } | HelloError::DuplicateId { .. } => {
            ConnectionRejectReason::IdentityMismatch
        }
        HelloError::Address { .. } => ConnectionRejectReason::WrongRecipient,
        _ => ConnectionRejectReason::InvalidHello,
    }
}

/// The time limits for the bytes that one side of a connection sends to the other.
#[derive(Clone, Copy, Debug)]
pub(in crate::runtime) struct TransferLimits {
    /// The time without a transferred byte.
    pub(in crate::runtime) silence_max: Duration,
    /// The time for one frame, or one batch of them, in addition to the time that its size takes;
    /// `None` if only silence is limited.
    pub(in crate::runtime) frame_timeout: Option<Duration>,
    pub(in crate::runtime) kib_per_second_min: u32,
}

impl TransferLimits {
    /// Returns the limits of frames that a remote sends.
    pub(in crate::runtime) fn of_received(config: &NetworkConfig) -> TransferLimits {
        TransferLimits {
            silence_max: config.keepalive_timeout,
            frame_timeout: Some(config.frame_timeout),
            kib_per_second_min: config.kib_per_second_min,
        }
    }

    /// Returns the limits of frames that a node of the cluster sends. The rate is the lowest,
    /// because closing a slow link, which three lanes may share, would only make the peer send its
    /// large frames again from the start.
    pub(in crate::runtime) fn of_node(config: &NetworkConfig) -> TransferLimits {
        TransferLimits { kib_per_second_min: 1, ..TransferLimits::of_received(config) }
    }

    /// Returns limits by which a transfer may take any time, as long as a byte is transferred in
    /// each `silence_max`.
    pub(in crate::runtime) fn of_silence(silence_max: Duration) -> TransferLimits {
        TransferLimits { silence_max, frame_timeout: None, kib_per_second_min: 1 }
    }

    /// Returns the time in which `bytes` must be transferred; `None` if they may take any time.
    fn time_max(&self, bytes: usize) -> Option<Duration> {
        let milliseconds = (bytes as u64).saturating_mul(1000) >> 10;
        let by_size = milliseconds / u64::from(self.kib_per_second_min.max(1));
        Some(self.frame_timeout?.saturating_add(Duration::from_millis(by_size)))
    }
}

/// Reads the frames of a connection.
pub(in crate::runtime) struct ConnectionReader {
    frames: FrameReader,
    /// The time at which the incomplete frame was first waited for.
    begun_at: Option<Instant>,
    deadline: MovingDeadline,
    buffer: Vec<u8>,
    /// The range of the buffered bytes that were received and not yet parsed.
    start: usize,
    end: usize,
    first: FirstBytes,
    /// The bytes that were received below TLS; `None` without TLS.
    received: Option<Arc<AtomicU64>>,
}

impl ConnectionReader {
    pub(in crate::runtime) fn new() -> ConnectionReader {
        ConnectionReader {
            frames: FrameReader::new(),
            begun_at: None,
            deadline: MovingDeadline::default(),
            buffer: vec![0; READ_BYTES],
            start: 0,
            end: 0,
            first: FirstBytes::default(),
            received: None,
        }
    }

    /// Counts bytes that are received below TLS as a sign of life, too.
    pub(in crate::runtime) fn watch_received(&mut self, received: Option<Arc<AtomicU64>>) {
        self.received = received;
    }

    /// Sets the maximum length of a request whose content is kept.
    pub(in crate::runtime) fn limit_requests(&mut self, bytes_max: usize) {
        self.frames.limit_requests(bytes_max);
    }

    /// Returns the number of bytes of all frames that were returned, headers included.
    pub(in crate::runtime) fn read_bytes(&self) -> u64 {
        self.frames.consumed_bytes()
    }

    /// Returns the next frame. Cancel-safe: no byte is lost if the future is dropped.
    pub(in crate::runtime) async fn next<S>(&mut self, stream: &mut S) -> io::Result<Frame>
    where
        S: AsyncRead + Unpin,
    {
        loop {
            if let Some(frame) = self.buffered_frame()? {
                return Ok(frame);
            }
            self.fill_buffer(stream).await?;
        }
    }

    /// Returns the next frame; fails if no byte arrives for `silence_max`, or if the whole frame
    /// does not arrive within the time limit for its size, counted from its first byte. Over TLS
    /// the frame's first byte is read with its first record.
    pub(in crate::runtime) async fn next_within<S>(
        &mut self,
        limits: TransferLimits,
        stream: &mut S,
    ) -> io::Result<Frame>
    where
        S: AsyncRead + Unpin,
    {
        self.next_admitted(limits, stream, |_| true).await
    }

    /// Returns the next frame as [`ConnectionReader::next_within`] does. Calls `admit` with the
    /// size of a request each time more of it has arrived, but not all; if that returns false, the
    /// content of the request is dropped.
    pub(in crate::runtime) async fn next_admitted<S>(
        &mut self,
        limits: TransferLimits,
        stream: &mut S,
        mut admit: impl FnMut(usize) -> bool,
    ) -> io::Result<Frame>
    where
        S: AsyncRead + Unpin,
    {
        loop {
            if let Some(frame) = self.buffered_frame()? {
                self.begun_at = None;
                return Ok(frame);
            }
            if self.frames.incomplete_request_bytes().is_some_and(|bytes| !admit(bytes)) {
                self.frames.drop_incomplete_request();
            }
            let left = self.frames.incomplete_frame_bytes().and_then(|bytes| {
                let begun_at = *self.begun_at.get_or_insert_with(Instant::now);
                Some(limits.time_max(bytes)?.saturating_sub(begun_at.elapsed()))
            });
            let count = self.read_within(limits, left, stream).await?;
            self.filled(count)?;
        }
    }

    /// Reads bytes of a frame that must arrive within `left`; fails if none arrives for
    /// `silence_max`. Bytes of a TLS record count as they arrive, but the whole record must arrive
    /// within the time of a frame of its size.
    async fn read_within<S>(
        &mut self,
        limits: TransferLimits,
        left: Option<Duration>,
        stream: &mut S,
    ) -> io::Result<usize>
    where
        S: AsyncRead + Unpin,
    {
        let (silence_max, begun_at) = (limits.silence_max, Instant::now());
        let mut wait = left.map_or(silence_max, |left| left.min(silence_max));
        let mut ended_at = begun_at + wait;
        let mut received = self.received_bytes();
        loop {
            tokio::select! {
                biased;
                count = stream.read(&mut self.buffer) => return count,
                () = self.deadline.wait_until(ended_at) => {}
            }
            if wait < silence_max {
                return Err(received_too_late(true));
            }
            let before = std::mem::replace(&mut received, self.received_bytes());
            if received == before {
                return Err(received_too_late(false));
            }
            let elapsed = begun_at.elapsed();
            if limits.time_max(RECORD_BYTES).is_some_and(|max| elapsed >= max) {
                return Err(received_too_late(true));
            }
            let left = left.map(|left| left.saturating_sub(elapsed));
            wait = left.map_or(silence_max, |left| left.min(silence_max));
            ended_at = Instant::now() + wait;
        }
    }

    /// Returns the number of bytes that were received below TLS; 0 without TLS.
    fn received_bytes(&self) -> u64 {
        self.received.as_ref().map_or(0, |received| received.load(Ordering::Relaxed))
    }

    /// Returns the next frame if it was received completely.
    fn buffered_frame(&mut self) -> io::Result<Option<Frame>> {
        let mut bytes = &self.buffer[self.start..self.end];
        let frame = self.frames.read(&mut bytes);
        self.start = self.end - bytes.len();
        frame.map_err(|error| frame_error(&error))
    }

    /// Reads into the buffer, whose earlier contents were all parsed.
    async fn fill_buffer<S: AsyncRead + Unpin>(&mut self, stream: &mut S) -> io::Result<()> {
        let count = stream.read(&mut self.buffer).await?;
        self.filled(count)
    }

    /// Records that `count` bytes were read into the buffer.
    fn filled(&mut self, count: usize) -> io::Result<()> {
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        (self.start, self.end) = (0, count);
        let is_first = self.first.extend(&self.buffer[..count]);
        match self.other_protocol().filter(|_| is_first) {
            Some(other) => Err(other.error()),
            None => Ok(()),
        }
    }

    /// Returns the protocol that the remote speaks in place of this one, if it does.
    pub(super) fn other_protocol(&self) -> Option<OtherProtocol> {
        self.first.other_protocol()
    }

    /// Whether no byte of the remote has arrived.
    pub(super) fn is_silent(&self) -> bool {
        self.first.is_empty() && self.received_bytes() == 0
    }

    async fn hello<S: AsyncRead + Unpin>(&mut self, stream: &mut S) -> io::Result<Hello> {
        match self.next(stream).await? {
            Frame::Hello(hello) => Ok(hello),
            // The frame reader accepts only a hello as the first frame.
            _ => {
                let message = "the first frame is not a hello";
                Err(reject(ConnectionRejectReason::InvalidFrame, message))
            }
        }
    }
}

/// Returns the error of a frame that was incomplete for too long, or of a silent connection.
fn received_too_late(is_incomplete: bool) -> io::Error {
    if is_incomplete {
        let message = "a frame took longer than frame_timeout plus the time for its size at \
                       kib_per_second_min";
        reject(ConnectionRejectReason::TooSlow, message)
    } else {
        let message = "no keepalive: nothing was received within keepalive_timeout";
        reject(ConnectionRejectReason::KeepaliveTimeout, message)
    }
}

#[cfg(test)]
impl ConnectionReader {
    /// Returns a reader that has read the hello of node 2 to node 1.
    pub(super) async fn after_hello() -> ConnectionReader {
        let (from, to, versions) = (NodeId(2), NodeId(1), Versions::SUPPORTED);
        let mut bytes = Vec::new();
        let (incarnation, start_id, address) = (1, 1, Address::default());
        let hello = Hello { versions, cluster: 7, from, to, incarnation, start_id, address };
        hello.encode(&mut bytes);
        let mut frames = ConnectionReader::new();
        frames.next(&mut &bytes[..]).await.expect("the hello is valid");
        frames
    }

    /// Returns a reader that has read the hello of a client.
    pub(in crate::runtime) async fn after_client_hello() -> ConnectionReader {
        let mut bytes = Vec::new();
        let versions = Versions::SUPPORTED;
        let hello = crate::wire::ClientHello { versions, cluster: 7, node: None, full: false };
        hello.encode(&mut bytes);
        let mut frames = ConnectionReader::new();
        frames.next(&mut &bytes[..]).await.expect("the hello is valid");
        frames
    }
}

/// Writes all bytes and flushes the stream.
pub(in crate::runtime) async fn write_all<S>(stream: &mut S, bytes: &[u8]) -> io::Result<()>
where
    S: AsyncWrite + Unpin,
{
    stream.write_all(bytes).await?;
    stream.flush().await
}

/// Writes and clears `bytes`, whose allocation is reused unless it is large.
pub(in crate::runtime) async fn flush_batch<S>(
    stream: &mut S,
    bytes: &mut Vec<u8>,
) -> io::Result<()>
where
    S: AsyncWrite + Unpin,
{
    write_all(stream, bytes).await?;
    clear_batch(bytes);
    Ok(())
}

/// Clears `bytes`, and frees the allocation if it is large.
pub(in crate::runtime) fn clear_batch(bytes: &mut Vec<u8>) {
    bytes.clear();
    bytes.shrink_to(2 * BATCH_BYTES);
}

/// Writes all bytes and flushes the stream; fails if no byte is accepted for `silence_max`, or if
/// the other side does not accept all of them within the time limit for that many bytes. The bytes
/// that TLS buffers, up to 64 KiB, must be accepted within one `silence_max` at the end.
pub(in crate::runtime) async fn write_all_within<S>(
    limits: TransferLimits,
    stream: &mut S,
    bytes: &[u8],
) -> io::Result<()>
where
    S: AsyncWrite + Unpin,
{
    let all = async {
        let mut unwritten = bytes;
        while !unwritten.is_empty() {
            let written = timeout_unless_ready(limits.silence_max, stream.write(unwritten)).await;
            let written = written.unwrap_or_else(|_| stalled())?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            unwritten = &unwritten[written..];
        }
        let flushed = timeout_unless_ready(limits.silence_max, stream.flush()).await;
        flushed.unwrap_or_else(|_| stalled())
    };
    match limits.time_max(bytes.len()) {
        None => all.await,
        Some(time_max) => timeout_unless_ready(time_max, all).await.unwrap_or_else(|_| {
            let message = "the other side took longer to accept its replies than frame_timeout \
                           plus the time for their size at kib_per_second_min";
            Err(reject(ConnectionRejectReason::TooSlow, message))
        }),
    }
}

fn stalled<T>() -> io::Result<T> {
    let message = "a write stalled: the other side accepted no bytes within the time limit";
    Err(reject(ConnectionRejectReason::KeepaliveTimeout, message))
}

/// Returns the error of a frame that cannot be parsed, with the reason that is counted.
fn frame_error(error: &WireError) -> io::Error {
    let reject_reason = match error.error {
        FrameError::TooLong { .. } => ConnectionRejectReason::FrameTooLong,
        _ => ConnectionRejectReason::InvalidFrame,
    };
    reject(reject_reason, error)
}
