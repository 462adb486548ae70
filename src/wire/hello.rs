//! The hello between nodes: the first frame of a connection, with cluster, node ids and versions.

use core::ops::Range;

use serde::{Deserialize, Serialize};

use crate::types::text::texts;
use crate::types::{Address, NodeId};
use crate::wire::codec::{append_hello, read_hello};
use crate::wire::error::{FrameError, WireError};
use crate::wire::frame::read_whole;
use crate::wire::kind::{Kind, WIRE_VERSION};

/// The fields of the body in their order: the versions, reserved zeros, the sender, the receiver,
/// the cluster and the incarnation.
type Fields = (Versions, u32, NodeId, NodeId, u128, u128);

/// The size of the fields in bytes.
const FIELDS_BYTES: usize = 56;

/// The range of the start id, which hellos of earlier builds lack.
const START_ID: Range<usize> = FIELDS_BYTES..FIELDS_BYTES + 8;

/// The range of the length of the address, which hellos of earlier builds lack, and those of nodes
/// without one. The text of the address follows.
const ADDRESS_LENGTH: Range<usize> = START_ID.end..START_ID.end + 2;

/// The first frame of each side of a connection between nodes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hello {
    /// The versions of the wire format that the sender reads and writes.
    pub versions: Versions,
    /// The id of the sender's cluster.
    pub cluster: u128,
    /// The id of the sender.
    pub from: NodeId,
    /// The id of the node that the sender expects to be connected to.
    pub to: NodeId,
    /// The incarnation of the sender's disk, which changes when the disk is wiped.
    pub incarnation: u128,
    /// A random number of the sender's process, which no two starts share; 0 if the sender is of an
    /// earlier build.
    pub start_id: u64,
    /// The address of the sender in the membership that it uses; empty if that has none, or if the
    /// sender is of an earlier build.
    pub address: Address,
}

/// A range of versions, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Versions {
    /// The lowest supported version.
    pub oldest: u16,
    /// The highest supported version, at least `oldest`.
    pub newest: u16,
}

/// The values against which a node checks the other side's hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ExpectedPeer {
    /// The id of this node's cluster.
    pub cluster: u128,
    /// The cluster that this node's cluster was recovered or restored from, if this node's
    /// directory names one.
    pub origin: Option<u128>,
    /// The id of this node.
    pub local: NodeId,
    /// The node that this node connected to; `None` if the other side opened the connection.
    pub peer: Option<NodeId>,
    /// The known incarnation of the other node, if any.
    pub incarnation: Option<u128>,
}

/// The result of an accepted hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AcceptedHello {
    /// The newest common version, which both use from now on.
    pub version: u16,
}

/// The reason for which a node rejects a hello, with the expected and the found value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HelloError {
    /// The other node belongs to another cluster.
    Cluster {
        /// The id of this node's cluster.
        expected: u128,
        /// The id of the other node's cluster.
        found: u128,
    },
    /// The other node belongs to the cluster that this node's cluster was recovered or restored
    /// from.
    Predecessor {
        /// The id of this node's cluster.
        expected: u128,
        /// The id of the other node's cluster.
        found: u128,
    },
    /// The node that answered at the dialled address is not the expected one.
    Node {
        /// The node that this node connected to.
        expected: NodeId,
        /// The node that answered.
        found: NodeId,
    },
    /// The other node expected to connect to a third node.
    Address {
        /// The id of this node.
        expected: NodeId,
        /// The node to which the other node expected to connect.
        found: NodeId,
    },
    /// The other node has this node's own id.
    DuplicateId {
        /// The id of both.
        id: NodeId,
    },
    /// The other node's incarnation is not the known one.
    Incarnation {
        /// The known incarnation of the other node.
        expected: u128,
        /// The incarnation in its hello.
        found: u128,
    },
    /// The nodes have no common version.
    Version {
        /// The versions of this node.
        ours: Versions,
        /// The versions of the other node.
        theirs: Versions,
    },
}

impl Versions {
    /// The versions that this library supports.
    pub const SUPPORTED: Versions = Versions { oldest: WIRE_VERSION, newest: WIRE_VERSION };

    /// Returns the newest common version of two ranges.
    #[must_use]
    pub fn common(self, other: Versions) -> Option<u16> {
        let newest = self.newest.min(other.newest);
        (newest >= self.oldest.max(other.oldest)).then_some(newest)
    }

    /// Returns a description of the error if `oldest` exceeds `newest`, as it may in a received
    /// hello.
    pub(super) fn error(self) -> Option<String> {
        (self.oldest > self.newest).then(|| format!("{self} is not a range of versions"))
    }
}

impl Hello {
    /// Appends the hello's frame to `into`.
    pub fn encode(&self, into: &mut Vec<u8>) {
        let Hello { versions, cluster, from, to, incarnation, start_id, ref address } = *self;
        let fields = (versions, 0_u32, from, to, cluster, incarnation, start_id);
        append_hello(Kind::Hello, &fields, address.as_str(), into);
    }

