//! Tests of inbound connections: a simulated peer on a paused clock.

use std::io;
use std::sync::Arc;
#[cfg(feature = "certs")]
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

#[cfg(feature = "certs")]
use tokio::io::{AsyncReadExt, split};
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

#[cfg(feature = "certs")]
use crate::runtime::certs::Directory;
use crate::runtime::config::{NetworkConfig, ServiceConfig};
#[cfg(feature = "certs")]
use crate::runtime::environment::RawStream;
use crate::runtime::handle::Handle;
#[cfg(feature = "certs")]
use crate::runtime::principal::Principal;
use crate::runtime::rejected_connections::ConnectionRejectReason;
use crate::runtime::service::{Executor, Service};
#[cfg(feature = "certs")]
use crate::runtime::tls::Tls;
use crate::runtime::transport::handshake::{Caller, ConnectionReader, Handshake, TransferLimits};
use crate::runtime::transport::incoming::{ConnectionHandler, InboundQueues};
#[cfg(feature = "certs")]
use crate::runtime::transport::link::{Link, Links, Security, Stream};
use crate::storage::ClusterId;
use crate::types::{
    Body, Command, Entry, EntryId, Incarnation, Index, Membership, Message, NodeId, Packet,
    Payload, Term,
};
use crate::wire::{Frame, encode, encode_keepalive};

/// One connection from node 2 to node 1.
struct TestConnection {
    stream: DuplexStream,
    frames: ConnectionReader,
    served: JoinHandle<io::Result<()>>,
}

impl TestConnection {
    async fn open(handler: &Arc<ConnectionHandler>) -> TestConnection {
        let caller = Caller { node: NodeId(2), start_id: 2, is_certified: false };
        TestConnection::open_as(handler, caller).await
    }

    async fn open_as(handler: &Arc<ConnectionHandler>, caller: Caller) -> TestConnection {
        let (stream, remote) = duplex(64 << 10);
        let (handler, frames) = (Arc::clone(handler), ConnectionReader::after_hello().await);
        let served = async move { handler.serve_peer(caller, Box::new(remote), frames).await };
        TestConnection {
            stream,
            frames: ConnectionReader::after_hello().await,
            served: tokio::spawn(served),
        }
    }

    async fn send(&mut self, body: Body) {
        let mut bytes = Vec::new();
        encode(&packet(body), &mut bytes).expect("the packet is short");
        self.stream.write_all(&bytes).await.expect("the connection is open");
    }

    async fn send_keepalive(&mut self) {
        let mut bytes = Vec::new();
        encode_keepalive(&mut bytes);
        self.stream.write_all(&bytes).await.expect("the connection is open");
    }

    /// Expects a keepalive within the keepalive timeout.
    async fn expect_keepalive(&mut self, config: &NetworkConfig) {
        let limits = TransferLimits::of_received(config);
        let frame = self.frames.next_within(limits, &mut self.stream).await;
        assert_eq!(frame.expect("the node is alive"), Frame::Keepalive);
        assert!(!self.served.is_finished());
    }
}

fn packet(body: Body) -> Packet {
    let (from, to, incarnation) = (NodeId(2), NodeId(1), Incarnation(2));
    Packet::Message(Message { from, incarnation, to, term: Term(1), body })
}

fn entries() -> Body {
    Body::AppendEntries { prev: EntryId::ZERO, entries: [].into(), committed: Index::ZERO }
}

/// Returns the handler of node 1.
fn handler(handle: Handle, queues: InboundQueues) -> Arc<ConnectionHandler> {
    let config = NetworkConfig::default();
    let (cluster, node) = (ClusterId(7), NodeId(1));
    let executor = Executor { handle: handle.clone(), forwarder: None, recording: None };
    let limits = ServiceConfig::default();
    let service = Service::new(cluster, node, config.clone(), limits, 1 << 20, executor);
    let handshake =
        Handshake { cluster, origin: None, node, incarnation: Incarnation(1), start_id: 1 };
    Arc::new(ConnectionHandler { handshake, config, files_reserved: 0, queues, handle, service })
}

