//! The reasons for which a node rejects or closes connections, while it continues to serve.

use std::time::Duration;

use quorate::runtime::{ConnectionRejectReason, NetworkConfig, Server, ServerConfig};
use quorate::types::{Body, Command, Entry, EntryId, Index, NodeId, Payload, Term};
use quorate::wire::{FRAME_HEADER_BYTES, Frame, encode};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::addresses::free_address;
use crate::cluster::{CLUSTER, Cluster, Lines, eventually, rejected_count, wait_rejected};
use crate::raw::{Raw, hello, hello_of, message, request};

/// A single node with its own connection limits.
pub(crate) struct Node {
    pub(crate) server: Server,
    _root: TempDir,
}

impl Node {
    pub(crate) async fn start(change: impl FnOnce(&mut NetworkConfig)) -> Node {
        let root = TempDir::new().expect("the directory is writable");
        let members = [(NodeId(1), free_address())];
        let config = ServerConfig::new(root.path().join("1"), CLUSTER, NodeId(1), members);
        let mut config = config.expect("the node is a member");
        config.replica.storage.segment_bytes = 16 << 20;
        config.replica.storage.spare_segments = 1;
        change(&mut config.network);
        let server = Server::start(config, Lines::default()).await.expect("the directory is new");
        Node { server, _root: root }
    }

    pub(crate) async fn connect_as(&self, from: u64) -> Raw<tokio::net::TcpStream> {
        Raw::connect_as(self.server.address(), from).await
    }

    /// Waits until a connection is counted for this reason and no other, and the node serves.
    pub(crate) async fn wait_rejected(&self, reason: ConnectionRejectReason) {
        let handle = self.server.handle();
        wait_rejected(&handle, reason).await;
        let all: u64 = handle.rejected_connections().into_iter().map(|(_, count)| count).sum();
        assert_eq!(all, rejected_count(&handle, reason), "{:?}", handle.rejected_connections());
        eventually("the node serves", async || handle.propose(b"a").await.is_ok()).await;
    }
}

#[tokio::test]
async fn a_packet_in_the_name_of_another_node_is_rejected() {
    let node = Node::start(|_| ()).await;
    for body in
        [Body::RequestVoteReply { granted: true, committed: Index::ZERO }, Body::LogIsComplete]
    {
        let mut peer = node.connect_as(2).await;
        peer.send(&message(3, 1, body)).await;
        peer.read_to_end().await;
    }
    node.wait_rejected(ConnectionRejectReason::WrongSender).await;
    assert_eq!(rejected_count(&node.server.handle(), ConnectionRejectReason::WrongSender), 2);
}

#[tokio::test]
async fn a_packet_for_another_node_is_rejected() {
    let node = Node::start(|_| ()).await;
    let mut peer = node.connect_as(2).await;
    peer.send(&request(2, 3)).await;
    peer.read_to_end().await;
    let mut peer = Raw::connect(node.server.address()).await;
    peer.write(&hello(2, 3)).await;
    peer.read_to_end().await;
    node.wait_rejected(ConnectionRejectReason::WrongRecipient).await;
    assert_eq!(rejected_count(&node.server.handle(), ConnectionRejectReason::WrongRecipient), 2);
}

#[tokio::test]
async fn a_hello_of_another_cluster_is_rejected_with_a_reply() {
    let node = Node::start(|_| ()).await;
    let mut peer = Raw::connect(node.server.address()).await;
    peer.write(&hello_of(CLUSTER.0 + 1, 2, 1)).await;
    let Some(Frame::Hello(answer)) = peer.read_frame().await else { panic!("the node replies") };
    assert_eq!(answer.cluster, CLUSTER.0);
    assert_eq!(peer.read_frame().await, None);
    node.wait_rejected(ConnectionRejectReason::OtherCluster).await;
}