    /// Decodes bytes that are exactly one frame with a hello.
    ///
    /// # Errors
    /// A [`WireError`] if they are not.
    pub fn decode(bytes: &[u8]) -> Result<Hello, WireError> {
        read_whole(Kind::Hello, bytes, Hello::decode_body)
    }

    pub(super) fn decode_body(body: &[u8]) -> Result<Hello, FrameError> {
        let kind = Kind::Hello;
        let (versions, reserved, from, to, cluster, incarnation): Fields =
            read_hello(kind, FIELDS_BYTES, body)?;
        if let Some(reason) = versions.error() {
            return Err(FrameError::Body { kind, reason });
        }
        if reserved != 0 {
            return Err(FrameError::Body {
                kind,
                reason: "a reserved byte is not zero".to_owned(),
            });
        }
        let start_id = body.get(START_ID).and_then(|bytes| bytes.try_into().ok());
        let start_id = start_id.map_or(0, u64::from_le_bytes);
        let address = address_of(body).ok_or_else(|| FrameError::Body {
            kind,
            reason: "the address is cut, too long or not UTF-8".to_owned(),
        })?;
        Ok(Hello { versions, cluster, from, to, incarnation, start_id, address })
    }

    /// Checks the other side's hello.
    ///
    /// # Errors
    /// The first reason to reject it, in the order of [`HelloError`].
    pub fn check(&self, expected: &ExpectedPeer) -> Result<AcceptedHello, HelloError> {
        if self.cluster != expected.cluster {
            let is_origin = expected.origin == Some(self.cluster);
            let (expected, found) = (expected.cluster, self.cluster);
            return Err(match is_origin {
                true => HelloError::Predecessor { expected, found },
                false => HelloError::Cluster { expected, found },
            });
        }
        if let Some(peer) = expected.peer
            && self.from != peer
        {
            return Err(HelloError::Node { expected: peer, found: self.from });
        }
        if self.to != expected.local {
            return Err(HelloError::Address { expected: expected.local, found: self.to });
        }
        if self.from == expected.local {
            return Err(HelloError::DuplicateId { id: self.from });
        }
        if let Some(incarnation) = expected.incarnation
            && self.incarnation != incarnation
        {
            let (expected, found) = (incarnation, self.incarnation);
            return Err(HelloError::Incarnation { expected, found });
        }
        let (ours, theirs) = (Versions::SUPPORTED, self.versions);
        match ours.common(theirs) {
            Some(version) => Ok(AcceptedHello { version }),
            None => Err(HelloError::Version { ours, theirs }),
        }
    }
}

/// Returns the address at the end of the body of a hello, which is empty if the body ends before
/// it; `None` if it is invalid.
fn address_of(body: &[u8]) -> Option<Address> {
    let Some(length) = body.get(ADDRESS_LENGTH) else { return Some(Address::default()) };
    let length = usize::from(u16::from_le_bytes(length.try_into().ok()?));
    let text = body.get(ADDRESS_LENGTH.end..)?.get(..length)?;
    Address::new(core::str::from_utf8(text).ok()?)
}

texts! { Versions:
    Self { oldest, newest } => "{oldest}..={newest}";
}

texts! { HelloError:
    Self::Cluster { expected, found } =>
        "the peer belongs to cluster {found:032x}, but this node to {expected:032x}; if both are \
         new, they were started with different names of the cluster or different initial members; \
         if one was recovered or restored from the other, stop the older one's node, empty its \
         directory and add it again";
    Self::Predecessor { expected, found } =>
        "the peer's cluster {found:032x} was recovered or restored into this node's, \
         {expected:032x}: stop the peer, empty its directory and add it again";
    Self::Node { expected, found } => "expected {expected} at this address, but {found} answered";
    Self::Address { expected, found } =>
        "the peer expects {found} at this address, but this node is {expected}";
    Self::DuplicateId { id } => "the peer has this node's own id {id}";
    Self::Incarnation { expected, found } =>
        "the peer has incarnation {found:032x}, but {expected:032x} is known";
    Self::Version { ours, theirs } if theirs.oldest > ours.newest =>
        "the peer is newer: it supports versions {theirs}, this node {ours}";
    Self::Version { ours, theirs } =>
        "the peer is older: it supports versions {theirs}, this node {ours}";
}

