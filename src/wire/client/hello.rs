//! The first frame of a client's connection, and the node's answer to it.

use std::fmt;
use std::ops::Range;

use crate::types::NodeId;
use crate::wire::error::{Flaw, WireError};
use crate::wire::frame::{append_hello, field, read_whole};
use crate::wire::hello::Versions;
use crate::wire::kind::Kind;

/// How the body is laid out; integers are little-endian. What follows in a hello of a later
/// version is not read.
const FULL: usize = 4;
const RESERVED: Range<usize> = 5..8;
const NODE: Range<usize> = 8..16;
const CLUSTER: Range<usize> = 16..32;
const BODY_BYTES: usize = 32;

/// What a client says first, and what it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientHello {
    /// The versions that the speaker reads and writes.
    pub versions: Versions,
    /// The cluster that the client means, or that the node belongs to.
    pub cluster: u128,
    /// The node that the client means, none if any will do; or the node that answers.
    pub node: Option<NodeId>,
    /// In an answer: the node takes no more clients now, and closes the connection.
    pub full: bool,
}

/// Why a client and a node do not come together. Each reason says what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClientHelloError {
    /// The client means another cluster.
    Cluster {
        /// The one it means.
        wanted: u128,
        /// The node's.
        found: u128,
    },
    /// The client means another node, or the node does not say which one it is.
    Node {
        /// The one it means.
        wanted: NodeId,
        /// The one that is there.
        found: Option<NodeId>,
    },
    /// They have no version in common.
    Version {
        /// The client's.
        client: Versions,
        /// The node's.
        node: Versions,
    },
    /// The node serves as many clients as it may.
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

    /// Reads bytes that are one frame with a client's hello.
    ///
    /// # Errors
    /// A [`WireError`] if they are anything else.
    pub fn decode(bytes: &[u8]) -> Result<ClientHello, WireError> {
        read_whole(Kind::ClientHello, bytes, ClientHello::decode_body)
    }

    pub(in crate::wire) fn decode_body(body: &[u8]) -> Result<ClientHello, Flaw> {
        let refuse = |reason: String| Err(Flaw::Body { kind: Kind::ClientHello, reason });
        let Some(body) = body.first_chunk::<BODY_BYTES>() else {
            return refuse(format!("{} bytes of {BODY_BYTES}", body.len()));
        };
        let versions = match Versions::read(body) {
            Ok(versions) => versions,
            Err(reason) => return refuse(reason),
        };
        if body[FULL] > 1 || body[RESERVED] != [0; 3] {
            return refuse("a byte has no meaning".to_owned());
        }
        let node = u64::from_le_bytes(field(body, NODE));
        Ok(ClientHello {
            versions,
            cluster: u128::from_le_bytes(field(body, CLUSTER)),
            node: (node != 0).then_some(NodeId(node)),
            full: body[FULL] == 1,
        })
    }

    /// Whether the node that gave `answer` serves the client that said this.
    ///
    /// # Errors
    /// The first reason against it, in the order of [`ClientHelloError`].
    pub fn check(&self, answer: &ClientHello) -> Result<(), ClientHelloError> {
        if self.cluster != answer.cluster {
            let (wanted, found) = (self.cluster, answer.cluster);
            return Err(ClientHelloError::Cluster { wanted, found });
        }
        if let Some(wanted) = self.node
            && answer.node != Some(wanted)
        {
            return Err(ClientHelloError::Node { wanted, found: answer.node });
        }
        let (client, node) = (self.versions, answer.versions);
        if client.common(node).is_none() {
            return Err(ClientHelloError::Version { client, node });
        }
        if answer.full { Err(ClientHelloError::Full) } else { Ok(()) }
    }
}

impl fmt::Display for ClientHelloError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientHelloError::Cluster { wanted, found } => write!(
                f,
                "the node is of cluster {found:032x}, and the client means {wanted:032x}: check \
                 the addresses, or the cluster's id"
            ),
            ClientHelloError::Node { wanted, found: Some(found) } => {
                write!(f, "{wanted} is meant, and {found} is there: check the address")
            }
            ClientHelloError::Node { wanted, found: None } => {
                write!(f, "{wanted} is meant, and who is there does not say who it is")
            }
            ClientHelloError::Version { client, node } => write!(
                f,
                "the client speaks versions {client}, and the node {node}: bring the older one \
                 up to date"
            ),
            ClientHelloError::Full => f.write_str(
                "the node serves as many clients as it may: close some, or raise its bound",
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
    fn a_hello_comes_back_and_a_later_version_may_add_to_it() {
        for hello in [HELLO, ClientHello { node: None, full: true, ..HELLO }] {
            let mut bytes = Vec::new();
            hello.encode(&mut bytes);
            assert_eq!(ClientHello::decode(&bytes), Ok(hello));
            let (_, body) = open(&bytes).expect("it is a frame");
            assert_eq!(ClientHello::decode_body(&[body, &[1, 2, 3]].concat()), Ok(hello));
            for count in 0..BODY_BYTES {
                assert!(ClientHello::decode_body(&body[..count]).is_err(), "{count}");
            }
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (place, byte) in [(0, 2), (4, 2), (5, 1), (7, 1)] {
            let mut bytes = Vec::new();
            HELLO.encode(&mut bytes);
            let mut body = bytes.split_off(crate::wire::FRAME_HEADER_BYTES);
            body[place] = byte;
            assert!(ClientHello::decode_body(&body).is_err(), "{place}");
        }
    }

    #[test]
    fn each_refusal_says_what_to_do() {
        let refusal =
            |answer: ClientHello| HELLO.check(&answer).expect_err("it must be refused").to_string();
        assert_eq!(HELLO.check(&HELLO), Ok(()));
        assert_eq!(ClientHello { node: None, ..HELLO }.check(&HELLO), Ok(()));
        let other = refusal(ClientHello { cluster: 0xc2, ..HELLO });
        assert!(other.contains("00c1: check the addresses") && other.contains("00c2"), "{other}");
        let node = refusal(ClientHello { node: Some(NodeId(3)), ..HELLO });
        assert_eq!(node, "n2 is meant, and n3 is there: check the address");
        let newer = Versions { oldest: 7, newest: 9 };
        let version = refusal(ClientHello { versions: newer, ..HELLO });
        assert!(version.contains("1..=1, and the node 7..=9"), "{version}");
        let full = refusal(ClientHello { full: true, ..HELLO });
        assert!(full.contains("as many clients as it may"), "{full}");
    }
}
