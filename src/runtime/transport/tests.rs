//! Tests of inbound connections: a simulated peer on a paused clock.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::runtime::config::{NetworkConfig, ServiceConfig};
use crate::runtime::handle::Handle;
use crate::runtime::rejected_connections::ConnectionRejectReason;
use crate::runtime::service::{Executor, Service};
use crate::runtime::transport::handshake::{ConnectionReader, Handshake, TransferLimits};
use crate::runtime::transport::incoming::{ConnectionHandler, InboundQueues};
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
        let (stream, remote) = duplex(64 << 10);
        let (handler, frames) = (Arc::clone(handler), ConnectionReader::after_hello().await);
        let served = async move { handler.serve_peer(NodeId(2), Box::new(remote), frames).await };
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
    let executor = Executor { handle: handle.clone(), forwarder: None };
    let limits = ServiceConfig::default();
    let service = Service::new(cluster, node, config.clone(), limits, 1 << 20, executor);
    let handshake =
        Handshake { cluster, origin: None, node, incarnation: Incarnation(1), start_id: 1 };
    Arc::new(ConnectionHandler { handshake, config, files_reserved: 0, queues, handle, service })
}

#[tokio::test(start_paused = true)]
async fn a_slow_frame_of_a_node_that_is_no_member_ends_the_connection() {
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
    for (members, is_accepted) in [(vec![1, 2], true), (vec![], true), (vec![1, 3], false)] {
        let (mut handle, _requests) = Handle::for_test();
        let known = Membership::new(members.iter().map(|id| NodeId(*id)));
        let (_membership, receiver) = watch::channel(known);
        handle.membership = receiver;
        let (urgent, _urgent_queue) = mpsc::channel(1);
        let (bulk, _bulk_queue) = mpsc::channel(1);
        let handler = handler(handle, InboundQueues { urgent, bulk });
        let mut connection = TestConnection::open(&handler).await;
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
