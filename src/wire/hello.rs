//! The first frame of a connection: who speaks, to whom, of which cluster, in which versions.

use std::fmt;
use std::ops::Range;

use crate::types::NodeId;
use crate::wire::error::{Flaw, WireError};
use crate::wire::frame::{append_hello, field, read_whole};
use crate::wire::kind::{Kind, WIRE_VERSION};

/// How the body is laid out; integers are little-endian. What follows in a hello of a later
/// version is not read.
const OLDEST: Range<usize> = 0..2;
const NEWEST: Range<usize> = 2..4;
const RESERVED: Range<usize> = 4..8;
const FROM: Range<usize> = 8..16;
const TO: Range<usize> = 16..24;
const CLUSTER: Range<usize> = 24..40;
const INCARNATION: Range<usize> = 40..56;
const BODY_BYTES: usize = 56;

/// What each side of a connection says first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hello {
    /// The versions of packets that the speaker reads and writes.
    pub versions: Versions,
    /// The cluster it belongs to.
    pub cluster: u128,
    /// The node it is.
    pub from: NodeId,
    /// The node it believes it speaks to.
    pub to: NodeId,
    /// Which life of the node this is: one that lost its disk comes back with another.
    pub incarnation: u128,
}

/// A range of versions, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Versions {
    /// The lowest.
    pub oldest: u16,
    /// The highest; at least `oldest`.
    pub newest: u16,
}

/// What a node knows of the one that should be at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Expected {
    /// This node's cluster.
    pub cluster: u128,
    /// The cluster that this node's was recovered or restored from, if its directory says so.
    pub origin: Option<u128>,
    /// This node.
    pub me: NodeId,
    /// The node that was called; none if the other side called.
    pub peer: Option<NodeId>,
    /// The last known life of the other node, if any is known.
    pub incarnation: Option<u128>,
}

/// The two nodes may talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Accept {
    /// The newest version that both know: they speak it from now on.
    pub version: u16,
}

/// Why two nodes must not talk. Each reason names what was expected and what was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HelloError {
    /// The other node is of another cluster.
    Cluster {
        /// This node's.
        expected: u128,
        /// The other's.
        found: u128,
    },
    /// The other node is of the cluster that this node's was recovered or restored from.
    Predecessor {
        /// This node's.
        expected: u128,
        /// The other's.
        found: u128,
    },
    /// The other node is not the one that was called.
    Node {
        /// The one that was called.
        expected: NodeId,
        /// The one that answered.
        found: NodeId,
    },
    /// The other node meant to call a third one.
    Address {
        /// This node.
        expected: NodeId,
        /// The one it meant.
        found: NodeId,
    },
    /// The other node claims this node's own id.
    Twin {
        /// The id of both.
        id: NodeId,
    },
    /// The other node is not in the life that is known of it.
    Incarnation {
        /// The one that is known.
        expected: u128,
        /// The one it claims.
        found: u128,
    },
    /// The nodes have no version in common.
    Version {
        /// This node's.
        ours: Versions,
        /// The other's.
        theirs: Versions,
    },
}

impl Versions {
    /// What this library speaks.
    pub const SUPPORTED: Versions = Versions { oldest: WIRE_VERSION, newest: WIRE_VERSION };

    /// The newest version that both know.
    #[must_use]
    pub fn common(self, other: Versions) -> Option<u16> {
        let newest = self.newest.min(other.newest);
        (newest >= self.oldest.max(other.oldest)).then_some(newest)
    }

    /// Writes them where every hello's body has them.
    pub(super) fn write(self, body: &mut [u8]) {
        body[OLDEST].copy_from_slice(&self.oldest.to_le_bytes());
        body[NEWEST].copy_from_slice(&self.newest.to_le_bytes());
    }

    /// Reads them from a hello's body, or says what is wrong with them.
    pub(super) fn read(body: &[u8]) -> Result<Versions, String> {
        let oldest = u16::from_le_bytes(field(body, OLDEST));
        let versions = Versions { oldest, newest: u16::from_le_bytes(field(body, NEWEST)) };
        match versions.oldest > versions.newest {
            true => Err(format!("{versions} is no range")),
            false => Ok(versions),
        }
    }
}

