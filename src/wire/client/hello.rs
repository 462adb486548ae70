//! The client hello: the first frame of a client's connection, and the node's reply to it.

use crate::types::NodeId;
use crate::types::text::texts;
use crate::wire::codec::{append_hello, read_hello};
use crate::wire::error::{FrameError, WireError};
use crate::wire::frame::read_whole;
use crate::wire::hello::Versions;
use crate::wire::kind::Kind;

/// The fields of the body in their order: the versions, whether the node is full, reserved zeros,
/// the node, which is 0 for none, and the cluster.
type Fields = (Versions, u8, [u8; 3], NodeId, u128);

/// The size of the fields in bytes.
const FIELDS_BYTES: usize = 32;

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
        let node = self.node.unwrap_or(NodeId(0));
        let fields: Fields = (self.versions, u8::from(self.full), [0; 3], node, self.cluster);
        append_hello(Kind::ClientHello, &fields, "", into);
    }

    /// Decodes bytes that are exactly one frame with a client hello.
    ///
    /// # Errors
    /// A [`WireError`] if they are not.
    pub fn decode(bytes: &[u8]) -> Result<ClientHello, WireError> {
        read_whole(Kind::ClientHello, bytes, ClientHello::decode_body)
    }

    pub(in crate::wire) fn decode_body(body: &[u8]) -> Result<ClientHello, FrameError> {
        let kind = Kind::ClientHello;
        let (versions, full, reserved, node, cluster): Fields =
            read_hello(kind, FIELDS_BYTES, body)?;
        if let Some(reason) = versions.error() {
            return Err(FrameError::Body { kind, reason });
        }
        if full > 1 || reserved != [0; 3] {
            let reason = "a reserved byte or flag is invalid".to_owned();
            return Err(FrameError::Body { kind, reason });
        }
        let node = (node != NodeId(0)).then_some(node);
        Ok(ClientHello { versions, cluster, node, full: full == 1 })
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

texts! { ClientHelloError:
    Self::Cluster { expected, found } =>
        "the node belongs to cluster {found:032x}, but the client expects {expected:032x}: check \
         the addresses, or the cluster id";
    Self::Node { expected, found: Some(found) } =>
        "expected {expected}, but {found} answered: check the address";
    Self::Node { expected, found: None } =>
        "expected {expected}, but the node that answered does not name its id: check the address";
    Self::Version { client, node } =>
        "the client supports versions {client}, but the node {node}: upgrade the older one";
    Self::Full => "the node serves the maximum number of clients: close some, or raise its limit";
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
            for count in 0..FIELDS_BYTES {
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
        assert!(version.contains("1..=1, but the node 7..=9: upgrade the older one"), "{version}");
        let full = rejected(ClientHello { full: true, ..HELLO });
        assert!(full.contains("clients: close some, or raise its limit"), "{full}");
        let unnamed = rejected(ClientHello { node: None, ..HELLO });
        assert!(unnamed.ends_with("does not name its id: check the address"), "{unnamed}");
    }
}
