//! The client service of a node, against valid and invalid bytes.

use std::time::Duration;

use quorate::machine::Request;
use quorate::runtime::{ConnectionRejectReason, Server, ServerConfig};
use quorate::types::{Acknowledge, Address, Change, Command, NodeId, ReadLevel, RejectReason};
use quorate::wire::{
    ClientHello, ClientReply, ClientRequest, Frame, FrameReader, ReplyBody, RequestBody,
    ServiceRejectReason, Versions,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::clients::{client_of, text};
use crate::cluster::{CLUSTER, Cluster, Lines, eventually};
use crate::hostile_clients::Large;

/// A raw client connection.
struct TestClient {
    stream: TcpStream,
    frames: FrameReader,
    arrived: Vec<u8>,
}

impl TestClient {
    async fn open(cluster: &Cluster, id: NodeId) -> TestClient {
        let stream = TcpStream::connect(cluster.address(id)).await.expect("the node listens");
        TestClient { stream, frames: FrameReader::new(), arrived: Vec::new() }
    }

    /// Connects and completes the handshake.
    async fn open_with_handshake(cluster: &Cluster, id: NodeId) -> TestClient {
        TestClient::open(cluster, id).await.handshake(id).await
    }

    /// Connects with a small receive buffer, and completes the handshake.
    async fn with_small_buffer(cluster: &Cluster, id: NodeId) -> TestClient {
        let socket = TcpSocket::new_v4().expect("a socket can be opened");
        socket.set_recv_buffer_size(4096).expect("the size is valid");
        let stream = socket.connect(cluster.address(id)).await.expect("the node listens");
        let client = TestClient { stream, frames: FrameReader::new(), arrived: Vec::new() };
        client.handshake(id).await
    }

    async fn handshake(mut self, id: NodeId) -> TestClient {
        self.send_hello(hello()).await;
        match self.next().await {
            Some(Frame::ClientHello(answer)) => assert_eq!(answer.node, Some(id)),
            other => panic!("{other:?}"),
        }
        self
    }

    async fn send_hello(&mut self, hello: ClientHello) {
        let mut bytes = Vec::new();
        hello.encode(&mut bytes);
        self.write(&bytes).await;
    }

    async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("the connection is open");
    }

    async fn send(&mut self, number: u64, body: RequestBody) {
        let mut bytes = Vec::new();
        ClientRequest { number, body }.encode(&mut bytes).expect("the value is short");
        self.write(&bytes).await;
    }

    /// Returns the next frame; none at the end of the connection.
    async fn next(&mut self) -> Option<Frame> {
        loop {
            let mut rest = &self.arrived[..];
            let frame = self.frames.read(&mut rest).expect("the node sends valid frames");
            self.arrived = rest.to_vec();
            if frame.is_some() {
                return frame;
            }
            let mut bytes = [0; 4096];
            let count = self.stream.read(&mut bytes).await.unwrap_or(0);
            if count == 0 {
                return None;
            }
            self.arrived.extend_from_slice(&bytes[..count]);
        }
    }

    /// Returns the next reply, and skips keepalives.
    async fn receive(&mut self) -> ClientReply {
        loop {
            match self.next().await {
                Some(Frame::Reply(reply)) => return reply,
                Some(Frame::Keepalive) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Expects nothing but keepalives until the connection ends.
    async fn expect_end(&mut self) {
        while let Some(frame) = self.next().await {
            assert_eq!(frame, Frame::Keepalive);
        }
    }
}

fn hello() -> ClientHello {
    let versions = Versions::SUPPORTED;
    ClientHello { versions, cluster: CLUSTER.0, node: None, full: false }
}

fn read(level: ReadLevel) -> RequestBody {
    RequestBody::Read { level, query: Vec::new() }
}

/// Returns a membership change that stays pending, because the new node is unreachable.
fn pending_change() -> RequestBody {
    let nowhere = Address::new("127.0.0.1:1").expect("the address is short");
    RequestBody::ChangeMembership(Change::new().voter(NodeId(9)).address(NodeId(9), nowhere))
}

fn rejected_count(cluster: &Cluster, reason: ConnectionRejectReason) -> u64 {
    let counts = cluster.handle(NodeId(1)).rejected_connections();
    counts.into_iter().find(|(each, _)| *each == reason).expect("every reason has a count").1
}

async fn start(change: impl FnOnce(&mut ServerConfig)) -> Cluster {
    let mut cluster = Cluster::unstarted(1);
    let mut config = cluster.config(NodeId(1));
    change(&mut config);
    let server = Server::start(config, Lines::default()).await.expect("the directory is new");
    cluster.servers.insert(NodeId(1), server);
    cluster.leader().await;
    cluster
}

#[tokio::test]
async fn invalid_frames_end_their_own_connection_and_are_counted() {
    let cluster = Cluster::start(1).await;
    let mut client = TestClient::open(&cluster, NodeId(1)).await;
    client.write(&[0; 100]).await;
    client.expect_end().await;
    let mut second = TestClient::open_with_handshake(&cluster, NodeId(1)).await;
    second.write(&[0; 100]).await;
    second.expect_end().await;
    eventually("both are counted", async || {
        rejected_count(&cluster, ConnectionRejectReason::OtherProtocol) == 1
            && rejected_count(&cluster, ConnectionRejectReason::InvalidFrame) == 1
    })
    .await;
    client_of(&cluster, [1]).propose(b"one").await.expect("other clients are served");
}

#[tokio::test]
async fn early_frames_second_hellos_and_replies_of_a_client_are_rejected() {
    let cluster = Cluster::start(1).await;
    let mut client = TestClient::open(&cluster, NodeId(1)).await;
    client.send(1, RequestBody::Report).await;
    client.expect_end().await;
    let mut second = TestClient::open_with_handshake(&cluster, NodeId(1)).await;
    second.send_hello(hello()).await;
    second.expect_end().await;
    let mut reply = TestClient::open_with_handshake(&cluster, NodeId(1)).await;
    let mut bytes = Vec::new();
    ClientReply { number: 1, body: ReplyBody::LeadershipTransferred }
        .encode(&mut bytes)
        .expect("it is short");
    reply.write(&bytes).await;
    reply.expect_end().await;
    eventually("all are counted", async || {
        rejected_count(&cluster, ConnectionRejectReason::InvalidFrame) == 3
    })
    .await;
}

#[tokio::test]
async fn an_invalid_client_hello_is_replied_to_and_rejected() {
    let cluster = Cluster::start(1).await;
    let peer = Versions { oldest: 7, newest: 9 };
    for (hello_sent, reason) in [
        (ClientHello { cluster: 7, ..hello() }, ConnectionRejectReason::OtherCluster),
        (ClientHello { node: Some(NodeId(2)), ..hello() }, ConnectionRejectReason::InvalidHello),
        (ClientHello { versions: peer, ..hello() }, ConnectionRejectReason::InvalidHello),
    ] {
        let before = rejected_count(&cluster, reason);
        let mut client = TestClient::open(&cluster, NodeId(1)).await;
        client.send_hello(hello_sent).await;
        let Some(Frame::ClientHello(answer)) = client.next().await else {
            panic!("the node replies")
        };
        let error = hello_sent.check(&answer).expect_err("the client rejects it, too");
        client.expect_end().await;
        eventually("it is counted", async || rejected_count(&cluster, reason) == before + 1).await;
        assert!(!error.to_string().is_empty());
    }
}

#[tokio::test]
async fn replies_are_sent_in_the_order_of_their_outcomes() {
    let mut cluster = Cluster::start(1).await;
    cluster.add("one").await;
    let mut client = TestClient::open_with_handshake(&cluster, NodeId(1)).await;
    client.send(7, pending_change()).await;
    client.send(8, read(ReadLevel::Local)).await;
    let first = client.receive().await;
    let ReplyBody::Answered { answer, .. } = first.body else { panic!("{first:?}") };
    assert_eq!((first.number, text(&answer)), (8, "one\n"));
    let server = cluster.servers.remove(&NodeId(1)).expect("the node runs");
    let stopped = tokio::spawn(server.shutdown());
    let second = client.receive().await;
    assert_eq!((second.number, &second.body), (7, &ReplyBody::Unknown), "the node stopped");
    drop(client);
    stopped.await.expect("no panic").expect("no failure");
}

#[tokio::test]
async fn requests_beyond_the_limits_are_rejected_or_wait() {
    let cluster = start(|config| {
        config.service.requests_kib_max = 4;
        config.replica.raft.command_bytes_max = 4 << 10;
        config.service.requests_per_connection_max = 2;
    })
    .await;
    let mut client = TestClient::open_with_handshake(&cluster, NodeId(1)).await;
    let query = vec![7; 5 << 10];
    client.send(1, RequestBody::Read { level: ReadLevel::Local, query }).await;
    assert_eq!(
        client.receive().await.body,
        ReplyBody::ServiceRejected(ServiceRejectReason::Overloaded)
    );
    let command = Command::from(vec![7; 5 << 10]);
    client.send(2, RequestBody::Propose { acknowledge: Acknowledge::Quorum, command }).await;
    assert_eq!(
        client.receive().await.body,
        ReplyBody::ServiceRejected(ServiceRejectReason::Overloaded)
    );
    let metrics = cluster.handle(NodeId(1)).metrics();
    let (totals, text) = (metrics.totals(), metrics.text());
    assert_eq!((totals.reads_rejected, totals.proposals_failed), (1, 1), "both are counted");
    assert!(text.contains("quorate_rejected_requests_total{reason=\"overloaded\"} 2\n"), "{text}");
    for number in 0..50 {
        client.send(number, RequestBody::Report).await;
    }
    for _ in 0..50 {
        assert!(
            matches!(client.receive().await.body, ReplyBody::Report(_)),
            "every request is executed"
        );
    }
}

#[tokio::test]
async fn a_full_node_says_so_in_its_hello() {
    let cluster = start(|config| config.network.connections_max = 1).await;
    let kept = TestClient::open_with_handshake(&cluster, NodeId(1)).await;
    let mut second = TestClient::open(&cluster, NodeId(1)).await;
    second.send_hello(hello()).await;
    let Some(Frame::ClientHello(answer)) = second.next().await else { panic!("the node replies") };
    assert!(answer.full);
    second.expect_end().await;
    drop(kept);
    eventually("there is a free slot", async || {
        let mut client = TestClient::open(&cluster, NodeId(1)).await;
        client.send_hello(hello()).await;
        matches!(client.next().await, Some(Frame::ClientHello(answer)) if !answer.full)
    })
    .await;
}

#[tokio::test]
async fn one_host_without_certificate_cannot_take_the_places_of_others() {
    let cluster = start(|config| config.network.connections_per_origin_max = 2).await;
    let _held = [
        TestClient::open_with_handshake(&cluster, NodeId(1)).await,
        TestClient::open_with_handshake(&cluster, NodeId(1)).await,
    ];
    let mut third = TestClient::open(&cluster, NodeId(1)).await;
    third.send_hello(hello()).await;
    let Some(Frame::ClientHello(answer)) = third.next().await else { panic!("the node replies") };
    assert!(answer.full);
    if cfg!(not(target_os = "linux")) {
        // Other systems have no second loopback address.
        return;
    }
    let socket = TcpSocket::new_v4().expect("a socket can be opened");
    socket.bind(([127, 0, 0, 2], 0).into()).expect("it is an address of this machine");
    let stream = socket.connect(cluster.address(NodeId(1))).await.expect("the node listens");
    let other = TestClient { stream, frames: FrameReader::new(), arrived: Vec::new() };
    other.handshake(NodeId(1)).await;
}

#[tokio::test]
async fn an_answer_too_large_for_a_frame_is_rejected() {
    let cluster = Cluster::start(1).await;
    let client = client_of(&cluster, [1]);
    for _ in 0..9 {
        client.propose(&vec![b'x'; (1 << 20) - 100]).await.expect("a command may be as long");
    }
    let mut client = TestClient::open_with_handshake(&cluster, NodeId(1)).await;
    client.send(1, read(ReadLevel::Local)).await;
    assert_eq!(
        client.receive().await.body,
        ReplyBody::ServiceRejected(ServiceRejectReason::AnswerTooLarge)
    );
    client.send(2, RequestBody::Report).await;
    assert_eq!(client.receive().await.number, 2, "the connection stays open");
}

#[tokio::test]
async fn an_idle_client_is_disconnected() {
    let cluster = start(|config| {
        config.service.idle_max = Duration::from_millis(50);
        config.network.keepalive_interval = Duration::from_millis(10);
    })
    .await;
    let mut client = TestClient::open_with_handshake(&cluster, NodeId(1)).await;
    let mut keepalives = Vec::new();
    quorate::wire::encode_keepalive(&mut keepalives);
    eventually("the connection ends", async || {
        client.stream.write_all(&keepalives).await.is_err() || {
            let mut bytes = [0; 64];
            client.stream.try_read(&mut bytes).is_ok_and(|count| count == 0)
        }
    })
    .await;
    let mut silent = TestClient::open_with_handshake(&cluster, NodeId(1)).await;
    silent.expect_end().await;
    eventually("it is counted", async || {
        rejected_count(&cluster, ConnectionRejectReason::KeepaliveTimeout) == 1
    })
    .await;
}

/// Starts a node and a client with a large reply in flight that it does not read.
async fn with_unread_reply(change: impl FnOnce(&mut ServerConfig)) -> (Cluster, TestClient) {
    let cluster = start(change).await;
    let client = client_of(&cluster, [1]);
    for _ in 0..2 {
        client.propose(&vec![b'x'; (1 << 20) - 100]).await.expect("a command may be as long");
    }
    let mut client = TestClient::with_small_buffer(&cluster, NodeId(1)).await;
    client.send(1, read(ReadLevel::Local)).await;
    (cluster, client)
}

impl TestClient {
    /// Reads the reply that was in flight.
    async fn read_unread_reply(&mut self) {
        let reply = self.receive().await;
        assert_eq!(reply.number, 1);
        assert!(
            matches!(reply.body, ReplyBody::Answered { answer, .. } if answer.len() > 2_000_000)
        );
    }
}

/// Returns more keepalives than the buffers of a node can hold.
fn keepalives() -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < 512 << 10 {
        quorate::wire::encode_keepalive(&mut bytes);
    }
    bytes
}

#[tokio::test]
async fn replies_arrive_although_the_node_is_shut_down() {
    let (mut cluster, mut client) = with_unread_reply(|config| {
        config.service.requests_per_connection_max = 1;
        config.service.drain_max = Duration::from_secs(30);
    })
    .await;
    // The next request stays pending, and later bytes are not read.
    client.send(2, pending_change()).await;
    eventually("the change is staged", async || {
        cluster.handle(NodeId(1)).membership().borrow().is_staged()
    })
    .await;
    client.write(&keepalives()).await;
    let server = cluster.servers.remove(&NodeId(1)).expect("the node runs");
    let handle = server.handle();
    let stopped = tokio::spawn(server.shutdown());
    let has_stopped = async || handle.leadership().has_changed().is_err();
    eventually("the node has stopped and sent its replies", has_stopped).await;
    client.read_unread_reply().await;
    let last = client.receive().await;
    assert_eq!((last.number, last.body), (2, ReplyBody::Unknown), "the node stopped");
    client.expect_end().await;
    drop(client);
    stopped.await.expect("no panic").expect("no failure");
}

#[tokio::test]
async fn replies_arrive_although_the_connection_is_idle() {
    let (_cluster, mut client) = with_unread_reply(|config| {
        config.service.idle_max = Duration::from_millis(100);
        config.service.drain_max = Duration::from_secs(30);
    })
    .await;
    let keepalives = keepalives();
    for _ in 0..20 {
        client.write(&keepalives).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    client.read_unread_reply().await;
    client.expect_end().await;
}

#[tokio::test]
async fn long_replies_to_one_client_take_bounded_memory() {
    const REQUESTS: u64 = 400;
    const BYTES: usize = 64 << 10;
    let mut cluster = Cluster::unstarted(1);
    let mut config = cluster.config(NodeId(1));
    config.inline_machine = true;
    config.service.requests_kib_per_origin_max = 512;
    config.replica.raft.command_bytes_max = 512 << 10;
    let server = Server::start(config, Large).await.expect("the directory is new");
    cluster.servers.insert(NodeId(1), server);
    cluster.leader().await;
    let length = BYTES.to_string();
    let propose = RequestBody::Propose {
        acknowledge: Acknowledge::Quorum,
        command: Request::Plain(length.as_bytes()).encode(),
    };
    let read = RequestBody::Read { level: ReadLevel::Local, query: length.into_bytes() };
    for (body, dropped) in [
        (propose, ReplyBody::Unknown),
        (read, ReplyBody::ServiceRejected(ServiceRejectReason::Overloaded)),
    ] {
        let mut client = TestClient::with_small_buffer(&cluster, NodeId(1)).await;
        for number in 0..REQUESTS {
            client.send(number, body.clone()).await;
        }
        let (mut long, mut short) = (0, 0);
        while long + short < REQUESTS {
            match client.receive().await.body {
                ReplyBody::Replied { reply, .. } if reply.len() == BYTES => long += 1,
                ReplyBody::Answered { answer, .. } if answer.len() == BYTES => long += 1,
                other => {
                    assert_eq!(other, dropped);
                    short += 1;
                }
            }
        }
        assert!(long >= 4 && short > 0, "{long} long replies, {short} dropped ones");
        let totals = cluster.handle(NodeId(1)).metrics().totals();
        let failed = match dropped {
            ReplyBody::Unknown => totals.proposals_failed,
            _ => totals.reads_rejected,
        };
        assert_eq!(failed, short, "a reply that was replaced is no success");
    }
}

#[tokio::test]
async fn a_request_that_is_too_long_ends_no_connection() {
    let cluster = Cluster::start(1).await;
    let mut client = TestClient::open_with_handshake(&cluster, NodeId(1)).await;
    let (level, query) = (ReadLevel::Local, vec![7; 3 << 20]);
    client.send(1, RequestBody::Read { level, query }).await;
    client.send(2, read(ReadLevel::Local)).await;
    let reason = RejectReason::TooLarge;
    let rejected = ReplyBody::Rejected { reason, leader: None };
    assert_eq!(client.receive().await, ClientReply { number: 1, body: rejected });
    let reply = client.receive().await;
    assert!(matches!(reply, ClientReply { number: 2, body: ReplyBody::Answered { .. } }));
}
