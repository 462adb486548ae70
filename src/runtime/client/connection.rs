//! One connection to one node: requests of many callers are in flight together, and replies arrive
//! in any order.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncWrite, split};
use tokio::sync::mpsc::{self, Receiver};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, sleep_until};
use tracing::debug;

use crate::runtime::client::config::ClientConfig;
use crate::runtime::client::error::Mismatch;
use crate::runtime::client::nodes::Nodes;
use crate::runtime::client::pending_replies::{
    ConnectionError, OutgoingRequest, PendingReplies, ReplyResult, SentFlag,
};
use crate::runtime::lock::lock;
use crate::runtime::rejected_connections::{ConnectionRejectReason, reject};
use crate::runtime::transport::handshake::{
    BATCH, BATCH_BYTES, ConnectionReader, TransferLimits, flush_batch, write_all,
};
use crate::runtime::transport::link::{Link, Links, Stream, classified};
use crate::runtime::unnamed_cluster::{ANY_UNNAMED_CLUSTER, is_unnamed_cluster};
use crate::storage::ClusterId;
use crate::types::NodeId;
use crate::wire::{
    ClientHello, ClientHelloError, ClientRequest, Frame, ReplyBody, RequestBody, Versions,
    encode_keepalive,
};

/// A handle to a connection to one node. The connection ends when it is lost, when it has been idle
/// for `ClientConfig::idle_max`, or when the last clone of the handle is dropped.
#[derive(Clone, Debug)]
pub(super) struct Connection(mpsc::Sender<OutgoingRequest>);

/// The configuration with which connections are made.
#[derive(Clone)]
pub(super) struct Dialer {
    pub(super) config: Arc<ClientConfig>,
    pub(super) links: Links,
    pub(super) nodes: Arc<Mutex<Nodes>>,
    /// The node that must be at the other end; `None` if any node may be.
    pub(super) node: Option<NodeId>,
    /// If the configuration names no cluster: the first cluster without a name from which a node
    /// replied, and from then on the only one that the client accepts; before that, the last
    /// cluster with a name, for error messages.
    pub(super) met: Arc<Mutex<Option<ClusterId>>>,
}

impl Connection {
    /// Starts a connection to `address`. Must be called within a tokio runtime.
    pub(super) fn open(address: String, dialer: Dialer) -> Connection {
        let requests_max = dialer.config.requests_max.min(Semaphore::MAX_PERMITS);
        let (sender, queue) = mpsc::channel(requests_max);
        tokio::spawn(dialer.run(address, queue));
        Connection(sender)
    }

    /// Returns true if the connection has ended.
    pub(super) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Sends the request and waits for the reply. Dropping the future cancels the request if it is
    /// not written yet.
    pub(super) async fn send(&self, body: RequestBody, sent: &SentFlag) -> ReplyResult {
        let (sender, receiver) = oneshot::channel();
        let closed = || ConnectionError::Unreachable("the connection is closed".to_owned());
        let request = OutgoingRequest { body, sent: sent.clone(), reply: sender };
        self.0.send(request).await.map_err(|_| closed())?;
        let ended = |_| Err(ConnectionError::Lost("the connection has ended".to_owned()));
        match receiver.await.unwrap_or_else(ended) {
            // The connection ended before it sent the request.
            Err(ConnectionError::Lost(error)) if sent.withdraw() => {
                Err(ConnectionError::Unreachable(error))
            }
            result => result,
        }
    }
}

