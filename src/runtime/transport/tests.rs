//! Tests of inbound connections: a simulated peer on a paused clock.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::runtime::config::{NetworkConfig, ServiceConfig};
use crate::runtime::handle::Handle;
use crate::runtime::service::{Executor, Service};
use crate::runtime::transport::handshake::{ConnectionReader, Handshake, TransferLimits};
use crate::runtime::transport::incoming::{ConnectionHandler, InboundQueues};
use crate::storage::ClusterId;
use crate::types::{Body, EntryId, Incarnation, Index, Message, NodeId, Packet, Term};
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

#[tokio::test(start_paused = true)]
async fn a_full_bulk_queue_delays_neither_keepalives_nor_urgent_packets() {
    let (handle, _requests) = Handle::for_test();
    let config = NetworkConfig::default();
    let (urgent, mut urgent_queue) = mpsc::channel(1);
    let (bulk, mut bulk_queue) = mpsc::channel(1);
    let (cluster, node) = (ClusterId(7), NodeId(1));
    let executor = Executor { handle: handle.clone(), forwarder: None };
    let (network, limits) = (config.clone(), ServiceConfig::default());
    let service = Service::new(cluster, node, network, limits, 1 << 20, executor);
    let handshake =
        Handshake { cluster, origin: None, node, incarnation: Incarnation(1), start_id: 1 };
    let queues = InboundQueues { urgent, bulk };
    let (config, files_reserved) = (NetworkConfig::default(), 0);
    let handler = ConnectionHandler {
        handshake,
        config: config.clone(),
        files_reserved,
        queues,
        handle,
        service,
    };
    let handler = Arc::new(handler);

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
