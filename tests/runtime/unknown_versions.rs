//! Frames and messages that this version of the wire format does not have: they end their own
//! connection and change nothing else, as docs/FORMAT.md says.

use quorate::runtime::ConnectionRejectReason;
use quorate::wire::{
    ClientHello, ClientRequest, FRAME_HEADER_BYTES, Frame, RequestBody, Versions, encode,
};
use tokio::net::TcpStream;

use crate::cluster::{CLUSTER, rejected_count, wait_rejected};
use crate::raw::{Raw, hello, request};
use crate::rejected_connections::{Node, checked};

/// The offset of the number of a message's variant in its frame.
const MESSAGE_AT: usize = FRAME_HEADER_BYTES + 8 + 16 + 8 + 8;
/// The offset of the number of a request's variant in its frame.
const REQUEST_AT: usize = FRAME_HEADER_BYTES + 8;

/// Changes of a valid frame, each to one of another version; the variant is at `variant_at`.
fn unknown(frame: &[u8], variant_at: usize) -> Vec<(&'static str, Vec<u8>)> {
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut frame = frame.to_vec();
        change(&mut frame);
        let length = (frame.len() - FRAME_HEADER_BYTES) as u32;
        frame[8..12].copy_from_slice(&length.to_le_bytes());
        checked(frame)
    };
    vec![
        ("a newer version", changed(&|frame| frame[4] = 2)),
        ("version 0", changed(&|frame| frame[4] = 0)),
        ("the next kind", changed(&|frame| frame[6] = 11)),
        ("the last kind", changed(&|frame| frame[6] = 255)),
        ("a reserved byte", changed(&|frame| frame[7] = 1)),
        ("a reserved byte at the end", changed(&|frame| frame[27] = 1)),
        ("an unknown variant", changed(&|frame| frame[variant_at] = 99)),
        ("a field after the last one", changed(&|frame| frame.push(0))),
    ]
}

async fn connect_client(node: &Node, versions: Versions) -> Raw<TcpStream> {
    let mut raw = Raw::connect(node.server.address()).await;
    let mut bytes = Vec::new();
    let hello = ClientHello { versions, cluster: CLUSTER.0, node: None, full: false };
    hello.encode(&mut bytes);
    raw.write(&bytes).await;
    let reply = raw.read_frame().await;
    assert!(matches!(reply, Some(Frame::ClientHello(_))), "the node replies: {reply:?}");
    raw
}

#[tokio::test]
async fn an_unknown_frame_ends_its_connection_and_changes_nothing_else() {
    let node = Node::start(|_| ()).await;
    let handle = node.server.handle();
    let mut other = node.connect_as(3).await;
    let mut frame = Vec::new();
    encode(&request(2, 1), &mut frame).expect("the packet is short");
    let of_nodes = unknown(&frame, MESSAGE_AT);
    let mut frame = Vec::new();
    let report = ClientRequest { number: 1, body: RequestBody::Report };
    report.encode(&mut frame).expect("the request is short");
    let of_clients = unknown(&frame, REQUEST_AT);
    let total = (of_nodes.len() + of_clients.len()) as u64;
    for (case, bytes) in of_nodes {
        println!("{case} from a node");
        let mut peer = node.connect_as(2).await;
        peer.write(&bytes).await;
        peer.read_to_end().await;
    }
    for (case, bytes) in of_clients {
        println!("{case} from a client");
        let mut client = connect_client(&node, Versions::SUPPORTED).await;
        client.write(&bytes).await;
        client.read_to_end().await;
    }
    node.wait_rejected(ConnectionRejectReason::InvalidFrame).await;
    assert_eq!(rejected_count(&handle, ConnectionRejectReason::InvalidFrame), total);
    // The messages were of term 1000.
    let report = handle.report().await.expect("the node serves");
    assert!(report.status.term.0 < 1000, "no message was taken: {report:?}");
    other.send(&request(3, 1)).await;
    assert!(other.read_frame().await.is_some(), "the other connection stays open");
    let mut again = node.connect_as(2).await;
    again.send(&request(2, 1)).await;
    assert!(again.read_frame().await.is_some(), "the sender may connect again");
}

#[tokio::test]
async fn a_hello_of_a_newer_program_finds_the_common_version() {
    let node = Node::start(|_| ()).await;
    let newest = Versions { newest: 7, ..Versions::SUPPORTED };
    // An empty address follows, and a field of a later version.
    let mut bytes = hello(2, 1);
    bytes[FRAME_HEADER_BYTES + 2..][..2].copy_from_slice(&7_u16.to_le_bytes());
    bytes.extend([0; 2]);
    bytes.extend([9; 40]);
    let length = (bytes.len() - FRAME_HEADER_BYTES) as u32;
    bytes[8..12].copy_from_slice(&length.to_le_bytes());
    let mut peer = Raw::connect(node.server.address()).await;
    peer.write(&checked(bytes)).await;
    let Some(Frame::Hello(reply)) = peer.read_frame().await else { panic!("the node replies") };
    assert_eq!(reply.versions.common(newest), Some(Versions::SUPPORTED.newest));
    peer.send(&request(2, 1)).await;
    assert!(peer.read_frame().await.is_some(), "the connection stays open");
    let mut client = connect_client(&node, newest).await;
    let mut bytes = Vec::new();
    let report = ClientRequest { number: 1, body: RequestBody::Report };
    report.encode(&mut bytes).expect("the request is short");
    client.write(&bytes).await;
    assert!(matches!(client.read_frame().await, Some(Frame::Reply(_))));
}

#[tokio::test]
async fn a_hello_without_a_common_version_gets_the_range_of_the_node() {
    let node = Node::start(|_| ()).await;
    let mut bytes = hello(2, 1);
    bytes[FRAME_HEADER_BYTES..][..4].copy_from_slice(&[9, 0, 9, 0]);
    let mut peer = Raw::connect(node.server.address()).await;
    peer.write(&checked(bytes)).await;
    let Some(Frame::Hello(reply)) = peer.read_frame().await else { panic!("the node replies") };
    assert_eq!(reply.versions, Versions::SUPPORTED);
    peer.read_to_end().await;
    wait_rejected(&node.server.handle(), ConnectionRejectReason::InvalidHello).await;
}
