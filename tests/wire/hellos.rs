//! The invariants of hellos, the first bytes that any remote can send, for tests and fuzzing.

use quorate::types::NodeId;
use quorate::wire::{ClientHello, ExpectedPeer, Frame, FrameReader, Hello, HelloError, Versions};

use super::driver::seal;

const CLUSTER: u128 = 0xc1;
const OWN: NodeId = NodeId(1);

/// Reads a connection whose first frame has its kind and its body from the bytes, and valid
/// checksums; then checks the hello as a node or a client would.
pub(crate) fn drive(bytes: &[u8]) {
    let Some((&first, body)) = bytes.split_first() else { return };
    // Most inputs are one of the two hellos.
    let kind = if first % 4 == 0 { first } else { [1, 8][usize::from(first % 2)] };
    let stream = seal(kind, body);
    let mut reader = FrameReader::new();
    match reader.read(&mut &stream[..]) {
        Ok(Some(Frame::Hello(hello))) => check_node(&hello),
        Ok(Some(Frame::ClientHello(hello))) => check_client(&hello),
        Ok(other) => panic!("a first frame that is not a hello: {other:?}"),
        Err(_) => assert_eq!(reader.memory_bytes(), 0, "an invalid hello holds no memory"),
    }
}

fn check_node(hello: &Hello) {
    let mut again = Vec::new();
    hello.encode(&mut again);
    assert_eq!(Hello::decode(&again), Ok(hello.clone()), "a hello has an encoding");
    let origin = Some(0xc0);
    let expected =
        ExpectedPeer { cluster: CLUSTER, origin, local: OWN, peer: None, incarnation: None };
    let common = hello.versions.common(Versions::SUPPORTED);
    let is_valid =
        hello.cluster == CLUSTER && hello.to == OWN && hello.from != OWN && common.is_some();
    match hello.check(&expected) {
        Ok(accepted) => assert!(is_valid && Some(accepted.version) == common, "{hello:?}"),
        Err(error) => {
            assert!(!is_valid, "{hello:?}: {error}");
            let other =
                matches!(error, HelloError::Cluster { .. } | HelloError::Predecessor { .. });
            assert_eq!(other, hello.cluster != CLUSTER, "the cluster is compared first");
        }
    }
}

fn check_client(hello: &ClientHello) {
    let mut again = Vec::new();
    hello.encode(&mut again);
    assert_eq!(ClientHello::decode(&again), Ok(*hello), "a hello has an encoding");
    let versions = Versions::SUPPORTED;
    let reply = ClientHello { versions, cluster: CLUSTER, node: Some(OWN), full: false };
    let is_valid = hello.cluster == CLUSTER
        && hello.node.is_none_or(|node| node == OWN)
        && hello.versions.common(versions).is_some();
    assert_eq!(hello.check(&reply).is_ok(), is_valid, "{hello:?}");
}