#[tokio::test(start_paused = true)]
async fn a_slow_frame_of_a_non_member_without_a_certificate_ends_the_connection() {
    let entry = Entry {
        id: EntryId::new(Term(1), Index(1)),
        payload: Payload::Command(Command::from(vec![7; 256 << 10])),
    };
    let body = Body::AppendEntries {
        prev: EntryId::ZERO,
        entries: [entry].into(),
        committed: Index::ZERO,
    };
    let mut bytes = Vec::new();
    encode(&packet(body), &mut bytes).expect("the packet is short");
    for (members, is_certified, is_accepted) in [
        (vec![1, 2], false, true),
        (vec![], false, true),
        (vec![1, 3], false, false),
        // It may lead, although this node, which lags, does not know it yet.
        (vec![1, 3], true, true),
    ] {
        let (mut handle, _requests) = Handle::for_test();
        let known = Membership::new(members.iter().map(|id| NodeId(*id)));
        let (_membership, receiver) = watch::channel(known);
        handle.membership = receiver;
        let (urgent, _urgent_queue) = mpsc::channel(1);
        let (bulk, _bulk_queue) = mpsc::channel(1);
        let handler = handler(handle, InboundQueues { urgent, bulk });
        let caller = Caller { node: NodeId(2), start_id: 2, is_certified };
        let mut connection = TestConnection::open_as(&handler, caller).await;
        // 8 KiB per second: 32 s instead of the 14 s that a client may take.
        for piece in bytes.chunks(8 << 10) {
            sleep(Duration::from_secs(1)).await;
            if connection.stream.write_all(piece).await.is_err() {
                break;
            }
        }
        assert_eq!(!connection.served.is_finished(), is_accepted, "{members:?}");
        if !is_accepted {
            let ended = connection.served.await.expect("no panic");
            let reason = ConnectionRejectReason::of(&ended.expect_err("it is too slow"));
            assert_eq!(reason, Some(ConnectionRejectReason::TooSlow));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_bulk_queue_delays_neither_keepalives_nor_urgent_packets() {
    let (handle, _requests) = Handle::for_test();
    let config = NetworkConfig::default();
    let (urgent, mut urgent_queue) = mpsc::channel(1);
    let (bulk, mut bulk_queue) = mpsc::channel(1);
    let handler = handler(handle, InboundQueues { urgent, bulk });

    let (mut log, mut control) =
        (TestConnection::open(&handler).await, TestConnection::open(&handler).await);
    for _ in 0..3 {
        log.send(entries()).await;
    }
    // Much longer than the keepalive timeout. The first packet fills the queue, the reader holds
    // the second one, and the third one is not read yet.
    for _ in 0..20 {
        sleep(config.keepalive_timeout / 2).await;
        log.send_keepalive().await;
        log.expect_keepalive(&config).await;
        let urgent = Body::RequestVote { last: EntryId::ZERO, transfer: false };
        control.send(urgent.clone()).await;
        let received = timeout(config.keepalive_timeout, urgent_queue.recv()).await;
        assert_eq!(received.expect("urgent packets do not wait"), Some(packet(urgent)));
        control.expect_keepalive(&config).await;
    }
    assert_eq!((bulk_queue.len(), log.served.is_finished()), (1, false));
    for _ in 0..3 {
        assert_eq!(bulk_queue.recv().await, Some(packet(entries())));
    }
    log.send(entries()).await;
    assert_eq!(bulk_queue.recv().await, Some(packet(entries())), "the connection is still open");
}

/// Two ends of a TLS connection on which the bytes to the second end arrive slowly.
#[cfg(feature = "certs")]
struct SlowTls {
    near: Stream,
    far: Link,
    /// The bytes that arrive at once, in each quarter of a second.
    at_once: Arc<AtomicUsize>,
}

#[cfg(feature = "certs")]
impl SlowTls {
    async fn open() -> SlowTls {
        let root = tempfile::tempdir().expect("a temporary file can be created");
        let directory = Directory::open(root.path()).expect("the directory is writable");
        let links = |id| {
            let files = directory.issue(ClusterId(7), &Principal::Node(NodeId(id)), 1);
            let files = files.expect("the directory is writable");
            let tls = Tls::for_node(files, ClusterId(7), NodeId(id)).expect("the files are valid");
            let mut links = Links::for_test();
            links.security = Security::Tls(tls);
            links
        };
        let (caller, called) = (links(2), links(1));
        let Security::Tls(caller) = caller.security else { panic!("it was set") };
        let (near, slow) = duplex(1 << 20);
        let (fast, far) = duplex(1 << 20);
        let at_once = Arc::new(AtomicUsize::new(1 << 10));
        tokio::spawn(carry(slow, fast, Arc::clone(&at_once)));
        let far = tokio::spawn(async move {
            called.accept(RawStream::Simulated(Box::new(far))).await.expect("the caller is valid")
        });
        let connected = caller.connect(near, Some(NodeId(1))).await;
        let (near, ..) = connected.expect("the called node is valid");
        SlowTls { near: Box::new(near), far: far.await.expect("no panic"), at_once }
    }
}

/// Carries bytes from one stream to the other, a few at a time, and at once in the other direction.
#[cfg(feature = "certs")]
async fn carry(from: DuplexStream, to: DuplexStream, at_once: Arc<AtomicUsize>) {
    let ((mut from, mut from_write), (mut to_read, mut to)) = (split(from), split(to));
    tokio::spawn(async move { tokio::io::copy(&mut to_read, &mut from_write).await });
    let mut bytes = vec![0; 1 << 10];
    loop {
        let at_once = at_once.load(Ordering::Relaxed);
        match from.read(&mut bytes[..at_once]).await {
            Ok(count) if count > 0 => {
                if to.write_all(&bytes[..count]).await.is_err() {
                    return;
                }
            }
            _ => return,
        }
        sleep(Duration::from_millis(250)).await;
    }
}

#[cfg(feature = "certs")]
#[tokio::test(start_paused = true)]
async fn a_tls_record_may_take_longer_than_the_keepalive_timeout() {
    let SlowTls { mut near, far, at_once } = SlowTls::open().await;
    let Link { stream: mut far, received, .. } = far;
    let mut frames = ConnectionReader::after_hello().await;
    frames.watch_received(received);
    let entry = Entry {
        id: EntryId::new(Term(1), Index(1)),
        payload: Payload::Command(Command::from(vec![7; 64 << 10])),
    };
    let (prev, committed) = (EntryId::ZERO, Index::ZERO);
    let sent = packet(Body::AppendEntries { prev, entries: [entry].into(), committed });
    let mut bytes = Vec::new();
    encode(&sent, &mut bytes).expect("the packet is short");
    let sending = tokio::spawn(async move {
        for _ in 0..2 {
            near.write_all(&bytes).await.expect("the connection is open");
        }
        near.flush().await.expect("the connection is open");
        near
    });
    let limits = TransferLimits::of_node(&NetworkConfig::default());
    // At 4 KiB per second a record takes 4 s, and the keepalive timeout is 2 s.
    let received = frames.next_within(limits, &mut far).await;
    assert_eq!(received.expect("the node is alive"), Frame::Packet(sent));
    // A record whose bytes only trickle in is too slow.
    at_once.store(1, Ordering::Relaxed);
    let ended = frames.next_within(limits, &mut far).await.expect_err("it is too slow");
    assert_eq!(ConnectionRejectReason::of(&ended), Some(ConnectionRejectReason::TooSlow));
    drop(sending);
}