impl Dialer {
    async fn run(self, address: String, mut queue: Receiver<OutgoingRequest>) {
        let pending = Mutex::new(PendingReplies::default());
        let handshake = |address| self.handshake(address);
        let connected =
            self.links.connect_any(&address, self.config.connect_timeout, handshake).await;
        let ended = match connected {
            Err(error) => Err(error),
            Ok((Link { stream, mut trust, .. }, frames)) => {
                debug!(address, "connected");
                tokio::select! {
                    biased;
                    error = trust.revoked() => Err(error),
                    ended = self.serve(stream, frames, &mut queue, &pending) => ended,
                }
            }
        };
        let (error, mismatch) = match ended {
            Ok(()) => ("the connection was idle for too long".to_owned(), None),
            Err(error) => (error.to_string(), mismatch_of(&error)),
        };
        debug!(address, error, "disconnected");
        queue.close();
        lock(&pending).lose(&error);
        while let Ok(OutgoingRequest { reply, .. }) = queue.try_recv() {
            drop(reply.send(Err(match mismatch {
                Some(mismatch) => ConnectionError::Mismatch(mismatch, error.clone()),
                None => ConnectionError::Unreachable(error.clone()),
            })));
        }
    }

    async fn handshake(&self, address: SocketAddr) -> io::Result<(Link, ConnectionReader)> {
        let mut link = self.links.connect(address, self.node).await?;
        let cluster = self.config.cluster.0;
        let versions = Versions::SUPPORTED;
        let hello = ClientHello { versions, cluster, node: self.node, full: false };
        let mut bytes = Vec::new();
        hello.encode(&mut bytes);
        let written = write_all(&mut link.stream, &bytes).await;
        let mut frames = ConnectionReader::new();
        frames.watch_received(link.received.clone());
        // If the write failed, the node has closed the connection, perhaps after it sent the
        // reason, such as a TLS alert.
        let reply = match frames.next(&mut link.stream).await.map_err(classified)? {
            Frame::ClientHello(reply) => reply,
            _ => return Err(protocol_error("the node's first frame is not a client hello")),
        };
        written?;
        let expected = ClientHello { cluster: self.expected_cluster(&reply)?.0, ..hello };
        match expected.check(&reply) {
            Ok(()) => Ok((link, frames)),
            Err(error @ ClientHelloError::Cluster { .. }) => {
                Err(reject(ConnectionRejectReason::OtherCluster, error))
            }
            Err(error) => Err(protocol_error(&error.to_string())),
        }
    }

    /// Returns the cluster of the configuration; if that names none, the first one met that has no
    /// name.
    fn expected_cluster(&self, reply: &ClientHello) -> io::Result<ClusterId> {
        if self.config.cluster != ANY_UNNAMED_CLUSTER {
            return Ok(self.config.cluster);
        }
        let mut met = lock(&self.met);
        let kept = met.filter(|met| is_unnamed_cluster(*met));
        let met = *met.insert(kept.unwrap_or(ClusterId(reply.cluster)));
        match is_unnamed_cluster(met) {
            true => Ok(met),
            false => {
                let message = format_args!(
                    "the node belongs to cluster {met}, which has a name, but the client names \
                     none: name the cluster, or give its id"
                );
                Err(reject(ConnectionRejectReason::OtherCluster, message))
            }
        }
    }

    async fn serve(
        &self,
        stream: Stream,
        frames: ConnectionReader,
        queue: &mut Receiver<OutgoingRequest>,
        pending: &Mutex<PendingReplies>,
    ) -> io::Result<()> {
        let (read, write) = split(stream);
        tokio::select! {
            biased;
            ended = self.write(write, queue, pending) => ended,
            ended = self.read(read, frames, pending) => ended,
        }
    }

    async fn read(
        &self,
        mut read: impl AsyncRead + Unpin,
        mut frames: ConnectionReader,
        pending: &Mutex<PendingReplies>,
    ) -> io::Result<()> {
        let limits = TransferLimits::of_silence(self.config.keepalive_timeout);
        loop {
            match frames.next_within(limits, &mut read).await? {
                Frame::Reply(reply) => {
                    if reply.number == PendingReplies::REPORT {
                        if let ReplyBody::Report(report) = &reply.body {
                            lock(&self.nodes).learn(report);
                        }
                        continue;
                    }
                    if !lock(pending).complete(reply.number, reply.body) {
                        return Err(protocol_error("a reply has no request"));
                    }
                }
                Frame::Keepalive => {}
                _ => return Err(protocol_error("the node sent a frame that is not a reply")),
            }
        }
    }