impl std::error::Error for HelloError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frame::{append, open};

    fn hello() -> Hello {
        Hello {
            versions: Versions::SUPPORTED,
            cluster: 0xc1,
            from: NodeId(2),
            to: NodeId(1),
            incarnation: 0x17,
            start_id: 0x19,
            address: Address::new("b:7100").expect("the address is short"),
        }
    }
    const EXPECTED: ExpectedPeer = ExpectedPeer {
        cluster: 0xc1,
        origin: Some(0xc0),
        local: NodeId(1),
        peer: Some(NodeId(2)),
        incarnation: Some(0x17),
    };

    fn rejected(hello: Hello, expected: ExpectedPeer) -> String {
        hello.check(&expected).expect_err("the hello is rejected").to_string()
    }

    #[test]
    fn an_expected_hello_is_accepted() {
        let accept = Ok(AcceptedHello { version: WIRE_VERSION });
        assert_eq!(hello().check(&EXPECTED), accept);
        let unknown = ExpectedPeer { peer: None, incarnation: None, ..EXPECTED };
        assert_eq!(hello().check(&unknown), accept);
        let versions = Versions { oldest: 0, newest: u16::MAX };
        assert_eq!(Hello { versions, ..hello() }.check(&EXPECTED), accept);
    }

    #[test]
    fn each_error_names_both_values() {
        let other = rejected(Hello { cluster: 0xc2, ..hello() }, EXPECTED);
        assert!(other.contains("00c1") && other.contains("00c2"), "{other}");
        assert!(other.contains("if one was recovered"), "{other}");
        let older = rejected(Hello { cluster: 0xc0, ..hello() }, EXPECTED);
        assert!(older.contains("00c0 was recovered or restored into this node's, 0"), "{older}");
        assert!(older.contains("00c1: stop the peer"), "{older}");
        let node = rejected(Hello { from: NodeId(3), ..hello() }, EXPECTED);
        assert_eq!(node, "expected n2 at this address, but n3 answered");
        let address = rejected(Hello { to: NodeId(3), ..hello() }, EXPECTED);
        assert_eq!(address, "the peer expects n3 at this address, but this node is n1");
        let inbound = ExpectedPeer { peer: None, ..EXPECTED };
        let duplicate = rejected(Hello { from: NodeId(1), ..hello() }, inbound);
        assert_eq!(duplicate, "the peer has this node's own id n1");
        let incarnation = rejected(Hello { incarnation: 0x18, ..hello() }, EXPECTED);
        assert!(incarnation.contains("0018") && incarnation.contains("0017"), "{incarnation}");
        let newer = Hello { versions: Versions { oldest: 2, newest: 9 }, ..hello() };
        let newer = rejected(newer, EXPECTED);
        assert_eq!(newer, "the peer is newer: it supports versions 2..=9, this node 1..=1");
        let older = Hello { versions: Versions { oldest: 0, newest: 0 }, ..hello() };
        let older = rejected(older, EXPECTED);
        assert_eq!(older, "the peer is older: it supports versions 0..=0, this node 1..=1");
    }

    #[test]
    fn a_hello_round_trips_and_a_later_version_may_extend_it() {
        let mut bytes = Vec::new();
        hello().encode(&mut bytes);
        assert_eq!(Hello::decode(&bytes), Ok(hello()));
        let (_, body) = open(&bytes).expect("the bytes are a frame");
        assert_eq!(Hello::decode_body(&[body, &[1, 2, 3]].concat()), Ok(hello()));
        assert_eq!(&body[START_ID.end..], b"\x06\0b:7100");
        let earlier = Hello { address: Address::default(), ..hello() };
        assert_eq!(Hello::decode_body(&body[..START_ID.end]), Ok(earlier.clone()));
        let mut short = Vec::new();
        earlier.encode(&mut short);
        let (_, short) = open(&short).expect("the bytes are a frame");
        assert_eq!(short, &body[..START_ID.end], "an earlier build would send the same");
        let first = Hello { start_id: 0, ..earlier };
        assert_eq!(Hello::decode_body(&body[..FIELDS_BYTES]), Ok(first), "of an earlier build");
        for count in START_ID.end + 2..body.len() {
            assert!(Hello::decode_body(&body[..count]).is_err(), "{count}");
        }
        for count in 0..FIELDS_BYTES {
            assert!(Hello::decode_body(&body[..count]).is_err(), "{count}");
        }
    }

    #[test]
    fn invalid_hellos_are_rejected() {
        let letter = ADDRESS_LENGTH.end;
        for (place, byte) in [(0, 2), (4, 1), (7, 1), (letter, 0xff)] {
            let mut bytes = Vec::new();
            hello().encode(&mut bytes);
            let mut body = bytes.split_off(crate::wire::FRAME_HEADER_BYTES);
            body[place] = byte;
            assert!(Hello::decode_body(&body).is_err(), "{place}");
        }
        let mut bytes = Vec::new();
        append(Kind::Control, &mut bytes, |_| Ok(())).expect("the value is short");
        let error = FrameError::UnexpectedKind { found: Kind::Control };
        assert_eq!(Hello::decode(&bytes), Err(WireError { offset: 0, error }));
    }
}
