//! What a node refuses on its own port, each for its own reason; it serves on meanwhile.

use std::time::Duration;

use quorate::runtime::{NetworkConfig, Refusal, Server, ServerConfig};
use quorate::types::{Body, NodeId};
use quorate::wire::{FRAME_HEADER_BYTES, Frame, encode};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::addresses::free_address;
use crate::cluster::{CLUSTER, Cluster, Lines, eventually, refusals, refused};
use crate::raw::{Raw, hello, hello_of, message, request};

/// A node alone, whose connections are bounded so.
struct Node {
    server: Server,
    _root: TempDir,
}

impl Node {
    async fn start(change: impl FnOnce(&mut NetworkConfig)) -> Node {
        let root = TempDir::new().expect("there is room");
        let members = [(NodeId(1), free_address())];
        let config = ServerConfig::new(root.path().join("1"), CLUSTER, NodeId(1), members);
        let mut config = config.expect("it is a member");
        config.replica.storage.segment_bytes = 16 << 20;
        config.replica.storage.segments_ahead = 1;
        change(&mut config.network);
        let server = Server::start(config, Lines::default()).await.expect("it is new");
        Node { server, _root: root }
    }

    async fn greet(&self, from: u64) -> Raw<tokio::net::TcpStream> {
        Raw::greet(self.server.address(), from).await
    }

    /// Somebody was refused for this reason and no other, and the node goes on.
    async fn refused(&self, why: Refusal) {
        let handle = self.server.handle();
        refused(&handle, why).await;
        let all: u64 = handle.refusals().into_iter().map(|(_, count)| count).sum();
        assert_eq!(all, refusals(&handle, why), "{:?}", handle.refusals());
        eventually("the node serves", async || handle.propose(b"a").await.is_ok()).await;
    }
}

#[tokio::test]
async fn nobody_votes_for_another() {
    let node = Node::start(|_| ()).await;
    for body in [Body::RequestVoteReply { granted: true }, Body::Vouch] {
        let mut liar = node.greet(2).await;
        liar.send(&message(3, 1, body)).await;
        liar.hear_to_the_end().await;
    }
    node.refused(Refusal::Sender).await;
    assert_eq!(refusals(&node.server.handle(), Refusal::Sender), 2);
}

#[tokio::test]
async fn what_is_for_another_is_not_taken() {
    let node = Node::start(|_| ()).await;
    let mut lost = node.greet(2).await;
    lost.send(&request(2, 3)).await;
    lost.hear_to_the_end().await;
    let mut lost = Raw::call(node.server.address()).await;
    lost.say(&hello(2, 3)).await;
    lost.hear_to_the_end().await;
    node.refused(Refusal::Recipient).await;
    assert_eq!(refusals(&node.server.handle(), Refusal::Recipient), 2);
}

#[tokio::test]
async fn another_cluster_is_told_so() {
    let node = Node::start(|_| ()).await;
    let mut foreign = Raw::call(node.server.address()).await;
    foreign.say(&hello_of(CLUSTER.0 + 1, 2, 1)).await;
    let Some(Frame::Hello(answer)) = foreign.hear().await else { panic!("it is told") };
    assert_eq!(answer.cluster, CLUSTER.0);
    assert_eq!(foreign.hear().await, None);
    node.refused(Refusal::Cluster).await;
}

#[tokio::test]
async fn a_node_that_speaks_no_common_version_is_refused() {
    let node = Node::start(|_| ()).await;
    let mut newer = Raw::call(node.server.address()).await;
    let mut bytes = hello(2, 1);
    bytes[FRAME_HEADER_BYTES..][..4].copy_from_slice(&[9, 0, 9, 0]);
    newer.say(&checked(bytes)).await;
    newer.hear_to_the_end().await;
    node.refused(Refusal::Hello).await;
}

#[tokio::test]
async fn nobody_is_the_node_itself() {
    let node = Node::start(|_| ()).await;
    let mut twin = Raw::call(node.server.address()).await;
    twin.say(&hello(1, 1)).await;
    twin.hear_to_the_end().await;
    node.refused(Refusal::Identity).await;
}