impl Hello {
    /// Appends the hello's frame to `into`.
    pub fn encode(&self, into: &mut Vec<u8>) {
        let mut body = [0; BODY_BYTES];
        self.versions.write(&mut body);
        body[FROM].copy_from_slice(&self.from.0.to_le_bytes());
        body[TO].copy_from_slice(&self.to.0.to_le_bytes());
        body[CLUSTER].copy_from_slice(&self.cluster.to_le_bytes());
        body[INCARNATION].copy_from_slice(&self.incarnation.to_le_bytes());
        append_hello(Kind::Hello, &body, into);
    }

    /// Reads bytes that are one frame with a hello.
    ///
    /// # Errors
    /// A [`WireError`] if they are anything else.
    pub fn decode(bytes: &[u8]) -> Result<Hello, WireError> {
        read_whole(Kind::Hello, bytes, Hello::decode_body)
    }

    pub(super) fn decode_body(body: &[u8]) -> Result<Hello, Flaw> {
        let refuse = |reason: String| Err(Flaw::Body { kind: Kind::Hello, reason });
        let Some(body) = body.first_chunk::<BODY_BYTES>() else {
            return refuse(format!("{} bytes of {BODY_BYTES}", body.len()));
        };
        let versions = match Versions::read(body) {
            Ok(versions) => versions,
            Err(reason) => return refuse(reason),
        };
        if body[RESERVED] != [0; 4] {
            return refuse("a reserved byte is not zero".to_owned());
        }
        Ok(Hello {
            versions,
            cluster: u128::from_le_bytes(field(body, CLUSTER)),
            from: NodeId(u64::from_le_bytes(field(body, FROM))),
            to: NodeId(u64::from_le_bytes(field(body, TO))),
            incarnation: u128::from_le_bytes(field(body, INCARNATION)),
        })
    }

    /// Whether the node that said this may be talked to.
    ///
    /// # Errors
    /// The first reason against it, in the order of [`HelloError`].
    pub fn check(&self, expected: &Expected) -> Result<Accept, HelloError> {
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
        if self.to != expected.me {
            return Err(HelloError::Address { expected: expected.me, found: self.to });
        }
        if self.from == expected.me {
            return Err(HelloError::Twin { id: self.from });
        }
        if let Some(incarnation) = expected.incarnation
            && self.incarnation != incarnation
        {
            let (expected, found) = (incarnation, self.incarnation);
            return Err(HelloError::Incarnation { expected, found });
        }
        let (ours, theirs) = (Versions::SUPPORTED, self.versions);
        match ours.common(theirs) {
            Some(version) => Ok(Accept { version }),
            None => Err(HelloError::Version { ours, theirs }),
        }
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..={}", self.oldest, self.newest)
    }
}

impl fmt::Display for HelloError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HelloError::Cluster { expected, found } => {
                write!(
                    f,
                    "the peer is of cluster {found:032x}, and this node of {expected:032x}; if \
                     one was recovered or restored from the other, stop the older one's node, \
                     empty its directory and add it anew"
                )
            }
            HelloError::Predecessor { expected, found } => {
                write!(
                    f,
                    "the peer's cluster {found:032x} was recovered or restored into this node's, \
                     {expected:032x}: stop the peer, empty its directory and add it anew"
                )
            }
            HelloError::Node { expected, found } => {
                write!(f, "{expected} was called, and {found} answers")
            }
            HelloError::Address { expected, found } => {
                write!(f, "the peer calls {found}, and this is {expected}")
            }
            HelloError::Twin { id } => write!(f, "the peer claims to be {id}, as this node is"),
            HelloError::Incarnation { expected, found } => {
                write!(f, "the peer is incarnation {found:032x}, and {expected:032x} is known")
            }
            HelloError::Version { ours, theirs } => {
                let age = if theirs.oldest > ours.newest { "newer" } else { "older" };
                write!(f, "the peer is {age}: it speaks versions {theirs}, and this node {ours}")
            }
        }
    }
}