#[tokio::test]
async fn a_hello_with_the_nodes_own_id_is_rejected() {
    let node = Node::start(|_| ()).await;
    let mut peer = Raw::connect(node.server.address()).await;
    peer.write(&hello(1, 1)).await;
    peer.read_to_end().await;
    node.wait_rejected(ConnectionRejectReason::IdentityMismatch).await;
}

#[tokio::test]
async fn a_frame_that_is_too_long_is_rejected_at_its_header() {
    let node = Node::start(|_| ()).await;
    let mut peer = node.connect_as(2).await;
    let mut bytes = Vec::new();
    encode(&request(2, 1), &mut bytes).expect("the packet is short");
    bytes[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
    peer.write(&checked(bytes)[..FRAME_HEADER_BYTES]).await;
    assert_eq!(peer.read_frame().await, None);
    node.wait_rejected(ConnectionRejectReason::FrameTooLong).await;
}

#[tokio::test]
async fn an_invalid_frame_body_ends_only_its_own_connection() {
    let node = Node::start(|_| ()).await;
    let mut other = node.connect_as(3).await;
    let mut peer = node.connect_as(2).await;
    let mut bytes = Vec::new();
    encode(&request(2, 1), &mut bytes).expect("the packet is short");
    bytes[FRAME_HEADER_BYTES..].fill(0xff);
    peer.write(&checked(bytes)).await;
    peer.read_to_end().await;
    node.wait_rejected(ConnectionRejectReason::InvalidFrame).await;
    other.send(&request(3, 1)).await;
    assert!(other.read_frame().await.is_some(), "other connections stay open");
}

#[tokio::test]
async fn other_protocols_and_packets_before_the_hello_are_rejected() {
    let node = Node::start(|_| ()).await;
    let mut client = Raw::connect(node.server.address()).await;
    client.write(b"SSH-2.0-client\r\n").await;
    assert_eq!(client.read_frame().await, None);
    node.wait_rejected(ConnectionRejectReason::OtherProtocol).await;
    let node = Node::start(|_| ()).await;
    let mut peer = Raw::connect(node.server.address()).await;
    let mut bytes = Vec::new();
    encode(&request(2, 1), &mut bytes).expect("the packet is short");
    peer.write(&bytes).await;
    assert_eq!(peer.read_frame().await, None);
    node.wait_rejected(ConnectionRejectReason::InvalidFrame).await;
}

#[tokio::test]
async fn a_slow_hello_exceeds_the_handshake_timeout() {
    let node = Node::start(|network| network.handshake_timeout = Duration::from_millis(200)).await;
    let mut slow = Raw::connect(node.server.address()).await;
    for byte in hello(2, 1).into_iter().cycle() {
        if slow.stream.write_all(&[byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    node.wait_rejected(ConnectionRejectReason::HandshakeTimeout).await;
}

#[tokio::test]
async fn silent_connections_give_way_to_later_ones() {
    let node = Node::start(|network| {
        // The handshakes do not time out during the test.
        (network.handshake_timeout, network.handshakes_max) = (Duration::from_secs(60), 2);
    })
    .await;
    let mut oldest = Raw::connect(node.server.address()).await;
    let silent = Raw::connect(node.server.address()).await;
    eventually("a later connection gets a place", async || {
        let mut next = Raw::connect(node.server.address()).await;
        next.write(&hello(2, 1)).await;
        matches!(next.read_frame().await, Some(Frame::Hello(_)))
    })
    .await;
    assert_eq!(oldest.read_frame().await, None);
    node.wait_rejected(ConnectionRejectReason::TooManyConnections).await;
    drop(silent);
}

#[tokio::test]
async fn a_connection_closed_before_its_hello_is_counted() {
    let node = Node::start(|_| ()).await;
    let mut client = Raw::connect(node.server.address()).await;
    client.write(&hello(2, 1)[..7]).await;
    drop(client);
    node.wait_rejected(ConnectionRejectReason::ClosedInHandshake).await;
}

#[tokio::test]
async fn a_check_of_the_port_is_counted_apart_from_other_protocols() {
    let node = Node::start(|_| ()).await;
    drop(Raw::connect(node.server.address()).await);
    node.wait_rejected(ConnectionRejectReason::ClosedWithoutBytes).await;
    // A load balancer may reset the connection.
    let check = Raw::connect(node.server.address()).await;
    check.stream.set_zero_linger().expect("the system supports it");
    drop(check);
    let count =
        || rejected_count(&node.server.handle(), ConnectionRejectReason::ClosedWithoutBytes);
    eventually("the second check is counted", async || count() == 2).await;
}

#[tokio::test]
async fn an_answer_arrives_although_the_rest_of_the_request_comes_later() {
    let node = Node::start(|_| ()).await;
    let tls = [&[22, 3, 1, 2, 0, 1, 0, 1, 252][..], &[7; 200]].concat();
    let requests: [(&[u8], &[u8], ConnectionRejectReason); 2] = [
        (b"GET /metrics HTTP/1.1\r\n", b"HTTP/1.1 400", ConnectionRejectReason::OtherProtocol),
        (&tls, &[21, 3, 3, 0, 2, 2, 10], ConnectionRejectReason::UnexpectedTls),
    ];
    for (begin, answer, reason) in requests {
        let mut client = Raw::connect(node.server.address()).await;
        client.write(begin).await;
        wait_rejected(&node.server.handle(), reason).await;
        // A system that has closed the connection resets it when more bytes arrive.
        client.write(b"Host: localhost\r\n").await;
        let mut received = Vec::new();
        client.stream.read_to_end(&mut received).await.expect("no reset");
        assert!(received.starts_with(answer), "{}", received.escape_ascii());
    }
}

#[tokio::test]
async fn a_connection_without_keepalives_is_closed() {
    let node = Node::start(|network| {
        (network.keepalive_interval, network.keepalive_timeout) =
            (Duration::from_millis(50), Duration::from_millis(300));
    })
    .await;
    let mut silent = node.connect_as(2).await;
    silent.read_to_end().await;
    node.wait_rejected(ConnectionRejectReason::KeepaliveTimeout).await;
}

#[tokio::test]
async fn a_frame_that_arrives_byte_by_byte_ends_the_connection() {
    let node = Node::start(|network| network.frame_timeout = Duration::from_millis(300)).await;
    let mut peer = node.connect_as(2).await;
    let mut bytes = Vec::new();
    encode(&request(2, 1), &mut bytes).expect("the packet is short");
    for byte in bytes {
        // No silence is longer than keepalive_timeout.
        if peer.stream.write_all(&[byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    node.wait_rejected(ConnectionRejectReason::TooSlow).await;
}

#[tokio::test]
async fn a_large_frame_on_a_slow_link_arrives() {
    let node = Node::start(|network| network.frame_timeout = Duration::from_millis(500)).await;
    let mut peer = node.connect_as(2).await;
    let command = Command::from(vec![7; 256 << 10]);
    let payload = Payload::Command(command);
    let entries = vec![Entry { id: EntryId::new(Term(1), Index(1)), payload }];
    let body = Body::AppendEntries {
        prev: EntryId::ZERO,
        entries: entries.into(),
        committed: Index::ZERO,
    };
    let mut bytes = Vec::new();
    encode(&message(3, 1, body), &mut bytes).expect("the packet is within the bounds");
    // The whole frame takes longer than frame_timeout, and not longer than its size permits.
    for piece in bytes.chunks(16 << 10) {
        tokio::time::sleep(Duration::from_millis(60)).await;
        peer.write(piece).await;
    }
    peer.read_to_end().await;
    // The sender is compared once the whole frame has arrived.
    node.wait_rejected(ConnectionRejectReason::WrongSender).await;
}

#[tokio::test]
async fn a_connection_with_only_keepalives_is_closed() {
    let node = Node::start(|network| network.idle_max = Duration::from_millis(100)).await;
    node.connect_as(2).await.send_keepalives_to_end().await;
    node.wait_rejected(ConnectionRejectReason::Idle).await;
}

#[tokio::test]
async fn the_number_of_connections_is_limited() {
    let node = Node::start(|network| network.connections_max = 2).await;
    let handle = node.server.handle();
    let first = node.connect_as(2).await;
    let _second = node.connect_as(3).await;
    eventually("both are connected", async || handle.connections() == 2).await;
    let mut third = node.connect_as(4).await;
    assert_eq!(third.read_frame().await, None);
    node.wait_rejected(ConnectionRejectReason::TooManyConnections).await;
    drop(first);
    eventually("one connection is left", async || handle.connections() == 1).await;
    let mut third = node.connect_as(4).await;
    assert_eq!(third.read_frame().await, Some(Frame::Keepalive));
}

#[tokio::test]
async fn the_end_of_an_old_connection_leaves_the_new_one_alone() {
    let node = Node::start(|_| ()).await;
    let handle = node.server.handle();
    let old = node.connect_as(2).await;
    eventually("it is connected", async || handle.connections() == 1).await;
    let mut new = node.connect_as(2).await;
    eventually("both are connected", async || handle.connections() == 2).await;
    drop(old);
    eventually("one connection is left", async || handle.connections() == 1).await;
    for _ in 0..2 {
        assert_eq!(new.read_frame().await, Some(Frame::Keepalive));
    }
}

#[tokio::test]
async fn the_newest_connections_of_a_node_are_kept() {
    let node = Node::start(|_| ()).await;
    let mut connections = Vec::new();
    for _ in 0..7 {
        connections.push(node.connect_as(2).await);
    }
    node.wait_rejected(ConnectionRejectReason::Replaced).await;
    connections[0].read_to_end().await;
    assert_eq!(connections[6].read_frame().await, Some(Frame::Keepalive));
}

#[tokio::test]
async fn a_node_reconnects_to_a_peer_that_hangs() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let root = TempDir::new().expect("the directory is writable");
    let address = listener.local_addr().expect("the listener is bound");
    let members = [(NodeId(1), free_address()), (NodeId(2), address)];
    let config = ServerConfig::new(root.path(), CLUSTER, NodeId(1), members);
    let mut config = config.expect("the node is a member");
    config.network.keepalive_interval = Duration::from_millis(50);
    config.network.keepalive_timeout = Duration::from_millis(300);
    let server = Server::start(config, Lines::default()).await.expect("the directory is new");
    let accept = async || {
        let accepted = tokio::time::timeout(Duration::from_secs(30), listener.accept()).await;
        let mut raw = Raw::new(accepted.expect("the node connects").expect("the node listens").0);
        assert!(matches!(raw.read_frame().await, Some(Frame::Hello(_))));
        raw.write(&hello(2, 1)).await;
        raw
    };
    // The peer neither reads nor sends keepalives, and keeps its socket open.
    let _stuck = accept().await;
    let mut second = accept().await;
    assert!(matches!(second.read_frame().await, Some(Frame::Packet(_))), "packets are sent again");
    assert!(rejected_count(&server.handle(), ConnectionRejectReason::KeepaliveTimeout) > 0);
}

#[tokio::test]
async fn a_cluster_serves_during_many_broken_handshakes() {
    let cluster = Cluster::start(3).await;
    cluster.add("before").await;
    let leader = cluster.leader().await;
    let address = cluster.servers[&leader].address();
    let mut connections = Vec::new();
    for count in 0..300 {
        let mut connection = Raw::connect(address).await;
        connection.write(&hello(9, leader.0)[..count % 88]).await;
        connections.push(connection);
    }
    assert_eq!(cluster.add("after").await, 2);
}

/// Returns the frame with corrected checksums.
pub(crate) fn checked(mut frame: Vec<u8>) -> Vec<u8> {
    let body = crc32c::crc32c(&frame[FRAME_HEADER_BYTES..]);
    frame[12..16].copy_from_slice(&body.to_le_bytes());
    let header = crc32c::crc32c(&frame[..28]);
    frame[28..32].copy_from_slice(&header.to_le_bytes());
    frame
}