    /// Writes requests in batches, and keepalives while there are none. Returns once every handle
    /// is dropped or the connection was idle for `idle_max`. A slow write does not end the
    /// connection while the node sends keepalives.
    async fn write(
        &self,
        mut write: impl AsyncWrite + Unpin,
        queue: &mut Receiver<OutgoingRequest>,
        pending: &Mutex<PendingReplies>,
    ) -> io::Result<()> {
        let (mut batch, mut bytes) = (Vec::new(), Vec::new());
        let report = ClientRequest { number: PendingReplies::REPORT, body: RequestBody::Report };
        report.encode(&mut bytes).expect("the request is short");
        let mut last_request = Instant::now();
        loop {
            for request in batch.drain(..) {
                lock(pending).encode(request, &mut bytes);
                if bytes.len() >= BATCH_BYTES {
                    flush_batch(&mut write, &mut bytes).await?;
                }
            }
            if !bytes.is_empty() {
                flush_batch(&mut write, &mut bytes).await?;
            }
            let keepalive_at = Instant::now() + self.config.keepalive_interval;
            tokio::select! {
                biased;
                count = queue.recv_many(&mut batch, BATCH) => {
                    if count == 0 {
                        return Ok(());
                    }
                    last_request = Instant::now();
                }
                () = sleep_until(keepalive_at) => {
                    let is_idle = lock(pending).is_empty();
                    if is_idle && last_request + self.config.idle_max <= Instant::now() {
                        return Ok(());
                    }
                    encode_keepalive(&mut bytes);
                }
            }
        }
    }
}

/// Returns the difference in configuration that the error of a connection shows, if any.
fn mismatch_of(error: &io::Error) -> Option<Mismatch> {
    Some(match ConnectionRejectReason::of(error)? {
        ConnectionRejectReason::OtherProtocol => Mismatch::Protocol,
        ConnectionRejectReason::OtherCluster => Mismatch::Cluster,
        ConnectionRejectReason::NotTls | ConnectionRejectReason::UnexpectedTls => {
            Mismatch::Encryption
        }
        ConnectionRejectReason::NoCertificate
        | ConnectionRejectReason::CertificateExpired
        | ConnectionRejectReason::CertificateUntrusted
        | ConnectionRejectReason::CertificateRejected
        | ConnectionRejectReason::NoPrincipal
        | ConnectionRejectReason::RoleNotAllowed => Mismatch::Certificate,
        _ => return None,
    })
}