impl std::error::Error for HelloError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frame::{append, open};

    const HELLO: Hello = Hello {
        versions: Versions::SUPPORTED,
        cluster: 0xc1,
        from: NodeId(2),
        to: NodeId(1),
        incarnation: 0x17,
    };
    const EXPECTED: Expected = Expected {
        cluster: 0xc1,
        origin: Some(0xc0),
        me: NodeId(1),
        peer: Some(NodeId(2)),
        incarnation: Some(0x17),
    };

    fn refusal(hello: Hello, expected: Expected) -> String {
        hello.check(&expected).expect_err("it must be refused").to_string()
    }

    #[test]
    fn a_hello_that_is_expected_is_accepted() {
        let accept = Ok(Accept { version: WIRE_VERSION });
        assert_eq!(HELLO.check(&EXPECTED), accept);
        let unknown = Expected { peer: None, incarnation: None, ..EXPECTED };
        assert_eq!(HELLO.check(&unknown), accept);
        let versions = Versions { oldest: 0, newest: u16::MAX };
        assert_eq!(Hello { versions, ..HELLO }.check(&EXPECTED), accept);
    }

    #[test]
    fn each_refusal_names_both_values() {
        let other = refusal(Hello { cluster: 0xc2, ..HELLO }, EXPECTED);
        assert!(other.contains("00c1") && other.contains("00c2"), "{other}");
        assert!(other.contains("if one was recovered"), "{other}");
        let older = refusal(Hello { cluster: 0xc0, ..HELLO }, EXPECTED);
        assert!(older.contains("00c0 was recovered or restored into this node's, 0"), "{older}");
        assert!(older.contains("00c1: stop the peer"), "{older}");
        let node = refusal(Hello { from: NodeId(3), ..HELLO }, EXPECTED);
        assert_eq!(node, "n2 was called, and n3 answers");
        let address = refusal(Hello { to: NodeId(3), ..HELLO }, EXPECTED);
        assert_eq!(address, "the peer calls n3, and this is n1");
        let uncalled = Expected { peer: None, ..EXPECTED };
        let twin = refusal(Hello { from: NodeId(1), ..HELLO }, uncalled);
        assert_eq!(twin, "the peer claims to be n1, as this node is");
        let incarnation = refusal(Hello { incarnation: 0x18, ..HELLO }, EXPECTED);
        assert!(incarnation.contains("0018") && incarnation.contains("0017"), "{incarnation}");
        let newer = Hello { versions: Versions { oldest: 2, newest: 9 }, ..HELLO };
        let newer = refusal(newer, EXPECTED);
        assert_eq!(newer, "the peer is newer: it speaks versions 2..=9, and this node 1..=1");
        let older = Hello { versions: Versions { oldest: 0, newest: 0 }, ..HELLO };
        let older = refusal(older, EXPECTED);
        assert_eq!(older, "the peer is older: it speaks versions 0..=0, and this node 1..=1");
    }

    #[test]
    fn a_hello_comes_back_and_a_later_version_may_add_to_it() {
        let mut bytes = Vec::new();
        HELLO.encode(&mut bytes);
        assert_eq!(Hello::decode(&bytes), Ok(HELLO));
        let (_, body) = open(&bytes).expect("it is a frame");
        assert_eq!(Hello::decode_body(&[body, &[1, 2, 3]].concat()), Ok(HELLO));
        for count in 0..BODY_BYTES {
            assert!(Hello::decode_body(&body[..count]).is_err(), "{count}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (place, byte) in [(0, 2), (4, 1), (7, 1)] {
            let mut bytes = Vec::new();
            HELLO.encode(&mut bytes);
            let mut body = bytes.split_off(crate::wire::FRAME_HEADER_BYTES);
            body[place] = byte;
            assert!(Hello::decode_body(&body).is_err(), "{place}");
        }
        let mut bytes = Vec::new();
        append(Kind::Control, &mut bytes, |_| Ok(())).expect("it is short");
        let flaw = Flaw::Place { found: Kind::Control };
        assert_eq!(Hello::decode(&bytes), Err(WireError { offset: 0, flaw }));
    }
}