#[tokio::test]
async fn a_frame_that_is_too_long_is_refused_at_its_header() {
    let node = Node::start(|_| ()).await;
    let mut greedy = node.greet(2).await;
    let mut bytes = Vec::new();
    encode(&request(2, 1), &mut bytes).expect("it is within the bounds");
    bytes[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
    greedy.say(&checked(bytes)[..FRAME_HEADER_BYTES]).await;
    assert_eq!(greedy.hear().await, None);
    node.refused(Refusal::FrameLength).await;
}

#[tokio::test]
async fn a_body_that_makes_no_sense_ends_its_connection_alone() {
    let node = Node::start(|_| ()).await;
    let mut other = node.greet(3).await;
    let mut mad = node.greet(2).await;
    let mut bytes = Vec::new();
    encode(&request(2, 1), &mut bytes).expect("it is within the bounds");
    bytes[FRAME_HEADER_BYTES..].fill(0xff);
    mad.say(&checked(bytes)).await;
    mad.hear_to_the_end().await;
    node.refused(Refusal::Frame).await;
    other.send(&request(3, 1)).await;
    assert!(other.hear().await.is_some(), "it is not concerned");
}

#[tokio::test]
async fn something_else_than_frames_is_refused() {
    let node = Node::start(|_| ()).await;
    let mut browser = Raw::call(node.server.address()).await;
    browser.say(b"GET / HTTP/1.1\r\nHost: quorate.example\r\n\r\n").await;
    assert_eq!(browser.hear().await, None);
    let mut hasty = Raw::call(node.server.address()).await;
    let mut bytes = Vec::new();
    encode(&request(2, 1), &mut bytes).expect("it is within the bounds");
    hasty.say(&bytes).await;
    assert_eq!(hasty.hear().await, None);
    node.refused(Refusal::Frame).await;
    assert_eq!(refusals(&node.server.handle(), Refusal::Frame), 2);
}

#[tokio::test]
async fn a_hello_that_drips_is_not_waited_for() {
    let node = Node::start(|network| network.handshake_max = Duration::from_millis(200)).await;
    let mut slow = Raw::call(node.server.address()).await;
    for byte in hello(2, 1).into_iter().cycle() {
        if slow.stream.write_all(&[byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    node.refused(Refusal::Late).await;
}

#[tokio::test]
async fn who_says_nothing_at_all_holds_nobody_up() {
    let node = Node::start(|network| {
        (network.handshake_max, network.strangers_max) = (Duration::from_millis(200), 1);
    })
    .await;
    let silent = Raw::call(node.server.address()).await;
    let mut next = node.greet(2).await;
    next.send(&request(2, 1)).await;
    assert!(next.hear().await.is_some());
    node.refused(Refusal::Late).await;
    drop(silent);
}

#[tokio::test]
async fn one_host_holds_a_part_of_the_places_of_strangers() {
    let node = Node::start(|network| {
        // They are not late while the test lasts.
        network.handshake_max = Duration::from_secs(60);
        network.strangers_per_address_max = 2;
    })
    .await;
    let silent = [Raw::call(node.server.address()).await, Raw::call(node.server.address()).await];
    let mut more = Raw::call(node.server.address()).await;
    assert_eq!(more.hear().await, None);
    node.refused(Refusal::Crowd).await;
    drop(silent);
    eventually("there is room again", async || {
        let mut next = Raw::call(node.server.address()).await;
        next.say(&hello(2, 1)).await;
        matches!(next.hear().await, Some(Frame::Hello(_)))
    })
    .await;
}

#[tokio::test]
async fn who_leaves_before_a_hello_is_counted() {
    let node = Node::start(|_| ()).await;
    drop(Raw::call(node.server.address()).await);
    node.refused(Refusal::Early).await;
}

#[tokio::test]
async fn a_connection_without_pulses_ends() {
    let node = Node::start(|network| {
        (network.pulse, network.silence_max) =
            (Duration::from_millis(50), Duration::from_millis(300));
    })
    .await;
    let mut silent = node.greet(2).await;
    silent.hear_to_the_end().await;
    node.refused(Refusal::Silence).await;
}

#[tokio::test]
async fn a_connection_with_nothing_but_pulses_ends() {
    let node = Node::start(|network| network.idle_max = Duration::from_millis(100)).await;
    node.greet(2).await.pulse_to_the_end().await;
    node.refused(Refusal::Idle).await;
}

#[tokio::test]
async fn no_more_connections_are_open_than_may_be() {
    let node = Node::start(|network| network.connections_max = 2).await;
    let handle = node.server.handle();
    let first = node.greet(2).await;
    let _second = node.greet(3).await;
    eventually("both are in", async || handle.connections() == 2).await;
    let mut third = node.greet(4).await;
    assert_eq!(third.hear().await, None);
    node.refused(Refusal::Crowd).await;
    drop(first);
    eventually("one has left", async || handle.connections() == 1).await;
    let mut third = node.greet(4).await;
    assert_eq!(third.hear().await, Some(Frame::Pulse));
}

#[tokio::test]
async fn the_end_of_an_old_connection_leaves_the_new_one_alone() {
    let node = Node::start(|_| ()).await;
    let handle = node.server.handle();
    let old = node.greet(2).await;
    eventually("it is in", async || handle.connections() == 1).await;
    let mut new = node.greet(2).await;
    eventually("both are in", async || handle.connections() == 2).await;
    drop(old);
    eventually("one is left", async || handle.connections() == 1).await;
    for _ in 0..2 {
        assert_eq!(new.hear().await, Some(Frame::Pulse));
    }
}

#[tokio::test]
async fn a_node_that_connects_without_end_keeps_its_newest() {
    let node = Node::start(|_| ()).await;
    let mut connections = Vec::new();
    for _ in 0..7 {
        connections.push(node.greet(2).await);
    }
    node.refused(Refusal::Replaced).await;
    connections[0].hear_to_the_end().await;
    assert_eq!(connections[6].hear().await, Some(Frame::Pulse));
}

#[tokio::test]
async fn a_peer_that_hangs_is_called_again() {
    let hung = TcpListener::bind("127.0.0.1:0").await.expect("there are ports");
    let root = TempDir::new().expect("there is room");
    let address = hung.local_addr().expect("it is bound");
    let members = [(NodeId(1), free_address()), (NodeId(2), address)];
    let config = ServerConfig::new(root.path(), CLUSTER, NodeId(1), members);
    let mut config = config.expect("it is a member");
    config.network.pulse = Duration::from_millis(50);
    config.network.silence_max = Duration::from_millis(300);
    let server = Server::start(config, Lines::default()).await.expect("it is new");
    let take = async || {
        let taken = tokio::time::timeout(Duration::from_secs(30), hung.accept()).await;
        let mut raw = Raw::new(taken.expect("it is called").expect("it listens").0);
        assert!(matches!(raw.hear().await, Some(Frame::Hello(_))));
        raw.say(&hello(2, 1)).await;
        raw
    };
    // It neither reads nor pulses, and its socket stays open.
    let _stuck = take().await;
    let mut again = take().await;
    assert!(matches!(again.hear().await, Some(Frame::Packet(_))), "what matters is said again");
    assert!(refusals(&server.handle(), Refusal::Silence) > 0);
}

#[tokio::test]
async fn a_cluster_does_not_mind_any_of_it() {
    let cluster = Cluster::start(3).await;
    cluster.add("before").await;
    let leader = cluster.leader().await;
    let address = cluster.servers[&leader].address();
    let mut strangers = Vec::new();
    for count in 0..300 {
        let mut stranger = Raw::call(address).await;
        stranger.say(&hello(9, leader.0)[..count % 88]).await;
        strangers.push(stranger);
    }
    assert_eq!(cluster.add("after").await, 2);
}

/// A frame with its checksums made right.
fn checked(mut frame: Vec<u8>) -> Vec<u8> {
    let body = crc32c::crc32c(&frame[FRAME_HEADER_BYTES..]);
    frame[12..16].copy_from_slice(&body.to_le_bytes());
    let header = crc32c::crc32c(&frame[..28]);
    frame[28..32].copy_from_slice(&header.to_le_bytes());
    frame
}
