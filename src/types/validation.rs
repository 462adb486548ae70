//! State comparison between nodes: a node requests the state digests of the other nodes at an
//! index, and a node whose state has diverged or is lost rebuilds it from another node's snapshot.

use core::fmt;

use crate::types::id::{Index, NodeId};
use crate::types::text::texts;
use crate::types::write::SnapshotMeta;

/// One message of the state comparison. The network may lose, duplicate, delay or reorder it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Comparison {
    /// The node that sent it.
    pub from: NodeId,
    /// The node that it is for.
    pub to: NodeId,
    /// The content of the message.
    pub body: ComparisonBody,
}

/// The digest of a state machine after it applied an index; each part may be unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct StateDigest {
    /// The rolling hash over all applied entries and their outcomes.
    pub results: Option<Hash128>,
    /// The hash of the state, at indices at which the node computes it.
    pub state: Option<Hash128>,
}

/// The first half of a BLAKE3 hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Hash128(pub [u8; 16]);

/// The content of a comparison message.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub enum ComparisonBody {
    /// Requests the receiver's state digest at `index`. The receiver replies once it has applied
    /// that index.
    Request {
        /// The number of the requesting node's comparison, counted from a number that differs
        /// between the node's starts.
        round: u64,
        /// The index after which the digests are compared.
        index: Index,
    },
    /// The reply to a [`ComparisonBody::Request`].
    Reply {
        /// The `round` of the request.
        round: u64,
        /// The `index` of the request.
        index: Index,
        /// The sender's digest at `index`; a part is unknown if the sender has not computed it or
        /// no longer stores it.
        state_digest: StateDigest,
    },
    /// The sender's state machine has diverged, or its snapshot cannot be read. It is rebuilt from
    /// the first offered snapshot that ends after `after`.
    WantSnapshot {
        /// The last index of the sender's own snapshot.
        after: Index,
    },
    /// Offers a snapshot to a node that wants one. Its bytes travel like those of any snapshot.
    OfferSnapshot {
        /// The sender's last snapshot.
        meta: SnapshotMeta,
    },
}

/// The number of a node's comparisons since its start, by result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Comparisons {
    /// Comparisons in which a majority had the same results as this node.
    pub consistent: u64,
    /// Comparisons in which too few voters knew their results, and no known result differed.
    pub unavailable: u64,
    /// Comparisons in which some results differed, and too few voters knew theirs to find out which
    /// nodes diverged; or in which no majority had the same results.
    pub inconclusive: u64,
    /// Comparisons in which a majority had different results than this node.
    pub diverged: u64,
    /// Appends whose `prev` entry's hash chain was compared with the log's.
    pub chains: u64,
    /// Appends whose chain could not be compared, because one of the two nodes did not know it.
    pub chains_unavailable: u64,
}

texts! {
    /// Writes the content, without the addresses.
    Comparison:
    Self { body: ComparisonBody::Request { index, .. }, .. } => "requests the results at {index}";
    Self { body: ComparisonBody::Reply { index, state_digest, .. }, .. } =>
        "has {state_digest} at {index}";
    Self { body: ComparisonBody::WantSnapshot { after }, .. } => "wants a snapshot after {after}";
    Self { body: ComparisonBody::OfferSnapshot { meta }, .. } =>
        "offers its snapshot at {}", meta.last;
}

impl StateDigest {
    /// Returns true if both parts are unknown.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.results.is_none() && self.state.is_none()
    }
}

impl fmt::Display for StateDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.results {
            Some(results) => write!(f, "results {results}")?,
            None => f.write_str("results unknown")?,
        }
        self.state.map_or(Ok(()), |state| write!(f, ", state {state}"))
    }
}

texts! {
    /// Writes the first eight hexadecimal digits.
    Hash128:
    Self([a, b, c, d, ..]) => "{a:02x}{b:02x}{c:02x}{d:02x}";
}