fn protocol_error(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::sleep;

    use super::*;
    use crate::runtime::unnamed_cluster::unnamed_cluster;
    use crate::types::{Freshness, Index, ReadLevel};
    use crate::wire::ClientReply;

    const MIB: usize = 1 << 20;

    /// A connection to a node that the test simulates by `stream` and `frames`.
    struct TestConnection {
        connection: Connection,
        stream: DuplexStream,
        frames: ConnectionReader,
    }

    impl TestConnection {
        async fn open() -> TestConnection {
            let config = ClientConfig::new(ClusterId(7), ["127.0.0.1:1"]);
            let nodes = Nodes::new(config.addresses.clone(), 0);
            let dialer = Dialer {
                config: Arc::new(config),
                links: Links::for_test(),
                nodes: Arc::new(Mutex::new(nodes)),
                node: None,
                met: Arc::default(),
            };
            let (stream, near) = duplex(64 << 10);
            let (sender, mut queue) = mpsc::channel(16);
            let frames = ConnectionReader::after_client_hello().await;
            tokio::spawn(async move {
                let pending = Mutex::new(PendingReplies::default());
                let served = dialer.serve(Box::new(near), frames, &mut queue, &pending);
                let ended = served.await.err();
                let error = ended.map_or_else(|| "idle".to_owned(), |error| error.to_string());
                lock(&pending).lose(&error);
            });
            TestConnection {
                connection: Connection(sender),
                stream,
                frames: ConnectionReader::after_client_hello().await,
            }
        }

        /// Sends a read, and returns the number of its request.
        async fn send_read(
            &mut self,
            query: Vec<u8>,
        ) -> (u64, tokio::task::JoinHandle<ReplyResult>) {
            let connection = self.connection.clone();
            let body = RequestBody::Read { level: ReadLevel::Local, query };
            let result =
                tokio::spawn(async move { connection.send(body, &SentFlag::default()).await });
            (self.next_request_number().await, result)
        }

        /// Returns the number of the next request of a caller.
        async fn next_request_number(&mut self) -> u64 {
            loop {
                match self.frames.next(&mut self.stream).await {
                    Ok(Frame::Request(request)) if request.number != PendingReplies::REPORT => {
                        return request.number;
                    }
                    Ok(Frame::Request(_) | Frame::Keepalive) => {}
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    fn answer(number: u64, bytes: usize) -> Vec<u8> {
        let (index, applied) = (Index(1), Index(1));
        let (answer, freshness) = (vec![7; bytes], Freshness::Unknown);
        let body = ReplyBody::Answered { freshness, index, applied, answer };
        let mut bytes = Vec::new();
        ClientReply { number, body }.encode(&mut bytes).expect("the reply is short");
        bytes
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reply_is_read_but_a_stalled_one_ends_the_connection() {
        let mut connection = TestConnection::open().await;
        let keepalive_timeout = ClientConfig::new(ClusterId(7), ["x:1"]).keepalive_timeout;
        let (number, result) = connection.send_read(Vec::new()).await;
        for piece in answer(number, MIB).chunks(64 << 10) {
            sleep(keepalive_timeout / 4 * 3).await;
            connection.stream.write_all(piece).await.expect("the connection is open");
        }
        assert!(matches!(result.await, Ok(Ok(ReplyBody::Answered { .. }))));

        let (number, result) = connection.send_read(Vec::new()).await;
        connection
            .stream
            .write_all(&answer(number, MIB)[..100])
            .await
            .expect("the connection is open");
        let error = result.await.expect("no panic").expect_err("the rest never comes");
        assert!(
            matches!(&error, ConnectionError::Lost(error) if error.contains("nothing was received"))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_write_is_continued_while_the_node_sends_keepalives() {
        let mut connection = TestConnection::open().await;
        let keepalive_timeout = ClientConfig::new(ClusterId(7), ["x:1"]).keepalive_timeout;
        let client = connection.connection.clone();
        let body = RequestBody::Read { level: ReadLevel::Local, query: vec![7; MIB] };
        let result = tokio::spawn(async move { client.send(body, &SentFlag::default()).await });
        let mut keepalives = Vec::new();
        encode_keepalive(&mut keepalives);
        for _ in 0..10 {
            sleep(keepalive_timeout / 2).await;
            connection.stream.write_all(&keepalives).await.expect("the connection is open");
        }
        let number = connection.next_request_number().await;
        connection.stream.write_all(&answer(number, 1)).await.expect("the connection is open");
        assert!(matches!(result.await, Ok(Ok(ReplyBody::Answered { .. }))));
    }

    /// Sends keepalives of the node for this time, unless the connection ends before.
    async fn keep_alive(stream: &mut DuplexStream, time: Duration) -> io::Result<()> {
        let mut keepalive = Vec::new();
        encode_keepalive(&mut keepalive);
        let end = Instant::now() + time;
        while Instant::now() < end {
            sleep(Duration::from_millis(500)).await;
            stream.write_all(&keepalive).await?;
        }
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_once_no_request_was_pending_or_sent_for_the_whole_time() {
        let mut connection = TestConnection::open().await;
        let idle_max = ClientConfig::new(ClusterId(7), ["x:1"]).idle_max;
        let (number, result) = connection.send_read(Vec::new()).await;
        keep_alive(&mut connection.stream, idle_max * 2).await.expect("a request is pending");
        connection.stream.write_all(&answer(number, 1)).await.expect("the connection is open");
        assert!(matches!(result.await, Ok(Ok(_))), "a request is pending");
        for _ in 0..3 {
            let (number, result) = connection.send_read(Vec::new()).await;
            connection.stream.write_all(&answer(number, 1)).await.expect("the connection is open");
            assert!(matches!(result.await, Ok(Ok(_))), "a request was sent");
            keep_alive(&mut connection.stream, idle_max / 4 * 3).await.expect("it is not idle");
        }
        // Keepalives of the node do not make a connection busy.
        let ended = keep_alive(&mut connection.stream, idle_max / 2).await;
        assert!(ended.is_err() && connection.connection.is_closed(), "it is idle");
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_behind_a_write_that_fails_was_not_sent() {
        let TestConnection { connection, stream, .. } = TestConnection::open().await;
        let send = |bytes| {
            let (client, query) = (connection.clone(), vec![7; bytes]);
            let body = RequestBody::Read { level: ReadLevel::Local, query };
            tokio::spawn(async move { client.send(body, &SentFlag::default()).await })
        };
        // Nothing is read, so the write of the first request does not end.
        let results = [send(MIB), send(1)];
        sleep(Duration::from_millis(1)).await;
        drop(stream);
        let [first, second] = results;
        let first = first.await.expect("no panic").expect_err("the connection is lost");
        assert!(matches!(first, ConnectionError::Lost(_)), "{first:?}");
        let second = second.await.expect("no panic").expect_err("the connection is lost");
        assert!(matches!(second, ConnectionError::Unreachable(_)), "{second:?}");
    }

    #[test]
    fn a_client_that_names_no_cluster_keeps_to_the_first_one_without_a_name() {
        let config = ClientConfig::new(ANY_UNNAMED_CLUSTER, ["127.0.0.1:1"]);
        let dialer = Dialer {
            nodes: Arc::new(Mutex::new(Nodes::new(config.addresses.clone(), 0))),
            config: Arc::new(config),
            links: Links::for_test(),
            node: None,
            met: Arc::default(),
        };
        let expected = |cluster: ClusterId| {
            let (versions, cluster) = (Versions::SUPPORTED, cluster.0);
            let reply = ClientHello { versions, cluster, node: None, full: false };
            dialer.expected_cluster(&reply).ok()
        };
        let address = "127.0.0.1:1".parse().expect("an address");
        let unnamed = |id| unnamed_cluster([(NodeId(id), address)]);
        assert_eq!(expected(ClusterId(7)), None, "it has a name");
        assert_eq!(*lock(&dialer.met), Some(ClusterId(7)));
        assert_eq!(expected(unnamed(1)), Some(unnamed(1)));
        assert_eq!(expected(unnamed(2)), Some(unnamed(1)), "the client keeps to the first one");
        assert_eq!(expected(ClusterId(7)), Some(unnamed(1)));
        assert_eq!(*lock(&dialer.met), Some(unnamed(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_reply_to_no_request_ends_the_connection() {
        let mut connection = TestConnection::open().await;
        let (number, result) = connection.send_read(Vec::new()).await;
        connection.stream.write_all(&answer(number + 1, 1)).await.expect("the connection is open");
        let error = result.await.expect("no panic").expect_err("the reply has another number");
        assert!(
            matches!(&error, ConnectionError::Lost(error) if error == "a reply has no request")
        );
        let mut rest = Vec::new();
        connection.stream.read_to_end(&mut rest).await.expect("the peer closed the connection");
    }

    #[tokio::test(start_paused = true)]
    async fn each_caller_gets_the_reply_to_its_own_request() {
        let mut connection = TestConnection::open().await;
        let (first, first_result) = connection.send_read(Vec::new()).await;
        let (second, second_result) = connection.send_read(Vec::new()).await;
        assert_ne!(first, second);
        for (number, bytes) in [(second, 2), (first, 1)] {
            connection
                .stream
                .write_all(&answer(number, bytes))
                .await
                .expect("the connection is open");
        }
        for (result, bytes) in [(first_result, 1), (second_result, 2)] {
            let body = result.await.expect("no panic").expect("the reply arrives");
            assert!(matches!(body, ReplyBody::Answered { answer, .. } if answer.len() == bytes));
        }
    }
}
