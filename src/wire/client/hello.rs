//! The client hello: the first frame of a client's connection, and the node's reply to it.

use std::fmt;
use std::ops::Range;

use crate::types::NodeId;
use crate::wire::error::{FrameError, WireError};
use crate::wire::frame::{append_hello, field, read_whole};
use crate::wire::hello::Versions;
use crate::wire::kind::Kind;

/// The layout of the body; integers are little-endian. Further bytes of a later version's hello are
/// ignored.
const FULL: usize = 4;
const RESERVED: Range<usize> = 5..8;
const NODE: Range<usize> = 8..16;
const CLUSTER: Range<usize> = 16..32;
const BODY_BYTES: usize = 32;

/// The first frame of a client, and of the node to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientHello {
    /// The versions of the wire format that the sender reads and writes.
    pub versions: Versions,
    /// The cluster that the client expects, or that the node belongs to.
    pub cluster: u128,
    /// The node that the client expects, `None` if any; in a reply, the node itself.
    pub node: Option<NodeId>,
    /// In a reply: whether the node accepts no more clients now, and closes the connection.
    pub full: bool,
}

/// The reason for which a client cannot use a node's connection; its text names the remedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClientHelloError {
    /// The client expects another cluster.
    Cluster {
        /// The cluster that the client expects.
        expected: u128,
        /// The cluster that the node belongs to.
        found: u128,
    },
    /// The client expects another node, or the node does not name its id.
    Node {
        /// The node that the client expects.
        expected: NodeId,
        /// The node that replied, if it names its id.
        found: Option<NodeId>,
    },
    /// The client and the node have no common version.
    Version {
        /// The versions of the client.
        client: Versions,
        /// The versions of the node.
        node: Versions,
    },
    /// The node serves the maximum number of clients.
    Full,
}

impl ClientHello {
    /// Appends the hello's frame to `into`.
    pub fn encode(&self, into: &mut Vec<u8>) {
        let mut body = [0; BODY_BYTES];
        self.versions.write(&mut body);
        body[FULL] = u8::from(self.full);
        let node = self.node.map_or(0, |node| node.0);
        body[NODE].copy_from_slice(&node.to_le_bytes());
        body[CLUSTER].copy_from_slice(&self.cluster.to_le_bytes());
        append_hello(Kind::ClientHello, &body, into);
    }

    /// Decodes bytes that are exactly one frame with a client hello.
    ///
    /// # Errors
    /// A [`WireError`] if they are not.
    pub fn decode(bytes: &[u8]) -> Result<ClientHello, WireError> {
        read_whole(Kind::ClientHello, bytes, ClientHello::decode_body)
    }

    pub(in crate::wire) fn decode_body(body: &[u8]) -> Result<ClientHello, FrameError> {
        let invalid = |reason: String| Err(FrameError::Body { kind: Kind::ClientHello, reason });
        let Some(body) = body.first_chunk::<BODY_BYTES>() else {
            return invalid(format!("{} bytes of {BODY_BYTES}", body.len()));
        };
        let versions = match Versions::read(body) {
            Ok(versions) => versions,
            Err(reason) => return invalid(reason),
        };
        if body[FULL] > 1 || body[RESERVED] != [0; 3] {
            return invalid("a reserved byte or flag is invalid".to_owned());
        }
        let node = u64::from_le_bytes(field(body, NODE));
        Ok(ClientHello {
            versions,
            cluster: u128::from_le_bytes(field(body, CLUSTER)),
            node: (node != 0).then_some(NodeId(node)),
            full: body[FULL] == 1,
        })
    }

    /// Checks the hello that a node replied with to this hello of the client.
    ///
    /// # Errors
    /// The first reason for which the client cannot use the connection, in the order of
    /// [`ClientHelloError`].
    pub fn check(&self, reply: &ClientHello) -> Result<(), ClientHelloError> {
        if self.cluster != reply.cluster {
            let (expected, found) = (self.cluster, reply.cluster);
            return Err(ClientHelloError::Cluster { expected, found });
        }
        if let Some(expected) = self.node
            && reply.node != Some(expected)
        {
            return Err(ClientHelloError::Node { expected, found: reply.node });
        }
        let (client, node) = (self.versions, reply.versions);
        if client.common(node).is_none() {
            return Err(ClientHelloError::Version { client, node });
        }
        if reply.full { Err(ClientHelloError::Full) } else { Ok(()) }
    }
}

impl fmt::Display for ClientHelloError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientHelloError::Cluster { expected, found } => write!(
                f,
                "the node belongs to cluster {found:032x}, but the client expects \
                 {expected:032x}: check the addresses, or the cluster id"
            ),
            ClientHelloError::Node { expected, found: Some(found) } => {
                write!(f, "expected {expected}, but {found} answered: check the address")
            }
            ClientHelloError::Node { expected, found: None } => {
                write!(f, "expected {expected}, but the node that answered does not name its id")
            }
            ClientHelloError::Version { client, node } => write!(
                f,
                "the client supports versions {client}, but the node {node}: upgrade the older \
                 one"
            ),
            ClientHelloError::Full => f.write_str(
                "the node serves the maximum number of clients: close some, or raise its limit",
            ),
        }
    }
}

impl std::error::Error for ClientHelloError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frame::open;

    const HELLO: ClientHello = ClientHello {
        versions: Versions::SUPPORTED,
        cluster: 0xc1,
        node: Some(NodeId(2)),
        full: false,
    };

    #[test]
    fn a_hello_round_trips_and_a_later_version_may_extend_it() {
        for hello in [HELLO, ClientHello { node: None, full: true, ..HELLO }] {
            let mut bytes = Vec::new();
            hello.encode(&mut bytes);
            assert_eq!(ClientHello::decode(&bytes), Ok(hello));
            let (_, body) = open(&bytes).expect("the bytes are a frame");
            assert_eq!(ClientHello::decode_body(&[body, &[1, 2, 3]].concat()), Ok(hello));
            for count in 0..BODY_BYTES {
                assert!(ClientHello::decode_body(&body[..count]).is_err(), "{count}");
            }
        }
    }

    #[test]
    fn invalid_hellos_are_rejected() {
        for (place, byte) in [(0, 2), (4, 2), (5, 1), (7, 1)] {
            let mut bytes = Vec::new();
            HELLO.encode(&mut bytes);
            let mut body = bytes.split_off(crate::wire::FRAME_HEADER_BYTES);
            body[place] = byte;
            assert!(ClientHello::decode_body(&body).is_err(), "{place}");
        }
    }

    #[test]
    fn each_error_names_the_remedy() {
        let rejected = |reply: ClientHello| {
            HELLO.check(&reply).expect_err("the hello is rejected").to_string()
        };
        assert_eq!(HELLO.check(&HELLO), Ok(()));
        assert_eq!(ClientHello { node: None, ..HELLO }.check(&HELLO), Ok(()));
        let other = rejected(ClientHello { cluster: 0xc2, ..HELLO });
        assert!(other.contains("00c1: check the addresses") && other.contains("00c2"), "{other}");
        let node = rejected(ClientHello { node: Some(NodeId(3)), ..HELLO });
        assert_eq!(node, "expected n2, but n3 answered: check the address");
        let newer = Versions { oldest: 7, newest: 9 };
        let version = rejected(ClientHello { versions: newer, ..HELLO });
        assert!(version.contains("1..=1, but the node 7..=9"), "{version}");
        let full = rejected(ClientHello { full: true, ..HELLO });
        assert!(full.contains("the maximum number of clients"), "{full}");
    }
}
